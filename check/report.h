/* SPDX-License-Identifier: MIT */
/* A session for people. */
#ifndef BHI_CHECK_REPORT_H
#define BHI_CHECK_REPORT_H

#include "base/fmt.h"

#include "finding.h"

/* A block for each finding, and what came of the rest. Context of all: may wait. */
void bhi_check_report_text(struct bhi_out *out, const struct bhi_check_session *session);

/* One finding's block. */
void bhi_check_finding_text(struct bhi_out *out, const struct bhi_check_session *session,
	const struct bhi_check_finding *finding);

/* Its frames, one a line; those in the middle of a long one are only counted. */
void bhi_check_backtrace_text(
	struct bhi_out *out, const struct bhi_check_backtrace *trace);

/* The stacks of the clean run, without what came of them. */
void bhi_check_list_text(struct bhi_out *out, const struct bhi_check_session *session);

/* How to see the finding again, as a shell reads it; from malloc(3). */
char *bhi_check_repeat_line(
	const struct bhi_check_session *session, const struct bhi_check_finding *finding);

/* A command line that a shell reads as the same words; from malloc(3). */
char *bhi_check_quote(char *const *command);

#endif
