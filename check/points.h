/* SPDX-License-Identifier: MIT */
/* What is to be tested and what has been. Several threads; they take .lock. */
#ifndef BHI_CHECK_POINTS_H
#define BHI_CHECK_POINTS_H

#include "session.h"

/* From this many hangs of one site on, few of its points are tried: a hang costs the
 * whole time limit. */
#define BHI_CHECK_SITE_HANGS 3

/*
 * Up to @most places in .points that nobody has taken; how many, and 0 when there are no
 * more or the session is to end. One that is taken alone is not one to be left out; of
 * several, which are no more than this worker's share of what is left, ask
 * bhi_check_leave_out() when its turn comes. Context: may wait.
 */
size_t bhi_check_take_points(struct bhi_check_work *work, size_t *ret, size_t most);

/* Whether the session is to end, for its budget or another reason. Context: may wait. */
bool bhi_check_is_over(struct bhi_check_work *work);

/*
 * Whether runs in this session are ended by us now, and say nothing: it was interrupted,
 * or its budget has been used up for a while. Not by the budget before
 * bhi_check_limit_runs(), so that each call has something to show. Context: may wait.
 */
bool bhi_check_is_cut_short(struct bhi_check_work *work);

/* This call has tested a point. Context: any. */
void bhi_check_limit_runs(struct bhi_check_work *work);

/* Whether the point's site hangs and hangs, and this is not one of the few that are tried
 * nevertheless; then the session counts it. Context: may wait. */
bool bhi_check_leave_out(struct bhi_check_work *work, size_t at);

/* What bhi_check_try() returned of it; takes over what @test owns. Context: may wait. */
void bhi_check_finish_point(
	struct bhi_check_work *work, size_t at, int r, const struct bhi_check_test *test);

/* Count the test at this place. Context: the lock is held, or there are no workers. */
void bhi_check_note_test(struct bhi_check_work *work, size_t at);

#endif
