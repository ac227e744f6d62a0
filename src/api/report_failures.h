/* SPDX-License-Identifier: MIT */
/* What the report says of requests that failed: the walk, and a part of both renderings.
 */
#ifndef BHI_API_REPORT_FAILURES_H
#define BHI_API_REPORT_FAILURES_H

#include "api/report.h"

/* Hand each record to .failure of @rendering, the newest first. Context: may wait; no
 * lock is held. */
void bhi_report_walk_failures(
	struct bhi_out *out, const struct bhi_report_rendering *rendering);

/* Members of the renderings. Context of all: may wait; with no lock of the library held.
 */
void bhi_report_text_failure(struct bhi_out *out, const struct bhi_report_failure *item);
void bhi_report_json_failure(struct bhi_out *out, const struct bhi_report_failure *item);

#endif
