/* SPDX-License-Identifier: MIT */
/*
 * Slabs: blocks of pages cut into objects of one size, each owned by one group. This file
 * is about one slab: its descriptor, its memory, its list of free objects. Which thread
 * uses which slab is heap.h.
 *
 * Descriptors live in an array of their own and are never unmapped, so an index in a page
 * struct always leads to a descriptor.
 */
#ifndef BHI_ALLOC_SLAB_H
#define BHI_ALLOC_SLAB_H

#include "account/group.h"
#include "alloc/classes.h"
#include "alloc/page.h"
#include "base/list.h"

struct bhi_heap;

enum bhi_slab_state {
	BHI_SLAB_UNUSED,  /* free descriptor */
	BHI_SLAB_ACTIVE,  /* the one a heap allocates from */
	BHI_SLAB_PARTIAL, /* in a heap, with free objects */
	BHI_SLAB_FULL,    /* in a heap, without */
	BHI_SLAB_ORPHAN,  /* its thread is gone; on the group's list */
	BHI_SLAB_SHARED,  /* of several very small groups; small.h */
	BHI_SLAB_DOOMED,  /* out of its heap, about to be freed; nothing lives */
};

/*
 * The first cache line is what allocating and freeing objects needs, the second what
 * moving and freeing slabs does: dropping a group reads nothing else of most.
 */
struct bhi_slab {
	/* the owner's: that thread only, or the lock of its state (see heap.h) */
	void *free;
	/*
	 * Frees by the owner until something must be done: the objects handed out, those
	 * that other threads gave back and the owner has not collected included; 1 for a
	 * full slab, so that its next free is noticed. Written by the owner, read by
	 * claimers.
	 */
	uint32_t needed;
	uint32_t nr_fresh;         /* objects at the end that were never handed out */
	struct bhi_thread *thread; /* atomic; bhi_thread_nobody: an orphan */
	/* immutable while the slab lives */
	uint32_t size; /* bytes from object to object */
	uint32_t link; /* where in a free object the link to the next lies */
	uint32_t nr_objects;
	/* protected by the pool's lock; shared: which groups may have objects; small.c */
	uint32_t sharers;
	/* atomic */
	uint64_t remote; /* objects freed by other threads; heap.h */
	struct bhi_slab *returned_next;
	/* immutable while the slab lives */
	struct bhi_slab_debug *debug;

	/* protected by the section of .thread, the owned lock, or the pool's lock */
	struct bhi_list node;
	/* atomic */
	struct bhi_heap *heap; /* NULL: orphan or shared */
	/* immutable while the slab lives */
	char *base;
	struct bh_group *group; /* that pays; NULL for a shared slab: the root */
	struct bh_cache *cache; /* NULL: an ordinary slab */
	uint32_t *owners; /* shared: group id of each object, BHI_NO_OWNER if free */
	uint8_t class_id;
	uint8_t order;
	uint8_t state; /* enum bhi_slab_state; written in the owner's section */
	uint8_t kept;  /* on its bin's .empty */
} BHI_ALIGNED(2 * BHI_CACHE_LINE);

_Static_assert(offsetof(struct bhi_slab, node) == BHI_CACHE_LINE &&
		       sizeof(struct bhi_slab) == 2 * BHI_CACHE_LINE,
	"each of the two cache lines holds what it should");

#define BHI_NO_OWNER UINT32_MAX

struct bhi_slabs {
	/* immutable after init */
	struct bhi_slab *array;
	/* protected by the descriptors' lock; grows only */
	uint32_t nr;
};

extern struct bhi_slabs bhi_slabs;

/* 0 or -ENOMEM. After bhi_buddy_init. Context: any; once. */
int bhi_slabs_init(void);

struct bhi_slab_spec {
	struct bh_group *group;
	struct bh_cache *cache;
	void (*ctor)(void *object);
	uint32_t size, link;
	uint8_t class_id, order;
	bool shared; /* with an owner for each object */
};

/*
 * A slab whose pages the caller has charged to spec->group. All objects are fresh, or
 * constructed and free. NULL: no memory, or a constructor for a task that is being
 * reaped. Runs the constructor. Context: may wait; in no section.
 */
struct bhi_slab *bhi_slab_new(const struct bhi_slab_spec *spec);

/* Give pages and descriptor back; uncharging is the caller's. Context: any; in no
 * section. */
void bhi_slab_free(struct bhi_slab *slab);

/*
 * The same for many, past the thread's cache: the slabs at the head of a list that is not
 * empty, up to the first of another group. They leave the list. Returns their bytes.
 * Context: any; in no section.
 */
size_t bhi_slabs_free(struct bhi_list *slabs);

/* Make some fresh objects free; false: there are none. Context: owner thread only. */
bool bhi_slab_extend(struct bhi_slab *slab);

static inline size_t bhi_slab_bytes(const struct bhi_slab *slab)
{
	return BHI_PAGE_SIZE << bhi_load(&slab->order);
}

static inline void **bhi_slab_link(const struct bhi_slab *slab, void *object)
{
	return (void **)(void *)((char *)object + slab->link);
}

/* The slab that a page belongs to. Context: signal-safe. */
static inline struct bhi_slab *bhi_slab_of(const struct bhi_page *page)
{
	return &bhi_slabs.array[page->owner];
}

/* Whether an object starts at @ptr. Context: signal-safe. */
static inline bool bhi_slab_has_object(const struct bhi_slab *slab, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - slab->base);

	return offset % slab->size == 0 && offset / slab->size < slab->nr_objects;
}

/*
 * Misuse detection of debug builds: which objects are live, and who freed the others.
 * note_free returns false, after the report, for an object that is not live. note_drop is
 * for those that go with their group.
 */
#if BH_DEBUG
/* Context: any, no allocation. */
void bhi_slab_note_alloc(struct bhi_slab *slab, const void *object);
/* Context: any, no allocation. */
bool bhi_slab_note_free(struct bhi_slab *slab, const void *object, const void *where);
/* Context: any, no allocation. */
void bhi_slab_note_drop(struct bhi_slab *slab, const void *object);
/* From where an object that is not live was freed; NULL: not known. Context: any. */
const void *bhi_slab_freed_from(struct bhi_slab *slab, const void *object);
#else
static inline void bhi_slab_note_alloc(struct bhi_slab *slab, const void *object)
{
	(void)slab, (void)object;
}
static inline void bhi_slab_note_drop(struct bhi_slab *slab, const void *object)
{
	(void)slab, (void)object;
}
static inline const void *bhi_slab_freed_from(struct bhi_slab *slab, const void *object)
{
	(void)slab, (void)object;
	return NULL;
}
static inline bool bhi_slab_note_free(
	struct bhi_slab *slab, const void *object, const void *where)
{
	(void)slab, (void)object, (void)where;
	return true;
}
#endif

#endif
