/* SPDX-License-Identifier: MIT */
/*
 * Many threads with tasks at the limit of one group. BH_RANDOM_SECONDS says how long
 * those parts run that have no natural end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "oom/killer.h"
#include "oom/oom.h"
#include "support.h"
#include "support_task.h"

/* How often the killer found somebody, and how often nobody. */
static struct {
	/* atomic */
	uint32_t nr_ooms, nr_hopeless;
} counted;

static bool kill_and_count(struct bh_group *over, int64_t size)
{
	bool killed = bhi_oom_kill(over, size);

	bhi_add(&counted.nr_ooms, 1);
	if (!killed)
		bhi_add(&counted.nr_hopeless, 1);
	return killed;
}

static void start(uint64_t size)
{
	support_start_tasks(size, 0);
	bhi_oom_killer = kill_and_count;
}

static uint64_t end_of_run(void)
{
	return bhi_sys_now_ns() +
	       support_number("BH_RANDOM_SECONDS", 0) * 1000 * BHI_NS_PER_MS;
}

#define NR_WORKERS 8
#define NR_RUNS    150

struct worker {
	struct bh_group *group;
	unsigned seed;
	uint32_t nr_killed, nr_done;
};

/* Some memory of each kind, with a pattern that is checked at the end. */
static int work(void *arg)
{
	struct worker *w = arg;
	size_t size = (size_t)(1 + rand_r(&w->seed) % 64) * 32 * KIB;
	char with = (char)(1 + rand_r(&w->seed) % 100);
	char *map = support_filled_map(size, with);
	char *objects[32];

	for (size_t i = 0; i < bhi_array_size(objects); i++) {
		objects[i] = bh_malloc(1000 * (i + 1));
		/* NULL never, for there is always a task to kill: this one. */
		ck_assert_ptr_nonnull(objects[i]);
		memset(objects[i], with, 1000 * (i + 1));
	}
	if (rand_r(&w->seed) % 2)
		ck_assert_int_eq(bh_discard(map, PAGE), 0);
	for (size_t i = 0; i < bhi_array_size(objects); i++) {
		ck_assert(support_is_filled(objects[i], 1000 * (i + 1), with));
		bh_free(objects[i]);
	}
	ck_assert(support_is_filled(map + PAGE, size - PAGE, with));
	return with;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t until = end_of_run();

	for (int i = 0; i < NR_RUNS || bhi_sys_now_ns() < until; i++) {
		struct bh_report report;
		int r = bh_task_run(w->group, NULL, work, w, &report);

		if (r) {
			ck_assert_int_eq(r, -ECANCELED);
			ck_assert_int_eq(report.reason, BH_KILLED_OOM);
			ck_assert_uint_gt(report.kill_to_bytes_ns, 0);
			w->nr_killed++;
		} else {
			w->nr_done++;
		}
	}
	return NULL;
}

START_TEST(tasks_that_come_and_go_at_the_limit_leave_nothing)
{
	struct worker workers[NR_WORKERS];
	pthread_t threads[NR_WORKERS];
	uint32_t nr_killed = 0, nr_done = 0;
	struct bh_group *group;

	start(TASK_ZONE);
	group = support_limited(NULL, "group", 6 * MIB);
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		workers[i] = (struct worker){.group = group, .seed = i + 1};
		threads[i] = support_thread(worker_main, &workers[i]);
	}
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		support_join(threads[i]);
		nr_killed += workers[i].nr_killed;
		nr_done += workers[i].nr_done;
	}
	ck_assert_uint_gt(nr_killed, 0);
	ck_assert_uint_gt(nr_done, 0);
	ck_assert_uint_eq(counted.nr_hopeless, 0);
	/* Each is counted; some were killed after they had returned. */
	ck_assert_uint_ge(support_stat(group).local.oom_kill, nr_killed);
	/* The peak may have seen batches that were refused and are given back. */
	ck_assert_uint_le(support_stat(group).peak, 6 * MIB + NR_WORKERS * 64 * PAGE);
	while (bhi_tasks_count())
		sched_yield();
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

#define COPY_SIZE (64 * KIB)
#define NR_REAPS  (SUPPORT_SANITIZED ? 2000u : 10000u)

static struct {
	/* the victim's; others look when it has ended */
	uint64_t shared[COPY_SIZE / 8];
	uint64_t with;
	/* atomic */
	uint32_t nr_copies, nr_wrong;
	struct bh_task *task;
} publisher;

/* Copies word by word: one that was reaped must unwind and not come out as another. */
__attribute__((noreturn)) static int publish(void *arg)
{
	volatile uint64_t *map = bh_map(COPY_SIZE, 0);
	uint64_t with = publisher.with;

	(void)arg;
	for (size_t i = 0; i < COPY_SIZE / 8; i++)
		map[i] = with;
	for (;;) {
		for (size_t i = 0; i < COPY_SIZE / 8; i++) {
			uint64_t word = map[i];

			publisher.shared[i] = word;
			if (word != with)
				bhi_add(&publisher.nr_wrong, 1);
		}
		bhi_add(&publisher.nr_copies, 1);
	}
}

/* Heap objects instead of a map: reading one that is gone must unwind too. */
__attribute__((noreturn)) static int publish_objects(void *arg)
{
	uint64_t with = publisher.with;
	volatile uint64_t *objects[COPY_SIZE / 512];

	(void)arg;
	for (size_t i = 0; i < bhi_array_size(objects); i++) {
		objects[i] = bh_malloc(512);
		for (size_t k = 0; k < 64; k++)
			objects[i][k] = with;
	}
	for (;;) {
		for (size_t i = 0; i < COPY_SIZE / 8; i++) {
			uint64_t word = objects[i / 64][i % 64];

			publisher.shared[i] = word;
			if (word != with)
				bhi_add(&publisher.nr_wrong, 1);
		}
		bhi_add(&publisher.nr_copies, 1);
	}
}

/* Kill it when it has made some copies, each time a few more. */
static void *kill_publisher(void *arg)
{
	unsigned seed = 1;

	for (;;) {
		struct bh_task *task;

		while (!(task = bhi_load_acquire(&publisher.task)))
			sched_yield();
		if (task == arg)
			return NULL;
		support_await(&publisher.nr_copies, 1);
		for (int spins = rand_r(&seed) % 5000; spins; spins--)
			bhi_compiler_fence();
		bhi_store(&publisher.task, NULL);
		ck_assert_int_eq(bh_task_kill(task), 0);
		bh_task_put(task);
	}
}

START_TEST(a_victim_that_publishes_its_memory_never_publishes_a_wrong_byte)
{
	uint32_t nr_reaped = 0;
	struct bh_task *end;
	pthread_t killer;
	uint64_t until;

	start(TASK_ZONE);
	end = support_task(NULL, "end", 0);
	killer = support_thread(kill_publisher, end);
	until = end_of_run();
	for (unsigned round = 0; round < NR_REAPS || bhi_sys_now_ns() < until; round++) {
		struct bh_task *task = support_task(NULL, "publisher", 0);
		struct bh_report report;

		publisher.with = 0x0101010101010101ul * (1 + round % 250);
		bhi_store(&publisher.nr_copies, 0);
		bhi_store_release(&publisher.task, bh_task_get(task));
		ck_assert_int_eq(bh_task_enter(task, _i ? publish_objects : publish, NULL,
					 &report),
			-ECANCELED);
		bh_task_put(task);
		ck_assert_uint_eq(report.reaped, report.bytes);
		nr_reaped += report.reaped >= COPY_SIZE;
		ck_assert_uint_eq(bhi_load(&publisher.nr_wrong), 0);
		for (size_t i = 0; i < COPY_SIZE / 8; i++) {
			if (publisher.shared[i] != publisher.with)
				ck_abort_msg("round %u, word %zu: %lx", round, i,
					publisher.shared[i]);
		}
	}
	ck_assert_uint_ge(nr_reaped, NR_REAPS);
	bhi_store_release(&publisher.task, end);
	support_join(killer);
	bh_task_put(end);
	while (bhi_tasks_count())
		sched_yield();
	support_end();
}
END_TEST

#define NR_THREADS 200
#define NR_ROUNDS  10

/* As much as a thread may have in stock, so that what one victim gives is enough for all,
 * whoever has it at the moment. */
#define THREAD_SIZE ((uint64_t)2 * 64 * PAGE)

static struct {
	struct bh_group *group;
	pthread_barrier_t full, fed;
	bool by_call;
} crowd;

static int ask_for_a_page(void *arg)
{
	(void)arg;
	for (int i = 0; i < NR_ROUNDS; i++) {
		pthread_barrier_wait(&crowd.full);
		if (crowd.by_call)
			ck_assert_ptr_nonnull(bh_malloc(48 * KIB));
		else
			*(volatile char *)bh_map(PAGE, 0) = 1;
		pthread_barrier_wait(&crowd.fed);
	}
	return 1;
}

static void *crowd_main(void *arg)
{
	const struct bh_task_attr attr = {.name = "one-of-many", .oom_score_adj = -500};
	struct bh_report report;

	(void)arg;
	ck_assert_int_eq(
		bh_task_run(crowd.group, &attr, ask_for_a_page, NULL, &report), 0);
	ck_assert_int_eq(report.value, 1);
	return NULL;
}

/* The group is full; everybody asks for a page at once; the idle task has enough for all
 * of them. It dies, and nobody else. */
START_TEST(hundreds_of_threads_at_the_limit_kill_once_for_one_shortage)
{
	pthread_t threads[NR_THREADS];
	struct bh_task *idle = NULL;

	start(1024 * MIB);
	crowd.by_call = _i;
	crowd.group = support_limited(NULL, "crowd", 512 * MIB);
	pthread_barrier_init(&crowd.full, NULL, NR_THREADS + 1);
	pthread_barrier_init(&crowd.fed, NULL, NR_THREADS + 1);
	for (int i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(crowd_main, NULL);
	for (unsigned i = 1; i <= NR_ROUNDS; i++) {
		idle = support_idle_task(
			crowd.group, "idle", 0, NR_THREADS * THREAD_SIZE);
		ck_assert_int_eq(
			bh_group_set(crowd.group, BH_MAX, support_usage(crowd.group)), 0);
		pthread_barrier_wait(&crowd.full);
		pthread_barrier_wait(&crowd.fed);
		ck_assert_uint_eq(support_stat(crowd.group).local.oom_kill, i);
		ck_assert_uint_eq(counted.nr_hopeless, 0);
		ck_assert_int_eq(support_task_stat(idle).killed, BH_KILLED_OOM);
		support_await_reaped(idle);
		bh_task_put(idle);
		support_set(crowd.group, BH_MAX, 512 * MIB);
	}
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	while (bhi_tasks_count())
		sched_yield();
	bh_group_put(crowd.group);
	support_end();
}
END_TEST

/* Kernel 7775face2079: they all want more than there is, and die one after the other. A
 * shortage ends with a victim: while somebody asks there is somebody to kill. */
static int eat(void *arg)
{
	(void)arg;
	for (;;) {
		if (crowd.by_call)
			ck_assert_ptr_nonnull(bh_malloc(16 * KIB));
		else
			support_filled_map(16 * KIB, 1);
	}
}

static void *eater_main(void *arg)
{
	struct bh_report report;

	(void)arg;
	pthread_barrier_wait(&crowd.full);
	ck_assert_int_eq(bh_task_run(crowd.group, NULL, eat, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	return NULL;
}

START_TEST(a_crowd_of_victims_never_finds_nobody_to_kill)
{
	pthread_t threads[NR_THREADS];

	start(TASK_ZONE);
	crowd.by_call = _i;
	crowd.group = support_limited(NULL, "crowd", 16 * MIB);
	pthread_barrier_init(&crowd.full, NULL, NR_THREADS);
	for (int i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(eater_main, NULL);
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	ck_assert_uint_eq(counted.nr_hopeless, 0);
	ck_assert_uint_eq(support_nr_hopeless_ooms(), 0);
	ck_assert_uint_eq(support_stat(crowd.group).local.oom_kill, NR_THREADS);
	while (bhi_tasks_count())
		sched_yield();
	ck_assert_uint_eq(support_usage(crowd.group), 0);
	bh_group_put(crowd.group);
	support_end();
}
END_TEST

#define NR_SESSIONS 2000

static struct {
	pthread_mutex_t lock;
	struct bh_task *task; /* protected by the lock */
	uint32_t done;        /* atomic */
} session = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int visit(void *arg)
{
	volatile char *p = bh_map(256 * KIB, 0);

	(void)arg;
	for (size_t i = 0; i < 256 * KIB; i += PAGE)
		p[i]++;
	return 0;
}

/* Kernel mrelease_test: killing, looking and dumping while the target ends. */
static void *molest(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!bhi_load_acquire(&session.done)) {
		struct bh_task_stat stat;
		struct bh_task *task;
		int r;

		pthread_mutex_lock(&session.lock);
		task = bh_task_get(session.task);
		pthread_mutex_unlock(&session.lock);
		if (!task)
			continue;
		ck_assert_int_eq(bh_task_stat(task, &stat), 0);
		ck_assert_uint_le(stat.bytes, 3 * 256 * KIB);
		r = bh_task_dump_begin(task);
		ck_assert(!r || r == -ESRCH);
		if (!r)
			bh_task_dump_end(task);
		if (rand_r(&seed) % 4 == 0) {
			r = bh_task_kill(task);
			ck_assert(!r || r == -ESRCH);
		}
		bh_task_put(task);
	}
	return NULL;
}

START_TEST(a_task_may_be_killed_and_looked_at_while_it_ends)
{
	pthread_t threads[3];

	start(TASK_ZONE);
	for (uintptr_t i = 0; i < bhi_array_size(threads); i++)
		threads[i] = support_thread(molest, (void *)(i + 1));
	for (int i = 0; i < NR_SESSIONS; i++) {
		struct bh_task *task = support_task(NULL, "session", 0), *old;

		pthread_mutex_lock(&session.lock);
		old = session.task;
		session.task = task;
		pthread_mutex_unlock(&session.lock);
		bh_task_put(old);
		for (int k = 0; k < 3; k++) {
			int r = bh_task_enter(task, visit, NULL, NULL);

			ck_assert(!r || r == -ECANCELED);
		}
	}
	bhi_store_release(&session.done, 1);
	for (size_t i = 0; i < bhi_array_size(threads); i++)
		support_join(threads[i]);
	bh_task_put(session.task);
	while (bhi_tasks_count())
		sched_yield();
	ck_assert_uint_eq(bhi_areas_taken(), 0);
	support_end();
}
END_TEST

/* What small tasks leave behind is kept warm while they are still on the list. */
static int need_little(void *arg)
{
	memset(bh_malloc(100), 1, 100);
	return *(int *)arg;
}

static void *run_many_tasks(void *arg)
{
	int value = 5;

	(void)arg;
	for (int i = 0; i < NR_SESSIONS; i++) {
		ck_assert_int_eq(bh_task_run(NULL, NULL, need_little, &value, NULL), 0);
		/* And what larger ones had is given back. */
		ck_assert_int_eq(bh_task_run(NULL, NULL, visit, NULL, NULL), 0);
	}
	bhi_store_release(&session.done, 1);
	return NULL;
}

START_TEST(tasks_may_be_looked_at_while_they_end)
{
	pthread_t thread;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	start(TASK_ZONE);
	thread = support_thread(run_many_tasks, NULL);
	while (!bhi_load_acquire(&session.done))
		ck_assert_int_eq(bh_report_write(fd, BH_JSON), 0);
	support_join(thread);
	close(fd);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_set_timeout(tcase, 400 + (double)support_number("BH_RANDOM_SECONDS", 0));
	tcase_add_test(tcase, tasks_that_come_and_go_at_the_limit_leave_nothing);
	tcase_add_loop_test(tcase,
		a_victim_that_publishes_its_memory_never_publishes_a_wrong_byte, 0, 2);
	tcase_add_loop_test(
		tcase, hundreds_of_threads_at_the_limit_kill_once_for_one_shortage, 0, 2);
	tcase_add_loop_test(tcase, a_crowd_of_victims_never_finds_nobody_to_kill, 0, 2);
	tcase_add_test(tcase, a_task_may_be_killed_and_looked_at_while_it_ends);
	tcase_add_test(tcase, tasks_may_be_looked_at_while_they_end);
}

int main(void)
{
	return support_run("concurrent_task", add);
}
