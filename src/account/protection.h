/* SPDX-License-Identifier: MIT */
/*
 * Effective protection: how much of BH_MIN and BH_LOW a group really has when memory is
 * reclaimed from an ancestor. Linux mm/page_counter.c,
 * page_counter_calculate_protection(), with recursive protection.
 */
#ifndef BHI_ACCOUNT_PROTECTION_H
#define BHI_ACCOUNT_PROTECTION_H

#include "account/counter.h"

/*
 * The share of @parent_effective that a child has: pure. @usage and @setting are the
 * child's, @siblings the sum over all children of min(usage, setting). Context:
 * signal-safe.
 */
int64_t bhi_protection_effective(int64_t usage, int64_t parent_usage, int64_t setting,
	int64_t parent_effective, int64_t siblings);

/*
 * Bring .emin and .elow of @counter up to date for reclaim from @target, an ancestor or
 * itself (whose own protection does not count). Call from the top down. Context: any.
 */
void bhi_protection_update(struct bhi_counter *target, struct bhi_counter *counter);

/* What @counter has of its own BH_MIN and BH_LOW when memory is reclaimed from the root.
 * Context: any. */
void bhi_protection_read(
	const struct bhi_counter *counter, int64_t *ret_emin, int64_t *ret_elow);

#endif
