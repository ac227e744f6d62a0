/* SPDX-License-Identifier: MIT */
/* Taking slabs from other threads' heaps, with all sections claimed; and dropping all of
 * a group or a cache. */
#include "alloc/heap_internal.h"

struct claim {
	struct bh_group *group;
	struct bh_cache *cache;
	struct bhi_list doomed, dead;
	bool left, live, done;
};

static void claim_init(struct claim *claim)
{
	bhi_list_init(&claim->doomed);
	bhi_list_init(&claim->dead);
}

/* Whether nothing lives in a slab of a claimed heap. */
static bool is_empty(const struct bhi_slab *slab)
{
	return bhi_slab_nr_out(slab) == bhi_remote_count(bhi_load(&slab->remote));
}

static bool may_take_active(const struct bhi_heap *heap)
{
	return heap->thread == bhi_thread_current || bhi_load(&heap->group->offline);
}

static void doom_list(
	struct bhi_heap *heap, struct bhi_list *slabs, struct bhi_list *doomed)
{
	while (!bhi_list_empty(slabs))
		bhi_heap_doom(heap, bhi_list_first(slabs, struct bhi_slab, node), doomed);
}

static void collect_heap(struct bhi_heap *heap, struct bhi_list *doomed)
{
	bool active_too = may_take_active(heap);
	struct bhi_slab *slab, *next;

	if (bhi_load(&heap->group->offline))
		bhi_heap_cool(heap);

	for (slab = bhi_exchange(&heap->returned, NULL); slab; slab = next) {
		next = bhi_load(&slab->returned_next);
		if ((slab->state != BHI_SLAB_ACTIVE || active_too) && is_empty(slab))
			bhi_heap_doom(heap, slab, doomed);
		else
			bhi_heap_push_returned(heap, slab);
	}
	for (uint32_t i = 0; i < heap->nr_bins; i++)
		doom_list(heap, &heap->bins[i].empty, doomed);
	for (uint32_t i = 0; active_too && i < heap->nr_bins; i++) {
		slab = heap->active[i];
		if (slab != &bhi_heap_no_slab && is_empty(slab))
			bhi_heap_doom(heap, slab, doomed);
	}
}

static void collect_thread(struct bhi_thread *thread, void *arg)
{
	struct claim *claim = arg;

	bhi_lock_acquire(&claim->group->owned_lock);
	bhi_list_for_each (node, &claim->group->heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_group);

		if (heap->thread == thread)
			collect_heap(heap, &claim->doomed);
	}
	bhi_lock_release(&claim->group->owned_lock);
}

static bool keeps_slabs(const struct bhi_heap *heap)
{
	for (uint32_t i = 0; i < heap->nr_bins; i++) {
		if (bhi_load(&heap->bins[i].kept))
			return true;
	}
	return false;
}

/* A claim costs every running thread an interrupt: not for nothing. */
static bool is_worth_collecting(struct bh_group *group)
{
	bool worth = false;

	bhi_lock_acquire(&group->owned_lock);
	bhi_list_for_each (node, &group->heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_group);

		worth |= bhi_load(&heap->returned) || may_take_active(heap) ||
			 keeps_slabs(heap);
	}
	bhi_lock_release(&group->owned_lock);
	return worth;
}

void bhi_heaps_collect(struct bh_group *group)
{
	struct claim claim = {.group = group};

	claim_init(&claim);
	if (!is_worth_collecting(group))
		return;
	bhi_threads_claim(collect_thread, &claim);
	bhi_slabs_release(&claim.doomed);
}

static bool has_slabs(const struct bhi_heap *heap)
{
	for (uint32_t i = 0; i < heap->nr_bins; i++) {
		if (bhi_load(&heap->bins[i].bytes))
			return true;
	}
	return false;
}

static void collect_left(struct bhi_thread *thread, void *arg)
{
	struct claim *claim = arg;
	struct bhi_list *heaps = bhi_heaps_of(thread);

	if (!heaps)
		return;
	bhi_list_for_each (node, heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_thread);
		struct bh_group *group = heap->group;

		if (!bhi_load_acquire(&group->offline) ||
			(claim->group && bhi_group_online(group) != claim->group))
			continue;
		collect_heap(heap, &claim->doomed);
		claim->left |= has_slabs(heap);
	}
}

bool bhi_heaps_collect_left(struct bh_group *group)
{
	struct claim claim = {.group = group};

	claim_init(&claim);
	bhi_threads_claim(collect_left, &claim);
	bhi_slabs_release(&claim.doomed);
	return claim.left;
}

/*
 * What is left of bhi_heap_doom() when the heap goes as well: nobody frees into the slabs
 * or asks the heap what it has. The page structs are wanted soon; and slabs that were
 * made one after the other have descriptors side by side, mostly.
 */
static void drop_slab(struct bhi_slab *slab)
{
	__builtin_prefetch(&slab[1].node, 1);
	__builtin_prefetch(&slab[-1].node, 1);
	__builtin_prefetch(bhi_page_of(slab->base), 1);
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_DOOMED);
	bhi_store(&slab->heap, NULL);
}

/* From both ends at once: the slabs were not used for a while, and where the next one is
 * stands in each. */
static void drop_list(struct bhi_list *slabs, struct bhi_list *doomed)
{
	struct bhi_list *head = slabs->next, *tail = slabs->prev;

	while (head != slabs) {
		drop_slab(bhi_list_entry(head, struct bhi_slab, node));
		drop_slab(bhi_list_entry(tail, struct bhi_slab, node));
		if (head == tail || head->next == tail)
			break;
		head = head->next;
		tail = tail->prev;
	}
	bhi_list_splice(doomed, slabs);
}

static void drop_bin(struct bhi_heap *heap, unsigned i, struct bhi_list *doomed)
{
	struct bhi_bin *bin = &heap->bins[i];

	if (heap->active[i] != &bhi_heap_no_slab) {
		drop_slab(heap->active[i]);
		bhi_list_append(doomed, &heap->active[i]->node);
	}
	drop_list(&bin->partial, doomed);
	/* These are counted. */
	doom_list(heap, &bin->empty, doomed);
}

static void prefetch_bin(struct bhi_heap *heap, unsigned i, struct bhi_list *unused)
{
	(void)unused;
	__builtin_prefetch(&heap->active[i]->node, 1);
	__builtin_prefetch(&heap->bins[i]);
}

static void for_each_used(struct bhi_heap *heap,
	void (*fn)(struct bhi_heap *heap, unsigned bin, struct bhi_list *doomed),
	struct bhi_list *doomed)
{
	for (unsigned i = 0; i < bhi_array_size(heap->used); i++) {
		for (uint64_t left = heap->used[i]; left; left &= left - 1)
			fn(heap, 64 * i + (unsigned)__builtin_ctzll(left), doomed);
	}
}

static void drop_heap(struct bhi_heap *heap, struct claim *claim)
{
	bhi_assert_held(&heap->group->owned_lock);
	for_each_used(heap, prefetch_bin, NULL);
	drop_list(&heap->full, &claim->doomed);
	for_each_used(heap, drop_bin, &claim->doomed);
	bhi_heap_unlink(heap, &claim->dead);
}

static void drop_thread(struct bhi_thread *thread, void *arg)
{
	struct claim *claim = arg;

	bhi_lock_acquire(&claim->group->owned_lock);
	bhi_list_for_each_safe (node, &claim->group->heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_group);

		if (heap->thread == thread)
			drop_heap(heap, claim);
	}
	bhi_lock_release(&claim->group->owned_lock);
}

static void drop_orphans(struct claim *claim)
{
	struct bh_group *group = claim->group;

	bhi_lock_acquire(&group->owned_lock);
	bhi_list_splice(&claim->doomed, &group->orphans);
	bhi_store(&group->nr_orphans, 0);
	bhi_lock_release(&group->owned_lock);
}

/* Whether the group has heaps, and *@ret_others whether other threads have some. */
static bool has_heaps(struct bh_group *group, bool *ret_others)
{
	bool has, others = false;

	bhi_lock_acquire(&group->owned_lock);
	has = !bhi_list_empty(&group->heaps);
	bhi_list_for_each (node, &group->heaps)
		others |= bhi_list_entry(node, struct bhi_heap, of_group)->thread !=
			  bhi_thread_current;
	bhi_lock_release(&group->owned_lock);
	*ret_others = others;
	return has;
}

/* Since nobody else uses the group, this thread's section is enough for its own heaps,
 * and other threads come by none meanwhile. */
static void drop_own(struct claim *claim)
{
	struct bhi_thread *self = bhi_thread_current;

	if (!bhi_thread_enter(self))
		return;
	drop_thread(self, claim);
	bhi_thread_leave(self);
}

void bhi_heaps_drop(struct bh_group *group)
{
	struct claim claim = {.group = group};
	bool others;

	claim_init(&claim);
	if (has_heaps(group, &others)) {
		if (others)
			bhi_threads_claim(drop_thread, &claim);
		else
			drop_own(&claim);
	}
	drop_orphans(&claim);
	bhi_slabs_release(&claim.doomed);
	bhi_heaps_release(&claim.dead);
}

static bool owns_slabs(struct bh_group *group)
{
	bool owns;

	bhi_lock_acquire(&group->owned_lock);
	owns = !bhi_list_empty(&group->orphans) || group->runs != BHI_NO_PAGE;
	bhi_list_for_each (node, &group->heaps)
		owns |= has_slabs(bhi_list_entry(node, struct bhi_heap, of_group));
	bhi_lock_release(&group->owned_lock);
	return owns;
}

bool bhi_heaps_forget(struct bh_group *group)
{
	for (unsigned i = 0; i < BHI_GROUP_SMALL_CLASSES; i++) {
		if (bhi_load(&group->nr_small[i]))
			return false;
	}
	if (owns_slabs(group))
		return false;
	bhi_heaps_drop(group);
	return true;
}

static bool has_live(const struct bh_cache *cache)
{
	uint32_t nr = bhi_load(&bhi_slabs.nr);

	for (uint32_t i = 0; i < nr; i++) {
		const struct bhi_slab *slab = &bhi_slabs.array[i];

		if (bhi_load(&slab->cache) == cache && bhi_slab_nr_live(slab))
			return true;
	}
	return false;
}

static void drop_cache_heaps(struct bhi_list *heaps, struct claim *claim)
{
	bhi_list_for_each_safe (node, heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_thread);
		struct bh_group *group = heap->group;

		if (heap->cache != claim->cache)
			continue;
		bhi_lock_acquire(&group->owned_lock);
		drop_heap(heap, claim);
		bhi_lock_release(&group->owned_lock);
	}
}

/*
 * Every call has all threads claimed; the first looks whether the cache may go. Then
 * there are no orphans of it, for those go with their last object. The heaps go too:
 * another cache may come to lie where this one was.
 */
static void drop_cache(struct bhi_thread *thread, void *arg)
{
	struct claim *claim = arg;
	struct bhi_list *heaps = bhi_heaps_of(thread);

	if (!claim->done)
		claim->live = has_live(claim->cache);
	claim->done = true;
	if (heaps && !claim->live)
		drop_cache_heaps(heaps, claim);
}

bool bhi_heaps_drop_cache(struct bh_cache *cache)
{
	struct claim claim = {.cache = cache};

	claim_init(&claim);
	bhi_threads_claim(drop_cache, &claim);
	/* Not a single thread is registered: what lives, lives in orphans. */
	if (!claim.done)
		claim.live = has_live(cache);
	bhi_slabs_release(&claim.doomed);
	bhi_heaps_release(&claim.dead);
	return !claim.live;
}
