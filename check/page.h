/* SPDX-License-Identifier: MIT */
/* The parts of the HTML page that are written one by one. */
#ifndef BHI_CHECK_PAGE_H
#define BHI_CHECK_PAGE_H

#include "base/fmt.h"

#include "finding.h"

/* Headline numbers, and what to know before the rest is believed. */
void bhi_check_page_head(struct bhi_out *out, const struct bhi_check_session *session);

void bhi_check_page_findings(
	struct bhi_out *out, const struct bhi_check_session *session);

/* The flame graph: its controls, and the stacks for the script. 0 or -ENOMEM. */
int bhi_check_page_graph(struct bhi_out *out, const struct bhi_check_session *session);

/* What the graph shows, as a table. */
void bhi_check_page_stacks(struct bhi_out *out, const struct bhi_check_session *session);

#endif
