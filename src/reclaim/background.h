/* SPDX-License-Identifier: MIT */
/*
 * The background reclaimer (kswapd): one thread, woken when the free bytes of the zone
 * fall to the low mark, working until they are above high. It also gives free pages back
 * to the kernel when they have decayed, and pays for requests over BH_HIGH that could
 * not wait themselves.
 */
#ifndef BHI_RECLAIM_BACKGROUND_H
#define BHI_RECLAIM_BACKGROUND_H

#include "account/group.h"

/* After so many fruitless runs it stays away until somebody makes progress. */
#define BHI_BACKGROUND_MAX_FAILURES 16

/* Start the thread. 0 or -EAGAIN. @decay_ms: the step of the decay clock. Context: any;
 * once. */
int bhi_background_start(uint32_t decay_ms);

/* The zone is short. Context: any, no allocation. */
void bhi_background_wake(void);

/* A group is above BH_HIGH because of one who could not wait. Context: any, no
 * allocation. */
void bhi_background_wake_high(void);

/*
 * For those who are short where no code of the host may run: reclaim @size bytes from
 * @group for them. Done when the number of answers has changed; waiters are woken then.
 * Context: any, no allocation.
 */
void bhi_background_ask(struct bh_group *group, int64_t size);
uint32_t bhi_background_answers(const struct bh_group *group);

/* There are free pages that will decay. Context: any, no allocation; cheap. */
void bhi_background_decay(void);

/* Memory came back by other means: a hopeless reclaimer may try again. Context: any. */
void bhi_background_progress(void);

/*
 * One run, as the thread does it: reclaim until high is reached or nothing helps.
 * Returns bytes reclaimed. Context: may wait.
 */
uint64_t bhi_background_run(void);

struct bhi_background_stat {
	uint64_t wakeups, runs, reclaimed, failures;
};

/* Context: any. */
void bhi_background_stat(struct bhi_background_stat *ret);

#endif
