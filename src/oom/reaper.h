/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper: one thread that takes the private memory of victims back, whatever they
 * are doing, and kills tasks whose deadline has passed. It waits for nobody, holds no
 * lock while it zaps, and allocates nothing.
 */
#ifndef BHI_OOM_REAPER_H
#define BHI_OOM_REAPER_H

#include "task/task.h"

struct bhi_reaper_stat {
	uint64_t nr_reaped;
	uint64_t nr_given_up;
};

/* Start the thread. 0 or -EAGAIN. Context: any; once. */
int bhi_reaper_start(uint32_t tries, uint32_t interval_ms);

/* Whether it is done with all victims that were handed over before the call. Context:
 * any. */
bool bhi_reaper_is_idle(void);

/* Context: any. */
void bhi_reaper_stat(struct bhi_reaper_stat *ret);

#endif
