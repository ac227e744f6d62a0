/* SPDX-License-Identifier: MIT */
/* Whether this call is to fail. */
#ifndef BHI_PRELOAD_INJECT_H
#define BHI_PRELOAD_INJECT_H

#include <stddef.h>

#include "subject.h"

/* Counts the call and does what the order says about it. @caller is where the call
 * returns to. */
bool bhi_inject_slow(enum bhi_check_function function, size_t size, const void *caller);

/* What is refused is call number @call of @function, and has @stack. Once; signal-safe.
 */
struct bhi_stack;
void bhi_inject_note(const struct bhi_stack *stack, uint64_t call,
	enum bhi_check_function function, size_t size);

static inline bool bhi_inject(
	enum bhi_check_function function, size_t size, const void *caller)
{
	if (!bhi_load(&bhi_subject.is_on) || bhi_thread.nesting)
		return false;
	return bhi_inject_slow(function, size, caller);
}

#endif
