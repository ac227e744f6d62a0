/* SPDX-License-Identifier: MIT */
/* Frees by other threads, and orphans. The protocol is in heap.h. */
#include "alloc/heap_internal.h"
#include "base/testpoint.h"

/* An allocation looks at so many orphans before it prefers a slab of its own. */
#define ADOPT_SEARCH 32

static void *remote_first(const struct bhi_slab *slab, uint64_t remote)
{
	uint32_t offset = (uint32_t)remote;

	return offset ? slab->base + offset - 1 : NULL;
}

/* Add an object to .remote; how many there are now. */
static uint32_t push_remote(struct bhi_slab *slab, void *object)
{
	uint64_t old = bhi_load(&slab->remote);
	uint64_t offset = (uint64_t)((char *)object - slab->base) + 1;
	uint64_t count;

	do {
		count = bhi_remote_count(old) + 1;
		*bhi_slab_link(slab, object) = remote_first(slab, old);
	} while (!bhi_compare_exchange(&slab->remote, &old, offset | count << 32));
	return (uint32_t)count;
}

void bhi_heap_push_returned(struct bhi_heap *heap, struct bhi_slab *slab)
{
	struct bhi_slab *first = bhi_load(&heap->returned);

	do {
		bhi_store(&slab->returned_next, first);
	} while (!bhi_compare_exchange(&heap->returned, &first, slab));
}

/* Move remote objects to the free list; how many. */
static uint32_t collect(struct bhi_slab *slab)
{
	uint64_t remote = bhi_exchange(&slab->remote, 0);
	void *first = remote_first(slab, remote);

	if (!first)
		return 0;
	if (slab->free) {
		void **tail = bhi_slab_link(slab, first);

		while (*tail)
			tail = bhi_slab_link(slab, *tail);
		*tail = slab->free;
	}
	slab->free = first;
	return bhi_remote_count(remote);
}

static void collect_into(
	struct bhi_heap *heap, struct bhi_slab *slab, struct bhi_list *doomed)
{
	uint32_t nr = collect(slab);

	if (slab->state == BHI_SLAB_FULL) {
		bhi_store(&slab->needed, slab->nr_objects - nr);
		bhi_store(&slab->state, (uint8_t)BHI_SLAB_PARTIAL);
		bhi_list_unlink(&slab->node);
		bhi_list_append(&heap->bins[slab->class_id].partial, &slab->node);
	} else {
		bhi_store(&slab->needed, slab->needed - nr);
	}
	if (!slab->needed && slab->state != BHI_SLAB_ACTIVE)
		bhi_heap_emptied(heap, slab, doomed);
}

void bhi_heap_take_returned(struct bhi_heap *heap, struct bhi_list *doomed)
{
	struct bhi_slab *slab, *next;

	if (!bhi_load(&heap->returned))
		return;
	for (slab = bhi_exchange(&heap->returned, NULL); slab; slab = next) {
		next = bhi_load(&slab->returned_next);
		collect_into(heap, slab, doomed);
	}
}

static void orphan_unlink(struct bh_group *group, struct bhi_slab *slab)
	BH_REQUIRES(group->owned_lock)
{
	bhi_assert_held(&group->owned_lock);
	bhi_list_unlink(&slab->node);
	bhi_store(&group->nr_orphans, group->nr_orphans - 1);
}

/* Free into an orphan. False: somebody has adopted it meanwhile. */
static bool free_into_orphan(struct bhi_slab *slab, void *object, struct bhi_list *doomed)
{
	struct bh_group *group = slab->group;
	bool orphan;

	bhi_lock_acquire(&group->owned_lock);
	orphan = !bhi_load(&slab->heap);
	if (orphan) {
		*bhi_slab_link(slab, object) = slab->free;
		slab->free = object;
		bhi_store(&slab->needed, slab->needed - 1);
		if (!slab->needed) {
			orphan_unlink(group, slab);
			bhi_list_append(doomed, &slab->node);
		}
	}
	bhi_lock_release(&group->owned_lock);
	return orphan;
}

/*
 * Free a live object, in a section. Whether the slab seems to be empty now: that it is
 * not seen to be may be because its owner frees at the same time.
 */
static bool give(struct bhi_slab *slab, void *object, struct bhi_list *doomed)
{
	struct bhi_heap *heap;
	uint32_t out, count;

	bhi_testpoint(BHI_TP_REMOTE_GIVE);
	if (!bhi_load_acquire(&slab->heap)) {
		bhi_testpoint(BHI_TP_REMOTE_ORPHAN);
		if (free_into_orphan(slab, object, doomed))
			return false;
	}
	heap = bhi_load_acquire(&slab->heap);
	out = bhi_slab_nr_out(slab);
	count = push_remote(slab, object);
	bhi_testpoint(BHI_TP_REMOTE_PUSHED);
	if (count == 1)
		bhi_heap_push_returned(heap, slab);
	return count >= out;
}

/* A section of this thread, or what does for one. False: the process is inert. */
static bool enter(struct bhi_thread *self)
{
	if (bhi_likely(self))
		return bhi_thread_enter(self);
	bhi_threads_lock();
	return true;
}

static void leave(struct bhi_thread *self)
{
	if (bhi_likely(self))
		bhi_thread_leave(self);
	else
		bhi_threads_unlock();
}

/*
 * Nobody will allocate from an offline group, so nobody would come to collect: then the
 * freer does. Whether the group is offline is looked at in the section: who takes it
 * offline later claims later, and collects this. The object pins the group only until it
 * is freed.
 */
void bhi_heap_free_remote(struct bhi_slab *slab, void *object)
{
	struct bhi_list doomed = {&doomed, &doomed};
	struct bhi_thread *self = bhi_thread_self();
	struct bh_group *group = slab->group;
	bool offline = false, empty;

	if (bhi_process_inert() || !enter(self))
		return;
	while (bhi_unlikely(!offline && bhi_load_acquire(&group->offline))) {
		leave(self);
		bhi_group_get(group);
		offline = true;
		if (!enter(self))
			return;
	}
	empty = give(slab, object, &doomed);
	leave(self);
	bhi_slabs_release(&doomed);
	if (bhi_likely(!offline))
		return;
	if (empty)
		bhi_heaps_collect(group);
	bhi_group_put(group);
}

/* One that cannot be used goes to the end, so that the next look sees others. */
static struct bhi_slab *find_orphan(struct bh_group *group, const struct bhi_heap *heap,
	unsigned bin) BH_REQUIRES(group->owned_lock)
{
	uint32_t left = bhi_min(group->nr_orphans, (uint32_t)ADOPT_SEARCH);

	bhi_assert_held(&group->owned_lock);
	while (left--) {
		struct bhi_slab *slab =
			bhi_list_first(&group->orphans, struct bhi_slab, node);

		if (slab->cache == heap->cache && slab->class_id == bin &&
			(slab->free || slab->nr_fresh))
			return slab;
		bhi_list_unlink(&slab->node);
		bhi_list_append(&group->orphans, &slab->node);
	}
	return NULL;
}

struct bhi_slab *bhi_heap_adopt(struct bhi_heap *heap, unsigned bin)
{
	struct bh_group *group = heap->group;
	struct bhi_slab *slab;

	if (!bhi_load(&group->nr_orphans))
		return NULL;
	bhi_lock_acquire(&group->owned_lock);
	slab = find_orphan(group, heap, bin);
	if (slab) {
		orphan_unlink(group, slab);
		bhi_heap_add_bytes(heap, bin, bhi_slab_bytes(slab));
		bhi_store(&slab->thread, heap->thread);
		bhi_store_release(&slab->heap, heap);
	}
	bhi_lock_release(&group->owned_lock);
	return slab;
}

static void abandon_slab(struct bh_group *group, struct bhi_slab *slab,
	struct bhi_list *doomed) BH_REQUIRES(group->owned_lock)
{
	bhi_assert_held(&group->owned_lock);
	bhi_heap_unkeep(slab->heap, slab);
	bhi_store(&slab->needed, bhi_slab_nr_out(slab) - collect(slab));
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_ORPHAN);
	bhi_store(&slab->thread, &bhi_thread_nobody);
	bhi_store(&slab->heap, NULL);
	if (!slab->needed) {
		bhi_list_append(doomed, &slab->node);
		return;
	}
	bhi_list_append(&group->orphans, &slab->node);
	bhi_store(&group->nr_orphans, group->nr_orphans + 1);
}

void bhi_heap_abandon(struct bhi_heap *heap, struct bhi_list *doomed)
{
	struct bhi_list all = {&all, &all};
	struct bh_group *group = heap->group;

	bhi_assert_held(&group->owned_lock);
	bhi_list_splice(&all, &heap->full);
	for (uint32_t i = 0; i < heap->nr_bins; i++) {
		bhi_list_splice(&all, &heap->bins[i].partial);
		bhi_list_splice(&all, &heap->bins[i].empty);
		if (heap->active[i] != &bhi_heap_no_slab)
			bhi_list_append(&all, &heap->active[i]->node);
		heap->active[i] = &bhi_heap_no_slab;
	}
	bhi_list_for_each_safe (node, &all) {
		bhi_list_unlink(node);
		abandon_slab(group, bhi_list_entry(node, struct bhi_slab, node), doomed);
	}
}

uint32_t bhi_slab_nr_live(const struct bhi_slab *slab)
{
	/* pairs with the release in bhi_heap_doom() */
	uint32_t remote = bhi_remote_count(bhi_load_acquire(&slab->remote));
	uint32_t out = bhi_slab_nr_out(slab);
	uint8_t state = bhi_load(&slab->state);

	if (state == BHI_SLAB_DOOMED || state == BHI_SLAB_UNUSED)
		return 0;
	return out > remote ? out - remote : 0;
}
