/* SPDX-License-Identifier: MIT */
/*
 * Tasks that keep idle pages: populated and charged, and not in use, for what the task
 * allocates next. They are what is given back first when memory is short, by whoever is
 * short of it, before anything fails and before anybody is killed: a page that is kept
 * costs nobody a life.
 *
 * Who keeps more than BHI_KEEP_LEAST is on the list, whether somebody is inside or not.
 * The thread inside joins and parts; a task that ends has parted.
 *
 * Pages are taken under a claim of the region (region.h, .unstable says trimming), one
 * task at a time, with no lock held. What cannot be had: idle pages of a task that is
 * killed, for the reaper is at them; of one that is dumping; and of one whose thread is
 * changing pages and does not run for as long as there is between two tries of the
 * reaper.
 */
#ifndef BHI_TASK_KEEP_H
#define BHI_TASK_KEEP_H

#include "task/task.h"

/* What any task may keep without being asked for it: 256 KiB. */
#define BHI_KEEP_LEAST ((uint32_t)64)

/* Zaps and uncharges some idle pages of a task, whose region is claimed; bytes, 0: there
 * are no more. Set at start by the alloc floor. Context: any, no allocation. */
extern uint64_t (*bhi_keep_zap_hook)(struct bh_task *task);

/* Context: owner thread only, may wait. */
void bhi_keep_join(struct bh_task *task);

/* Nothing happens if it has not joined. Context: owner thread only, may wait. */
void bhi_keep_part(struct bh_task *task);

/* Whether it has joined. Context: owner thread only. */
static inline bool bhi_keep_joined(const struct bh_task *task)
{
	return task->keeps;
}

/* Take idle pages of tasks of @target and below until @want bytes came back; returns how
 * many did. Not from a busy section. Context: any, may wait. */
uint64_t bhi_keep_trim(struct bh_group *target, uint64_t want);

#endif
