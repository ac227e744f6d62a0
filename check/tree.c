/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

/* Deeper ones are no work of anybody who means well. */
#define MAX_DEPTH 64

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;

	while (n--)
		hash = (hash ^ *at++) * 0x100000001b3u;
	return hash;
}

#define HASH_START 0xcbf29ce484222325u

static int copy_content(int from, int to)
{
	char buffer[1 << 14];
	ssize_t n;

	/* The same blocks, where the file system can do that. */
	if (!ioctl(to, FICLONE, from))
		return 0;
	for (;;) {
		n = copy_file_range(from, NULL, to, NULL, SSIZE_MAX / 2, 0);
		if (!n)
			return 0;
		if (n < 0)
			break;
	}
	while ((n = read(from, buffer, sizeof(buffer))) != 0) {
		if (n < 0 || write(to, buffer, (size_t)n) != n)
			return -(errno ? errno : EIO);
	}
	return 0;
}

static int copy_file(
	int from_dir, int to_dir, const char *name, const struct stat *status)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int to, r;

	if (from < 0)
		return -errno;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = to < 0 ? -errno : copy_content(from, to);
	if (to >= 0) {
		struct timespec times[2] = {status->st_atim, status->st_mtim};

		(void)fchmod(to, status->st_mode & 07777);
		(void)futimens(to, times);
		(void)close(to);
	}
	(void)close(from);
	return r;
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (length < 0)
		return -errno;
	target[length] = 0;
	return symlinkat(target, to_dir, name) ? -errno : 0;
}

static int open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int copy_folder(int from, int to, int depth);

/* Sockets, pipes and devices are left out. */
static int copy_entry(int from_dir, int to_dir, const char *name, int depth)
{
	struct stat status;
	int from, to, r;

	if (fstatat(from_dir, name, &status, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (S_ISLNK(status.st_mode))
		return copy_link(from_dir, to_dir, name);
	if (S_ISREG(status.st_mode))
		return copy_file(from_dir, to_dir, name, &status);
	if (!S_ISDIR(status.st_mode))
		return 0;
	if (mkdirat(to_dir, name, 0700))
		return -errno;
	from = open_folder(from_dir, name);
	to = open_folder(to_dir, name);
	r = from < 0 ? from : to < 0 ? to : copy_folder(from, to, depth + 1);
	if (to >= 0 && from < 0)
		(void)close(to);
	if (from >= 0 && to < 0)
		(void)close(from);
	if (!r)
		(void)fchmodat(to_dir, name, status.st_mode & 07777, 0);
	return r;
}

/* Closes both. */
static int copy_folder(int from, int to, int depth)
{
	DIR *dir = depth < MAX_DEPTH ? fdopendir(from) : NULL;
	struct dirent *entry;
	int r = dir ? 0 : -ELOOP;

	while (!r && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = copy_entry(from, to, entry->d_name, depth);
	}
	if (dir)
		(void)closedir(dir);
	else
		(void)close(from);
	(void)close(to);
	return r;
}

int bhi_check_tree_copy(const char *from, const char *to)
{
	int from_fd, to_fd;

	from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from_fd < 0)
		return -errno;
	to_fd = mkdir(to, 0700) ? -errno : open_folder(AT_FDCWD, to);
	if (to_fd < 0) {
		(void)close(from_fd);
		return to_fd;
	}
	return copy_folder(from_fd, to_fd, 0);
}

struct list {
	char **lines;
	size_t nr, room;
};

static int add_line(struct list *list, char *line)
{
	if (!line)
		return -ENOMEM;
	if (list->nr == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		char **lines = reallocarray(list->lines, room, sizeof(*lines));

		if (!lines) {
			free(line);
			return -ENOMEM;
		}
		list->lines = lines;
		list->room = room;
	}
	list->lines[list->nr++] = line;
	return 0;
}

static uint64_t hash_content(int dir, const char *name, const struct stat *status)
{
	char buffer[1 << 14];
	uint64_t hash = HASH_START;
	ssize_t n;
	int fd;

	if (S_ISLNK(status->st_mode)) {
		n = readlinkat(dir, name, buffer, sizeof(buffer));
		return n < 0 ? 0 : mix_bytes(hash, buffer, (size_t)n);
	}
	if (!S_ISREG(status->st_mode))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		hash = mix_bytes(hash, buffer, (size_t)n);
	(void)close(fd);
	return hash;
}

static int list_folder(struct list *list, int fd, const char *prefix, int depth)
{
	DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int r = dir ? 0 : -ELOOP;

	if (!dir)
		(void)close(fd);
	while (!r && (entry = readdir(dir)) != NULL) {
		struct stat status;
		char path[PATH_MAX];
		char *line = NULL;
		int below;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
			continue;
		(void)snprintf(path, sizeof(path), "%s%s", prefix, entry->d_name);
		/* The name is first until the list is sorted. */
		if (asprintf(&line, "%s\t%016llx %lld %o", path,
			    (unsigned long long)hash_content(fd, entry->d_name, &status),
			    S_ISDIR(status.st_mode) ? 0LL : (long long)status.st_size,
			    (unsigned)status.st_mode) < 0)
			line = NULL;
		r = add_line(list, line);
		if (r || !S_ISDIR(status.st_mode))
			continue;
		below = open_folder(fd, entry->d_name);
		(void)strncat(path, "/", sizeof(path) - strlen(path) - 1);
		if (below >= 0)
			r = list_folder(list, below, path, depth + 1);
	}
	if (dir)
		(void)closedir(dir);
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "hash size mode name" of "name <tab> hash size mode". */
static int write_list(const struct list *list, char **ret)
{
	size_t size = 0;
	FILE *file = open_memstream(ret, &size);

	if (!file)
		return -errno;
	for (size_t i = 0; i < list->nr; i++) {
		char *tab = strrchr(list->lines[i], '\t');

		(void)fprintf(file, "%s %.*s\n", tab + 1, (int)(tab - list->lines[i]),
			list->lines[i]);
	}
	return fclose(file) ? -errno : 0;
}

int bhi_check_tree_list(const char *path, char **ret_list)
{
	struct list list = {.nr = 0};
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = NULL;
	int r;

	if (fd < 0)
		return -errno;
	r = list_folder(&list, fd, "", 0);
	if (!r) {
		if (list.nr)
			qsort(list.lines, list.nr, sizeof(*list.lines), compare);
		r = write_list(&list, &text);
	}
	for (size_t i = 0; i < list.nr; i++)
		free(list.lines[i]);
	free(list.lines);
	if (r) {
		free(text);
		return r;
	}
	*ret_list = text;
	return 0;
}

static void remove_entries(int fd, int depth)
{
	DIR *dir = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir) {
		(void)close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		struct stat status;
		int below;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			!unlinkat(fd, entry->d_name, 0) ||
			fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) ||
			!S_ISDIR(status.st_mode))
			continue;
		/* The subject may have taken the right to look into it. */
		(void)fchmodat(fd, entry->d_name, 0700, 0);
		below = open_folder(fd, entry->d_name);
		if (below >= 0)
			remove_entries(below, depth + 1);
		(void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	(void)closedir(dir);
}

void bhi_check_tree_remove(const char *path)
{
	int fd = open_folder(AT_FDCWD, path);

	if (fd >= 0)
		remove_entries(fd, 0);
	(void)rmdir(path);
}
