/* SPDX-License-Identifier: MIT */
/*
 * The load of one phase: clients that send good scripts and check every byte of the
 * answers, and clients that send hostile ones.
 */
#ifndef TENANTS_LOAD_H
#define TENANTS_LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "scripts.h"
#include "text.h"

#define NR_LATENCIES 65536u

/* Times, in ns; those beyond the room are counted and not kept. */
struct latencies {
	pthread_mutex_t lock;

	/* protected by .lock */
	uint64_t nr;
	uint64_t ns[NR_LATENCIES];
};

/* Counters are atomic. */
struct load {
	/* immutable after init */
	unsigned port;
	bool has_hogs;   /* hostile scripts that only take memory */
	bool has_drills; /* those that need tasks: writers, sleepers, sessions, the cache
			  */
	unsigned nr_sessions;
	double patience;    /* seconds beyond the end until victims were there */
	int hog_timeout_ms; /* how long their clients wait for an answer */

	bool is_ending; /* atomic */

	/* what became of good requests */
	uint64_t nr_right, nr_wrong, nr_failed;
	/* and of hostile ones */
	uint64_t nr_hostile, nr_killed, nr_deadline, nr_refused, nr_ended, nr_silent;
	/* drills: killed while blocked, badly timed, and not killed */
	uint64_t nr_writers, nr_sleepers, nr_early_drills, nr_odd_drills;
	/* sessions: made, found as they were, killed while idle, neither */
	uint64_t nr_made, nr_kept, nr_lost, nr_odd_sessions;
	bool has_visited; /* all of them were made and visited */

	struct latencies programs, probes;

	pthread_mutex_t lock;

	/* protected by .lock */
	char first_harm[300]; /* what the first wrong or failed answer was */
};

/* Run all clients until @seconds have passed, and until each kind of victim was there if
 * that comes in time; @tick is called now and then. */
void load_run(struct load *load, double seconds, void (*tick)(void *arg), void *arg);

/* The @quantile of the times, in ns; 0 when there is none. */
uint64_t latencies_quantile(struct latencies *latencies, double quantile);

/* For the clients of one kind, each a thread of its own. */
bool load_goes_on(struct load *load);
void load_pause(struct load *load, int ms);
void load_harm(struct load *load, const char *what, int status, const char *body);
void *writer_main(void *arg);
void *sleeper_main(void *arg);
void *sessions_main(void *arg);

#define COUNT(load, field) __atomic_fetch_add(&(load)->field, 1, __ATOMIC_RELAXED)
#define READ(load, field)  __atomic_load_n(&(load)->field, __ATOMIC_RELAXED)

#endif
