/* SPDX-License-Identifier: MIT */
/* The events of a run as text, one line each. */
#ifndef BHI_LAB_TIMELINE_H
#define BHI_LAB_TIMELINE_H

#include "base/fmt.h"

#include "outcome.h"

void bhi_lab_timeline(struct bhi_out *out, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_outcome *outcome);

#endif
