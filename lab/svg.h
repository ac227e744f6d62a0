/* SPDX-License-Identifier: MIT */
/* A run as a picture: a lane for each task, locks and memory as bars. */
#ifndef BHI_LAB_SVG_H
#define BHI_LAB_SVG_H

#include "base/fmt.h"

#include "outcome.h"

/* Write a complete SVG document of the run under the rules of @era. */
void bhi_lab_svg(struct bhi_out *out, const struct bhi_lab_scenario *scenario, int era,
	const struct bhi_lab_outcome *outcome);

#endif
