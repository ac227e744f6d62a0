/* SPDX-License-Identifier: MIT */
/*
 * One bit a page of the window: set exactly while the page is free in the buddy and may
 * be resident. The bits tell clean from dirty however blocks are split and merged, and
 * their number is the exact term in "taken plus dirty never exceed the zone".
 */
#ifndef BHI_ALLOC_DIRTY_H
#define BHI_ALLOC_DIRTY_H

#include "base/compiler.h"

/* For @nr_pages pages of window. 0 or -ENOMEM. Context: any; once. */
int bhi_dirty_init(size_t nr_pages);

/* Context: any, no allocation. */
void bhi_dirty_fini(size_t nr_pages);

/* The buddy's lock protects the bits. Context of all: any, no allocation. */

/* How many of @nr pages from page number @first on are dirty. */
size_t bhi_dirty_count(size_t first, size_t nr);

/* The first dirty one of them, or @first when there is none. */
size_t bhi_dirty_first(size_t first, size_t nr);

void bhi_dirty_set(size_t first, size_t nr);
void bhi_dirty_clear(size_t first, size_t nr);

#endif
