/* SPDX-License-Identifier: MIT */
/* The owner's side: finding a heap and a slab, allocating and freeing. */
#include "alloc/heap.h"
#include "alloc/heap_internal.h"
#include "base/failpoint.h"
#include "base/pool.h"
#include "base/testpoint.h"
#include "charge/charge.h"
#include "reclaim/background.h"

/* Heaps are looked up in a table of this many places, one for each group that hashes
 * there; a miss walks the group's heaps, which are as many as threads use the group. */
#define TABLE_SIZE 256

/* Empty slabs that a heap keeps of each class (one in any case) until the next step of
 * the decay clock or until its group is short: making and freeing them costs as much as
 * some dozen objects.
 */
#define KEEP_BYTES ((uint64_t)64 * 1024)

struct thread_heaps {
	struct bhi_list heaps;
	struct bhi_hot_heap *hot;
	struct bhi_heap *table[TABLE_SIZE];
};

/* What active[] holds where there is no slab: nothing is ever free in it. */
struct bhi_slab bhi_heap_no_slab = {.state = BHI_SLAB_ACTIVE};

BHI_TLS struct bhi_hot_heap bhi_hot_heap = {.group = BHI_NO_GROUP};

static BHI_TLS struct thread_heaps *thread_heaps;

/* atomic: empty slabs that heaps keep */
static uint64_t nr_kept;

static struct bhi_pool table_pool = BHI_POOL_INIT(struct thread_heaps);
static struct bhi_pool heap_pool = {
	.lock = BHI_LOCK_INIT(BHI_RANK_POOL),
	.size = (sizeof(struct bhi_heap) +
			BHI_NR_CLASSES *
				(sizeof(struct bhi_slab *) + sizeof(struct bhi_bin)) +
			15u) &
		~15u,
};
static struct bhi_pool typed_heap_pool = {
	.lock = BHI_LOCK_INIT(BHI_RANK_POOL),
	.size = (sizeof(struct bhi_heap) + sizeof(struct bhi_slab *) +
			sizeof(struct bhi_bin) + 15u) &
		~15u,
};

static struct bhi_heap **table_place(
	struct thread_heaps *heaps, const struct bh_group *group)
{
	return &heaps->table[group->id % TABLE_SIZE];
}

void bhi_heap_cool(struct bhi_heap *heap)
{
	struct thread_heaps *heaps = heap->thread->data[BHI_SLOT_HEAPS];

	if (heaps->hot->heap == heap)
		bhi_store(&heaps->hot->group, BHI_NO_GROUP);
}

struct bhi_list *bhi_heaps_of(const struct bhi_thread *thread)
{
	struct thread_heaps *heaps = thread->data[BHI_SLOT_HEAPS];

	return heaps ? &heaps->heaps : NULL;
}

void bhi_heap_unlink(struct bhi_heap *heap, struct bhi_list *dead)
{
	struct thread_heaps *heaps = heap->thread->data[BHI_SLOT_HEAPS];
	struct bhi_heap **place = table_place(heaps, heap->group);

	bhi_assert_held(&heap->group->owned_lock);
	bhi_list_unlink(&heap->of_thread);
	bhi_list_unlink(&heap->of_group);
	if (*place == heap)
		*place = NULL;
	bhi_heap_cool(heap);
	bhi_list_append(dead, &heap->of_thread);
}

void bhi_heaps_release(struct bhi_list *dead)
{
	while (!bhi_list_empty(dead)) {
		struct bhi_heap *heap = bhi_list_first(dead, struct bhi_heap, of_thread);

		bhi_list_unlink(&heap->of_thread);
		bhi_pool_free(heap->cache ? &typed_heap_pool : &heap_pool, heap);
	}
}

struct leaving {
	struct bhi_thread *self;
	struct bhi_list doomed, dead;
};

/* Give back the heaps in which nothing lives, and the empty slabs of the others. */
static void tidy(struct thread_heaps *heaps, struct leaving *leaving)
{
	bhi_list_for_each_safe (node, &heaps->heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_thread);
		struct bh_group *group = heap->group;

		if (!bhi_heap_trim(heap, &leaving->doomed))
			continue;
		bhi_lock_acquire(&group->owned_lock);
		bhi_heap_unlink(heap, &leaving->dead);
		bhi_lock_release(&group->owned_lock);
	}
}

static void abandon_all(struct bhi_thread *thread, void *arg)
{
	struct leaving *leaving = arg;
	struct bhi_list *heaps = bhi_heaps_of(thread);

	while (thread == leaving->self && !bhi_list_empty(heaps)) {
		struct bhi_heap *heap = bhi_list_first(heaps, struct bhi_heap, of_thread);
		struct bh_group *group = heap->group;

		bhi_lock_acquire(&group->owned_lock);
		bhi_heap_abandon(heap, &leaving->doomed);
		bhi_heap_unlink(heap, &leaving->dead);
		bhi_lock_release(&group->owned_lock);
	}
}

/*
 * Only slabs in which something lives may have freers that rely on their heap, so only
 * those are worth a claim. Others may drop heaps of this thread at any time: the list is
 * looked at in the section.
 */
static void exit_thread(struct bhi_thread *self)
{
	struct thread_heaps *heaps = thread_heaps;
	struct leaving leaving = {.self = self};
	bool clean;

	if (!heaps || !bhi_thread_enter(self))
		return;
	bhi_list_init(&leaving.doomed);
	bhi_list_init(&leaving.dead);
	tidy(heaps, &leaving);
	clean = bhi_list_empty(&heaps->heaps);
	bhi_store(&bhi_hot_heap.group, BHI_NO_GROUP);
	bhi_thread_leave(self);
	bhi_testpoint(BHI_TP_EXIT);
	if (!clean)
		bhi_threads_claim(abandon_all, &leaving);
	if (bhi_thread_enter(self)) {
		self->data[BHI_SLOT_HEAPS] = NULL;
		bhi_thread_leave(self);
	}
	thread_heaps = NULL;
	bhi_slabs_release(&leaving.doomed);
	bhi_heaps_release(&leaving.dead);
	bhi_pool_free(&table_pool, heaps);
}

static void forget_in_child(void)
{
	bhi_store(&bhi_hot_heap.group, BHI_NO_GROUP);
}

static struct bhi_thread_hook hook = {.exit = exit_thread, .fork = forget_in_child};

void bhi_heaps_init(void)
{
	bhi_thread_hook_register(&hook);
}

static struct thread_heaps *heaps_of_thread(struct bhi_thread *self)
{
	struct thread_heaps *heaps = thread_heaps;

	if (heaps)
		return heaps;
	heaps = bhi_pool_alloc(&table_pool);
	if (!heaps)
		return NULL;
	bhi_list_init(&heaps->heaps);
	heaps->hot = &bhi_hot_heap;
	if (!bhi_thread_enter(self)) {
		bhi_pool_free(&table_pool, heaps);
		return NULL;
	}
	self->data[BHI_SLOT_HEAPS] = heaps;
	bhi_thread_leave(self);
	thread_heaps = heaps;
	return heaps;
}

/* In the section. */
static struct bhi_heap *search(
	struct bhi_thread *self, struct bh_group *group, const struct bh_cache *cache)
{
	struct bhi_heap *found = NULL;

	bhi_lock_acquire(&group->owned_lock);
	bhi_list_for_each (node, &group->heaps) {
		struct bhi_heap *heap = bhi_list_entry(node, struct bhi_heap, of_group);

		if (heap->thread == self && heap->cache == cache) {
			found = heap;
			break;
		}
	}
	bhi_lock_release(&group->owned_lock);
	return found;
}

/* Use it without searching next time; in the section. Who takes the group offline later
 * claims later, and cools the heap. */
static void remember(struct thread_heaps *heaps, struct bhi_heap *heap)
{
	*table_place(heaps, heap->group) = heap;
	if (!heap->cache && !bhi_load_acquire(&heap->group->offline)) {
		bhi_hot_heap.heap = heap;
		bhi_store(&bhi_hot_heap.group, heap->group);
	}
}

static struct bhi_heap *heap_new(struct bhi_thread *self, struct thread_heaps *heaps,
	struct bh_group *group, struct bh_cache *cache)
{
	struct bhi_pool *pool = cache ? &typed_heap_pool : &heap_pool;
	struct bhi_heap *heap = bhi_pool_alloc(pool);

	if (!heap)
		return NULL;
	heap->thread = self;
	heap->group = group;
	heap->cache = cache;
	heap->nr_bins = cache ? 1 : BHI_NR_CLASSES;
	heap->bins = (struct bhi_bin *)(void *)&heap->active[heap->nr_bins];
	bhi_list_init(&heap->full);
	for (uint32_t i = 0; i < heap->nr_bins; i++) {
		heap->active[i] = &bhi_heap_no_slab;
		bhi_list_init(&heap->bins[i].partial);
		bhi_list_init(&heap->bins[i].empty);
	}
	if (!bhi_thread_enter(self)) {
		bhi_pool_free(pool, heap);
		return NULL;
	}
	bhi_list_push(&heaps->heaps, &heap->of_thread);
	bhi_lock_acquire(&group->owned_lock);
	bhi_list_push(&group->heaps, &heap->of_group);
	bhi_lock_release(&group->owned_lock);
	remember(heaps, heap);
	bhi_thread_leave(self);
	return heap;
}

/*
 * This thread's heap, made if @make; NULL: none. The table is looked at in the section:
 * what it leads to may be a heap of another group, which that group's end frees.
 */
static struct bhi_heap *find_heap(
	struct bh_group *group, struct bh_cache *cache, bool make)
{
	struct bhi_thread *self = bhi_thread_self();
	struct thread_heaps *heaps = self ? heaps_of_thread(self) : NULL;
	struct bhi_heap *heap;

	if (!heaps || !bhi_thread_enter(self))
		return NULL;
	heap = *table_place(heaps, group);
	bhi_testpoint(BHI_TP_FIND_HEAP);
	if (!heap || heap->group != group || heap->cache != cache)
		heap = search(self, group, cache);
	if (heap)
		remember(heaps, heap);
	bhi_thread_leave(self);
	return heap || !make ? heap : heap_new(self, heaps, group, cache);
}

void *bhi_heap_try_alloc_pinned(struct bh_group *group, unsigned class_id)
{
	struct bhi_thread *self = bhi_thread_current;
	void *object = NULL;

	if (!self || !bhi_thread_enter(self))
		return NULL;
	/* Inside the section: who takes it offline claims later, and finds the object. */
	if (!bhi_load_acquire(&group->offline)) {
		bhi_testpoint(BHI_TP_ALLOC_PINNED);
		object = bhi_heap_try_alloc(group, class_id);
	}
	bhi_thread_leave(self);
	return object;
}

bool bhi_heaps_keep_slabs(void)
{
	return bhi_load(&nr_kept);
}

static void set_kept(struct bhi_heap *heap, struct bhi_slab *slab, bool kept)
{
	struct bhi_bin *bin = &heap->bins[slab->class_id];
	uint64_t bytes = bhi_slab_bytes(slab);

	bhi_store(&bin->kept, kept ? bin->kept + bytes : bin->kept - bytes);
	bhi_add(&nr_kept, kept ? 1 : -(uint64_t)1);
	slab->kept = kept;
}

void bhi_heap_unkeep(struct bhi_heap *heap, struct bhi_slab *slab)
{
	if (slab->kept)
		set_kept(heap, slab, false);
}

void bhi_heap_add_bytes(struct bhi_heap *heap, unsigned bin, size_t bytes)
{
	heap->used[bin / 64] |= 1ULL << bin % 64;
	bhi_store(&heap->bins[bin].bytes, heap->bins[bin].bytes + bytes);
}

void bhi_heap_doom(struct bhi_heap *heap, struct bhi_slab *slab, struct bhi_list *doomed)
{
	struct bhi_bin *bin = &heap->bins[slab->class_id];

	if (slab->state == BHI_SLAB_ACTIVE)
		heap->active[slab->class_id] = &bhi_heap_no_slab;
	else
		bhi_list_unlink(&slab->node);
	bhi_heap_unkeep(heap, slab);
	bhi_list_append(doomed, &slab->node);
	bhi_store(&bin->bytes, bin->bytes - bhi_slab_bytes(slab));
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_DOOMED);
	/* pairs with bhi_slab_nr_live(): .needed still counts what was remote */
	bhi_store_release(&slab->remote, 0);
	bhi_store(&slab->thread, &bhi_thread_nobody);
	bhi_store(&slab->heap, NULL);
}

void bhi_heap_emptied(
	struct bhi_heap *heap, struct bhi_slab *slab, struct bhi_list *doomed)
{
	struct bhi_bin *bin = &heap->bins[slab->class_id];

	if (bhi_load(&heap->group->offline) ||
		(bin->kept && bin->kept + bhi_slab_bytes(slab) > KEEP_BYTES)) {
		bhi_heap_doom(heap, slab, doomed);
		return;
	}
	set_kept(heap, slab, true);
	bhi_list_unlink(&slab->node);
	bhi_list_push(&bin->empty, &slab->node);
}

bool bhi_heap_trim(struct bhi_heap *heap, struct bhi_list *doomed)
{
	uint64_t bytes = 0;

	bhi_heap_take_returned(heap, doomed);
	for (uint32_t i = 0; i < heap->nr_bins; i++) {
		struct bhi_slab *slab = heap->active[i];

		if (slab != &bhi_heap_no_slab && !slab->needed)
			bhi_heap_doom(heap, slab, doomed);
		while ((slab = bhi_list_first(
				&heap->bins[i].empty, struct bhi_slab, node)))
			bhi_heap_doom(heap, slab, doomed);
		bytes += heap->bins[i].bytes;
	}
	return !bytes;
}

/* The group stays until its bytes are uncharged. */
static void release_some(struct bhi_list *doomed)
{
	struct bhi_slab *first = bhi_list_first(doomed, struct bhi_slab, node);
	struct bh_group *group = first->group;
	size_t bytes = bhi_slab_bytes(first);

	if (doomed->next == doomed->prev) {
		/* What frees one slab often wants the next soon, from the page cache. */
		bhi_list_unlink(&first->node);
		bhi_slab_free(first);
	} else {
		bytes = bhi_slabs_free(doomed);
	}
	bhi_uncharge(group, (int64_t)bytes, false);
}

/* Empty slabs leave the section on a list of their own and are freed outside. */
void bhi_slabs_release(struct bhi_list *doomed)
{
	if (bhi_likely(bhi_list_empty(doomed)))
		return;
	bhi_testpoint(BHI_TP_SLAB_RELEASE);
	while (!bhi_list_empty(doomed))
		release_some(doomed);
	bhi_background_decay();
}

static void make_active(struct bhi_heap *heap, struct bhi_slab *slab)
{
	heap->active[slab->class_id] = slab;
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_ACTIVE);
}

/* The active slab goes to the full, the partial or the empty ones; in the section. */
static void retire_active(struct bhi_heap *heap, unsigned bin, struct bhi_list *doomed)
{
	struct bhi_slab *slab = heap->active[bin];

	if (slab == &bhi_heap_no_slab)
		return;
	heap->active[bin] = &bhi_heap_no_slab;
	if (!slab->free && !slab->nr_fresh) {
		bhi_store(&slab->needed, 1);
		bhi_store(&slab->state, (uint8_t)BHI_SLAB_FULL);
		bhi_list_append(&heap->full, &slab->node);
		return;
	}
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_PARTIAL);
	if (slab->needed)
		bhi_list_append(&heap->bins[bin].partial, &slab->node);
	else
		bhi_heap_emptied(heap, slab, doomed);
}

static void *take_object(struct bhi_slab *slab)
{
	void *object = slab->free;

	slab->free = *bhi_slab_link(slab, object);
	bhi_store(&slab->needed, slab->needed + 1);
	return object;
}

/* Those in which something lives come first, so that empty ones stay empty. */
static struct bhi_slab *take_partial(struct bhi_heap *heap, unsigned bin)
{
	struct bhi_slab *slab =
		bhi_list_first(&heap->bins[bin].partial, struct bhi_slab, node);

	if (!slab)
		slab = bhi_list_first(&heap->bins[bin].empty, struct bhi_slab, node);
	if (slab)
		bhi_list_unlink(&slab->node);
	if (slab)
		bhi_heap_unkeep(heap, slab);
	return slab;
}

/* An object from the slabs the heap has, or orphans; in the section. */
static void *take_from_heap(struct bhi_heap *heap, unsigned bin, struct bhi_list *doomed)
{
	bhi_heap_take_returned(heap, doomed);
	for (;;) {
		struct bhi_slab *slab = heap->active[bin];

		if (slab->free || bhi_slab_extend(slab))
			return take_object(slab);
		retire_active(heap, bin, doomed);
		slab = take_partial(heap, bin);
		if (!slab)
			slab = bhi_heap_adopt(heap, bin);
		if (!slab)
			return NULL;
		make_active(heap, slab);
	}
}

/*
 * A new slab, charged. A large one is a convenience: it is asked for without waiting, and
 * the smallest that will do is what the request's flags are for.
 */
static struct bhi_slab *new_slab(
	struct bhi_heap *heap, struct bhi_slab_spec *spec, uint64_t have, unsigned flags)
{
	unsigned least = bhi_slab_order(spec->size, 0);
	unsigned order = bhi_slab_order(spec->size, have);

	spec->group = heap->group;
	for (;;) {
		unsigned how = order > least ? (unsigned)BH_NOWAIT : flags;
		int64_t bytes = (int64_t)(BHI_PAGE_SIZE << order);
		struct bhi_slab *slab;

		if (!bhi_fault(BH_FAULT_PAGE, order, how) &&
			bhi_charge(heap->group, bytes, how, false) == 0) {
			spec->order = (uint8_t)order;
			slab = bhi_slab_new(spec);
			if (slab)
				return slab;
			bhi_uncharge(heap->group, bytes, false);
		}
		if (order == least)
			return NULL;
		order = least;
	}
}

/* The charge may have run shrinkers, and they this heap: what is active now retires. */
static void *install(struct bhi_heap *heap, unsigned bin, struct bhi_slab *slab)
{
	struct bhi_list doomed = {&doomed, &doomed};
	struct bhi_thread *self = heap->thread;
	void *object = NULL;

	if (bhi_thread_enter(self)) {
		retire_active(heap, bin, &doomed);
		bhi_store(&slab->heap, heap);
		bhi_store(&slab->thread, self);
		bhi_heap_add_bytes(heap, bin, bhi_slab_bytes(slab));
		make_active(heap, slab);
		if (slab->free || bhi_slab_extend(slab))
			object = take_object(slab);
		bhi_thread_leave(self);
	}
	bhi_slabs_release(&doomed);
	return object;
}

static void *alloc_in_heap(
	struct bhi_heap *heap, unsigned bin, struct bhi_slab_spec *spec, unsigned flags)
{
	struct bhi_list doomed = {&doomed, &doomed};
	struct bhi_slab *slab;
	uint64_t have;
	void *object;

	if (!bhi_thread_enter(heap->thread))
		return NULL;
	object = take_from_heap(heap, bin, &doomed);
	have = heap->bins[bin].bytes;
	bhi_thread_leave(heap->thread);
	bhi_slabs_release(&doomed);
	if (object)
		return object;
	slab = new_slab(heap, spec, have, flags);
	return slab ? install(heap, bin, slab) : NULL;
}

static void *note_alloc(void *object)
{
	if (BH_DEBUG && object)
		bhi_slab_note_alloc(bhi_slab_of(bhi_page_of(object)), object);
	return object;
}

bool bhi_heap_serves(struct bh_group *group, unsigned class_id)
{
	struct bhi_heap *heap = find_heap(group, NULL, false);

	return heap && bhi_load(&heap->bins[class_id].bytes);
}

void *bhi_heap_alloc(struct bh_group *group, unsigned class_id, unsigned flags)
{
	struct bhi_slab_spec spec = {
		.size = bhi_class_sizes[class_id],
		.class_id = (uint8_t)class_id,
	};
	struct bhi_heap *heap = find_heap(group, NULL, true);

	return heap ? note_alloc(alloc_in_heap(heap, class_id, &spec, flags)) : NULL;
}

void *bhi_heap_alloc_typed(
	const struct bhi_cache_layout *layout, struct bh_group *group, unsigned flags)
{
	struct bhi_slab_spec spec = {
		.cache = layout->cache,
		.ctor = layout->ctor,
		.size = layout->size,
		.link = layout->link,
	};
	struct bhi_heap *heap = find_heap(group, layout->cache, true);

	return heap ? note_alloc(alloc_in_heap(heap, 0, &spec, flags)) : NULL;
}

/* The rest of bhi_heap_free_slow(); leaves the section. */
static BHI_NOINLINE void emptied(struct bhi_heap *heap, struct bhi_slab *slab)
{
	struct bhi_list doomed = {&doomed, &doomed};

	if (slab->state == BHI_SLAB_FULL) {
		/* All objects but the one just freed are out, or remote. */
		bhi_store(&slab->needed, slab->nr_objects - 1);
		bhi_store(&slab->state, (uint8_t)BHI_SLAB_PARTIAL);
		bhi_list_unlink(&slab->node);
		bhi_list_append(&heap->bins[slab->class_id].partial, &slab->node);
	} else {
		bhi_store(&slab->needed, 0);
	}
	if (!slab->needed && !bhi_process_inert())
		bhi_heap_emptied(heap, slab, &doomed);
	bhi_thread_leave(heap->thread);
	bhi_slabs_release(&doomed);
	bhi_background_decay();
}

/*
 * All in the section: a claimer may take the slab as soon as .needed is 0. An active slab
 * that becomes empty stays, unless its group is offline: then nobody will allocate from
 * it. Who takes the group offline claims afterwards, and finds what was too early for it.
 */
void bhi_heap_free_slow(struct bhi_slab *slab)
{
	struct bhi_heap *heap = slab->heap;
	struct bhi_thread *self = heap->thread;

	bhi_testpoint(BHI_TP_FREE_LAST);
	if (!bhi_thread_enter(self))
		return;
	if (slab->state != BHI_SLAB_ACTIVE || bhi_load(&slab->group->offline)) {
		emptied(heap, slab);
		return;
	}
	bhi_store(&slab->needed, 0);
	bhi_thread_leave(self);
}
