/* SPDX-License-Identifier: MIT */
/* What the report says of injected failures: the walks, and a part of both renderings. */
#ifndef BHI_API_REPORT_INJECTED_H
#define BHI_API_REPORT_INJECTED_H

#include "api/report.h"

/* Hand each kind that is set, or was, to .injecting of @rendering, and each record to
 * .injection, the newest first. Context: may wait; no lock is held. */
void bhi_report_walk_injecting(
	struct bhi_out *out, const struct bhi_report_rendering *rendering);
void bhi_report_walk_injections(
	struct bhi_out *out, const struct bhi_report_rendering *rendering);

/* Members of the renderings. Context of all: may wait; with no lock of the library held.
 */
void bhi_report_text_injecting(
	struct bhi_out *out, const struct bhi_report_injecting *item);
void bhi_report_json_injecting(
	struct bhi_out *out, const struct bhi_report_injecting *item);
void bhi_report_text_injection(
	struct bhi_out *out, const struct bhi_report_injection *item);
void bhi_report_json_injection(
	struct bhi_out *out, const struct bhi_report_injection *item);

#endif
