/* SPDX-License-Identifier: MIT */
/*
 * Direct reclaim: free memory of a group and its descendants by asking their shrinkers,
 * within the groups' protection, and by giving back slabs in which nothing lives.
 *
 * Progress is counted in bytes uncharged within the target by this thread while it
 * reclaims, less what it charged there, never in objects: freeing objects that empty no
 * slab is no progress, and a loop that takes it for one would not end.
 */
#ifndef BHI_RECLAIM_RECLAIM_H
#define BHI_RECLAIM_RECLAIM_H

#include "account/group.h"

/* Linux DEF_PRIORITY and SWAP_CLUSTER_MAX. */
#define BHI_RECLAIM_PRIORITY 12
#define BHI_RECLAIM_LEAST    ((uint64_t)32 * 4096)

struct bhi_reclaim_result {
	uint64_t reclaimed;   /* bytes */
	uint64_t reclaimable; /* objects that shrinkers counted; 0: trying again is
				 hopeless */
	/* A shrinker could not get at what it has: for a moment, most likely. */
	bool was_stopped;
};

/*
 * Try to reclaim @want bytes from @target's subtree for a request with @flags. Nothing
 * happens inside a reclaim already running on this thread. Context: may wait.
 */
struct bhi_reclaim_result bhi_reclaim(
	struct bh_group *target, uint64_t want, unsigned flags);

/* Depth of this thread's BH_NORECLAIM scopes. */
extern BHI_TLS unsigned bhi_noreclaim_depth;

/* Ask the shrinkers of last resort. Returns bytes. Context: may wait. */
uint64_t bhi_reclaim_last_resort(struct bh_group *target, unsigned flags);

/* Whether this thread is inside reclaim. Context: owner thread only, signal-safe. */
static inline bool bhi_reclaim_active(void)
{
	struct bhi_thread *self = bhi_thread_current;

	return self && self->nesting;
}

/* Context: any, no allocation. */
BHI_COLD void bhi_reclaim_note_slow(const struct bh_group *group, int64_t size);

/* This thread uncharged @size bytes of @group; negative: charged, so that what a shrinker
 * takes and gives back itself is no progress. Context: any, no allocation. */
static inline void bhi_reclaim_note(const struct bh_group *group, int64_t size)
{
	if (bhi_unlikely(bhi_reclaim_active()))
		bhi_reclaim_note_slow(group, size);
}

/* The same for bytes that were not uncharged from the root. Context: any, no allocation.
 */
void bhi_reclaim_note_below_root(const struct bh_group *group, int64_t size);

/*
 * What the alloc floor does for reclaim, set at start. collect: give back the slabs of
 * exactly this group in which nothing lives. keeps: whether any are kept for reuse.
 * purge: give free pages back to the kernel, all or the old ones; returns bytes. age: one
 * step of the decay clock; whether there will be something to purge.
 */
struct bhi_reclaim_hooks {
	void (*collect)(struct bh_group *group);
	bool (*keeps)(void);
	size_t (*purge)(bool all);
	bool (*age)(void);
};

extern struct bhi_reclaim_hooks bhi_reclaim_hooks;

#endif
