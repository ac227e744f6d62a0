/* SPDX-License-Identifier: MIT */
/* A host that is told of each OOM, for the tests of what it is told. */
#ifndef BHI_TESTS_SUPPORT_OOM_H
#define BHI_TESTS_SUPPORT_OOM_H

#include "support_task.h"

/* A request for shared memory for which somebody is killed: one that is not costly. */
#define PIECE (8 * PAGE)

struct support_told {
	uint32_t nr; /* atomic */
	/* written by the thread that tells */
	struct bh_oom_event events[2 * BHI_OOM_EVENTS];
	void *arg;
	bool saw_lock;      /* somebody had a lock of the library meanwhile */
	bool came_early;    /* the victim had not heard of it */
	bool was_in_signal; /* the last one, on the stack of signals */
	/* immutable while somebody may be told */
	struct bh_task *victim; /* to look at; NULL: none */
	bool waits;             /* until it may go on */
	uint32_t may_go_on;     /* atomic */
};

extern struct support_told support_told;

/* Start the library with support_told as the host, and as support_start_tasks(). */
void support_start_told(uint64_t size, uint32_t tries);

/*
 * There was one OOM, and it was told once, with no lock held and after the victim heard
 * of it. What the ring has says the same, and perhaps what came later.
 */
struct bh_oom_event support_only_oom(void);

/* A thread outside of tasks asks @group for more than it has. By the time it looks again
 * the limit is lifted, so that there is one OOM, whatever becomes of the victim. */
void support_charge_to_oom(struct bh_group *group);

/* Give back what was charged to @group, and its last reference; every test ends so. */
void support_end_told(struct bh_group *group);

/* Add @nr events that are made up, in which every byte says which one it is; whether
 * @event is one, all of it. */
void support_add_events(uint64_t nr);
bool support_is_whole(const struct bh_oom_event *event);

#endif
