/* SPDX-License-Identifier: MIT */
/* The OOM killer: chooses among the tasks of the group that is over its limit. */
#ifndef BHI_OOM_KILLER_H
#define BHI_OOM_KILLER_H

#include "oom/oom.h"

/*
 * Choose and claim the victims for bhi_oom_decision. True: somebody was chosen, or a
 * victim is not finished yet, or there is room after all. Called with the OOM lock held.
 * Context: any, no allocation.
 */
bool bhi_oom_kill(struct bh_group *over, int64_t size);

/* Deliver the kills of a decision, and then tell the host of it, with no lock held.
 * Context: any, no allocation. */
void bhi_oom_deliver(struct bhi_oom_decision *decision);

/*
 * End the current task for a first touch of @size bytes, for which the kernel has no
 * page, or nobody can be killed. Without waiting: when somebody else is deciding, a tick
 * passes and nothing is done. Context: any, no allocation.
 */
void bhi_oom_kill_self(struct bh_group *over, int64_t size, bool kernel_is_short);

/* Who is told of each OOM; NULL: nobody. Context: any; during start only. */
void bhi_oom_tell(void (*fn)(const struct bh_oom_event *event, void *arg), void *arg);

#endif
