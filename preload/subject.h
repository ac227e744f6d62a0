/* SPDX-License-Identifier: MIT */
/*
 * This process as the subject of a run: whether it is one, where its answers go, and what
 * each thread keeps.
 *
 * The environment is read once, by the constructor or by the first call before it. A
 * process that is not followed (a child of the first one) is switched off and costs one
 * branch a call from then on. The first process takes our variables out of its own
 * environment unless children are followed, so that nothing it starts, however it starts
 * it, loads this object.
 */
#ifndef BHI_PRELOAD_SUBJECT_H
#define BHI_PRELOAD_SUBJECT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "protocol.h"

#define BHI_EXPORT __attribute__((visibility("default")))

/* Sums that are kept by thread and added up at the end; a block may be freed by another
 * thread than the one that made it, so a single one may be negative. */
struct bhi_tally {
	long blocks, bytes, locks;
} BHI_ALIGNED(BHI_CACHE_LINE);

struct bhi_subject {
	/* immutable after the start, but for .pid, which a fork changes in the child. It
	 * stays that of the parent in a child of vfork(2), which has the parent's memory
	 */
	struct bhi_check_shared *shared; /* NULL: no subject */
	pid_t pid;
	bool follows;
	bool pages;
	bool has_settings; /* those of the shared file are in force here */
	uint64_t hint;     /* the order's call, or 0 */
	/* atomic; the start sets it, a child that is not followed clears it */
	bool is_on;
};

struct bhi_thread {
	int nesting;      /* in a real allocation function: calls it makes are not ours */
	int benign;       /* in this many bulkhead_benign_begin() */
	bool is_stranger; /* .tally is shared with other threads */
	bool has_stack;   /* the alternate signal stack is ours */
	bool has_window;  /* in a call that may ask for pages, see pages.h */
	uint32_t tid;     /* for .window; 0: not known yet */
	struct bhi_check_window *window; /* NULL: its place was taken */
	void *walk_end;  /* sigjmp_buf: where a fault of the unwinder goes on; or NULL */
	uint32_t number; /* 0: the main thread, or one not started through us */
	struct bhi_tally *tally; /* NULL: not known yet */
};

extern struct bhi_subject bhi_subject;
extern BHI_TLS struct bhi_thread bhi_thread;

/* Whether the real functions are known; finds them and attaches when that is possible. */
bool bhi_subject_start(void);

/* The variables that a followed process needs, as "NAME=value"; NULL when there is no
 * subject. @i 0: the shared file; 1: LD_PRELOAD with nothing but this object. */
const char *bhi_subject_variable(int i);

/* The calling thread gets a tally of its own while there are some left. */
void bhi_tally_claim(void);
void bhi_tally_release(void);
/* The sums go to the shared file when this is the first process; once. */
void bhi_tally_report(void);

struct bhi_tally *bhi_tally_find(void);

static inline void bhi_tally_add(long *counter, long n, bool is_stranger)
{
	if (is_stranger)
		bhi_add(counter, n);
	else
		bhi_store(counter, bhi_load(counter) + n);
}

#define bhi_tally(field, n)                                                 \
	do {                                                                \
		struct bhi_tally *tally_ = bhi_thread.tally;                \
                                                                            \
		if (bhi_unlikely(!tally_))                                  \
			tally_ = bhi_tally_find();                          \
		bhi_tally_add(&tally_->field, (n), bhi_thread.is_stranger); \
	} while (0)

#endif
