/* SPDX-License-Identifier: MIT */
#include "base/policy.h"

struct bhi_policy bhi_policy = {
	.small_must_succeed = true,
	.reaper = true,
	.killable_waits = true,
};
