/* SPDX-License-Identifier: MIT */
/*
 * Failures by the settings of fault injection, as the library has them (debug/fault.h):
 * of kind slab the allocation functions, of kind syscall the calls of mmap(2), mremap(2),
 * brk(2) and sbrk(2) that the program and its libraries make; those of the C library for
 * itself are not seen. Nothing in a program waits until memory was reclaimed, so the
 * setting for that keeps nothing from failing; and all its threads are marked.
 *
 * Each process counts for itself: one that was forked goes on from where its parent was,
 * one that executed something begins anew.
 */
#ifndef BHI_PRELOAD_SETTINGS_H
#define BHI_PRELOAD_SETTINGS_H

#include <stddef.h>

#include "subject.h"

/* Once: read the settings of the shared file. When they are wrong, or a name in them is
 * not here, the first process says so there and ends; any other one is left alone. */
void bhi_settings_start(void);

/* Whether call number @call is to fail; it is recorded then. */
bool bhi_settings_fail(enum bhi_check_function function, size_t size, uint64_t call);

/* The same for system calls, which have no number yet: counts them, sets errno. */
bool bhi_settings_refuse_slow(enum bhi_check_function function, size_t size);

static inline bool bhi_settings_refuse(enum bhi_check_function function, size_t size)
{
	return bhi_load(&bhi_subject.is_on) && bhi_subject.has_settings &&
	       !bhi_thread.nesting && !bhi_thread.benign &&
	       bhi_settings_refuse_slow(function, size);
}

#endif
