/* SPDX-License-Identifier: MIT */
#include "scheduler.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/sched.h"
#include "base/sys.h"
#include "base/testpoint.h"

#include "random.h"

#define NEVER UINT64_MAX

/* What a switch point takes of virtual time, and a yield at the least: with none, two
 * threads that wait for each other by yielding would stop the clock. */
#define POINT_NS 1000

/* How many priority changes a PCT run makes, and over how many points they are spread:
 * about the length of a run of a small scenario. */
#define PCT_CHANGES 3
#define PCT_LENGTH  400

enum state {
	READY,
	ASLEEP,
	DONE,
};

struct thread {
	uint32_t go; /* the baton, a futex of the kernel */
	enum state state;
	/* asleep */
	uint32_t *word, *other;
	uint64_t until;
	uint64_t since; /* order among the sleepers on one word */
	bool timed_out;
	/* started */
	void (*run)(void *arg);
	void *(*run_library)(void *arg);
	void *arg;
	uint32_t priority; /* PCT: the highest one runs */
};

static struct {
	enum bhi_lab_strategy strategy;
	struct bhi_lab_sched_hooks hooks;
	uint64_t random;
	uint64_t now, points, sleeps;
	uint64_t changes[PCT_CHANGES]; /* points at which the one that runs falls back */
	int nr;
	struct thread threads[BHI_LAB_THREADS];
} state;

static BHI_TLS int self;

static void kernel_wait(uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	bhi_store(word, 0);
}

static void kernel_wake(uint32_t *word)
{
	/* pairs with the acquire in kernel_wait() */
	bhi_store_release(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uint32_t bhi_lab_sched_random(uint32_t limit)
{
	return bhi_lab_random_below(&state.random, limit);
}

/* Those whose time has come can run. */
static void wake_expired(void)
{
	for (int i = 0; i < state.nr; i++) {
		struct thread *thread = &state.threads[i];

		if (thread->state == ASLEEP && thread->until <= state.now) {
			thread->state = READY;
			thread->timed_out = true;
		}
	}
}

static uint64_t next_timeout(void)
{
	uint64_t next = NEVER;

	for (int i = 0; i < state.nr; i++) {
		if (state.threads[i].state == ASLEEP)
			next = bhi_min(next, state.threads[i].until);
	}
	return next;
}

static int count_ready(void)
{
	int nr = 0;

	for (int i = 0; i < state.nr; i++)
		nr += state.threads[i].state == READY;
	return nr;
}

static int nth_ready(int n)
{
	for (int i = 0; i < state.nr; i++) {
		if (state.threads[i].state == READY && !n--)
			return i;
	}
	BUG_ON(true);
}

static int next_in_turn(void)
{
	for (int i = 1; i <= state.nr; i++) {
		int number = (self + i) % state.nr;

		if (state.threads[number].state == READY)
			return number;
	}
	BUG_ON(true);
}

static int highest_priority(void)
{
	int best = -1;

	for (int i = 0; i < state.nr; i++) {
		if (state.threads[i].state != READY)
			continue;
		if (best < 0 || state.threads[i].priority > state.threads[best].priority)
			best = i;
	}
	return best;
}

static int choose(int nr_ready)
{
	switch (state.strategy) {
	case BHI_LAB_RANDOM:
		return nth_ready((int)bhi_lab_sched_random((uint32_t)nr_ready));
	case BHI_LAB_PCT:
		return highest_priority();
	default:
		return next_in_turn();
	}
}

/* Hand the baton to whoever is next; back when it is this thread's turn again. */
static void switch_away(void)
{
	int me = self, next, nr_ready;

	state.hooks.looks();
	while (!(nr_ready = count_ready())) {
		uint64_t next_time = next_timeout();

		state.hooks.idle(next_time == NEVER);
		if (count_ready() || next_time == NEVER)
			continue;
		state.now = bhi_max(state.now, next_time);
		wake_expired();
	}
	next = choose(nr_ready);
	if (next == me)
		return;
	kernel_wake(&state.threads[next].go);
	kernel_wait(&state.threads[me].go);
}

static void pass_point(void)
{
	state.points++;
	state.now += POINT_NS;
	wake_expired();
	for (int i = 0; state.strategy == BHI_LAB_PCT && i < PCT_CHANGES; i++) {
		/* Below all that were given at the start. */
		if (state.changes[i] == state.points)
			state.threads[self].priority = (uint32_t)(PCT_CHANGES - i);
	}
}

void bhi_lab_sched_yield(void)
{
	pass_point();
	switch_away();
}

void bhi_lab_sched_point(void)
{
	if (state.strategy == BHI_LAB_ORDERLY)
		return;
	pass_point();
	switch_away();
}

static void on_testpoint(enum bhi_testpoint point)
{
	(void)point;
	bhi_lab_sched_point();
}

static int sleep_on(uint32_t *word, uint32_t *other, uint64_t timeout_ns)
{
	struct thread *me = &state.threads[self];

	pass_point();
	me->state = ASLEEP;
	me->word = word;
	me->other = other;
	me->until = timeout_ns ? state.now + timeout_ns : NEVER;
	me->since = ++state.sleeps;
	me->timed_out = false;
	state.hooks.sleeps(self);
	switch_away();
	return me->timed_out ? -ETIMEDOUT : 0;
}

static int on_wait(uint32_t *word, uint32_t value, uint32_t *other, uint32_t other_value,
	uint64_t timeout_ns)
{
	bhi_lab_sched_point();
	if (bhi_load(word) != value || (other && bhi_load(other) != other_value))
		return 0;
	return sleep_on(word, other, timeout_ns);
}

static struct thread *first_sleeper(const uint32_t *word)
{
	struct thread *first = NULL;

	for (int i = 0; i < state.nr; i++) {
		struct thread *thread = &state.threads[i];

		if (thread->state == ASLEEP &&
			(thread->word == word || thread->other == word) &&
			(!first || thread->since < first->since))
			first = thread;
	}
	return first;
}

static void on_wake(uint32_t *word, int nr)
{
	struct thread *thread;

	for (; nr > 0 && (thread = first_sleeper(word)); nr--)
		thread->state = READY;
}

/* Who only yields would keep a thread of lower priority from running for ever. */
static void on_pause(uint64_t ns)
{
	static uint32_t nobody_wakes;

	(void)sleep_on(&nobody_wakes, NULL, bhi_max(ns, (uint64_t)POINT_NS));
}

static uint64_t on_now(void)
{
	return state.now;
}

static void *thread_main(void *arg)
{
	struct thread *me = arg;

	self = (int)(me - state.threads);
	kernel_wait(&me->go);
	if (me->run)
		me->run(me->arg);
	else
		me->run_library(me->arg);
	/* Its end would run destructors of the library without the baton. */
	me->state = DONE;
	switch_away();
	BUG_ON(true);
}

static struct thread *add_thread(void *arg)
{
	struct thread *thread = &state.threads[state.nr];

	if (state.nr == BHI_LAB_THREADS)
		return NULL;
	*thread = (struct thread){
		.arg = arg,
		.until = NEVER,
		.priority = PCT_CHANGES + 1 + bhi_lab_sched_random(UINT32_MAX / 2),
	};
	state.nr++;
	return thread;
}

static int start_thread(struct thread *thread)
{
	pthread_t id;
	int r = pthread_create(&id, NULL, thread_main, thread);

	if (r)
		state.nr--;
	return -r;
}

static int on_thread_start(void *(*fn)(void *), void *arg)
{
	struct thread *thread = add_thread(arg);

	if (!thread)
		return -EAGAIN;
	thread->run_library = fn;
	return start_thread(thread);
}

int bhi_lab_sched_spawn(void (*fn)(void *arg), void *arg)
{
	struct thread *thread = add_thread(arg);

	BUG_ON(!thread);
	thread->run = fn;
	BUG_ON(start_thread(thread));
	return (int)(thread - state.threads);
}

void bhi_lab_sched_start(enum bhi_lab_strategy strategy, uint64_t seed,
	const struct bhi_lab_sched_hooks *hooks)
{
	static const struct bhi_sched table = {
		.wait = on_wait,
		.wake = on_wake,
		.pause = on_pause,
		.now_ns = on_now,
		.thread_start = on_thread_start,
	};

	state.strategy = strategy;
	state.hooks = *hooks;
	state.random = seed;
	/* Not 0, which the library takes for "never". */
	state.now = POINT_NS;
	for (int i = 0; i < PCT_CHANGES; i++)
		state.changes[i] = 1 + bhi_lab_sched_random(PCT_LENGTH);
	self = 0;
	(void)add_thread(NULL);
	bhi_testpoint_hook = on_testpoint;
	bhi_sched = &table;
}

bool bhi_lab_sched_is_asleep(int number)
{
	return state.threads[number].state == ASLEEP;
}

uint64_t bhi_lab_sched_points(void)
{
	return state.points;
}

uint64_t bhi_lab_sched_now(void)
{
	return state.now;
}
