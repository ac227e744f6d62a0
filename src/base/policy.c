/* SPDX-License-Identifier: MIT */
#include "base/policy.h"

struct bhi_policy bhi_policy = {
	.small_must_succeed = true,
	.call = BHI_CALL_BY_GROUP,
	.noreclaim_gives_up = true,
	.pagefault_defers = true,
	.reaper = true,
	.killable_waits = true,
};
