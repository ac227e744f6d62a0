/* SPDX-License-Identifier: MIT */
/*
 * Baselines: the findings that are known, so that only new ones fail. A text to be kept
 * in git: a line for each finding, sorted by ID; the ID counts, the class is looked at,
 * and the rest is for people. A JSON report is a baseline too.
 */
#ifndef BHI_CHECK_BASELINE_H
#define BHI_CHECK_BASELINE_H

#include "base/fmt.h"

#include "error.h"
#include "finding.h"

struct bhi_check_baseline_entry {
	char id[32];
	bool was_found; /* by the session that it was applied to */
};

struct bhi_check_baseline {
	struct bhi_check_baseline_entry *entries; /* by ID, each once */
	size_t nr;
};

/* Letters, figures and some of "-_.", not too many: nothing that a line, markup or a
 * shell takes for something else. */
bool bhi_check_id_is_valid(const char *id, size_t len);

/* 0; -EINVAL, -ENOMEM or what opening the file gave, after an error. @ret is zero then.
 */
int bhi_check_baseline_parse(const char *file, const char *text, size_t size,
	struct bhi_check_baseline *ret, struct bhi_check_error *error);
int bhi_check_baseline_read(
	const char *file, struct bhi_check_baseline *ret, struct bhi_check_error *error);

/* Marks the findings that are in it, and the entries that were found. */
void bhi_check_baseline_apply(
	struct bhi_check_baseline *baseline, struct bhi_check_session *session);

void bhi_check_baseline_fini(struct bhi_check_baseline *baseline);

/* All findings that are not suppressed, as a baseline. 0 or -ENOMEM. */
int bhi_check_write_baseline(
	struct bhi_out *out, const struct bhi_check_session *session);

#endif
