/* SPDX-License-Identifier: MIT */
/*
 * Random operations on groups, objects, pages, caches, charges, shrinkers and limits
 * (support_ops.h), by one thread and by four, against the model (support_model.h), in a
 * zone so small that it and the limits of groups are hit all the time.
 *
 * A round is so many operations of each thread; then all wait, and everything is checked
 * that holds while nobody calls. In some rounds one internal failure is injected. After
 * some rounds the threads end and others take over what they had.
 *
 * BH_RANDOM_SEED repeats a run (exactly, with one thread), BH_RANDOM_SECONDS says for how
 * long each test runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "debug/inject.h"
#include "base/sys.h"

#include "support.h"
#include "support_ops.h"

#define OPS_PER_ROUND         2000
#define MIN_ROUNDS            24
#define ROUNDS_PER_GENERATION 8
#define DEFAULT_SECONDS       2

static struct {
	uint64_t end_ns;
	pthread_barrier_t barrier;
	/* the first worker's, and changed only while the others wait */
	uint64_t rng;
	bool stop;
	uint64_t nr_rounds, nr_injected;
} state;

/* One failure somewhere in the round: of any kind, most of which are charges, or of one
 * kind, most of which are rare. */
static void arm(void)
{
	unsigned kinds = (1u << BHI_FP_NR) - 1, nth = 4000;

	if (model_below(&state.rng, 2)) {
		kinds = 1u << model_below(&state.rng, BHI_FP_NR);
		nth = 100;
	}
	bhi_failpoint_arm(1 + (unsigned)model_below(&state.rng, nth), BHI_FP_ONCE, kinds);
}

/* All others wait. */
static void end_round(void)
{
	if (model.injecting)
		state.nr_injected += bhi_failpoint_disarm();
	ops_check();
	state.nr_rounds++;
	/* A run in which memory was never short would prove little: a slow one, that has
	 * few rounds in its time, gets so many. */
	state.stop = bhi_sys_now_ns() >= state.end_ns &&
		     (model.nr_refused || state.nr_rounds >= MIN_ROUNDS);
	model_store(&ops.fill, (2 + model_below(&state.rng, 38)) << 20);
	model_store(&ops.strict, (uint32_t)model_below(&state.rng, 2));
	model.injecting = model_below(&state.rng, 3) == 0;
	if (model.injecting)
		arm();
}

static void *work(void *arg)
{
	struct ops_worker *w = arg;

	for (unsigned round = 0; round < ROUNDS_PER_GENERATION && !state.stop; round++) {
		for (unsigned i = 0; i < OPS_PER_ROUND; i++)
			ops_step(w);
		pthread_barrier_wait(&state.barrier);
		if (w->index == 0)
			end_round();
		pthread_barrier_wait(&state.barrier);
	}
	return NULL;
}

static void run_generation(void)
{
	pthread_t threads[OPS_MAX_THREADS];

	for (unsigned i = 0; i < ops.nr_threads; i++)
		ck_assert(!pthread_create(&threads[i], NULL, work, &ops.workers[i]));
	for (unsigned i = 0; i < ops.nr_threads; i++)
		pthread_join(threads[i], NULL);
}

static void start(unsigned nr_threads)
{
	const char *seed = getenv("BH_RANDOM_SEED"),
		   *seconds = getenv("BH_RANDOM_SECONDS");

	state.rng =
		seed ? strtoull(seed, NULL, 0) : bhi_sys_now_ns() ^ (uint64_t)getpid();
	state.rng += !state.rng;
	printf("concurrent_random: %u threads, BH_RANDOM_SEED=%lu\n", nr_threads,
		(unsigned long)state.rng);
	fflush(stdout);
	ops_init(state.rng, nr_threads);
	state.end_ns = bhi_sys_now_ns() +
		       (seconds ? strtoull(seconds, NULL, 10) : DEFAULT_SECONDS) *
			       BHI_NS_PER_SEC;
	pthread_barrier_init(&state.barrier, NULL, nr_threads);
}

static void run(unsigned nr_threads)
{
	start(nr_threads);
	while (!state.stop)
		run_generation();
	bhi_failpoint_disarm();
	model.injecting = false;
	ops_fini();
	printf("concurrent_random: %lu rounds, %lu requests refused, %lu failures "
	       "injected\n",
		(unsigned long)state.nr_rounds, (unsigned long)model.nr_refused,
		(unsigned long)state.nr_injected);
	ck_assert_uint_gt(model.nr_refused, 0);
}

START_TEST(one_thread_at_random_agrees_with_the_model)
{
	run(1);
}
END_TEST

START_TEST(four_threads_at_random_agree_with_the_model)
{
	run(OPS_MAX_THREADS);
}
END_TEST

static void add_tests(TCase *tcase)
{
	const char *seconds = getenv("BH_RANDOM_SECONDS");

	if (seconds)
		tcase_set_timeout(tcase, (double)strtoull(seconds, NULL, 10) + 60);
	tcase_add_test(tcase, one_thread_at_random_agrees_with_the_model);
	tcase_add_test(tcase, four_threads_at_random_agree_with_the_model);
}

int main(void)
{
	return support_run("random", add_tests);
}
