/* SPDX-License-Identifier: MIT */
/*
 * What it costs to charge memory that somebody else allocated: bh_charge and bh_uncharge
 * against the plain way of doing it, one shared atomic counter with a limit, and against
 * three of those in a hierarchy. One and two threads charge the same group, three levels
 * below the root; each has a CPU of its own, else the two would not meet.
 *
 *	pair	charge, uncharge
 *	ramp	128 charges, 128 uncharges: more than a thread keeps in stock at 4 KiB
 *
 * Prints CPU nanoseconds for a charge and its uncharge: counter_size_threads_pattern.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "bulkhead.h"
#include "stats.h"

#define NR_LEVELS   3
#define NR_PAIRS    500000
#define NR_ROUNDS   3
#define RAMP        128
#define MAX_THREADS 2

enum counter {
	COUNTER_BULKHEAD,
	COUNTER_ATOMIC,
	COUNTER_ATOMIC3,
	NR_COUNTERS,
};

static const char *const counter_names[] = {"bulkhead", "atomic", "atomic3"};
static struct bh_group *leaf;

/* A line each, so that only the sharing that is meant costs anything. */
static struct {
	_Atomic int64_t usage __attribute__((aligned(64)));
	int64_t max;
} levels[NR_LEVELS];

struct job {
	pthread_t thread;
	pthread_barrier_t *start;
	enum counter counter;
	unsigned index, nr_levels, nr_pairs, ramp;
	size_t size;
	double ns;
};

static void levels_charge(unsigned nr, size_t size)
{
	for (unsigned i = 0; i < nr; i++) {
		int64_t usage = atomic_fetch_add_explicit(
			&levels[i].usage, (int64_t)size, memory_order_relaxed);

		if (usage + (int64_t)size > levels[i].max)
			die("a counter went over its limit");
	}
}

static void levels_uncharge(unsigned nr, size_t size)
{
	for (unsigned i = 0; i < nr; i++)
		atomic_fetch_sub_explicit(
			&levels[i].usage, (int64_t)size, memory_order_relaxed);
}

static void run_bulkhead(const struct job *job)
{
	for (unsigned i = 0; i < job->nr_pairs; i += job->ramp) {
		for (unsigned k = 0; k < job->ramp; k++) {
			if (bh_charge(leaf, job->size, 0))
				die("a charge failed");
		}
		for (unsigned k = 0; k < job->ramp; k++)
			bh_uncharge(leaf, job->size);
	}
}

static void run_atomic(const struct job *job)
{
	for (unsigned i = 0; i < job->nr_pairs; i += job->ramp) {
		for (unsigned k = 0; k < job->ramp; k++)
			levels_charge(job->nr_levels, job->size);
		for (unsigned k = 0; k < job->ramp; k++)
			levels_uncharge(job->nr_levels, job->size);
	}
}

/* The CPU that is the @index-th of those the process may use, if there are so many. */
static void cpu_pin(unsigned index)
{
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || index--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		return;
	}
}

static void *job_run(void *arg)
{
	struct job *job = arg;
	uint64_t start;

	cpu_pin(job->index);
	pthread_barrier_wait(job->start);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	if (job->counter == COUNTER_BULKHEAD)
		run_bulkhead(job);
	else
		run_atomic(job);
	job->ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / job->nr_pairs;
	return NULL;
}

/* Mean of the threads. */
static double sample(const struct job *model, unsigned nr_threads)
{
	struct job jobs[MAX_THREADS];
	pthread_barrier_t start;
	double sum = 0;

	pthread_barrier_init(&start, NULL, nr_threads);
	for (unsigned t = 0; t < nr_threads; t++) {
		jobs[t] = *model;
		jobs[t].index = t;
		jobs[t].start = &start;
		if (pthread_create(&jobs[t].thread, NULL, job_run, &jobs[t]))
			die("no thread");
	}
	for (unsigned t = 0; t < nr_threads; t++) {
		pthread_join(jobs[t].thread, NULL);
		sum += jobs[t].ns;
	}
	pthread_barrier_destroy(&start);
	return sum / nr_threads;
}

static void compare(size_t size, unsigned nr_threads, unsigned ramp, unsigned nr_pairs)
{
	double samples[NR_COUNTERS][NR_ROUNDS];

	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		for (unsigned c = 0; c < NR_COUNTERS; c++) {
			struct job model = {.counter = (enum counter)c,
				.nr_levels = c == COUNTER_ATOMIC3 ? NR_LEVELS : 1,
				.nr_pairs = nr_pairs,
				.ramp = ramp,
				.size = size};

			samples[c][round] = sample(&model, nr_threads);
		}
	}
	for (unsigned c = 0; c < NR_COUNTERS; c++)
		printf("%s_%zu_%u_%s %.2f\n", counter_names[c], size, nr_threads,
			ramp == 1 ? "pair" : "ramp",
			samples_quantile(samples[c], NR_ROUNDS, 0.5));
}

int main(int argc, char **argv)
{
	unsigned nr_pairs = work_units(argc, argv, NR_PAIRS) / RAMP * RAMP + RAMP;

	if (bh_init(NULL))
		die("the library does not start");
	for (unsigned i = 0; i < NR_LEVELS; i++) {
		levels[i].max = INT64_MAX;
		leaf = must(bh_group_new(leaf, "level"));
	}
	for (unsigned nr_threads = 1; nr_threads <= MAX_THREADS; nr_threads++) {
		compare(4096, nr_threads, 1, nr_pairs);
		compare(4096, nr_threads, RAMP, nr_pairs);
		compare(100, nr_threads, 1, nr_pairs);
		compare(100, nr_threads, RAMP, nr_pairs);
	}
	return 0;
}
