/* SPDX-License-Identifier: MIT */
/*
 * Stacks of calls, and where functions and modules lie.
 *
 * A capture walks the unwind tables by _Unwind_Backtrace() of the compiler's library. It
 * allocates nothing and takes no lock that a signal handler could not have interrupted,
 * but it needs the tables: a stack ends at the first function without any. It must not be
 * asked for in the midst of loading or unloading a module.
 *
 * Names are looked up when something is set, never in a decision: that maps files and
 * waits for the loader. A module that is loaded later, or again, is not found by what was
 * set before.
 */
#ifndef BHI_DEBUG_STACK_H
#define BHI_DEBUG_STACK_H

#include "base/compiler.h"

/* As many frames as the kernel looks at. */
#define BHI_STACK_DEPTH 32

/* Addresses from .start to below .end. */
struct bhi_range {
	uintptr_t start, end;
};

/*
 * The return addresses of this thread's calls, the innermost first and the caller's own
 * frame left out: up to @most, at most BHI_STACK_DEPTH. How many. Context: signal-safe.
 */
BHI_NOINLINE unsigned bhi_stack_walk(uintptr_t *frames, unsigned most);

/*
 * Where a module that is loaded lies, by its file name without the path: "libfoo.so.1",
 * "libfoo.so" or "libfoo". -ENOENT: there is none. Context: may wait.
 */
int bhi_stack_find_module(const char *name, struct bhi_range *ret);

/*
 * Where a function lies, by its symbol, the first module that has it: in the dynamic
 * symbols, or in those of the file, if they were not stripped. -ENOENT: there is none.
 * Context: may wait.
 */
int bhi_stack_find_function(const char *name, struct bhi_range *ret);

/*
 * "libfoo.so.1+0x1234", as addr2line(1) wants it, or the bare address if no module is
 * there. Into @buf, cut to @size bytes; returns it. Context: may wait, no allocation.
 */
char *bhi_stack_describe(uintptr_t address, char *buf, size_t size);

#endif
