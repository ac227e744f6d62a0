/* SPDX-License-Identifier: MIT */
/*
 * A scheduler in place of the kernel's. Everything that the library waits for, and the
 * clock it looks at, goes through base/sys.c; where a scheduler is set it goes from there
 * to this table. The lab runs the threads of a scenario one at a time with it, in virtual
 * time, so that the same seed is the same run.
 *
 * Set before the library starts, and for good: a thread that waits in the kernel is never
 * told of it.
 */
#ifndef BHI_BASE_SCHED_H
#define BHI_BASE_SCHED_H

#include "base/compiler.h"

struct bhi_sched {
	/* Sleep while *@word == @value and, if @other is not NULL, *@other ==
	 * @other_value; at most @timeout_ns (0: for ever). 0 or -ETIMEDOUT. */
	int (*wait)(uint32_t *word, uint32_t value, uint32_t *other, uint32_t other_value,
		uint64_t timeout_ns);
	void (*wake)(uint32_t *word, int nr);
	void (*pause)(uint64_t ns);
	uint64_t (*now_ns)(void);
	/* 0 or -errno. */
	int (*thread_start)(void *(*fn)(void *), void *arg);
};

/* NULL: the kernel's. */
extern const struct bhi_sched *bhi_sched;

#endif
