/* SPDX-License-Identifier: MIT */
/*
 * The last OOMs: who asked for what, which group was over, the tasks there, and who was
 * chosen. A ring in static memory, written under the OOM lock, without allocation.
 */
#ifndef BHI_OOM_EVENTS_H
#define BHI_OOM_EVENTS_H

#include "task/task.h"

#define BHI_OOM_EVENTS      16
#define BHI_OOM_EVENT_TASKS 8

/* A row of the task table. */
struct bhi_oom_row {
	char name[BHI_TASK_NAME_SIZE];
	uint64_t bytes;
	int64_t points;
	int32_t adj;
	bool is_chosen;
};

struct bhi_oom_event {
	uint64_t number; /* 1 is the first of this process */
	uint64_t time_ns;
	struct bhi_kill_cause cause;
	uint64_t failcnt;
	uint32_t nr_tasks; /* that could be chosen */
	uint32_t nr_rows;
	struct bhi_oom_row rows[BHI_OOM_EVENT_TASKS]; /* most points first */
	bool has_victim; /* false: there was no killable task */
	bool is_group_kill;
	uint32_t nr_killed;
};

/* Add @event to the ring and number it. Context: any, no allocation; under the OOM lock.
 */
void bhi_oom_events_add(struct bhi_oom_event *event);

/* The @index-th newest event, 0 the newest; false: there is none. Context: may wait. */
bool bhi_oom_events_read(unsigned index, struct bhi_oom_event *ret);

/* How many there were. Context: any. */
uint64_t bhi_oom_events_count(void);

/* Put a row where it belongs, the last one falling out. Context: any, no allocation. */
void bhi_oom_event_row(struct bhi_oom_event *event, const struct bhi_oom_row *row);

#endif
