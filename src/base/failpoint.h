/* SPDX-License-Identifier: MIT */
/*
 * Internal failure points: places where the library asks the system, or one of its own
 * lower floors, for something that can be refused. Armed, the n-th one that this process
 * passes is refused, once or from then on; that is how the failure loop runs every error
 * path. Off, a failure point is one predicted branch.
 *
 * A BH_NOFAIL request is never refused anything: refusals are there to run error paths,
 * and it has none, it would try again for ever.
 */
#ifndef BHI_BASE_FAILPOINT_H
#define BHI_BASE_FAILPOINT_H

#include "base/compiler.h"

enum bhi_failpoint_kind {
	BHI_FP_MMAP,
	BHI_FP_MPROTECT,
	BHI_FP_MADVISE,
	BHI_FP_MEMBARRIER,
	BHI_FP_OPEN,
	BHI_FP_THREAD,
	BHI_FP_TLS,    /* pthread keys */
	BHI_FP_POOL,   /* metadata objects */
	BHI_FP_CHARGE, /* a charge, after the flags were looked at */
	BHI_FP_PAGES,  /* pages from the buddy */
	BHI_FP_UFFD,   /* userfaultfd(2) and its ioctls */
	BHI_FP_SIGNAL, /* sigaction(2), sigaltstack(2) */
	BHI_FP_NR,
};

enum bhi_failpoint_mode {
	BHI_FP_ONCE,
	BHI_FP_PERSISTENT, /* the n-th and all later ones */
};

extern uint32_t bhi_failpoint_armed;

/* Nonzero: nothing is refused on this thread, nor counted. */
extern BHI_TLS unsigned bhi_failpoint_exempt;

/* Context: any, no allocation. */
bool bhi_failpoint_hit(enum bhi_failpoint_kind kind);

static inline bool bhi_failpoint(enum bhi_failpoint_kind kind)
{
	return bhi_unlikely(bhi_load(&bhi_failpoint_armed)) && bhi_failpoint_hit(kind);
}

/*
 * Refuse the @nth failure point from now (1 is the next) whose kind is in @kinds, a mask
 * of 1 << kind. Context: any.
 */
void bhi_failpoint_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds);

/* Switch off; returns how many were refused since arm. Context: any. */
unsigned bhi_failpoint_disarm(void);

#endif
