/* SPDX-License-Identifier: MIT */
/*
 * Heaps: one for each thread and group (and typed cache), with the slabs from which that
 * thread allocates for that group.
 *
 * Who may touch what:
 *
 *	fast path	owner, outside its section: .free and .needed of the slab that the
 *			object lies in, but for the free that leaves .needed at 0
 *	slow path	owner, in its section: that free, states, lists, collecting
 *	remote free	any other thread, in its own section: .remote and the heap's
 *			.returned, by compare-and-swap
 *	claimers	all sections claimed: lists, and slabs in which nothing lives any
 *			more (so that no fast path can be in them) unless they are active
 *			and the group is online; at a thread's end all slabs of it
 *	dropping	the owner, in its section, if all heaps of the group are its own
 *			and nobody else uses the group; else a claimer: everything
 *	orphans		slabs without a heap, under the group's owned lock: everything
 *
 *		fast	slow	remote	claim	orphan
 *	fast	T	T	W	E	-	T the same thread
 *	slow		T	X	S	L	W different words
 *	remote			X	S	L	X one atomic operation each
 *	claim				C	L	S sections keep claimers out
 *	orphan					L	C one claim at a time
 *						L the owned lock
 *	E: the free that leaves nothing alive is the last thing its thread does with the
 *	slab: .needed is stored with release, read by claimers with acquire. Nobody
 *	allocates for an offline group on the fast path: who takes it offline claims, and
 *	cools the heaps of the threads that used it last.
 *
 * .remote packs the objects that other threads freed: the offset of the first plus 1 (32
 * bits), and how many (32 bits). The thread that pushes the first object also tells the
 * heap, by pushing the slab on the heap's stack of returned slabs. As long as it has not,
 * nobody collects, and .needed, which counts remote objects until they are collected,
 * keeps the slab from being freed; that both happen in one section keeps the slab in its
 * heap. Invariants, as claimers see them:
 *
 *	a slab with remote objects is on its heap's stack; an orphan has none
 *	needed == 0 means nothing lives and nothing is remote
 *	.heap becomes a heap under the owned lock, and NULL under a claim (or when
 *	nothing lives): who saw a heap in a section may rely on it until the end of it
 */
#ifndef BHI_ALLOC_HEAP_H
#define BHI_ALLOC_HEAP_H

#include "alloc/slab.h"
#include "base/thread.h"

struct bhi_bin {
	struct bhi_list partial; /* first in, first out: slabs gather frees meanwhile */
	struct bhi_list empty;   /* partial ones in which nothing lives, kept for reuse */
	uint64_t bytes;          /* of all slabs of the class, for bhi_slab_order() */
	uint64_t kept;           /* of those in .empty */
};

struct bhi_heap {
	/* immutable after init */
	struct bhi_thread *thread;
	struct bh_group *group;
	struct bh_cache *cache;
	struct bhi_bin *bins;
	uint32_t nr_bins;
	/* atomic, see above */
	struct bhi_slab *returned;
	/* protected by the section of .thread */
	uint64_t used[(BHI_NR_CLASSES + 63) / 64]; /* bins that have had a slab */
	struct bhi_list full;
	struct bhi_list of_thread;
	/* protected by the group's owned lock */
	struct bhi_list of_group;
	/* this thread only, or all sections claimed and the group unused: never NULL */
	struct bhi_slab *active[];
};

/* The heap a thread used last, in front of its table. */
struct bhi_hot_heap {
	struct bh_group *group; /* atomic: BHI_NO_GROUP by those who drop it */
	struct bhi_heap *heap;
};

/* No group, and not the NULL by which callers mean the root either. */
#define BHI_NO_GROUP ((struct bh_group *)1)

extern BHI_TLS struct bhi_hot_heap bhi_hot_heap;

/* Context: any; once. */
void bhi_heaps_init(void);

/* An object of a class, charged to @group. NULL: no memory. Context: may wait, unless
 * @flags say otherwise; in no section. */
BHI_NOINLINE void *bhi_heap_alloc(
	struct bh_group *group, unsigned class_id, unsigned flags);

/* Whether this thread has a slab of the class for @group, free objects or not.
 * Context: any; in no section. */
bool bhi_heap_serves(struct bh_group *group, unsigned class_id);

/* The usual case: the group is the one this thread used last, and the slab it allocates
 * from has a free object. NULL otherwise. Context: any, no allocation. */
static inline void *bhi_heap_try_alloc(const struct bh_group *group, unsigned class_id)
{
	if (bhi_likely(bhi_load(&bhi_hot_heap.group) == group)) {
		struct bhi_slab *slab = bhi_hot_heap.heap->active[class_id];
		void *object = slab->free;

		if (bhi_likely(object)) {
			slab->free = *(void **)object;
			bhi_store(&slab->needed, slab->needed + 1);
			bhi_slab_note_alloc(slab, object);
			return object;
		}
	}
	return NULL;
}

/* The owner's free that leaves .needed at 0: all but the link is left to do. Context:
 * owner thread only. */
BHI_NOINLINE void bhi_heap_free_slow(struct bhi_slab *slab);
/* A free by another thread, or into an orphan. Context: any; in no section. */
BHI_NOINLINE void bhi_heap_free_remote(struct bhi_slab *slab, void *object);

/*
 * bhi_heap_try_alloc() for a caller who has an object of the group, but perhaps no
 * reference: NULL as well when the group is offline. Context: any, no allocation; in no
 * section.
 */
void *bhi_heap_try_alloc_pinned(struct bh_group *group, unsigned class_id);

/*
 * Free a live object of a slab in a heap or an orphan. @link: where its link goes, 0 but
 * for constructed objects. Context: any; in no section.
 */
static inline void bhi_heap_free(struct bhi_slab *slab, void *object, uint32_t link)
{
	struct bhi_thread *owner = bhi_load(&slab->thread);
	uint32_t needed;

	/* A thread that is not attached is NULL, which is no slab's owner. */
	if (bhi_unlikely(owner != bhi_thread_current)) {
		bhi_heap_free_remote(slab, object);
		return;
	}
	*(void **)(void *)((char *)object + link) = slab->free;
	slab->free = object;
	needed = slab->needed - 1;
	if (bhi_unlikely(!needed)) {
		bhi_heap_free_slow(slab);
		return;
	}
	/* pairs with bhi_slab_nr_out(): a claimer may give the pages away */
	bhi_store_release(&slab->needed, needed);
}

/* How the objects of a typed cache lie in its slabs. */
struct bhi_cache_layout {
	struct bh_cache *cache;
	void (*ctor)(void *object);
	uint32_t size, link;
};

/* An object of a typed cache. Context: as bhi_heap_alloc. */
void *bhi_heap_alloc_typed(
	const struct bhi_cache_layout *layout, struct bh_group *group, unsigned flags);

/*
 * Free all slabs of a typed cache, whoever owns them; false, and nothing freed, when
 * objects are live. Nobody else uses the cache. Context: may wait; in no section.
 */
bool bhi_heaps_drop_cache(struct bh_cache *cache);

/*
 * Give back the slabs of exactly @group in which nothing lives; of other threads' active
 * ones only if the group is offline, so that nobody allocates from them. Context: may
 * wait; in no section.
 */
void bhi_heaps_collect(struct bh_group *group);

/*
 * The same for the groups that @group was left with when they went offline (NULL: for
 * all of those). Nobody allocates for them, so if the last two objects of a slab are
 * freed by two threads at once, neither may notice; this does. Whether heaps of such
 * groups remain. Context: may wait; in no section.
 */
bool bhi_heaps_collect_left(struct bh_group *group);

/* Whether any heap keeps an empty slab for reuse. Context: any. */
bool bhi_heaps_keep_slabs(void);

/* Free all slabs of exactly @group with all that lives in them, and its heaps. Nobody
 * else uses the group. Context: may wait; in no section. */
void bhi_heaps_drop(struct bh_group *group);

/*
 * Before a group's memory is freed: free its heaps, unless it owns slabs, runs or objects
 * although nothing is charged to it. Called with the tree lock held; returns whether the
 * group may go. Context: may wait; in no section.
 */
bool bhi_heaps_forget(struct bh_group *group);

/* Objects of a slab that are live, as well as can be told while others use it. Context:
 * any. */
uint32_t bhi_slab_nr_live(const struct bhi_slab *slab);

#endif
