/* SPDX-License-Identifier: MIT */
/*
 * Where a failure can be injected. Whether one is, is decided on the debug floor
 * (debug/inject.h), which fills the hooks below; off, each place is one predicted branch.
 *
 * Internal failure points: places where the library asks the system, or one of its own
 * lower floors, for something that can be refused. That is how the failure loop runs
 * every error path.
 *
 * Requests: where somebody asks for memory, before anything is looked for, reclaimed or
 * charged. A request that is refused there was never made, but for its NULL.
 *
 * A BH_NOFAIL request is never refused anything: refusals are there to run error paths,
 * and it has none, it would try again for ever.
 */
#ifndef BHI_BASE_FAILPOINT_H
#define BHI_BASE_FAILPOINT_H

#include "base/compiler.h"
#include "bulkhead.h"

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

/* Among the flags of a request that a failure can be injected into. */
#define BHI_FAULT_PRIVATE   (1u << 30) /* pages: for private memory of a task */
#define BHI_FAULT_IN_MARKED (1u << 29) /* slab: from a cache that is marked */
/* syscall: which one */
#define BHI_FAULT_MMAP      (1u << 24)
#define BHI_FAULT_MREMAP    (1u << 25)
#define BHI_FAULT_BRK       (1u << 26)

struct bhi_failpoint_hooks {
	bool (*point)(enum bhi_failpoint_kind kind);
	bool (*request)(enum bh_fault_kind kind, size_t size, unsigned flags);
};

/* Atomic: how many reasons there are to ask the hooks. */
extern uint32_t bhi_failpoint_armed;

/* NULL until somebody arms for the first time. */
extern const struct bhi_failpoint_hooks *bhi_failpoint_hooks;

/* Nonzero: nothing is refused on this thread, nor counted. */
extern BHI_TLS unsigned bhi_failpoint_exempt;

/* Context: signal-safe. */
BHI_COLD bool bhi_failpoint_hit(enum bhi_failpoint_kind kind);
BHI_COLD bool bhi_fault_hit(enum bh_fault_kind kind, size_t size, unsigned flags);

static inline bool bhi_failpoint(enum bhi_failpoint_kind kind)
{
	return bhi_unlikely(bhi_load(&bhi_failpoint_armed)) && bhi_failpoint_hit(kind);
}

/*
 * Whether a request is to fail. @size: bytes, for BH_FAULT_PAGE the order. @flags: enum
 * bh_flags and the above. Context: signal-safe.
 */
static inline bool bhi_fault(enum bh_fault_kind kind, size_t size, unsigned flags)
{
	return bhi_unlikely(bhi_load(&bhi_failpoint_armed)) &&
	       bhi_fault_hit(kind, size, flags);
}

#endif
