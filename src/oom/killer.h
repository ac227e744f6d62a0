/* SPDX-License-Identifier: MIT */
/* The OOM killer: chooses among the tasks of the group that is over its limit. */
#ifndef BHI_OOM_KILLER_H
#define BHI_OOM_KILLER_H

#include "task/task.h"

/*
 * Choose and claim the victims. True: somebody was chosen, or a victim is not finished
 * yet. Called with the OOM lock held. Context: any, no allocation.
 */
bool bhi_oom_kill(struct bh_group *over, int64_t size);

/* Deliver the kills that this thread has claimed, with no lock held. Context: any, no
 * allocation. */
void bhi_oom_deliver(void);

#endif
