/* SPDX-License-Identifier: MIT */
/*
 * A run that gets a private copy has a folder for it, named by its slot; the shared file
 * and those that take the output are in memory. What the subject can see of a run, names
 * and variables included, has the same length in every run: programs copy their
 * environment, and a longer one would be other sizes, and may be other calls.
 */
#include "stage.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "allocate.h"
#include "interposer.h"
#include "shared.h"
#include "tree.h"

#define PRELOAD "LD_PRELOAD"

static bool is_variable(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(entry, name, length) && entry[length] == '=';
}

char *bhi_check_mark(const struct bhi_check_order *order)
{
	bool injects = order->action == BHI_CHECK_INJECT;

	return bhi_check_format(BHI_CHECK_MARK_ENV
		"=bulkhead-check: stack %016llx, occurrence %08llu, "
		"call %08llu, %s",
		injects ? (unsigned long long)order->stack : 0,
		injects ? (unsigned long long)order->occurrence : 0,
		injects ? (unsigned long long)order->call : 0,
		injects ? "fails" : "works");
}

/* Whether @text is the value of a mark; that of a clean run is @clean, all zeros. */
static bool is_mark(const char *text, const char *clean, size_t last_word)
{
	for (size_t i = 0; i < last_word; i++) {
		if (clean[i] == '0' ? !isxdigit((unsigned char)text[i])
				    : text[i] != clean[i])
			return false;
	}
	return !strncmp(text + last_word, "fails", 5) ||
	       !strncmp(text + last_word, "works", 5);
}

/* A subject that prints its environment is not wrong for that: the mark becomes that of
 * a clean run. */
static void hide_marks(char *text, size_t length)
{
	static const struct bhi_check_order order = {.action = BHI_CHECK_RECORD};
	char *mark = bhi_check_mark(&order), *end = text + length;
	const char *clean = strchr(mark, '=') + 1;
	size_t size = strlen(clean), word = strcspn(clean, "0");

	for (char *at = text; (at = memmem(at, (size_t)(end - at), clean, word)) &&
			      (size_t)(end - at) >= size;
		at += word) {
		if (!is_mark(at, clean, size - strlen("works")))
			continue;
		for (size_t i = 0; i < size; i++)
			at[i] = clean[i];
	}
	free(mark);
}

/* Our environment with the interposer in front, and the marks. */
static void make_environment(struct bhi_check_stage *stage)
{
	char *list = bhi_check_interposer_preload(stage->setup->interposer);
	char name[BHI_CHECK_SHARED_NAME_SIZE];
	size_t nr = 0, used = 0;

	stage->preload = bhi_check_format(PRELOAD "=%s", list);
	free(list);
	while (environ[nr])
		nr++;
	stage->environment = bhi_check_alloc(nr + 4, sizeof(*stage->environment));
	for (size_t i = 0; i < nr; i++) {
		if (!is_variable(environ[i], PRELOAD) &&
			!is_variable(environ[i], BHI_CHECK_ENV) &&
			!is_variable(environ[i], BHI_CHECK_MARK_ENV))
			stage->environment[used++] = environ[i];
	}
	bhi_check_shared_name(stage->shared_fd, name);
	(void)snprintf(stage->check, sizeof(stage->check), BHI_CHECK_ENV "=%s", name);
	stage->mark = bhi_check_mark(stage->order);
	stage->environment[used++] = stage->preload;
	stage->environment[used++] = stage->check;
	stage->environment[used] = stage->mark;
}

static int make_shared(struct bhi_check_stage *stage)
{
	int r = bhi_check_shared_make(&stage->shared, &stage->shared_fd);

	if (r)
		return r;
	stage->shared->order = *stage->order;
	stage->shared->order.follow_children |= stage->setup->follow_children;
	stage->shared->order.pages = stage->setup->pages;
	if (!stage->shared->order.burst)
		stage->shared->order.burst = 1;
	stage->shared->version = BHI_CHECK_VERSION;
	stage->shared->magic = BHI_CHECK_MAGIC;
	return 0;
}

static int make_folder(struct bhi_check_stage *stage, int slot)
{
	int length = snprintf(stage->folder, sizeof(stage->folder), "%s/run-%04d",
		stage->setup->work_dir, slot);

	if (length < 0 || (size_t)length >= sizeof(stage->folder))
		return -ENAMETOOLONG;
	(void)snprintf(stage->copy, sizeof(stage->copy), "%s/copy", stage->folder);
	if (mkdir(stage->folder, 0700)) {
		/* Of a session that was killed. */
		if (errno != EEXIST)
			return -errno;
		bhi_check_tree_remove(stage->folder);
		if (mkdir(stage->folder, 0700))
			return -errno;
	}
	return bhi_check_tree_copy(stage->setup->copy_dir, stage->copy);
}

int bhi_check_stage_set_up(struct bhi_check_stage *stage, int slot)
{
	int r = stage->setup->copy_dir ? make_folder(stage, slot) : 0;

	if (!r)
		r = make_shared(stage);
	if (r)
		return r;
	make_environment(stage);
	stage->out = memfd_create("stdout", MFD_CLOEXEC);
	stage->err = memfd_create("stderr", MFD_CLOEXEC);
	return stage->out < 0 || stage->err < 0 ? -errno : 0;
}

void bhi_check_stage_clean_up(struct bhi_check_stage *stage)
{
	if (stage->shared)
		(void)munmap(stage->shared, sizeof(*stage->shared));
	if (stage->shared_fd >= 0)
		(void)close(stage->shared_fd);
	if (stage->out >= 0)
		(void)close(stage->out);
	if (stage->err >= 0)
		(void)close(stage->err);
	free(stage->preload);
	free(stage->mark);
	free(stage->environment);
	if (*stage->folder)
		bhi_check_tree_remove(stage->folder);
}

/* At most @max bytes of the file; a program that ran away wrote more than anybody
 * reads. */
static int read_output(int fd, uint64_t max, char **ret, size_t *ret_length)
{
	struct stat status;
	size_t size, length = 0;
	char *text;

	if (fstat(fd, &status))
		return -errno;
	size = (size_t)status.st_size;
	if (max && size > max)
		size = max;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	while (length < size) {
		ssize_t n = pread(fd, text + length, size - length, (off_t)length);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
	text[length] = 0;
	hide_marks(text, length);
	*ret = text;
	*ret_length = length;
	return 0;
}

int bhi_check_stage_collect(
	const struct bhi_check_stage *stage, struct bhi_check_result *result)
{
	uint64_t max = stage->setup->max_output;
	int r = read_output(stage->out, max, &result->out, &result->out_len);

	if (!r)
		r = read_output(stage->err, max, &result->err, &result->err_len);
	if (!r && stage->setup->copy_dir)
		r = bhi_check_tree_list(stage->copy, &result->files);
	return r;
}

void bhi_check_stage_give(struct bhi_check_stage *stage, struct bhi_check_result *result)
{
	result->shared = stage->shared;
	result->shared_size = sizeof(*stage->shared);
	stage->shared = NULL;
}
