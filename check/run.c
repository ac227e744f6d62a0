/* SPDX-License-Identifier: MIT */
/*
 * A run has a folder named by its slot, in which the shared file and the private copy
 * are; the output goes to files without a name. What the subject can see of a run, names
 * and variables included, has the same length in every run: programs copy their
 * environment, and a longer one would be other sizes, and may be other calls.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

#include "allocate.h"
#include "interposer.h"
#include "interrupt.h"
#include "launch.h"
#include "processes.h"
#include "tree.h"
#include "watch.h"

#define PRELOAD "LD_PRELOAD"

struct run {
	const struct bhi_check_setup *setup;
	const struct bhi_check_order *order;
	char folder[PATH_MAX];
	char copy[PATH_MAX + 8];
	char shared_path[PATH_MAX + 8];
	struct bhi_check_shared *shared;
	int out, err;
	/* The variables of ours, and the whole environment. */
	char check[PATH_MAX + 64];
	char *preload, *mark;
	char **environment;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

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

/* Our environment with the interposer in front, and the marks. */
static void make_environment(struct run *run)
{
	char *list = bhi_check_interposer_preload(run->setup->interposer);
	size_t nr = 0, used = 0;

	run->preload = bhi_check_format(PRELOAD "=%s", list);
	free(list);
	while (environ[nr])
		nr++;
	run->environment = bhi_check_alloc(nr + 4, sizeof(*run->environment));
	for (size_t i = 0; i < nr; i++) {
		if (!is_variable(environ[i], PRELOAD) &&
			!is_variable(environ[i], BHI_CHECK_ENV) &&
			!is_variable(environ[i], BHI_CHECK_MARK_ENV))
			run->environment[used++] = environ[i];
	}
	(void)snprintf(
		run->check, sizeof(run->check), BHI_CHECK_ENV "=%s", run->shared_path);
	run->mark = bhi_check_mark(run->order);
	run->environment[used++] = run->preload;
	run->environment[used++] = run->check;
	run->environment[used] = run->mark;
}

static int make_shared(struct run *run)
{
	int fd = open(run->shared_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	void *p = MAP_FAILED;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, sizeof(*run->shared)))
		p = mmap(NULL, sizeof(*run->shared), PROT_READ | PROT_WRITE, MAP_SHARED,
			fd, 0);
	if (p == MAP_FAILED)
		r = -errno;
	(void)close(fd);
	if (r)
		return r;
	run->shared = p;
	run->shared->order = *run->order;
	run->shared->order.follow_children |= run->setup->follow_children;
	run->shared->order.pages = run->setup->pages;
	if (!run->shared->order.burst)
		run->shared->order.burst = 1;
	run->shared->version = BHI_CHECK_VERSION;
	run->shared->magic = BHI_CHECK_MAGIC;
	return 0;
}

static int make_folder(struct run *run, int slot)
{
	int length = snprintf(run->folder, sizeof(run->folder), "%s/run-%04d",
		run->setup->work_dir, slot);

	if (length < 0 || (size_t)length >= sizeof(run->folder))
		return -ENAMETOOLONG;
	(void)snprintf(run->copy, sizeof(run->copy), "%s/copy", run->folder);
	(void)snprintf(
		run->shared_path, sizeof(run->shared_path), "%s/shared", run->folder);
	if (mkdir(run->folder, 0700)) {
		/* Of a session that was killed. */
		if (errno != EEXIST)
			return -errno;
		bhi_check_tree_remove(run->folder);
		if (mkdir(run->folder, 0700))
			return -errno;
	}
	return run->setup->copy_dir ? bhi_check_tree_copy(run->setup->copy_dir, run->copy)
				    : 0;
}

static int set_up(struct run *run, int slot)
{
	int r = make_folder(run, slot);

	if (!r)
		r = make_shared(run);
	if (r)
		return r;
	make_environment(run);
	run->out = memfd_create("stdout", MFD_CLOEXEC);
	run->err = memfd_create("stderr", MFD_CLOEXEC);
	return run->out < 0 || run->err < 0 ? -errno : 0;
}

/* The result keeps .shared when there is one. */
static void clean_up(struct run *run)
{
	if (run->shared)
		(void)munmap(run->shared, sizeof(*run->shared));
	if (run->out >= 0)
		(void)close(run->out);
	if (run->err >= 0)
		(void)close(run->err);
	free(run->preload);
	free(run->mark);
	free(run->environment);
	if (*run->folder)
		bhi_check_tree_remove(run->folder);
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
	*ret = text;
	*ret_length = length;
	return 0;
}

static int collect(struct run *run, struct bhi_check_result *result)
{
	uint64_t max = run->setup->max_output;
	int r = read_output(run->out, max, &result->out, &result->out_len);

	if (!r)
		r = read_output(run->err, max, &result->err, &result->err_len);
	if (!r && run->setup->copy_dir)
		r = bhi_check_tree_list(run->copy, &result->files);
	if (r)
		return r;
	result->shared = run->shared;
	result->shared_size = sizeof(*run->shared);
	run->shared = NULL;
	return 0;
}

static void set_end(struct bhi_check_result *result, const struct bhi_check_child *child,
	enum bhi_check_end end, int status)
{
	result->end = end;
	if (child->exec_error) {
		result->end = BHI_CHECK_NOT_STARTED;
		result->status = child->exec_error;
	} else if (WIFEXITED(status)) {
		result->status = WEXITSTATUS(status);
	} else {
		result->status = WTERMSIG(status);
		if (end == BHI_CHECK_EXITED)
			result->end = BHI_CHECK_SIGNALED;
	}
}

static int run_child(struct run *run, int slot, struct bhi_check_result *result)
{
	struct bhi_check_launch launch = {
		.command = run->setup->command,
		.environment = run->environment,
		.directory = run->setup->copy_dir ? run->copy : NULL,
		.input = run->setup->stdin_file ? run->setup->stdin_file : "/dev/null",
		.out = run->out,
		.err = run->err,
		/* What the interposer maps is not the subject's. */
		.max_memory = run->setup->max_memory
				      ? run->setup->max_memory + sizeof(*run->shared)
				      : 0,
		.pages = run->setup->pages,
	};
	struct bhi_check_child child = {.pidfd = -1, .listener = -1};
	enum bhi_check_end end = BHI_CHECK_EXITED;
	uint64_t start = now_ns();
	struct rusage usage;
	int status = 0, r;

	bhi_check_processes_announce();
	r = bhi_check_launch(&launch, &child);
	bhi_check_processes_begin(slot, child.pid, child.pidfd);
	if (r)
		return r;
	/* The signal may have come before the child could be found. */
	if (bhi_check_interrupted())
		bhi_check_processes_kill_leaders();
	if (!child.exec_error && !child.pages_error)
		end = bhi_check_watch(
			run->setup, &child, run->out, run->err, run->shared);
	result->wall_ns = now_ns() - start;
	bhi_check_processes_end(slot, &status, &usage);
	(void)close(child.pidfd);
	if (child.listener >= 0)
		(void)close(child.listener);
	if (child.pages_error)
		return -child.pages_error;
	result->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	set_end(result, &child, end, status);
	return 0;
}

int bhi_check_run(const struct bhi_check_setup *setup,
	const struct bhi_check_order *order, int slot, struct bhi_check_result *ret)
{
	struct run run = {.setup = setup, .order = order, .out = -1, .err = -1};
	struct bhi_check_result result = {.out = NULL};
	int r;

	bhi_check_processes_start();
	r = set_up(&run, slot);
	if (!r)
		r = run_child(&run, slot, &result);
	if (!r)
		r = collect(&run, &result);
	clean_up(&run);
	if (r)
		bhi_check_result_fini(&result);
	else
		*ret = result;
	return r;
}

void bhi_check_result_fini(struct bhi_check_result *result)
{
	free(result->out);
	free(result->err);
	free(result->files);
	if (result->shared)
		(void)munmap(result->shared, result->shared_size);
	*result = (struct bhi_check_result){.out = NULL};
}
