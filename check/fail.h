/* SPDX-License-Identifier: MIT */
/*
 * `bulkhead fail`: one run of a program in which calls fail by the settings of fault
 * injection, and what failed. Nothing of the program's is touched but that: its
 * descriptors, its terminal and its process group are ours.
 */
#ifndef BHI_CHECK_FAIL_H
#define BHI_CHECK_FAIL_H

#include "base/fmt.h"

#include "finding.h"

/* Strings are borrowed. */
struct bhi_check_fail {
	char *const *command;   /* argv, ends with NULL */
	const char *interposer; /* path of the shared object */
	const char *settings;   /* as BULKHEAD_FAIL */
	uint32_t nth;           /* of the first thread; 0: none */
	bool follow_children;
};

/* What one run was. Free with bhi_check_failed_fini(). */
struct bhi_check_failed {
	int exec_error;                  /* errno: it did not run; 0: it ended */
	int status;                      /* as wait(2) has it */
	struct bhi_check_shared *shared; /* mapped */
	struct bhi_check_symbols *symbols;
	struct bhi_check_failure *failures; /* in the order of their first calls */
	size_t nr_failures;
	struct bhi_check_backtrace
		crash; /* where it died; nr 0: it did not, or not seen */
	int signal;
};

/* The calls that failed with one stack. */
struct bhi_check_failure {
	struct bhi_check_backtrace trace;
	uint32_t functions; /* 1 << enum bhi_check_function */
	uint64_t nr_calls;
	uint64_t first_call; /* its number among the eligible calls of the run, from 1 */
	uint64_t size;       /* bytes that the first one asked for */
};

/*
 * Runs it to its end. 0, or -errno when the machine could not do it; then @ret is not
 * touched. Signals that ask to end are handed on meanwhile, those of the terminal reach
 * the program by themselves. Context: a process with no other children.
 */
int bhi_check_fail_run(const struct bhi_check_fail *fail, struct bhi_check_failed *ret);

void bhi_check_failed_fini(struct bhi_check_failed *failed);

/* What failed, for people. Context: may wait. */
void bhi_check_failed_text(struct bhi_out *out, const struct bhi_check_failed *failed);

/* The same, as bulkhead-fail(1) describes it. Context: may wait. */
void bhi_check_failed_json(struct bhi_out *out, const struct bhi_check_fail *fail,
	const struct bhi_check_failed *failed);

#endif
