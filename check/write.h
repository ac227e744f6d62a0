/* SPDX-License-Identifier: MIT */
/*
 * What reads a finished session and writes it for somebody: JSON for programs and for
 * merging, SARIF for code scanning, JUnit for CI systems, a page for people. Strings of a
 * session are bytes of the subject: any of them may be no UTF-8, or markup.
 *
 * All return 0, or -ENOMEM; an error of the descriptor stays in the bhi_out.
 */
#ifndef BHI_CHECK_WRITE_H
#define BHI_CHECK_WRITE_H

#include "base/fmt.h"

#include "finding.h"

#define BHI_CHECK_JSON_VERSION 1

/* docs/check-format.md */
int bhi_check_write_json(struct bhi_out *out, const struct bhi_check_session *session);

/* SARIF 2.1.0: a rule for each class, a result for each finding. */
int bhi_check_write_sarif(struct bhi_out *out, const struct bhi_check_session *session);

/*
 * JUnit XML: a suite for each module, in it a case for each finding, named by its ID, and
 * one for all calls from which nothing came. A case for each stack would show one bug as
 * hundreds of failures. Failures are what bhi_check_finding_fails(); what is suppressed
 * or known is skipped, with the reason.
 */
int bhi_check_write_junit(struct bhi_out *out, const struct bhi_check_session *session);

/* One page that needs nothing else. */
int bhi_check_write_html(struct bhi_out *out, const struct bhi_check_session *session);

/* Whether it makes the exit status 1. */
static inline bool bhi_check_finding_fails(
	const struct bhi_check_session *session, const struct bhi_check_finding *finding)
{
	return finding->class <= session->fail_on && !finding->is_suppressed &&
	       !finding->is_known;
}

#endif
