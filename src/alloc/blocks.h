/* SPDX-License-Identifier: MIT */
/*
 * The map of 4 MiB blocks of the window. A block is
 *
 *	closed	  never committed, reads and writes trap;
 *	reserved  being committed by one thread, which alone may settle it;
 *	free	  open and wholly free: one free block of order 10 in the buddy;
 *	used	  open, at least one page handed out or isolated.
 *
 * Closed and free blocks are "idle": runs above 4 MiB are cut from neighbouring idle
 * blocks. Opening a block is a system call, so no lock is held over it: reserve under
 * the lock, commit without it, settle under it again. Blocks are never closed again.
 */
#ifndef BHI_ALLOC_BLOCKS_H
#define BHI_ALLOC_BLOCKS_H

#include "alloc/page.h"
#include "base/lock.h"

#define BHI_NO_BLOCK SIZE_MAX

/* For a window of @nr_blocks. 0 or -ENOMEM. Context: any; once. */
int bhi_blocks_init(size_t nr_blocks);

/* Context: any, no allocation. */
void bhi_blocks_fini(size_t nr_blocks);

/* The buddy's lock protects all of these but bhi_blocks_commit().
 * Context, where nothing else is said: any, no allocation. */

/* The lowest @nr neighbouring idle blocks, or BHI_NO_BLOCK. */
size_t bhi_blocks_find(size_t nr);

/* Reserve the closed ones of @nr idle blocks; returns how many those were. */
size_t bhi_blocks_reserve(size_t first, size_t nr);

/*
 * Make the reserved ones of these blocks usable, and their page structs; the others are
 * open already and do not change. 0 or -ENOMEM. Context: may wait; no lock held.
 */
int bhi_blocks_commit(size_t first, size_t nr);

/* The reserved block is free now, or closed again when not @committed. */
void bhi_block_settle(size_t block, bool committed);

/* From free to used and back. */
void bhi_block_set_used(size_t block, bool used);

bool bhi_block_is_open(size_t block);
bool bhi_block_is_reserved(size_t block);
bool bhi_block_is_idle(size_t block);

/* How many were opened so far; no block at or after bhi_blocks_end() ever was. */
size_t bhi_blocks_open(void);
size_t bhi_blocks_end(void);

#endif
