/* SPDX-License-Identifier: MIT */
/* Runs in processes of their own, so that a lockup, a crash or a bug ends nothing else.
 */
#ifndef BHI_LAB_CHILD_H
#define BHI_LAB_CHILD_H

#include "run.h"

/* An outcome that child processes can fill in. NULL: no memory. For the process's life.
 */
struct bhi_lab_outcome *bhi_lab_outcome_new(void);

/*
 * Run @scenario under the rules of @era in a child and wait for it; *@outcome comes from
 * bhi_lab_outcome_new(). @quiet: what the library prints goes nowhere. Returns 0, or
 * -errno where there is no child to be had. A child that ends without an outcome is
 * BHI_LAB_BROKEN, and a sentence says how it ended.
 */
int bhi_lab_child_run(const struct bhi_lab_scenario *scenario, int era,
	enum bhi_lab_strategy strategy, uint64_t seed, bool quiet,
	struct bhi_lab_outcome *outcome);

#endif
