/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers: the registry and one call of one shrinker, after Linux mm/shrinker.c.
 *
 * A walker holds a use count on the shrinker whose code it runs and no lock. Unregister
 * marks the shrinker dying, which new walkers skip, and waits for the count to fall to
 * zero; the shrinker stays on the list until then, so walkers find their place again.
 */
#ifndef BHI_RECLAIM_SHRINKER_H
#define BHI_RECLAIM_SHRINKER_H

#include "account/group.h"

/* The share of a group that nothing protects. */
#define BHI_SHRINK_ALL 1024u

/* What one pass over shrinkers is about and what came of it. */
struct bhi_shrink_pass {
	struct bh_group *group; /* handed to count() and scan() */
	unsigned flags;         /* of the request */
	int priority;           /* 12: a 4096th of each cache; 0: all of it */
	bool last_resort; /* only BH_SHRINKER_LAST_RESORT ones, else only the others */
	unsigned share;   /* of the group, not protected; of BHI_SHRINK_ALL */
	/* out */
	uint64_t freed;       /* objects */
	uint64_t reclaimable; /* objects counted */
	bool was_stopped;     /* some shrinker said BH_SHRINK_STOP */
};

/*
 * Run the shrinkers of pass->group itself (@global false) or those of no group (true).
 * Context: may wait.
 */
void bhi_shrink(struct bhi_shrink_pass *pass, bool global);

/* As the public functions, arguments checked. Context: may wait. */
int bhi_shrinker_register(struct bh_shrinker *shrinker);
int bhi_shrinker_unregister(struct bh_shrinker *shrinker);

struct bhi_shrinker_info {
	char name[BHI_GROUP_NAME_SIZE]; /* cut when longer */
	uint32_t group_id;              /* the root's for a global one */
	bool global;
	uint64_t nr_calls, nr_freed, nr_deferred;
};

/* Copy what is known of the @index-th shrinker. False: there are fewer. Context: may
 * wait. */
bool bhi_shrinker_info(unsigned index, struct bhi_shrinker_info *ret);

/*
 * How many objects to scan for: pure. delta = (freeable >> priority) * 4 / seeks, half of
 * the cache for seeks 0, plus what was deferred, at most twice the cache. Context:
 * signal-safe.
 */
uint64_t bhi_shrink_target(
	uint64_t freeable, uint64_t deferred, int priority, unsigned seeks);

#endif
