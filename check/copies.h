/* SPDX-License-Identifier: MIT */
/*
 * One run for many points: the subject is copied where it comes to them, and the call
 * fails in the copy. What the subject did until then is not done again for each point.
 * preload/copy.h says where that is sound.
 */
#ifndef BHI_CHECK_COPIES_H
#define BHI_CHECK_COPIES_H

#include "run.h"

struct bhi_check_copier {
	/* Whether a copy for order number @i is wanted, now that the subject is there. */
	bool (*wants)(void *arg, unsigned i);
	/* Takes what the copy was, and frees it. Whether to go on. */
	bool (*take)(void *arg, unsigned i, struct bhi_check_result *result);
	void *arg;
};

/*
 * Run the subject once and copy it for each of @orders, which have hints, in ascending
 * order of them; at most BHI_CHECK_MAX_COPIES. Points that are not met, and those after
 * something got in the way, are left out; .shared->copies of @ret says what, and where.
 * @ret is the run itself, in which nothing failed. 0, or -errno: then @ret is not
 * touched, but .take may have been called. Threads and @slot as in bhi_check_run().
 * Context: may wait.
 */
int bhi_check_run_copies(const struct bhi_check_setup *setup,
	const struct bhi_check_order *orders, unsigned nr, int slot,
	const struct bhi_check_copier *copier, struct bhi_check_result *ret);

#endif
