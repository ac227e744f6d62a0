/* SPDX-License-Identifier: MIT */
/*
 * Injected failures in the library itself: who is asked (base/failpoint.h), by which
 * settings (fault_parse.h), with which answer (fault.h), and what is remembered of it.
 *
 * The internal failure points are one more kind with attributes of its own: the n-th
 * point that the process passes is .space, once or from then on is .times; or the n-th
 * that a thread passes is its fail-nth, which it shares with the kinds of the API.
 */
#ifndef BHI_DEBUG_INJECT_H
#define BHI_DEBUG_INJECT_H

#include "debug/fault_parse.h"
#include "task/task.h"

enum bhi_failpoint_mode {
	BHI_FP_ONCE,       /* the n-th of the process */
	BHI_FP_PERSISTENT, /* the n-th and all later ones */
	BHI_FP_NTH,        /* the n-th of this thread, requests of the API included */
};

/*
 * Refuse the @nth failure point from now (1 is the next) whose kind is in @kinds, a mask
 * of 1 << kind. Context: any.
 */
void bhi_failpoint_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds);

/* Switch off; returns how many were refused since arm, with BHI_FP_NTH to this thread.
 * Context: any. */
unsigned bhi_failpoint_disarm(void);

/* Context: any; during start only. */
void bhi_inject_init(void);

/*
 * Read @text for bhi_inject_set(). 0, or -EINVAL after one line on standard error that
 * says what is wrong with it and where; @name is whose text it is. Context: may wait.
 */
int bhi_inject_read(const char *name, const char *text, struct bhi_fault_changes *ret);

/* Make changes that were read. Context: may wait. */
void bhi_inject_set(const struct bhi_fault_changes *changes);

/* This thread's fail-nth, 0: none. It is registered (thread.h). Context: signal-safe. */
void bhi_inject_set_nth(uint32_t nth);
uint32_t bhi_inject_nth(void);

/* This thread's mark, wherever it is. */
extern BHI_TLS bool bhi_inject_marked;

/* Whether task filters let this thread through, by its mark or by that of the task it is
 * inside of. Context: signal-safe. */
bool bhi_inject_is_marked(void);

/* Context: any. */
void bhi_inject_stat(enum bh_fault_kind kind, struct bh_fault_stat *ret);

/* Records that are kept. */
#define BHI_INJECTIONS 16

/* A request that was made to fail. */
struct bhi_injection {
	uint64_t number; /* 1 is the first of this process that was to be recorded */
	uint64_t time_ns;
	enum bh_fault_kind kind;
	uint32_t thread;                /* id of it */
	char asker[BHI_TASK_NAME_SIZE]; /* "": a thread outside of tasks */
	uint64_t size;                  /* bytes, or pages */
	/* the settings, as they were before */
	uint32_t interval, probability;
	uint64_t space;
	int32_t times;
	/* innermost first, none with verbose 1 */
	unsigned nr_frames;
	uintptr_t frames[BHI_STACK_DEPTH];
};

/* The @index-th newest record, 0 the newest; false: there is none, or it is being
 * written. Context: any, no allocation. */
bool bhi_injection_read(unsigned index, struct bhi_injection *ret);

/* How many were to be recorded, whether they could or not. Context: any. */
uint64_t bhi_injections_count(void);

#endif
