/* SPDX-License-Identifier: MIT */
/*
 * Call stacks, as the protocol names them. The unwinder is that of libgcc, linked in and
 * hidden, since one that is exported would replace the process's own. It reads the
 * loader's table of objects without a lock (_dl_find_object), so capturing is safe in a
 * signal handler and while another thread loads a library, and it does not allocate.
 */
#ifndef BHI_PRELOAD_STACK_H
#define BHI_PRELOAD_STACK_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "subject.h"

struct bhi_stack {
	uint64_t hash;
	uint32_t nr;
	bool is_cut;
	bhi_check_frame frames[BHI_CHECK_MAX_DEPTH];
	uint64_t cfa[BHI_CHECK_MAX_DEPTH];
};

/*
 * Code without a description, or a stack that was overwritten, leads the unwinder to
 * addresses that are none; it reads there. Our handler calls this first: it does not
 * return when the calling thread is in a walk, which ends with the frames it has.
 */
static inline void bhi_stack_end_walk(void)
{
	if (bhi_thread.walk_end)
		siglongjmp(*(sigjmp_buf *)bhi_thread.walk_end, 1);
}

/* Once. @warm: do what the first capture does once, and read what it reads, now. */
void bhi_stack_start(bool warm);

/* Of the caller, frames of this object left out. Only the hash and .nr when @frames is
 * not wanted. Signal-safe. */
void bhi_stack_capture(struct bhi_stack *ret);

/* The same as bare addresses: up to @most, the innermost first. How many. Signal-safe. */
unsigned bhi_stack_addresses(uintptr_t *ret, unsigned most);

/* Of the code that a signal interrupted. Writes straight into @trace, one frame at a
 * time, so that what was found stays when the walk itself dies. Signal-safe. */
void bhi_stack_capture_signal(void *context, struct bhi_check_trace *trace);

/* Whether a call that returns to @address comes from there (as .caller_* of the order).
 */
bool bhi_stack_is_at(const void *address, uint32_t module_hash, uint64_t offset);

#endif
