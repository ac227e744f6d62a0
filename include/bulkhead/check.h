/* SPDX-License-Identifier: MIT */
/*
 * Marks for programs that are run under "bulkhead check", for their owners. There is
 * nothing to link: each is a call where the interposer of the command is in the process,
 * and a test of a null pointer where it is not.
 */
#ifndef BULKHEAD_CHECK_H
#define BULKHEAD_CHECK_H

#ifdef __cplusplus
extern "C" {
#endif

void bulkhead_check_benign_begin(void) __attribute__((weak));
void bulkhead_check_benign_end(void) __attribute__((weak));
void bulkhead_check_policy_abort(void) __attribute__((weak));

/*
 * Between these two, allocations of the calling thread do not fail: what would happen is
 * known and wanted, or cannot be helped. They nest. A point in there counts as not
 * reached.
 */
static inline void bulkhead_benign_begin(void)
{
	if (bulkhead_check_benign_begin)
		bulkhead_check_benign_begin();
}

static inline void bulkhead_benign_end(void)
{
	if (bulkhead_check_benign_end)
		bulkhead_check_benign_end();
}

/*
 * Before a program ends itself because it is out of memory, and means to: what follows,
 * be it exit(3), abort(3) or a signal, is "abort by policy" and no crash.
 */
static inline void bulkhead_policy_abort(void)
{
	if (bulkhead_check_policy_abort)
		bulkhead_check_policy_abort();
}

#ifdef __cplusplus
}
#endif
#endif
