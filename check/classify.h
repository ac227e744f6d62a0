/* SPDX-License-Identifier: MIT */
/*
 * What came of an injection, from what was seen of the run and of the clean one. Pure:
 * it looks at nothing else.
 */
#ifndef BHI_CHECK_CLASSIFY_H
#define BHI_CHECK_CLASSIFY_H

#include <regex.h>
#include <stddef.h>

#include "finding.h"

/* The clean run, and what the user says. */
struct bhi_check_rules {
	int expected_exit;
	int64_t live_blocks, live_bytes; /* the most of all clean runs */
	uint32_t locks_held;
	bool crash_is_caught; /* the clean run has signals of crashes too */
	const regex_t *ok;    /* NULL: none */
};

struct bhi_check_seen {
	enum bhi_check_end end;
	int status; /* exit status or signal number */
	const char *out, *err;
	size_t out_len, err_len;
	bool output_differs; /* stdout or files */
	bool err_differs;
	uint64_t nr_injected;
	uint32_t nr_policy_aborts;
	bool exit_seen; /* what is below is known */
	int64_t live_blocks, live_bytes;
	uint32_t locks_held;
	int signal; /* of a crash that was captured, even when the program caught it; 0
		       none */
	uint64_t address;
	struct bhi_check_backtrace injected, crash;
	const uint64_t *injected_cfa, *crash_cfa; /* as many as places */
};

/* Context: any. */
enum bhi_check_class bhi_check_classify(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen);

/* The signal that ended the program or would have; 0: none. Context: any. */
int bhi_check_seen_signal(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen);

#endif
