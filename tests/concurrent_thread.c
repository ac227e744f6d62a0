/* SPDX-License-Identifier: MIT */
/* Sections and claims (base/thread.h), with membarrier and without. */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "debug/inject.h"
#include "base/process.h"
#include "base/thread.h"
#include "support.h"
#include "support_memory.h"

#define NR_OWNERS 2
#define NR_CLAIMS 100

/* Rounds of a thread's destructors in which code may run: TSan's own needs the last. */
#if defined(__SANITIZE_THREAD__)
#define NR_ROUNDS 2
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NR_ROUNDS 2
#endif
#endif
#ifndef NR_ROUNDS
#define NR_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#endif

static void start(bool membarrier)
{
	ck_assert_int_eq(bhi_process_init(), 0);
	if (!membarrier)
		bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MEMBARRIER);
	ck_assert_int_eq(bhi_thread_init(), 0);
	bhi_failpoint_disarm();
	ck_assert_int_eq(!bhi_thread_fenced, membarrier);
}

static struct bhi_thread *attach(void)
{
	struct bhi_thread *self = bhi_thread_self();

	ck_assert_ptr_nonnull(self);
	return self;
}

/* A thread's data: two plain words that differ only while somebody is inside. */
struct pair {
	uint64_t one, other;
};

static struct pair pairs[NR_OWNERS];
static uint32_t nr_ready, ended;

static void touch(struct pair *pair)
{
	ck_assert_uint_eq(pair->one, pair->other);
	pair->one++;
	bhi_compiler_fence();
	pair->other++;
}

static void *own(void *arg)
{
	struct bhi_thread *self = attach();
	uint64_t rounds = 0;

	self->data[0] = arg;
	__atomic_fetch_add(&nr_ready, 1, __ATOMIC_SEQ_CST);
	while (!bhi_load(&ended)) {
		ck_assert(bhi_thread_enter(self));
		touch(arg);
		bhi_thread_leave(self);
		rounds++;
	}
	return (void *)(uintptr_t)rounds;
}

static void touch_of(struct bhi_thread *thread, void *arg)
{
	unsigned *nr = arg;

	if (thread->data[0]) {
		touch(thread->data[0]);
		(*nr)++;
	}
}

static void *claim_often(void *arg)
{
	for (int i = 0; i < NR_CLAIMS; i++) {
		unsigned nr = 0;

		bhi_threads_claim(touch_of, &nr);
		ck_assert_uint_eq(nr, NR_OWNERS);
	}
	return arg;
}

static void race(bool membarrier)
{
	pthread_t owners[NR_OWNERS], claimers[2];
	uint64_t rounds = 0, sum = 0;

	start(membarrier);
	for (int i = 0; i < NR_OWNERS; i++)
		owners[i] = support_thread(own, &pairs[i]);
	support_await(&nr_ready, NR_OWNERS);
	for (int i = 0; i < 2; i++)
		claimers[i] = support_thread(claim_often, NULL);
	for (int i = 0; i < 2; i++)
		support_join(claimers[i]);
	bhi_store(&ended, 1);
	for (int i = 0; i < NR_OWNERS; i++)
		rounds += (uintptr_t)support_join(owners[i]);
	for (int i = 0; i < NR_OWNERS; i++)
		sum += pairs[i].one;
	/* Not one increment was lost. */
	ck_assert_uint_eq(sum, rounds + (uint64_t)2 * NR_CLAIMS * NR_OWNERS);
}

START_TEST(owners_and_claimers_exclude_each_other)
{
	race(true);
}
END_TEST

START_TEST(owners_and_claimers_exclude_each_other_without_membarrier)
{
	race(false);
}
END_TEST

static struct bhi_thread *resident;
static uint32_t inside, may_leave, left;

static void *stay_inside(void *arg)
{
	struct bhi_thread *self = attach();

	ck_assert(bhi_thread_enter(self));
	bhi_store(&resident, self);
	__atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
	support_await(&may_leave, 1);
	__atomic_store_n(&left, 1, __ATOMIC_SEQ_CST);
	bhi_thread_leave(self);
	return arg;
}

static void expect_left(struct bhi_thread *thread, void *arg)
{
	(void)thread;
	(void)arg;
	ck_assert_uint_eq(__atomic_load_n(&left, __ATOMIC_SEQ_CST), 1);
}

static void *claim_once(void *arg)
{
	bhi_threads_claim(expect_left, NULL);
	return arg;
}

START_TEST(a_claim_waits_for_the_section_in_progress)
{
	pthread_t owner, claimer;

	start(true);
	owner = support_thread(stay_inside, NULL);
	support_await(&inside, 1);
	claimer = support_thread(claim_once, NULL);
	/* The claim is on, and cannot be over before the owner leaves. */
	support_await(&resident->claimed, 1);
	ck_assert_uint_eq(resident->busy, 1);
	__atomic_store_n(&may_leave, 1, __ATOMIC_SEQ_CST);
	support_join(owner);
	support_join(claimer);
}
END_TEST

static uint32_t claim_began, claim_may_end, claim_ends;

static void hold_claim(struct bhi_thread *thread, void *arg)
{
	(void)arg;
	if (thread != resident)
		return;
	__atomic_store_n(&claim_began, 1, __ATOMIC_SEQ_CST);
	support_await(&claim_may_end, 1);
	__atomic_store_n(&claim_ends, 1, __ATOMIC_SEQ_CST);
}

static void *claim_and_hold(void *arg)
{
	bhi_threads_claim(hold_claim, NULL);
	return arg;
}

static void *enter_while_claimed(void *arg)
{
	struct bhi_thread *self = attach();

	bhi_store(&resident, self);
	__atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
	support_await(&claim_began, 1);
	ck_assert(bhi_thread_enter(self));
	ck_assert_uint_eq(__atomic_load_n(&claim_ends, __ATOMIC_SEQ_CST), 1);
	bhi_thread_leave(self);
	return arg;
}

START_TEST(an_owner_sleeps_while_its_section_is_claimed)
{
	pthread_t owner, claimer;

	start(true);
	owner = support_thread(enter_while_claimed, NULL);
	support_await(&inside, 1);
	claimer = support_thread(claim_and_hold, NULL);
	support_await(&claim_began, 1);
	/* 2: the owner says that it waits to be woken. */
	support_await(&resident->claimed, 2);
	__atomic_store_n(&claim_may_end, 1, __ATOMIC_SEQ_CST);
	support_join(owner);
	support_join(claimer);
	ck_assert_uint_eq(bhi_threads_count(), 0);
}
END_TEST

static void note_call(struct bhi_thread *thread, void *arg)
{
	(void)thread;
	__atomic_fetch_add((uint32_t *)arg, 1, __ATOMIC_SEQ_CST);
}

static void *claim_with_note(void *arg)
{
	attach();
	__atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
	bhi_threads_claim(note_call, arg);
	return NULL;
}

START_TEST(a_thread_without_a_section_keeps_claims_out_with_the_lock)
{
	pthread_t claimer, another;
	uint32_t nr_calls = 0;

	start(true);
	/* Registered before the lock is taken, which registering needs as well. */
	another = support_thread(stay_inside, NULL);
	support_await(&inside, 1);
	__atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
	attach();
	bhi_threads_lock();
	claimer = support_thread(claim_with_note, &nr_calls);
	/* Every chance to do what it must not do. */
	for (int i = 0; i < 2000; i++) {
		sched_yield();
		ck_assert_uint_eq(__atomic_load_n(&nr_calls, __ATOMIC_SEQ_CST), 0);
		ck_assert_uint_eq(bhi_load(&resident->claimed), 0);
	}
	bhi_threads_unlock();
	support_await(&inside, 1);
	__atomic_store_n(&may_leave, 1, __ATOMIC_SEQ_CST);
	support_join(another);
	support_join(claimer);
	ck_assert_uint_ge(nr_calls, 2);
}
END_TEST

static unsigned nr_called;

static void count_threads(struct bhi_thread *thread, void *arg)
{
	(void)thread;
	(void)arg;
	nr_called++;
}

static void *live_shortly(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct bhi_thread *self = attach();

		ck_assert(bhi_thread_enter(self));
		bhi_thread_leave(self);
	}
	return arg;
}

static void *make_threads(void *arg)
{
	for (int i = 0; i < 150; i++)
		support_join(support_thread(live_shortly, NULL));
	__atomic_fetch_add(&nr_ready, 1, __ATOMIC_SEQ_CST);
	return arg;
}

START_TEST(threads_come_and_go_while_others_claim)
{
	pthread_t makers[2];

	start(true);
	for (int i = 0; i < 2; i++)
		makers[i] = support_thread(make_threads, NULL);
	while (__atomic_load_n(&nr_ready, __ATOMIC_SEQ_CST) < 2)
		bhi_threads_claim(count_threads, NULL);
	for (int i = 0; i < 2; i++)
		support_join(makers[i]);
	ck_assert_uint_eq(bhi_threads_count(), 0);
	nr_called = 0;
	attach();
	bhi_threads_claim(count_threads, NULL);
	ck_assert_uint_eq(nr_called, 1);
}
END_TEST

static unsigned order[4], nr_exits;

static void exit_one(struct bhi_thread *self)
{
	ck_assert_ptr_eq(self, bhi_thread_current);
	order[nr_exits++ % 4] = 1;
}

static void exit_two(struct bhi_thread *self)
{
	ck_assert_ptr_eq(self, bhi_thread_current);
	order[nr_exits++ % 4] = 2;
}

static struct bhi_thread_hook hook_one = {.exit = exit_one};
static struct bhi_thread_hook hook_two = {.exit = exit_two};

START_TEST(floors_hear_of_the_end_of_a_thread_newest_first)
{
	start(true);
	bhi_thread_hook_register(&hook_one);
	bhi_thread_hook_register(&hook_two);
	/* A start that is tried again registers again. */
	bhi_thread_hook_register(&hook_one);
	support_join(support_thread(live_shortly, NULL));
	ck_assert_uint_eq(nr_exits, 2);
	ck_assert(order[0] == 2 && order[1] == 1);
}
END_TEST

static pthread_key_t key;
static int nr_destructions;

/* A destructor of the host that uses the library, and in each round again. */
static void use_at_the_end(void *arg)
{
	struct bhi_thread *self = bhi_thread_self();

	nr_destructions++;
	/* In the last round nobody would unregister the thread again. */
	ck_assert_int_eq(!self, nr_destructions >= PTHREAD_DESTRUCTOR_ITERATIONS);
	if (self) {
		ck_assert(bhi_thread_enter(self));
		bhi_thread_leave(self);
	}
	if (nr_destructions < NR_ROUNDS)
		pthread_setspecific(key, arg);
}

static void *end_with_a_destructor(void *arg)
{
	attach();
	pthread_setspecific(key, arg);
	return NULL;
}

START_TEST(a_thread_may_use_the_library_in_its_destructors)
{
	start(true);
	bhi_thread_hook_register(&hook_one);
	/* Made after the library's own, so that it runs after it in each round. */
	ck_assert_int_eq(pthread_key_create(&key, use_at_the_end), 0);
	support_join(support_thread(end_with_a_destructor, &key));
	ck_assert_int_eq(nr_destructions, NR_ROUNDS);
	ck_assert_uint_ge(nr_exits, NR_ROUNDS);
	ck_assert_uint_le(nr_exits, PTHREAD_DESTRUCTOR_ITERATIONS);
	ck_assert_uint_eq(bhi_threads_count(), 0);
}
END_TEST

START_TEST(a_thread_that_cannot_be_registered_goes_without)
{
	start(true);
	bhi_failpoint_arm(1, BHI_FP_ONCE, 1u << BHI_FP_POOL);
	ck_assert_ptr_null(bhi_thread_self());
	bhi_failpoint_arm(1, BHI_FP_ONCE, 1u << BHI_FP_TLS);
	ck_assert_ptr_null(bhi_thread_self());
	bhi_failpoint_disarm();
	ck_assert_uint_eq(bhi_threads_count(), 0);
	ck_assert_ptr_nonnull(bhi_thread_self());
	ck_assert_uint_eq(bhi_threads_count(), 1);
}
END_TEST

static void fork_in_claim(struct bhi_thread *thread, void *arg)
{
	struct bhi_thread *self = resident;
	int *status = arg;
	pid_t pid;

	if (thread != self)
		return;
	pid = fork();
	if (!pid)
		/* The claim is never released here, and all of it looks held. */
		_exit(bhi_thread_enter(self) || bhi_thread_self() ? 1 : 0);
	waitpid(pid, status, 0);
}

START_TEST(a_child_of_fork_does_not_wait_for_a_claim_that_nobody_ends)
{
	int status = -1;

	start(true);
	resident = attach();
	bhi_threads_claim(fork_in_claim, &status);
	ck_assert_int_eq(status, 0);
	ck_assert(bhi_thread_enter(resident));
	bhi_thread_leave(resident);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, owners_and_claimers_exclude_each_other);
	tcase_add_test(tcase, owners_and_claimers_exclude_each_other_without_membarrier);
	tcase_add_test(tcase, a_claim_waits_for_the_section_in_progress);
	tcase_add_test(tcase, an_owner_sleeps_while_its_section_is_claimed);
	tcase_add_test(tcase, a_thread_without_a_section_keeps_claims_out_with_the_lock);
	tcase_add_test(tcase, threads_come_and_go_while_others_claim);
	tcase_add_test(tcase, floors_hear_of_the_end_of_a_thread_newest_first);
	tcase_add_test(tcase, a_thread_may_use_the_library_in_its_destructors);
	tcase_add_test(tcase, a_thread_that_cannot_be_registered_goes_without);
	tcase_add_test(tcase, a_child_of_fork_does_not_wait_for_a_claim_that_nobody_ends);
}

int main(void)
{
	return support_run("thread", add);
}
