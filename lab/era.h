/* SPDX-License-Identifier: MIT */
/* The kernel eras whose rules a scenario is replayed under. */
#ifndef BHI_LAB_ERA_H
#define BHI_LAB_ERA_H

#include "base/policy.h"

enum bhi_lab_era_id {
	BHI_LAB_3_11,
	BHI_LAB_3_12,
	BHI_LAB_4_6,
	BHI_LAB_4_19,
	BHI_LAB_SMALL_MAY_FAIL,
	BHI_LAB_BULKHEAD,
	BHI_LAB_ERAS,
};

struct bhi_lab_era {
	const char *name;
	const char *rules; /* a line for people */
	struct bhi_policy policy;
};

extern const struct bhi_lab_era bhi_lab_eras[BHI_LAB_ERAS];

/* An index into bhi_lab_eras, or -1. */
int bhi_lab_era_find(const char *name);

#endif
