/* SPDX-License-Identifier: MIT */
/*
 * The last OOMs: who asked for what, which group was over, the tasks there, who was
 * chosen, and what became of the victims' memory. A ring in static memory, written
 * without allocation.
 *
 * Events are added one at a time, under the OOM lock. Readers take no lock and stop
 * nobody: a slot says whose event it has, and nothing while it changes,
 *
 *	killer				reader
 *	number = 0			n = number (acquire)
 *	fence				... copies, word by word ...
 *	... writes, word by word ...	fence
 *	number = n + 16 (release)	number != n? -> the copy is none
 *
 * and a reader that was overtaken looks for its event again, which costs it one more copy
 * for each OOM meanwhile.
 *
 * What becomes of the victims is added later, by the reaper and by threads that unwound,
 * to words of the slot of which each has in its upper bits which of the slot's events it
 * belongs to. Who comes so late that the slot has another event changes nothing. Of these
 * words a reader sees each as it is at some moment of the read.
 */
#ifndef BHI_OOM_EVENTS_H
#define BHI_OOM_EVENTS_H

#include "task/task.h"

#define BHI_OOM_EVENTS 16

/* Add @event to the ring; it has been given the number that follows the last one.
 * Context: any, no allocation; under the OOM lock. */
void bhi_oom_events_add(const struct bh_oom_event *event);

/* The @index-th newest event, 0 the newest; false: there is none. Context: any, no
 * allocation. */
bool bhi_oom_events_read(unsigned index, struct bh_oom_event *ret);

/* How many there were. Context: any. */
uint64_t bhi_oom_events_count(void);

/* All memory of a victim of event @number is back: @bytes in @ns. Context: any, no
 * allocation. */
void bhi_oom_events_reaped(uint64_t number, uint64_t bytes, uint64_t ns);

/* A victim of event @number was given up. Context: any, no allocation. */
void bhi_oom_events_given_up(uint64_t number, enum bh_unreaped why, unsigned nr_tries);

/* A zeroed row for a task with @points, where it belongs; the last one falls out. NULL:
 * there is no room for so few. Context: any, no allocation. */
struct bh_oom_row *bhi_oom_event_row(struct bh_oom_event *event, int64_t points);

#endif
