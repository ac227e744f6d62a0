/* SPDX-License-Identifier: MIT */
/*
 * A scheduler that runs one thread at a time, in virtual time: the same seed is the same
 * run. The threads are real, so what they run is the library as it is; but only the one
 * with the baton runs, and it hands the baton on in base/sched.h's waits and at switch
 * points. The clock moves by a microsecond a switch point, and when nobody can run it
 * jumps to the next time-out.
 *
 * Nothing here is locked: the baton is the lock. It passes through a futex of the kernel
 * for each thread, whose release and acquire order everything.
 */
#ifndef BHI_LAB_SCHEDULER_H
#define BHI_LAB_SCHEDULER_H

#include "base/compiler.h"

#define BHI_LAB_THREADS 24

enum bhi_lab_strategy {
	/* A thread runs until it waits or ends a step; then the next in turn. */
	BHI_LAB_ORDERLY,
	/* At each switch point one of those that can run, each as likely as another. */
	BHI_LAB_RANDOM,
	/*
	 * Random priorities, changed at a few random points: finds a bug that needs d
	 * ordered events with a probability of at least 1 / (n * k^(d-1)). Burckhardt et
	 * al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs"
	 * (ASPLOS 2010).
	 */
	BHI_LAB_PCT,
};

/* What a seed stands for, in a search and in a scenario: random choices for half of
 * them, priorities for the others. */
static inline enum bhi_lab_strategy bhi_lab_strategy_of(uint64_t seed)
{
	return seed & 1 ? BHI_LAB_RANDOM : BHI_LAB_PCT;
}

struct bhi_lab_sched_hooks {
	/* A thread is about to sleep. */
	void (*sleeps)(int thread);
	/* Some thread has done something: called with the baton, at each switch. */
	void (*looks)(void);
	/* Nobody can run. @forever: nobody waits for a time-out either; the hook makes
	 * somebody able to run, or ends the process. */
	void (*idle)(bool forever);
};

/* Make the calling thread thread 0, which has the baton, and the scheduler the
 * library's. Once a process. */
void bhi_lab_sched_start(enum bhi_lab_strategy strategy, uint64_t seed,
	const struct bhi_lab_sched_hooks *hooks);

/* Start a thread; it runs when it is chosen. When @fn returns it sleeps for good. Returns
 * its number; ends the process where there is none left. */
int bhi_lab_sched_spawn(void (*fn)(void *arg), void *arg);

/* A switch point between two steps of a scenario: under any strategy somebody else may
 * run now. */
void bhi_lab_sched_yield(void);

/* A switch point inside of the library: none in an orderly run. */
void bhi_lab_sched_point(void);

/* Whether thread @number sleeps. */
bool bhi_lab_sched_is_asleep(int number);

/* Switch points passed so far. */
uint64_t bhi_lab_sched_points(void);

/* Nanoseconds of virtual time. */
uint64_t bhi_lab_sched_now(void);

/* A number below @limit that the seed decides. */
uint32_t bhi_lab_sched_random(uint32_t limit);

#endif
