/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: a binary buddy (Knuth, TAOCP 1, 2.5) over blocks of 4 MiB, orders 0
 * to 10, and runs of any number of pages. It knows nothing of groups: who takes pages has
 * charged them before, and who gives pages back uncharges them after.
 *
 * Free pages are dirty (perhaps resident, contents unspecified) or clean (not resident,
 * read as zero). Blocks with dirty ones are preferred; they become clean when they are
 * given back to the kernel: after the decay time, or at once when the zone is short.
 * Pages handed out plus dirty free pages never exceed the zone, so the process does not
 * either.
 *
 * Threads cache blocks of orders 0 to 4. So that no claim of a section waits for a lock
 * whose holder waits for the claim, and since memory may have to be given back to the
 * kernel first, all functions are called in no section and with no lock of the library
 * held, except for bhi_pages_put(), bhi_buddy_age() and bhi_buddy_stat(), which are
 * allowed in a section, in a claim and under locks of a rank below BHI_RANK_BUDDY.
 *
 * In a child of fork allocations return NULL and everything else does nothing.
 */
#ifndef BHI_ALLOC_BUDDY_H
#define BHI_ALLOC_BUDDY_H

#include "alloc/page.h"

struct bhi_buddy_stat {
	uint64_t taken;  /* bytes handed out, pages in thread caches included */
	uint64_t cached; /* of these: bytes in thread caches; exact while nobody uses them
			  */
	uint64_t dirty;  /* bytes free and resident */
	uint64_t clean;  /* bytes free in blocks that were opened, not resident */
	uint64_t blocks; /* 4 MiB blocks opened so far */
	uint64_t free_blocks[BHI_BLOCK_ORDER + 1]; /* free blocks of each order */
	uint64_t discards; /* calls that gave memory back to the kernel */
	uint64_t metadata; /* bytes of page structs and maps of the opened blocks */
};

/*
 * Reserve the window for a zone of @zone_size bytes (four times as much address space,
 * 1 GiB at least, 16 TiB at most) and its page table. 0 or -ENOMEM, nothing kept.
 * Context: any; once.
 */
int bhi_buddy_init(uint64_t zone_size);

/*
 * 2^@order pages aligned to their size, the first of type BHI_PAGE_TAKEN, the others
 * BHI_PAGE_UNUSED; through this thread's cache. *@ret_zeroed tells whether they read as
 * zero. NULL: no room in zone or window, or the kernel refused. Context: may wait.
 */
void *bhi_pages_alloc(unsigned order, bool *ret_zeroed);

/*
 * Give back a block of bhi_pages_alloc, whatever types its pages have by now.
 * Context: any, no allocation.
 */
void bhi_pages_free(void *pages, unsigned order);

/*
 * Exactly @nr_pages pages (1 or more; may exceed a block), aligned to 2^@align_order
 * pages (up to BHI_BLOCK_ORDER). As bhi_pages_alloc otherwise. Context: may wait.
 */
void *bhi_run_alloc(size_t nr_pages, unsigned align_order, bool *ret_zeroed);

/*
 * Give back a run. One of 64 MiB or more goes back to the kernel at once, without
 * waiting for decay. Context: may wait.
 */
void bhi_run_free(void *pages, size_t nr_pages);

/*
 * Give back a block or run past the thread's cache, without a system call; see above for
 * where. Context: any, no allocation.
 */
void bhi_pages_put(void *pages, size_t nr_pages);

/*
 * Give dirty free blocks back to the kernel: those in which nothing was taken or freed
 * since the last but one bhi_buddy_age() call, or @all, thread caches included. Returns
 * the bytes given back; blocks that become free while it works are left for the next
 * call. No lock is held over the system calls. Context: may wait.
 */
size_t bhi_buddy_purge(bool all);

/* One step of the decay clock. Context: any, no allocation. */
void bhi_buddy_age(void);

/* Context: any, no allocation. */
void bhi_buddy_stat(struct bhi_buddy_stat *ret);

/*
 * Walk everything and recount: free lists against page types, orders, alignment, buddies
 * that should have merged, dirty bits, the map of blocks, the counters of
 * bhi_buddy_stat. Returns the number of disagreements, each with one line on standard
 * error. Context: may wait.
 */
unsigned bhi_buddy_audit(void);

#endif
