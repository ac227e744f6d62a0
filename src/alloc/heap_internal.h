/* SPDX-License-Identifier: MIT */
/* What the owner's side of heaps (heap.c) and the others' (remote.c, heap_drop.c) share.
 */
#ifndef BHI_ALLOC_HEAP_INTERNAL_H
#define BHI_ALLOC_HEAP_INTERNAL_H

#include "alloc/heap.h"

static inline uint32_t bhi_remote_count(uint64_t remote)
{
	return (uint32_t)(remote >> 32);
}

/* Objects of a slab in a heap that are out, remote ones included. Exact for its owner,
 * and for a claimer if it finds that they are all remote. */
static inline uint32_t bhi_slab_nr_out(const struct bhi_slab *slab)
{
	/* pairs with the release in bhi_heap_free() */
	uint32_t needed = bhi_load_acquire(&slab->needed);

	return bhi_load(&slab->state) == BHI_SLAB_FULL ? bhi_load(&slab->nr_objects)
						       : needed;
}

extern struct bhi_slab bhi_heap_no_slab;

/* The heaps of a thread, linked by .of_thread; NULL: it has none. In the section of the
 * thread or with it claimed. Context: any, no allocation. */
struct bhi_list *bhi_heaps_of(const struct bhi_thread *thread);

/* The thread of @heap uses it no more without having looked at its group. In the section
 * or with it claimed. Context: any, no allocation. */
void bhi_heap_cool(struct bhi_heap *heap);

/* A slab comes into the heap, by its bytes. In the section. Context: any, no allocation.
 */
void bhi_heap_add_bytes(struct bhi_heap *heap, unsigned bin, size_t bytes);

/* Take a heap out of its thread and its group, for @dead. In the section of its thread
 * or with all claimed, and the owned lock held. Context: any, no allocation. */
void bhi_heap_unlink(struct bhi_heap *heap, struct bhi_list *dead);

/* Free the memory of unlinked heaps. Context: any, no allocation. */
void bhi_heaps_release(struct bhi_list *dead);

/* Take an empty slab out of its heap, for bhi_slabs_release(). In the section or with it
 * claimed. Context: any, no allocation. */
void bhi_heap_doom(struct bhi_heap *heap, struct bhi_slab *slab, struct bhi_list *doomed);

/*
 * What to do with a slab of @heap that has just become empty: kept for reuse or doomed.
 * Context: owner thread only, in its section.
 */
void bhi_heap_emptied(
	struct bhi_heap *heap, struct bhi_slab *slab, struct bhi_list *doomed);

/* A slab is kept no longer, if it was. In the section or with it claimed. Context: any.
 */
void bhi_heap_unkeep(struct bhi_heap *heap, struct bhi_slab *slab);

/* Collect, and doom all slabs in which nothing lives; whether no other is left. Context:
 * owner thread only, in its section. */
bool bhi_heap_trim(struct bhi_heap *heap, struct bhi_list *doomed);

/* Free slabs and uncharge them. Context: any; in no section. */
void bhi_slabs_release(struct bhi_list *doomed);

/* Put a slab on the heap's stack of returned ones. In a section, or with all claimed.
 * Context: any, no allocation. */
void bhi_heap_push_returned(struct bhi_heap *heap, struct bhi_slab *slab);

/* Collect what other threads freed into @heap's slabs. Context: owner thread only, in its
 * section. */
void bhi_heap_take_returned(struct bhi_heap *heap, struct bhi_list *doomed);

/* An orphan of the group with free objects, now @heap's; not on any list, not active.
 * NULL: there is none. Context: owner thread only, in its section. */
struct bhi_slab *bhi_heap_adopt(struct bhi_heap *heap, unsigned bin);

/* Make orphans of all slabs of @heap, or doom them if they are empty. With all sections
 * claimed and the owned lock held. Context: any, no allocation. */
void bhi_heap_abandon(struct bhi_heap *heap, struct bhi_list *doomed);

#endif
