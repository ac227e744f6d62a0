/* SPDX-License-Identifier: MIT */
/*
 * Whether a request is made to fail: the decision alone, in the order of Linux 6.12,
 * lib/fault-inject.c should_fail_ex(). It takes no lock, allocates nothing, calls nothing
 * of the library, and may run in a signal handler: an interposer that is no part of the
 * library decides with it as well.
 *
 * A decision is the filter of the kind first (bhi_fault_is_eligible()), then
 * bhi_fault_should_fail(). Only eligible requests are counted anywhere.
 *
 * Several threads may decide with one set of attributes at a time while another changes
 * them. Each word is written whole; a decision that sees some new and some old ones is
 * one decision by neither. .times and .space are exact, whoever races: no more than
 * .times failures, no more than .space let through on its account. The kernel's are not
 * quite.
 */
#ifndef BHI_DEBUG_FAULT_H
#define BHI_DEBUG_FAULT_H

#include "base/failpoint.h"
#include "debug/stack.h"

#define BHI_FAULT_UNLIMITED (-1)

/* Ranges of addresses that a stack may have to meet, or may not. */
#define BHI_FAULT_RANGES 4

struct bhi_fault_attr {
	/* atomic; the settings */
	uint32_t probability; /* percent, 0: off */
	uint32_t interval;    /* above 1: only every so manieth eligible request */
	uint32_t task_filter; /* only threads and tasks that are marked */
	uint32_t stack_depth; /* frames examined, at most BHI_STACK_DEPTH */
	uint32_t nr_require, nr_reject;
	struct bhi_range
		require[BHI_FAULT_RANGES];         /* some frame lies in one; none: any */
	struct bhi_range reject[BHI_FAULT_RANGES]; /* no frame lies in one */
	/* of reports, which the caller makes: see bhi_fault_call.report */
	uint32_t verbose; /* 0 nothing, 1 a record, 2 with the stack */
	uint32_t ratelimit_interval_ms, ratelimit_burst;
	/* atomic; decisions change these */
	int32_t times;   /* failures left, or BHI_FAULT_UNLIMITED */
	uint64_t space;  /* bytes, or pages, let through before */
	uint64_t count;  /* requests that came as far as the interval */
	uint64_t random; /* state of the generator */
	/* atomic; statistics */
	uint64_t nr_calls; /* eligible requests */
	uint64_t nr_failed;
};

/* As in the kernel: off; when on, one failure, of every request, told with its stack. */
#define BHI_FAULT_ATTR_INIT                                                              \
	{                                                                                \
		.interval = 1, .times = 1, .stack_depth = BHI_STACK_DEPTH, .verbose = 2, \
	}

/* What is filtered before anything is counted. */
struct bhi_fault_filter {
	/* atomic */
	uint32_t ignore_wait;    /* requests that may wait and reclaim */
	uint32_t ignore_private; /* pages: private memory of tasks */
	uint32_t cache_filter;   /* slab: only caches that are marked */
	uint32_t min_order;      /* pages: only this order and above */
	uint32_t calls;          /* syscall: BHI_FAULT_MMAP, ... */
};

#define BHI_FAULT_FILTER_INIT                                               \
	{                                                                   \
		.ignore_wait = 1, .ignore_private = 1, .min_order = 1,      \
		.calls = BHI_FAULT_MMAP | BHI_FAULT_MREMAP | BHI_FAULT_BRK, \
	}

/* One request. Only .size must be set. */
struct bhi_fault_call {
	size_t size;     /* what is taken from .space */
	bool no_warn;    /* it fails without a report */
	bool is_no_task; /* neither a thread nor a task: an interrupt */
	bool is_marked;  /* the thread, or the task it is inside of */
	uint32_t *nth;   /* the thread's fail-nth; NULL: it has none */
	/* Below 100; NULL: the generator of the attributes. */
	uint32_t (*draw)(void *arg);
	/* The stack, innermost frame left out; NULL: bhi_stack_walk(). */
	unsigned (*capture)(uintptr_t *frames, unsigned most, void *arg);
	/* It is made to fail: @times as they were before. Not for .no_warn, nor with
	 * .verbose 0. */
	void (*report)(const struct bhi_fault_attr *attr,
		const struct bhi_fault_call *call, int32_t times);
	void *arg; /* for these three */
};

/* Whether the filter of @kind lets a request through to the decision. @flags and @size as
 * those of bhi_fault(). Pure. Context: signal-safe. */
bool bhi_fault_is_eligible(enum bh_fault_kind kind, const struct bhi_fault_filter *filter,
	size_t size, unsigned flags);

/* Whether the stack that @frames are allows a failure; false by the first frame in
 * .reject. Pure. Context: signal-safe. */
bool bhi_fault_stack_allows(
	const struct bhi_fault_attr *attr, const uintptr_t *frames, unsigned nr);

/* The decision, for a request that is eligible. Context: signal-safe. */
bool bhi_fault_should_fail(
	struct bhi_fault_attr *attr, const struct bhi_fault_call *call);

/*
 * What a system call that is made to fail returns, as the kernel's entry does: -ENOMEM,
 * but brk(2) has no errors: it returns the break as it was, @old_break. @call: one of
 * BHI_FAULT_MMAP, ... Context: signal-safe.
 */
intptr_t bhi_fault_syscall_result(unsigned call, uintptr_t old_break);

#endif
