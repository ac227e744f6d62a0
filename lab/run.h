/* SPDX-License-Identifier: MIT */
/*
 * A run of a scenario: its groups, locks and tasks in the real library, each task on a
 * thread of the controlled scheduler. It ends the process that it runs in.
 */
#ifndef BHI_LAB_RUN_H
#define BHI_LAB_RUN_H

#include <bulkhead.h>

#include "outcome.h"
#include "scheduler.h"

/* What a slot of memory holds. */
enum bhi_lab_memory_kind {
	BHI_LAB_NO_MEMORY,
	BHI_LAB_SHARED,
	BHI_LAB_PRIVATE,
	BHI_LAB_MAPPED,
};

struct bhi_lab_memory {
	enum bhi_lab_memory_kind kind;
	char *ptr;
	size_t size, touched;
	bool is_registered; /* freed by a defer */
};

struct bhi_lab_run_task {
	const struct bhi_lab_task *plan;
	int number;
	int thread; /* of the scheduler */
	struct bh_group *group;
	struct bh_task *task;
	struct bhi_lab_memory memories[BHI_LAB_MEMORIES];
	int step;                     /* the one that it is in, or about to begin */
	unsigned left[BHI_LAB_STEPS]; /* rounds of a loop, by its first step */
	unsigned holds;               /* hold sections of its own */
	int idle;                     /* the event that it leaves for; BHI_LAB_NONE */
	int error;                    /* what it ends with: errno */
	bool awaits_turn, is_done;
	/* as last seen */
	bool was_killed, was_skipped, was_asleep;
	uint64_t had_bytes;
	uint32_t had_tries;
};

struct bhi_lab_run_lock {
	union {
		struct bh_mutex mutex;
		struct bh_rwlock rwlock;
	};
	uint32_t holders; /* a mask of tasks */
};

struct bhi_lab_run {
	const struct bhi_lab_scenario *scenario;
	struct bhi_lab_outcome *outcome;
	struct bh_group *groups[BHI_LAB_GROUPS];
	struct bhi_lab_run_lock locks[BHI_LAB_LOCKS];
	uint32_t events[BHI_LAB_EVENTS]; /* futexes: 1 when signalled */
	struct bhi_lab_run_task tasks[BHI_LAB_TASKS];
	uint32_t nr_done; /* a futex */
	/* points of the schedule that were passed; a futex */
	uint32_t turn;
	uint64_t nr_steps;        /* that ended */
	unsigned nr_late_victims; /* of the OOM killer, after their last step */
};

/* The one of this process. */
extern struct bhi_lab_run bhi_lab_run;

/* The group of that index; the root for BHI_LAB_NONE. */
struct bh_group *bhi_lab_run_group(int number);

/* Run @scenario under the rules of @era and fill in *@outcome. Does not return: it ends
 * the process, also where the library does. */
_Noreturn void bhi_lab_run_here(const struct bhi_lab_scenario *scenario, int era,
	enum bhi_lab_strategy strategy, uint64_t seed, struct bhi_lab_outcome *outcome);

#endif
