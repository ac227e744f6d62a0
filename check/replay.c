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
#include "interposer.h"
#include "interrupt.h"
#include "replay.h"
#include "report.h"
#include "state.h"
#include "tree.h"

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
	if (!status && bhi_check_interrupted())
		return BHI_CHECK_EXIT_INTERRUPTED;
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
	for (size_t i = 0; i < session->nr_tests; i++)
		bhi_check_test_fini(&session->tests[i]);
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
	if (bhi_check_interrupted()) {
		if (!r)
			bhi_check_test_fini(&test);
		return BHI_CHECK_EXIT_INTERRUPTED;
	}
	if (r) {
		bhi_check_say_error(work, r);
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
static enum bhi_check_exit run_gdb(char *const *argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	int status = 0, r;
	pid_t pid;

	r = posix_spawnp(&pid, "gdb", NULL, NULL, argv, environ);
	if (r) {
		bhi_errf("bulkhead: check: gdb: %s%s\n", strerror(r),
			r == ENOENT ? "; the Debian package is called gdb" : "");
		return BHI_CHECK_EXIT_OURS;
	}
	(void)sigaction(SIGINT, &ignore, &old);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)sigaction(SIGINT, &old, NULL);
	return status ? BHI_CHECK_EXIT_OURS : BHI_CHECK_EXIT_CLEAN;
}

static char *quote_word(const char *word)
{
	char *words[] = {(char *)(uintptr_t)word, NULL};

	return bhi_check_quote(words);
}

/* gdb's command that gives the subject, and not the shell that gdb starts it by, our
 * variables. */
static char *set_variables(const struct bhi_check_work *work, const char *shared,
	const struct bhi_check_order *order)
{
	char *list = bhi_check_interposer_preload(work->setup.interposer);
	char *preload = bhi_check_format("LD_PRELOAD=%s", list);
	char *check = bhi_check_format(BHI_CHECK_ENV "=%s", shared);
	char *mark = bhi_check_mark(order);
	char *words[] = {(char *)"env", preload, check, mark, NULL};
	char *wrapper = bhi_check_quote(words), *line;

	line = bhi_check_format("set exec-wrapper %s", wrapper);
	free(list);
	free(preload);
	free(check);
	free(mark);
	free(wrapper);
	return line;
}

static enum bhi_check_exit refuse(const char *path, int r)
{
	bhi_errf("bulkhead: check: %s: %s\n", path, strerror(-r));
	return BHI_CHECK_EXIT_OURS;
}

/* The program's folder may be another one than ours. From malloc(3). */
static char *absolute(const char *path)
{
	char *folder = *path == '/' ? NULL : getcwd(NULL, 0), *text;

	text = folder ? bhi_check_format("%s/%s", folder, path) : bhi_check_strdup(path);
	free(folder);
	return text;
}

/* argv of gdb; the strings are from malloc(3). Ends with NULL. */
static char **gdb_words(const struct bhi_check_work *work, const char *shared,
	const char *folder, const struct bhi_check_order *order)
{
	const char *input = work->setup.stdin_file ? work->setup.stdin_file : "/dev/null";
	char **words = bhi_check_alloc(16, sizeof(*words));
	char *path = absolute(input), *from = quote_word(path);
	char *given = bhi_check_quote(work->setup.command + 1);
	size_t nr = 0;

	words[nr++] = bhi_check_strdup("gdb");
	words[nr++] = bhi_check_strdup("-q");
	words[nr++] = bhi_check_strdup("-ex");
	words[nr++] = set_variables(work, shared, order);
	if (folder) {
		words[nr++] = bhi_check_strdup("-ex");
		words[nr++] = bhi_check_format("set cwd %s", folder);
	}
	words[nr++] = bhi_check_strdup("-ex");
	words[nr++] = bhi_check_format("set args %s < %s", given, from);
	words[nr++] = bhi_check_strdup("-ex");
	words[nr++] = bhi_check_strdup("run");
	words[nr++] = bhi_check_strdup(work->setup.command[0]);
	free(given);
	free(from);
	free(path);
	return words;
}

enum bhi_check_exit bhi_check_replay_gdb(
	const struct bhi_check_work *work, const struct bhi_check_point *point)
{
	const struct bhi_check_setup *setup = &work->setup;
	char *shared = bhi_check_format("%s/gdb", setup->work_dir);
	char *copy =
		setup->copy_dir ? bhi_check_format("%s/gdb-copy", setup->work_dir) : NULL;
	struct bhi_check_order order;
	enum bhi_check_exit status;
	char **argv;
	int r;

	bhi_check_order_fill(work, point, true, &order);
	order.stop_at_point = 1;
	if (setup->max_memory)
		bhi_errf("bulkhead: check: --max-memory is not kept under gdb\n");
	r = write_order(shared, &order);
	if (!r && copy)
		r = bhi_check_tree_copy(setup->copy_dir, copy);
	if (r) {
		status = refuse(shared, r);
	} else {
		argv = gdb_words(work, shared, copy, &order);
		status = run_gdb(argv);
		for (char **word = argv; *word; word++)
			free(*word);
		free(argv);
	}
	free(shared);
	free(copy);
	return status;
}
