/* SPDX-License-Identifier: MIT */
/*
 * Loaded objects: which one an address is in, and its number in the shared table. The
 * answers are cached by the object's address range; the cache is filled without a lock
 * and emptied when something was unloaded.
 */
#ifndef BHI_PRELOAD_MODULE_H
#define BHI_PRELOAD_MODULE_H

#include <stdbool.h>
#include <stdint.h>

/* A copy, since the cache may be emptied meanwhile. */
struct bhi_module {
	uintptr_t start, end; /* its addresses; end is the first beyond */
	uintptr_t base;       /* what offsets count from */
	uint32_t name_hash;   /* of the base name of its file */
	uint32_t number;      /* in the shared table, or BHI_CHECK_NO_MODULE */
};

/* False when @address is in no object. Signal-safe. */
bool bhi_module_find(uintptr_t address, struct bhi_module *ret);
/* An object was unloaded: another one may take its addresses. */
void bhi_module_forget(void);

#endif
