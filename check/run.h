/* SPDX-License-Identifier: MIT */
/*
 * One run of the subject: start it with the interposer, wait for it within the limits,
 * clean up all that it started, and tell what was seen. Nothing here judges.
 */
#ifndef BHI_CHECK_RUN_H
#define BHI_CHECK_RUN_H

#include <stddef.h>
#include <sys/types.h>

#include "../preload/protocol.h"

/* How all runs of a session are made. Strings are borrowed. */
struct bhi_check_setup {
	char *const *command;   /* argv, ends with NULL */
	const char *interposer; /* path of the shared object */
	const char *work_dir;   /* a folder of ours: private copies are in it */
	const char *copy_dir; /* NULL, or the folder of which each run gets a private copy
				 and starts in */
	const char *stdin_file; /* NULL: /dev/null */
	bool follow_children;
	bool pages;          /* orders are about page calls */
	uint64_t timeout_ms; /* 0: none (the first clean run has 60 s) */
	/* atomic: when runs that have not ended are, and say nothing; 0: never. Others
	 * may set it during runs. */
	uint64_t cut_off_ns;
	uint64_t max_output; /* bytes on stdout, and on stderr */
	uint64_t max_memory; /* bytes of address space; 0: no limit */
};

enum bhi_check_end {
	BHI_CHECK_EXITED,
	BHI_CHECK_SIGNALED,
	BHI_CHECK_TIMED_OUT_BUSY,   /* it used the CPU until it was killed */
	BHI_CHECK_TIMED_OUT_ASLEEP, /* every thread slept */
	BHI_CHECK_TIMED_OUT_LOCKED, /* every thread slept in a futex without a time limit
				     */
	BHI_CHECK_TOO_MUCH_OUTPUT,
	BHI_CHECK_NOT_STARTED, /* exec failed; .status is errno */
};

/* What one run was. Free with bhi_check_result_fini(). */
struct bhi_check_result {
	enum bhi_check_end end;
	int status; /* exit status or signal number */
	uint64_t wall_ns, cpu_ns;
	char *out; /* what came on stdout; ends with a 0 that is not counted */
	size_t out_len;
	char *err;
	size_t err_len;
	char *files; /* one line a file: hash, size, name; for the difference; or NULL */
	struct bhi_check_shared *shared; /* mapped */
	size_t shared_size;
};

/*
 * Runs it once. 0, or -errno when the machine could not do it (no folder, no process):
 * then @ret is not touched. Several threads of the runner may be in here, with different
 * @slot numbers, which name the run's folder.
 */
int bhi_check_run(const struct bhi_check_setup *setup,
	const struct bhi_check_order *order, int slot, struct bhi_check_result *ret);

/* "BULKHEAD_INJECTED=...", from malloc(3): of the same length for all orders. */
char *bhi_check_mark(const struct bhi_check_order *order);

void bhi_check_result_fini(struct bhi_check_result *result);

#endif
