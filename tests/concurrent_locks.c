/* SPDX-License-Identifier: MIT */
/*
 * Threads that enter tasks and use the three locks, while others kill those tasks
 * wherever they are. What a lock protects is whole whenever somebody has it; at the end
 * all locks are free and nothing that was promised is missing.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "support.h"
#include "support_memory.h"
#include "task/task.h"

#define ZONE       (64 * MIB)
#define NR_THREADS 4
#define NR_TASKS   1000
#define NR_STEPS   50

/* The second word follows the first while the lock is held. */
struct pair {
	uint64_t first, second;
};

static struct {
	struct bh_mutex mutex;
	struct pair of_mutex;
	struct bh_rwlock rwlock;
	struct pair of_rwlock;
	/* a queue of tokens: put in and taken out, never lost */
	struct bh_mutex queue_mutex;
	struct bh_cond not_empty;
	uint64_t nr_tokens, nr_put, nr_taken;
	/* atomic */
	uint32_t nr_ended;
	uint32_t nr_killed;
} shared;

/* Tasks that may be killed, one of each thread; protected by .lock, taken outside of
 * tasks only. */
static struct {
	pthread_mutex_t lock;
	struct bh_task *tasks[NR_THREADS];
} victims = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned random_below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* In the middle of it: memory is asked for, and now and then another thread runs. */
static void dawdle(unsigned *seed)
{
	bh_free(bh_malloc(100));
	if (!random_below(seed, 4))
		sched_yield();
}

static void change(struct pair *pair, unsigned *seed)
{
	ck_assert_uint_eq(pair->first, pair->second);
	pair->first++;
	dawdle(seed);
	pair->second++;
}

static void use_mutex(unsigned *seed)
{
	int r = random_below(seed, 3) ? bh_mutex_lock(&shared.mutex)
				      : bh_mutex_trylock(&shared.mutex);

	if (r == -ECANCELED || r == -EBUSY)
		return;
	ck_assert_int_eq(r, 0);
	change(&shared.of_mutex, seed);
	ck_assert_int_eq(bh_mutex_unlock(&shared.mutex), 0);
}

static void write_rwlock(unsigned *seed)
{
	int r = random_below(seed, 3) ? bh_rwlock_wrlock(&shared.rwlock)
				      : bh_rwlock_trywrlock(&shared.rwlock);

	if (r == -ECANCELED || r == -EBUSY)
		return;
	ck_assert_int_eq(r, 0);
	change(&shared.of_rwlock, seed);
	ck_assert_int_eq(bh_rwlock_unlock(&shared.rwlock), 0);
}

static void read_rwlock(unsigned *seed)
{
	int r = random_below(seed, 3) ? bh_rwlock_rdlock(&shared.rwlock)
				      : bh_rwlock_tryrdlock(&shared.rwlock);
	uint64_t seen;

	if (r == -ECANCELED || r == -EBUSY)
		return;
	ck_assert_int_eq(r, 0);
	seen = shared.of_rwlock.first;
	dawdle(seed);
	ck_assert_uint_eq(shared.of_rwlock.second, seen);
	ck_assert_int_eq(bh_rwlock_unlock(&shared.rwlock), 0);
}

static void put_token(void)
{
	if (bh_mutex_lock(&shared.queue_mutex) == -ECANCELED)
		return;
	shared.nr_tokens++;
	shared.nr_put++;
	ck_assert_int_eq(bh_cond_signal(&shared.not_empty), 0);
	ck_assert_int_eq(bh_mutex_unlock(&shared.queue_mutex), 0);
}

static void take_token(void)
{
	if (bh_mutex_lock(&shared.queue_mutex) == -ECANCELED)
		return;
	while (!shared.nr_tokens) {
		int r = bh_cond_wait(&shared.not_empty, &shared.queue_mutex);

		if (r == -ECANCELED)
			return;
		ck_assert_int_eq(r, 0);
	}
	shared.nr_tokens--;
	shared.nr_taken++;
	ck_assert_int_eq(bh_mutex_unlock(&shared.queue_mutex), 0);
}

/* Under another lock, so the hold section has two ends. */
static void use_both(unsigned *seed)
{
	if (bh_mutex_lock(&shared.mutex) == -ECANCELED)
		return;
	change(&shared.of_mutex, seed);
	write_rwlock(seed);
	ck_assert_int_eq(bh_mutex_unlock(&shared.mutex), 0);
}

static int use_locks(void *arg)
{
	unsigned *seed = arg;

	for (int i = 0; i < NR_STEPS; i++) {
		switch (random_below(seed, 6)) {
		case 0:
		case 1:
			use_mutex(seed);
			break;
		case 2:
			write_rwlock(seed);
			break;
		case 3:
		case 4:
			read_rwlock(seed);
			break;
		default:
			use_both(seed);
			break;
		}
	}
	return 0;
}

static void set_victim(uintptr_t index, struct bh_task *task)
{
	struct bh_task *old;

	pthread_mutex_lock(&victims.lock);
	old = victims.tasks[index];
	victims.tasks[index] = bh_task_get(task);
	pthread_mutex_unlock(&victims.lock);
	bh_task_put(old);
}

static void run_in_task(uintptr_t index, int (*fn)(void *arg), unsigned *seed)
{
	const struct bh_task_attr attr = {
		.name = "visitor",
		.flags = random_below(seed, 4) ? 0 : BH_TASK_COOPERATIVE,
	};
	struct bh_task *task = bh_task_new(NULL, &attr);
	struct bh_report report;
	int r;

	ck_assert_ptr_nonnull(task);
	set_victim(index, task);
	r = bh_task_enter(task, fn, seed, &report);
	ck_assert(!r || r == -ECANCELED);
	ck_assert_uint_eq(report.nr_leaked_locks, 0);
	bhi_add(&shared.nr_killed, r == -ECANCELED);
	set_victim(index, NULL);
	bh_task_put(task);
}

static void *visit(void *arg)
{
	uintptr_t index = (uintptr_t)arg;
	unsigned seed = (unsigned)index + 1;

	for (int i = 0; i < NR_TASKS; i++)
		run_in_task(index, use_locks, &seed);
	bhi_add(&shared.nr_ended, 1);
	return NULL;
}

static void kill_one(unsigned *seed)
{
	struct bh_task *task;

	pthread_mutex_lock(&victims.lock);
	task = bh_task_get(victims.tasks[random_below(seed, NR_THREADS)]);
	pthread_mutex_unlock(&victims.lock);
	if (task)
		(void)bh_task_kill(task);
	bh_task_put(task);
}

/* One kill for several steps of the others, or nobody would get anywhere. */
static void *kill_until_ended(void *arg)
{
	unsigned seed = 1000;

	(void)arg;
	while (bhi_load(&shared.nr_ended) < NR_THREADS) {
		kill_one(&seed);
		for (int i = 0; i < 20; i++)
			sched_yield();
	}
	return NULL;
}

static void run(void *(*fn)(void *arg))
{
	pthread_t threads[NR_THREADS], killer;

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(fn, (void *)i);
	killer = support_thread(kill_until_ended, NULL);
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	support_join(killer);
}

START_TEST(what_locks_protect_is_whole_while_their_users_are_killed)
{
	support_start(ZONE);
	run(visit);
	ck_assert_uint_gt(shared.nr_killed, 0);
	ck_assert_uint_gt(shared.of_mutex.first, 0);
	ck_assert_uint_gt(shared.of_rwlock.first, 0);
	ck_assert_uint_eq(shared.of_mutex.first, shared.of_mutex.second);
	ck_assert_uint_eq(shared.of_rwlock.first, shared.of_rwlock.second);
	ck_assert_int_eq(bh_mutex_destroy(&shared.mutex), 0);
	ck_assert_int_eq(bh_rwlock_destroy(&shared.rwlock), 0);
	support_end();
}
END_TEST

static int take_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < NR_STEPS; i++)
		take_token();
	return 0;
}

static void *consume(void *arg)
{
	uintptr_t index = (uintptr_t)arg;
	unsigned seed = (unsigned)index + 1;

	for (int i = 0; i < NR_TASKS; i++)
		run_in_task(index, take_many, &seed);
	bhi_add(&shared.nr_ended, 1);
	return NULL;
}

static void *produce(void *arg)
{
	(void)arg;
	while (bhi_load(&shared.nr_ended) < NR_THREADS) {
		put_token();
		sched_yield();
	}
	return NULL;
}

START_TEST(tokens_are_whole_while_their_takers_are_killed)
{
	pthread_t producer;

	support_start(ZONE);
	producer = support_thread(produce, NULL);
	run(consume);
	support_join(producer);
	ck_assert_uint_gt(shared.nr_killed, 0);
	ck_assert_uint_gt(shared.nr_taken, 0);
	ck_assert_uint_eq(shared.nr_put, shared.nr_taken + shared.nr_tokens);
	ck_assert_int_eq(bh_mutex_destroy(&shared.queue_mutex), 0);
	ck_assert_int_eq(bh_cond_destroy(&shared.not_empty), 0);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, what_locks_protect_is_whole_while_their_users_are_killed);
	tcase_add_test(tcase, tokens_are_whole_while_their_takers_are_killed);
}

int main(void)
{
	return support_run("concurrent_locks", add_tests);
}
