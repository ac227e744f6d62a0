/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"

#include "group.h"
#include "allocate.h"
#include "replay.h"
#include "state.h"

static bool shows(const struct bhi_check_test *test, const char *id)
{
	char own[32];

	if (!bhi_check_class_is_finding(test->class))
		return false;
	bhi_check_format_id(test->class, test->key, own);
	return !strcmp(own, id);
}

/* The plan until the finding turns up; what was found on the way is dropped. */
static enum bhi_check_exit look_for(struct bhi_check_work *work, const char *id,
	bool *ret_found, struct bhi_check_point *ret)
{
	struct bhi_check_session *session = &work->session;
	enum bhi_check_exit status;

	bhi_errf("bulkhead: check: %s is in no state of this command here; looking for "
		 "it\n",
		id);
	work->wanted_id = id;
	status = bhi_check_explore(work);
	work->wanted_id = NULL;
	for (size_t i = 0; i < session->nr_tests && !status; i++) {
		if (!shows(&session->tests[i], id))
			continue;
		for (size_t k = 0; k < session->nr_stacks; k++) {
			if (session->stacks[k].hash != session->tests[i].stack)
				continue;
			*ret = (struct bhi_check_point){
				.stack = k, .occurrence = session->tests[i].occurrence};
			*ret_found = true;
			return status;
		}
	}
	return status;
}

enum bhi_check_exit bhi_check_replay_find(struct bhi_check_work *work, const char *id,
	bool *ret_found, struct bhi_check_point *ret)
{
	const char *state = work->options->state_file;
	enum bhi_check_exit status = BHI_CHECK_EXIT_CLEAN;
	struct bhi_check_point *points = NULL;

	*ret_found = false;
	if (state && bhi_check_state_find(work, state, id, &points)) {
		*ret = points[0];
		*ret_found = true;
	}
	free(points);
	if (!*ret_found)
		status = look_for(work, id, ret_found, ret);
	if (!status && !*ret_found)
		bhi_errf("bulkhead: check: %s: no point of this command shows it\n", id);
	return status;
}

static void drop_tests(struct bhi_check_session *session)
{
	bhi_check_ungroup(session);
	for (size_t i = 0; i < session->nr_tests; i++) {
		free(session->tests[i].crash.places);
		free(session->tests[i].difference);
		free(session->tests[i].message);
	}
	free(session->tests);
	session->tests = NULL;
	session->nr_tests = 0;
	session->nr_runs = 0;
	for (size_t i = 0; i < session->nr_stacks; i++) {
		session->stacks[i].nr_tested = 0;
		session->stacks[i].worst = BHI_CHECK_NR_CLASSES;
	}
}

enum bhi_check_exit bhi_check_replay_run(
	struct bhi_check_work *work, const struct bhi_check_point *point)
{
	struct bhi_check_session *session = &work->session;
	uint64_t started = bhi_check_now();
	struct bhi_check_test test;
	int r;

	drop_tests(session);
	bhi_store(&work->stop, false);
	r = bhi_check_try(work, 0, point, &test);
	if (r) {
		bhi_errf("bulkhead: check: a run: %s\n", strerror(-r));
		return BHI_CHECK_EXIT_OURS;
	}
	session->tests = bhi_check_alloc(1, sizeof(*session->tests));
	session->tests[0] = test;
	session->nr_tests = session->nr_points = 1;
	session->stacks[point->stack].nr_tested = 1;
	session->stacks[point->stack].worst = test.class;
	session->wall_ns = bhi_check_now() - started;
	bhi_check_group(session);
	return BHI_CHECK_EXIT_CLEAN;
}

/* The file that the interposer reads; sparse. */
static int write_order(const char *path, const struct bhi_check_order *order)
{
	const uint32_t head[2] = {BHI_CHECK_MAGIC, BHI_CHECK_VERSION};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct bhi_check_shared)) ||
		pwrite(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		pwrite(fd, order, sizeof(*order),
			(off_t)offsetof(struct bhi_check_shared, order)) !=
			(ssize_t)sizeof(*order))
		r = -errno;
	close(fd);
	return r;
}

/* The keys that interrupt are for the subject. */
static enum bhi_check_exit run_gdb(char **argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	int status = 0, r;
	pid_t pid;

	r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r) {
		bhi_errf("bulkhead: check: gdb: %s\n", strerror(r));
		return BHI_CHECK_EXIT_OURS;
	}
	sigaction(SIGINT, &ignore, &old);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &old, NULL);
	return status ? BHI_CHECK_EXIT_OURS : BHI_CHECK_EXIT_CLEAN;
}

enum bhi_check_exit bhi_check_replay_gdb(
	const struct bhi_check_work *work, const struct bhi_check_point *point)
{
	char *path = bhi_check_format("%s/gdb", work->setup.work_dir);
	char *set_file = bhi_check_format("set environment " BHI_CHECK_ENV " %s", path);
	char *set_preload =
		bhi_check_format("set environment LD_PRELOAD %s", work->setup.interposer);
	char *const head[] = {"gdb", "-q", "-ex", "set startup-with-shell off", "-ex",
		set_file, "-ex", set_preload, "-ex", "run", "--args"};
	size_t nr_head = bhi_array_size(head), nr = 0;
	struct bhi_check_order order;
	enum bhi_check_exit status;
	char **argv;
	int r;

	bhi_check_order_fill(work, point, true, &order);
	order.stop_at_point = 1;
	r = write_order(path, &order);
	if (r) {
		bhi_errf("bulkhead: check: %s: %s\n", path, strerror(-r));
		free(path);
		free(set_file);
		free(set_preload);
		return BHI_CHECK_EXIT_OURS;
	}
	while (work->setup.command[nr])
		nr++;
	argv = bhi_check_alloc(nr_head + nr + 1, sizeof(*argv));
	memcpy(argv, head, sizeof(head));
	memcpy(argv + nr_head, work->setup.command, nr * sizeof(*argv));
	status = run_gdb(argv);
	free(argv);
	free(path);
	free(set_file);
	free(set_preload);
	return status;
}
