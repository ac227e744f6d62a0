/* SPDX-License-Identifier: MIT */
#include "base/failpoint.h"

uint32_t bhi_failpoint_armed;
BHI_TLS unsigned bhi_failpoint_exempt;
const struct bhi_failpoint_hooks *bhi_failpoint_hooks;

/* Who arms sets the hooks before, but a thread may see the one and not yet the other. */
static const struct bhi_failpoint_hooks *hooks_if_due(void)
{
	/* pairs with the store in hook() */
	return bhi_failpoint_exempt ? NULL : bhi_load_acquire(&bhi_failpoint_hooks);
}

bool bhi_failpoint_hit(enum bhi_failpoint_kind kind)
{
	const struct bhi_failpoint_hooks *hooks = hooks_if_due();

	return hooks && hooks->point(kind);
}

bool bhi_fault_hit(enum bh_fault_kind kind, size_t size, unsigned flags)
{
	const struct bhi_failpoint_hooks *hooks = hooks_if_due();

	return hooks && hooks->request(kind, size, flags);
}
