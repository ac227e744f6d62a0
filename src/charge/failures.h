/* SPDX-License-Identifier: MIT */
/*
 * Requests that failed: how many, and a record of one of them every 10 s at most. Linux
 * mm/page_alloc.c, warn_alloc(), which prints; the library does not, its report does.
 *
 * BH_NOWARN requests leave nothing here, and neither do BH_NOWAIT ones, as those of the
 * kernel's GFP_NOWAIT: who asks so expects the answer.
 */
#ifndef BHI_CHARGE_FAILURES_H
#define BHI_CHARGE_FAILURES_H

#include "task/task.h"

/* Records that are kept. */
#define BHI_FAILURES 8

struct bhi_failure {
	uint64_t number; /* 1 is the first request of this process that failed */
	uint64_t missed; /* failed since the record before, and have none */
	uint64_t time_ns;
	uint64_t size;  /* bytes that were to be charged */
	unsigned flags; /* of the request, BHI_CHARGE_PRIVATE among them */
	char asker[BHI_TASK_NAME_SIZE]; /* "": a thread outside of tasks */
	char group[BHI_TASK_PATH_SIZE];
	char over[BHI_TASK_PATH_SIZE]; /* the group that refused */
};

/* Between two records, nanoseconds. Tests change it. */
extern uint64_t bhi_failure_interval_ns;

/* A request failed because @over refused it. Context: any, no allocation. */
BHI_COLD void bhi_failure_note(const struct bh_group *group, const struct bh_group *over,
	int64_t size, unsigned flags);

/* The @index-th newest record, 0 the newest; false: there is none. Context: may wait. */
bool bhi_failure_read(unsigned index, struct bhi_failure *ret);

/* How many failed, recorded or not. Context: any. */
uint64_t bhi_failures_count(void);

#endif
