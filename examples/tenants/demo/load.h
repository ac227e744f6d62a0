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

#include "client.h"
#include "scripts.h"
#include "text.h"

#define NR_LATENCIES       65536u
#define NR_SESSION_TENANTS 4

/* Times, in ns; those beyond the room are counted and not kept. */
struct latencies {
	pthread_mutex_t lock;

	/* protected by .lock */
	uint64_t nr;
	uint64_t ns[NR_LATENCIES];
};

/* Victims that are set up, each killed in what it does then. */
enum drill {
	DRILL_WRITER,  /* in the write to a client that does not read */
	DRILL_SLEEPER, /* in the wait for the lock of the cache */
	DRILL_HOLDER,  /* with the lock of the cache, and something half done */
	NR_DRILLS,
};

/* Counters are atomic. */
struct load {
	/* immutable after init */
	unsigned port;
	bool has_hogs;  /* hostile clients */
	bool has_tasks; /* the server has: victims can be killed, and sessions are kept */
	unsigned nr_sessions;
	double patience;    /* seconds beyond the end until victims were there */
	int hog_timeout_ms; /* how long hostile clients wait for an answer */

	bool is_ending; /* atomic */

	/* all requests and answers, those of no row below included */
	uint64_t nr_requests, nr_answers;
	/* what became of good requests */
	uint64_t nr_right, nr_wrong, nr_failed;
	/* and of hostile ones */
	uint64_t nr_hostile, nr_killed, nr_deadline, nr_refused, nr_ended, nr_silent;
	/* drills: killed as is meant, killed before that, and not killed */
	uint64_t nr_drilled[NR_DRILLS], nr_early_drills, nr_odd_drills;
	/* what a holder that was killed had half done: found done, found neither done nor
	 * gone */
	uint64_t nr_whole, nr_torn;
	/* sessions: made, found as they were, killed while idle, neither */
	uint64_t nr_made, nr_kept, nr_lost, nr_odd_sessions;
	uint64_t nr_visited; /* tenants all of whose sessions were made and visited */
	bool has_none;       /* atomic: the server has no sessions, 501 */

	double seconds; /* until it was told to end */
	double fullest; /* of the good tenants: the most it had, of its limit */

	struct latencies programs, probes;

	pthread_mutex_t lock;

	/* protected by .lock */
	char first_harm[300]; /* what the first wrong or failed answer was */
};

/* Run all clients until @seconds have passed, and until each kind of victim was there if
 * that comes in time; @tick is called now and then. */
void load_run(struct load *load, double seconds, void (*tick)(void *arg), void *arg);

/* Ask the server what remains to be asked after a load: load->fullest. */
void load_ask(struct load *load);

/* The @quantile of the times, in ns; 0 when there is none. */
uint64_t latencies_quantile(struct latencies *latencies, double quantile);

/* client_call() and its halves, counted. */
bool load_call(struct load *load, struct client *client, const char *method,
	const char *path, const char *body, struct reply *ret);
bool load_send(
	struct load *load, struct client *client, const char *path, const char *body);
bool load_receive(struct load *load, struct client *client, struct reply *ret);

/* What the thread of a client is given, but for those that need only the load. */
struct worker {
	struct load *load;
	unsigned number;
	const struct program *program;
};

/* For the clients of one kind, each a thread of its own. */
bool load_goes_on(struct load *load);
void load_pause(struct load *load, int ms);
void load_harm(struct load *load, const char *what, int status, const char *body);
void *writer_main(void *arg);
void *locker_main(void *arg);
void *sessions_main(void *arg); /* a struct worker */

#define COUNT(load, field) __atomic_fetch_add(&(load)->field, 1, __ATOMIC_RELAXED)
#define READ(load, field)  __atomic_load_n(&(load)->field, __ATOMIC_RELAXED)

#endif
