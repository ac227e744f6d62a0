/* SPDX-License-Identifier: MIT */
#include "open_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lines.h"

/* /dev/null, zero, full, random, urandom */
#define MEMORY_DEVICES 1

static bool is_output(const struct bhi_check_copies *copies, const struct stat *status)
{
	for (int i = 0; i < 2; i++) {
		if (status->st_dev == copies->output_devices[i] &&
			status->st_ino == copies->output_inodes[i])
			return true;
	}
	return false;
}

static bool is_no_lock(const char *line)
{
	return strncmp(line, "lock:", 5) != 0;
}

/* Of whatever kind: those of a process are not a copy's, and those of an open file are
 * both's to release. */
static bool has_locks(int fd)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return !bhi_every_line(path, is_no_lock);
}

static enum bhi_check_copy_reason add(
	const struct bhi_check_copies *copies, int fd, struct bhi_open_files *files)
{
	struct bhi_open_file *file = &files->files[files->nr];
	struct stat status;

	if (fstat(fd, &status))
		return BHI_CHECK_COPY_OTHERS;
	file->fd = fd;
	file->flags = fcntl(fd, F_GETFL);
	file->offset = -1;
	if (S_ISCHR(status.st_mode) && major(status.st_rdev) == MEMORY_DEVICES)
		return BHI_CHECK_COPY_SOUND;
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return BHI_CHECK_COPY_OTHERS;
	if ((file->flags & O_ACCMODE) != O_RDONLY && !is_output(copies, &status))
		return BHI_CHECK_COPY_FILES;
	if (files->nr == BHI_MAX_OPEN_FILES - 1)
		return BHI_CHECK_COPY_FILES;
	if (has_locks(fd))
		return BHI_CHECK_COPY_LOCKS;
	if (!(file->flags & O_PATH))
		file->offset = lseek(fd, 0, SEEK_CUR);
	files->nr++;
	return BHI_CHECK_COPY_SOUND;
}

/* Not by readdir(3), which allocates. */
static enum bhi_check_copy_reason add_all(
	const struct bhi_check_copies *copies, int folder, struct bhi_open_files *ret)
{
	char buffer[2048] __attribute__((aligned(8)));
	enum bhi_check_copy_reason reason = BHI_CHECK_COPY_SOUND;
	long length;

	while ((length = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < length && !reason;) {
			const struct dirent64 *entry = (void *)(buffer + at);
			int fd = atoi(entry->d_name);

			at += entry->d_reclen;
			if (entry->d_name[0] != '.' && fd != folder)
				reason = add(copies, fd, ret);
		}
		if (reason)
			return reason;
	}
	return length < 0 ? BHI_CHECK_COPY_OTHERS : BHI_CHECK_COPY_SOUND;
}

enum bhi_check_copy_reason bhi_open_files_look(
	const struct bhi_check_copies *copies, struct bhi_open_files *ret)
{
	int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum bhi_check_copy_reason reason;

	ret->nr = 0;
	if (folder < 0)
		return BHI_CHECK_COPY_OTHERS;
	reason = add_all(copies, folder, ret);
	(void)close(folder);
	return reason;
}

void bhi_open_files_put_back(const struct bhi_open_files *files)
{
	for (unsigned i = 0; i < files->nr; i++) {
		const struct bhi_open_file *file = &files->files[i];

		if (fcntl(file->fd, F_GETFL) != file->flags)
			(void)fcntl(file->fd, F_SETFL, file->flags);
		if (file->offset >= 0)
			(void)lseek(file->fd, file->offset, SEEK_SET);
	}
}
