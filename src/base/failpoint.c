/* SPDX-License-Identifier: MIT */
/*
 * The countdown is one atomic word: with several threads each point takes exactly one
 * number, so that "the n-th" is one point however they interleave.
 */
#include "base/failpoint.h"

uint32_t bhi_failpoint_armed;
BHI_TLS unsigned bhi_failpoint_exempt;

static struct {
	/* atomic; a thread that passes a point while it is armed may still see the last
	 * ones */
	enum bhi_failpoint_mode mode;
	unsigned kinds;
	/* atomic */
	int64_t countdown;
	unsigned nr_hit;
} state;

bool bhi_failpoint_hit(enum bhi_failpoint_kind kind)
{
	int64_t left;

	if (bhi_failpoint_exempt || !(bhi_load(&state.kinds) & (1u << kind)))
		return false;
	left = bhi_sub_return(&state.countdown, 1);
	if (left > 0 || (left < 0 && bhi_load(&state.mode) == BHI_FP_ONCE))
		return false;
	bhi_add(&state.nr_hit, 1);
	return true;
}

void bhi_failpoint_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds)
{
	bhi_store(&bhi_failpoint_armed, 0);
	bhi_store(&state.mode, mode);
	bhi_store(&state.kinds, kinds);
	bhi_store(&state.countdown, (int64_t)nth);
	bhi_store(&state.nr_hit, 0);
	bhi_store_release(&bhi_failpoint_armed, 1);
}

unsigned bhi_failpoint_disarm(void)
{
	bhi_store(&bhi_failpoint_armed, 0);
	return bhi_load(&state.nr_hit);
}
