/* SPDX-License-Identifier: MIT */
/*
 * Shared slabs: the first few objects of each class in a group lie in slabs that up to
 * 32 groups share, with the owner of each object noted beside. A thousand groups with
 * a few objects of many sizes each would otherwise hold a slab for each size.
 *
 * The pages of a shared slab are charged to the root alone; each object is charged, with
 * its size, to its group and the levels between.
 */
#ifndef BHI_ALLOC_SMALL_H
#define BHI_ALLOC_SMALL_H

#include "alloc/slab.h"

/*
 * A group uses shared slabs for a class until it holds so many bytes of it, or has
 * allocated twice as many objects as that (64 at least): one that allocates and frees all
 * the time is served better by a slab of its own. The root never does; its slabs are few.
 */
#define BHI_SMALL_LIMIT      4096
#define BHI_SMALL_ALLOCS_MIN 64

/* Whether the next object of the class belongs into a shared slab. Context: any. */
static inline bool bhi_small_wants(const struct bh_group *group, unsigned class_id)
{
	uint32_t most;

	if (!group->parent || class_id >= BHI_GROUP_SMALL_CLASSES)
		return false;
	most = BHI_SMALL_LIMIT / bhi_class_sizes[class_id];
	return bhi_load(&group->nr_small[class_id]) < most &&
	       bhi_load(&group->nr_small_allocs[class_id]) <
		       bhi_max(2 * most, (uint32_t)BHI_SMALL_ALLOCS_MIN);
}

/* NULL: no memory. Context: may wait, unless @flags say otherwise; in no section. */
void *bhi_small_alloc(struct bh_group *group, unsigned class_id, unsigned flags);

/* False: the object is not live. Context: any; in no section. */
bool bhi_small_free(struct bhi_slab *slab, void *object);

/* The group that owns @object, NULL if it is not live. Context: any. */
struct bh_group *bhi_small_owner(const struct bhi_slab *slab, const void *object);

/* Free all shared objects of exactly @group. Context: any; in no section. */
void bhi_small_drop(struct bh_group *group);

/* Bytes of shared objects of exactly @group, and of all shared slabs. Context: any. */
int64_t bhi_small_bytes(const struct bh_group *group);
int64_t bhi_small_slab_bytes(void);

/* 0 or -ENOMEM. Context: any; once. */
int bhi_small_init(void);

#endif
