/* SPDX-License-Identifier: MIT */
/*
 * Tests to findings, by root cause. A crash belongs to where it dies, whatever was
 * refused; everything else to what was refused. Keys are made of names and offsets in
 * modules only, so the same cause has the same ID in each run and environment.
 */
#ifndef BHI_CHECK_GROUP_H
#define BHI_CHECK_GROUP_H

#include <stddef.h>

#include "finding.h"

/* The frame of a crash to blame; .nr when there is none. Context: any. */
size_t bhi_check_crash_site(const struct bhi_check_backtrace *crash);

/* The frame to blame for a call that was refused: the first one outside the C library and
 * allocation wrappers. .nr when there is none. Context: any. */
size_t bhi_check_injection_site(const struct bhi_check_backtrace *injected);

/* Hash of the root cause of a test that is a finding. Context: any. */
uint64_t bhi_check_test_key(const struct bhi_check_test *test);

/* "crash-5f3a9c10". Context: any. */
void bhi_check_format_id(enum bhi_check_class class, uint64_t key, char ret[32]);

/* Negative when @a is easier to look at than @b, of one finding: an early call, a short
 * stack. 0: the same point. Context: any. */
int bhi_check_compare_examples(
	const struct bhi_check_test *a, const struct bhi_check_test *b);

/* Make the findings of the session's tests, in place of those it has. Context: may
 * wait. */
void bhi_check_group(struct bhi_check_session *session);

/* Free what bhi_check_group() made. Context: may wait. */
void bhi_check_ungroup(struct bhi_check_session *session);

#endif
