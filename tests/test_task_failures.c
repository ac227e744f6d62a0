/* SPDX-License-Identifier: MIT */
/*
 * The failure loop over the functions of tasks, as test_failure_loop.c has it for the
 * others, with both backends: each is run with its first, second, ... request to the
 * system or to a lower floor refused, once or from then on. Afterwards it has succeeded
 * or given a documented error, or its task has ended as documented; the books agree,
 * nothing is charged that does not live, and no area, descriptor or thread is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bug.h"
#include "debug/inject.h"
#include "private.h"
#include "support_fault.h"
#include "support_task.h"

#define ZONE       (64 * MIB)
#define ALL_POINTS ((1u << BHI_FP_NR) - 1)

/* What a touch asks the kernel for; the rest it may wait for. */
#define KERNEL_POINTS (1u << BHI_FP_UFFD | 1u << BHI_FP_MPROTECT | 1u << BHI_FP_MADVISE)

#define EXIT_REFUSED 0
#define EXIT_UNMET   3
#define MOST_POINTS  200

/* This thread, the background reclaimer and the reaper. */
#define NR_THREADS 3u

static struct {
	struct bh_group *group;
	struct bh_task *task;
	char *map;
	void *shared;
	struct bh_mutex mutex;
	struct bh_rwlock rwlock;
	struct bh_cond cond;
	int nr_defers, null;
	size_t charged;
} world;

static void require_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	bhi_failpoint_disarm();
	fprintf(stderr, "%s at line %d\n", what, line);
	_exit(1);
}

#define require(cond) require_at((cond), #cond, __LINE__)

static int error_of(const void *p)
{
	return p ? 0 : -errno;
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 7;
}

/* Bodies outside of tasks */

static int run_new(void)
{
	struct bh_task *task = bh_task_new(world.group, NULL);
	int r = error_of(task);

	bh_task_put(task);
	return r;
}

static int run_enter(void)
{
	struct bh_report report;
	int r = bh_task_enter(world.task, do_nothing, NULL, &report);

	require(report.reason == BH_NOT_KILLED && report.value == (r ? 0 : 7));
	return r;
}

static int run_run(void)
{
	return bh_task_run(world.group, NULL, do_nothing, NULL, NULL);
}

static int run_questions(void)
{
	struct bh_task_stat stat;

	require(!bh_current());
	require(bh_task_get(world.task) == world.task);
	bh_task_put(world.task);
	require(bh_task_dump_begin(world.task) == 0);
	bh_task_dump_end(world.task);
	require(bh_check() == 0);
	return bh_task_stat(world.task, &stat);
}

static int run_kill(void)
{
	return bh_task_kill(world.task);
}

/* Bodies that end tasks which have memory, or find what others have left */

static int run_put_filled(void)
{
	bh_task_put(world.task);
	world.task = NULL;
	return 0;
}

static int run_kill_filled(void)
{
	struct bh_report report;

	require(bh_task_kill(world.task) == 0);
	require(bh_task_kill(world.task) == -ESRCH);
	require(bh_task_enter(world.task, do_nothing, NULL, &report) == -ECANCELED);
	require(report.reason == BH_KILLED_CALLER && report.bytes >= MIB / 2);
	return 0;
}

static int take_little(void *arg)
{
	char *p = bh_calloc(1, 3000);

	(void)arg;
	if (!p)
		return -errno;
	require(is_filled(p, 3000, 0));
	memset(p, 'l', 3000);
	return 0;
}

/* The second finds the area of the first; the third is not granted its pages. */
static int run_warm(void)
{
	struct bh_report report;
	int r;

	for (int i = 0; i < 3; i++) {
		if (i == 2)
			require(bh_group_set(world.group, BH_MAX, 0) == 0);
		r = bh_task_run(world.group, NULL, take_little, NULL, &report);
		if (i == 2 && r == -ECANCELED)
			return 0;
		if (r || report.value)
			return r ? r : report.value;
	}
	return -EXFULL;
}

static int run_set_max(void)
{
	int r = bh_group_set(world.group, BH_MAX, 4096);

	require(stat_of(world.task).killed == BH_KILLED_OOM);
	return r;
}

static int run_charge_killing(void)
{
	int r;

	require(bh_group_set(world.group, BH_ON_LIMIT, BH_KILL) == 0);
	require(bh_group_set(world.group, BH_MAX, MIB) == 0);
	/* As small as a request must be that others are killed for. */
	for (int i = 0; i < 30; i++) {
		r = bh_charge(world.group, 30000, 0);
		if (r)
			return r;
		world.charged += 30000;
	}
	require(stat_of(world.task).killed == BH_KILLED_OOM);
	return 0;
}

static int run_report(void)
{
	int r = bh_report_write(world.null, BH_TEXT);

	return r ? r : bh_report_write(world.null, BH_JSON);
}

static int run_audit(void)
{
	return bh_audit();
}

/* The system has no memory for locks, which need none. */
static int run_locks(void)
{
	require(bh_mutex_init(&world.mutex, "mutex") == 0);
	require(bh_rwlock_init(&world.rwlock, "rwlock") == 0);
	require(bh_cond_init(&world.cond, "cond") == 0);
	require(bh_mutex_lock(&world.mutex) == 0);
	require(bh_mutex_trylock(&world.mutex) == -EBUSY);
	require(bh_cond_timedwait(&world.cond, &world.mutex, 1) == -ETIMEDOUT);
	require(bh_cond_signal(&world.cond) == 0);
	require(bh_cond_broadcast(&world.cond) == 0);
	require(bh_mutex_unlock(&world.mutex) == 0);
	require(bh_rwlock_rdlock(&world.rwlock) == 0);
	require(bh_rwlock_unlock(&world.rwlock) == 0);
	require(bh_rwlock_tryrdlock(&world.rwlock) == 0);
	require(bh_rwlock_unlock(&world.rwlock) == 0);
	require(bh_rwlock_wrlock(&world.rwlock) == 0);
	require(bh_rwlock_unlock(&world.rwlock) == 0);
	require(bh_rwlock_trywrlock(&world.rwlock) == 0);
	require(bh_rwlock_unlock(&world.rwlock) == 0);
	require(bh_cond_destroy(&world.cond) == 0);
	require(bh_mutex_destroy(&world.mutex) == 0);
	return bh_rwlock_destroy(&world.rwlock);
}

static int run_wait(void)
{
	require(bh_mutex_lock(&world.mutex) == 0);
	require(bh_cond_wait(&world.cond, &world.mutex) == 0);
	require(bh_mutex_unlock(&world.mutex) == 0);
	return 0;
}

static void *signal_waiter(void *arg)
{
	bool waits = false;

	while (!waits) {
		bh_mutex_lock(&world.mutex);
		waits = world.cond.nr_;
		bh_cond_signal(&world.cond);
		bh_mutex_unlock(&world.mutex);
		sched_yield();
	}
	return arg;
}

/* Bodies inside of a task */

static int alloc_of(size_t size)
{
	char *p = bh_malloc(size);

	if (!p)
		return -errno;
	memset(p, 'a', size);
	bh_free(p);
	return 0;
}

static int run_malloc(void)
{
	static const size_t sizes[] = {1, 100, 5000, 32768, 100000, MIB};
	int r = 0;

	for (size_t i = 0; !r && i < bhi_array_size(sizes); i++)
		r = alloc_of(sizes[i]);
	return r;
}

/* Runs whose pages are there in part. */
static int run_calloc(void)
{
	for (size_t size = 1; size < 2 * MIB; size *= 5) {
		char *p = bh_calloc(size, 1);

		if (!p)
			return -errno;
		require(is_filled(p, size, 0));
		memset(p, 'c', size);
	}
	return 0;
}

static int run_realloc(void)
{
	char *p = NULL;
	size_t had = 0;

	for (size_t size = 10; size < 4 * MIB; size = size * 5 / 2) {
		char *q = bh_realloc(p, size);

		if (!q) {
			int r = -errno;

			require(is_filled(p, had, 'r'));
			require(bh_usable_size(p) >= had);
			return r;
		}
		p = q;
		require(is_filled(p, had, 'r'));
		memset(p, 'r', size);
		had = size;
	}
	return 0;
}

static int run_free(void)
{
	void *objects[200];

	bhi_failpoint_disarm();
	for (int i = 0; i < 200; i++)
		objects[i] = bh_malloc((size_t)i * i * 10);
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, ALL_POINTS);
	for (int i = 0; i < 200; i++)
		bh_free(objects[i]);
	return 0;
}

static int run_map(void)
{
	char *p = bh_map(3 * MIB, 0);

	if (!p)
		return -errno;
	return bh_unmap(p, 3 * MIB);
}

static int run_touch(void)
{
	return bh_touch(world.map, 600000);
}

static int run_discard(void)
{
	return bh_discard(world.map, MIB);
}

static int run_unmap(void)
{
	return bh_unmap(world.map, 2 * MIB);
}

static int run_pagefault(void)
{
	for (size_t i = 0; i < 2 * MIB; i += 40000)
		world.map[i] = 'p';
	return 0;
}

static int run_export(void)
{
	world.shared = bh_export(world.group, world.map, 100000);
	return error_of(world.shared);
}

static int run_sections(void)
{
	bh_hold();
	bh_block_enter();
	bh_block_leave();
	bh_release();
	require(bh_check() == 0);
	require(bh_current() == world.task);
	return 0;
}

static void count_defer(void *arg)
{
	(void)arg;
	world.nr_defers++;
}

static int run_defer(void)
{
	require(bh_defer(count_defer, NULL) == 0);
	require(bh_defer(count_defer, &world) == 0);
	return bh_undefer(count_defer, &world);
}

/* What is shared stays so. */
static int run_realloc_shared(void)
{
	void *p;

	world.shared = bh_alloc(world.group, 100, 0);
	if (!world.shared)
		return -errno;
	p = bh_realloc(world.shared, 100000);
	if (!p)
		return -errno;
	world.shared = p;
	require(bh_group_of(p) == world.group && bh_usable_size(p) >= 100000);
	return 0;
}

/* What it may have past the limit, and the decision at the end of the section. */
static int run_hold_at_limit(void)
{
	require(bh_group_set(world.group, BH_MAX, 100000) == 0);
	bh_hold();
	for (int i = 0; i < 1000; i++) {
		char *p = bh_malloc(2000);

		if (!p)
			break;
		memset(p, 'h', 2000);
	}
	require(bh_check() == 0 || stat_of(world.task).killed);
	bh_release();
	return 0;
}

static int run_kill_self(void)
{
	bh_task_kill(bh_current());
	return 0;
}

struct body {
	const char *functions[16];
	int (*run)(void);
	bool inside;
	bool alone;        /* it starts the library itself */
	bool has_map;      /* of 2 MiB; nothing of it was touched, or the first half */
	bool may_end;      /* the task: there is no other way to say it */
	bool ends;         /* the task is killed by it */
	bool no_room_once; /* a charge that is refused for ever is waited for */
	bool zaps_once;    /* pages that are kept for ever would have no owner */
	void *(*beside)(void *arg);
};

#define BODY(run_, ...)                                   \
	{                                                 \
		.run = run_, .functions = { __VA_ARGS__ } \
	}
#define BODY_INSIDE(run_, name, ...)                                            \
	{                                                                       \
		.run = run_, .functions = {name}, .inside = true, ##__VA_ARGS__ \
	}

#define BODY_FILLED(run_, name, ...)                                             \
	{                                                                        \
		.run = run_, .functions = {name}, .has_map = true, ##__VA_ARGS__ \
	}

static const struct body bodies[] = {
	{.run = run_new, .functions = {"bh_task_new", "bh_task_put"}, .alone = true},
	{.run = run_run, .functions = {"bh_task_run"}, .alone = true},
	BODY(run_new, "bh_task_new"),
	BODY(run_enter, "bh_task_enter"),
	BODY(run_run, "bh_task_run"),
	BODY(run_questions, "bh_current", "bh_task_get", "bh_task_stat",
		"bh_task_dump_begin", "bh_task_dump_end"),
	{.run = run_kill, .functions = {"bh_task_kill"}, .ends = true},
	BODY(run_locks, "bh_mutex_init", "bh_mutex_lock", "bh_mutex_trylock",
		"bh_mutex_unlock", "bh_mutex_destroy", "bh_rwlock_init",
		"bh_rwlock_rdlock", "bh_rwlock_tryrdlock", "bh_rwlock_wrlock",
		"bh_rwlock_trywrlock", "bh_rwlock_unlock", "bh_rwlock_destroy",
		"bh_cond_init", "bh_cond_timedwait", "bh_cond_signal"),
	{.run = run_wait,
		.functions = {"bh_cond_wait", "bh_cond_broadcast", "bh_cond_destroy"},
		.beside = signal_waiter},
	BODY_INSIDE(run_locks, "bh_mutex_lock"),
	BODY_INSIDE(run_wait, "bh_cond_wait", .beside = signal_waiter),
	BODY_INSIDE(run_malloc, "bh_malloc"),
	BODY_INSIDE(run_calloc, "bh_calloc"),
	BODY_INSIDE(run_realloc, "bh_realloc"),
	BODY_INSIDE(run_free, "bh_free"),
	BODY_INSIDE(run_map, "bh_map"),
	BODY_INSIDE(run_touch, "bh_touch", .has_map = true),
	BODY_INSIDE(run_discard, "bh_discard", .has_map = true),
	BODY_INSIDE(run_unmap, "bh_unmap", .has_map = true),
	BODY_INSIDE(run_pagefault, "bh_map", .has_map = true, .may_end = true,
		.no_room_once = true),
	BODY_INSIDE(run_export, "bh_export", .has_map = true),
	{.run = run_sections,
		.functions = {"bh_check", "bh_hold", "bh_release", "bh_block_enter",
			"bh_block_leave"},
		.inside = true},
	{.run = run_defer, .functions = {"bh_defer", "bh_undefer"}, .inside = true},
	BODY_INSIDE(run_kill_self, "bh_task_kill", .ends = true),
	BODY_FILLED(run_put_filled, "bh_task_put", .zaps_once = true),
	BODY_FILLED(run_kill_filled, "bh_task_kill"),
	{.run = run_warm, .functions = {"bh_task_run"}, .zaps_once = true},
	BODY_FILLED(run_set_max, "bh_group_set"),
	BODY_FILLED(run_charge_killing, "bh_charge"),
	BODY_FILLED(run_report, "bh_report_write"),
	BODY_FILLED(run_audit, "bh_audit"),
	BODY_INSIDE(run_realloc_shared, "bh_realloc"),
	BODY_INSIDE(run_hold_at_limit, "bh_release", .may_end = true),
};

struct call {
	const struct body *body;
	unsigned nth, kinds;
	enum bhi_failpoint_mode mode;
	bool mprotect;
};

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned nr = 0;

	require(dir != NULL);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static int make_map(void *arg)
{
	(void)arg;
	world.map = bh_map(2 * MIB, 0);
	require(world.map != NULL);
	for (size_t i = 0; i < MIB / 2; i += 4096)
		world.map[i] = 'm';
	return 0;
}

static void prepare(const struct call *call)
{
	/* No decay: the background thread passes no failure point meanwhile. */
	setenv("BULKHEAD_SIZE", "64M", 1);
	setenv("BULKHEAD_DECAY_MS", "3600000", 1);
	/* By name the other one would be an error where it is refused. */
	if (call->mprotect)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	else
		unsetenv("BULKHEAD_PAGEFAULT");
	world.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (call->body->alone)
		return;
	world.group = bh_group_new(NULL, "group");
	require(world.group != NULL);
	world.task = bh_task_new(world.group, NULL);
	require(world.task != NULL);
	if (call->body->has_map)
		require(bh_task_enter(world.task, make_map, NULL, NULL) == 0);
}

static void arm(const struct call *call)
{
	support_arm(call->nth, call->mode, call->kinds);
}

static int run_inside(void *arg)
{
	const struct call *call = arg;

	arm(call);
	return call->body->run();
}

/* 0, or the documented error. */
static int run(const struct call *call)
{
	const struct body *body = call->body;
	struct bh_report report;
	int r;

	if (!body->inside) {
		arm(call);
		return body->run();
	}
	r = bh_task_enter(world.task, run_inside, (void *)(uintptr_t)call, &report);
	if (r == -ECANCELED && (body->may_end || body->ends)) {
		require(report.reason == (body->ends ? BH_KILLED_CALLER : BH_KILLED_OOM));
		return 0;
	}
	require(r == 0);
	return report.value;
}

static void check_nothing_left(void)
{
	bh_free(world.shared);
	if (world.charged)
		bh_uncharge(world.group, world.charged);
	/* What the kernel refused to zap goes with the last reference, which may be the
	 * reaper's. */
	if (world.task && stat_of(world.task).killed)
		support_await_refs(world.task, 1);
	bh_task_put(world.task);
	if (world.group)
		require(support_usage(world.group) == 0);
	bh_group_put(world.group);
	while (support_stat(bh_root()).nr_children)
		sched_yield();
	while (areas_taken())
		sched_yield();
	require(support_usage(bh_root()) == 0);
	require(bh_audit() == 0);
	require(bhi_warn_count() == 0);
}

static void make_call(void *arg)
{
	const struct call *call = arg;
	unsigned nr_files, nr_hit;
	pthread_t beside = pthread_self();
	int r;

	prepare(call);
	nr_files = count_entries("/proc/self/fd");
	if (call->body->beside)
		beside = support_thread(call->body->beside, NULL);
	r = run(call);
	nr_hit = bhi_failpoint_disarm();
	if (call->body->beside)
		support_join(beside);
	require(r == 0 || r == -ENOMEM);
	require(bh_root() != NULL);
	require(count_entries("/proc/self/fd") ==
		nr_files + (call->body->alone && has_uffd()));
	require(world.nr_defers == (call->body->run == run_defer));
	while (count_entries("/proc/self/task") - 2 > NR_THREADS)
		sched_yield();
	require(bh_audit() == 0);
	check_nothing_left();
	fflush(NULL);
	_exit(nr_hit ? EXIT_REFUSED : EXIT_UNMET);
}

/* Whether something was refused. */
static bool run_call(struct call *call)
{
	struct support_output output;
	int status;

	need_backend(call->mprotect);
	support_capture(make_call, call, &output);
	status = support_exit_status(&output);
	ck_assert_msg(status == EXIT_REFUSED || status == EXIT_UNMET,
		"%s, body %d, refusal %u, mode %d, kinds %#x: status %#x\n%s",
		call->body->functions[0], (int)(call->body - bodies), call->nth,
		(int)call->mode, call->kinds, (unsigned)output.status, output.err);
	ck_assert_str_eq(output.err, "");
	support_output_fini(&output);
	return status == EXIT_REFUSED;
}

static unsigned run_until_unmet(const struct call *which)
{
	struct call call = *which;

	for (call.nth = 1; run_call(&call); call.nth++)
		ck_assert_uint_le(call.nth, MOST_POINTS);
	return call.nth - 1;
}

static struct call call_of(int i, enum bhi_failpoint_mode mode)
{
	const struct body *body = &bodies[i / NR_BACKENDS];
	bool forever = mode == BHI_FP_PERSISTENT;
	unsigned kinds = forever && body->no_room_once ? KERNEL_POINTS : ALL_POINTS;

	if (forever && body->zaps_once)
		kinds &= ~(1u << BHI_FP_MPROTECT);
	return (struct call){
		.body = body,
		.nth = 1,
		.kinds = kinds,
		.mode = mode,
		.mprotect = i % NR_BACKENDS,
	};
}

START_TEST(whatever_the_thread_is_refused_a_task_function_fails_as_documented_or_succeeds)
{
	struct call call = call_of(_i, BHI_FP_NTH);

	if (call.body->run != run_free)
		run_until_unmet(&call);
}
END_TEST

START_TEST(whatever_is_refused_once_a_task_function_fails_as_documented_or_succeeds)
{
	struct call call = call_of(_i, BHI_FP_ONCE);

	/* What frees refuses by itself, from its first point on. */
	if (call.body->run == run_free)
		run_call(&call);
	else
		run_until_unmet(&call);
}
END_TEST

START_TEST(whatever_is_refused_for_good_a_task_function_fails_as_documented_or_succeeds)
{
	struct call call = call_of(_i, BHI_FP_PERSISTENT);

	if (call.body->run == run_free)
		run_call(&call);
	else
		run_until_unmet(&call);
}
END_TEST

START_TEST(whichever_kind_is_refused_for_good_a_task_function_fails_or_succeeds)
{
	struct call call = call_of(_i, BHI_FP_PERSISTENT);
	unsigned allowed = call.kinds;

	for (unsigned kind = 0; kind < BHI_FP_NR; kind++) {
		call.kinds = allowed & 1u << kind;
		if (call.kinds)
			run_call(&call);
	}
}
END_TEST

START_TEST(the_loop_over_tasks_refuses_what_it_is_meant_to)
{
	for (int i = 0; i < NR_BACKENDS * (int)bhi_array_size(bodies); i++) {
		struct call call = call_of(i, BHI_FP_ONCE);
		int (*run_)(void) = call.body->run;

		/* Charge and pages of each kind; the stack and the thread; the rest. */
		if (run_ == run_malloc || run_ == run_calloc || run_ == run_realloc ||
			run_ == run_warm || run_ == run_hold_at_limit)
			ck_assert_uint_ge(run_until_unmet(&call), 8);
		else if (run_ == run_enter)
			ck_assert_uint_ge(run_until_unmet(&call), 3);
		else if (run_ == run_pagefault)
			ck_assert_uint_ge(run_until_unmet(&call), 4);
	}
}
END_TEST

static void add(TCase *tcase)
{
	int nr = NR_BACKENDS * (int)bhi_array_size(bodies);

	tcase_add_loop_test(tcase,
		whatever_the_thread_is_refused_a_task_function_fails_as_documented_or_succeeds,
		0, nr);
	tcase_add_loop_test(tcase,
		whatever_is_refused_once_a_task_function_fails_as_documented_or_succeeds,
		0, nr);
	tcase_add_loop_test(tcase,
		whatever_is_refused_for_good_a_task_function_fails_as_documented_or_succeeds,
		0, nr);
	tcase_add_loop_test(tcase,
		whichever_kind_is_refused_for_good_a_task_function_fails_or_succeeds, 0,
		nr);
	tcase_add_test(tcase, the_loop_over_tasks_refuses_what_it_is_meant_to);
}

int main(void)
{
	return support_run("task_failures", add);
}
