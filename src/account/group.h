/* SPDX-License-Identifier: MIT */
/*
 * Groups: the tree, its references, events and the end of a group.
 *
 * A group is online while somebody holds a reference: the host, or an online child. Then
 * it goes offline: it leaves the tree, its limits are lifted, and what is still charged
 * to it counts for its parent alone. Its memory is freed when nothing is charged to it
 * any more. The invariant that makes lock-free uncharging safe: **a charge pins its group
 * and all its ancestors**. Stocks hold charges, so they pin too.
 */
#ifndef BHI_ACCOUNT_GROUP_H
#define BHI_ACCOUNT_GROUP_H

#include "account/counter.h"
#include "account/stall.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/thread.h"
#include "bulkhead.h"

#define BHI_GROUP_NAME_SIZE     32
#define BHI_GROUP_MAX           ((uint32_t)1 << 20)
/* Classes of small objects that a group may hold in shared slabs; alloc/classes.h. */
#define BHI_GROUP_SMALL_CLASSES 57

enum bhi_event {
	BHI_EVENT_LOW,
	BHI_EVENT_HIGH,
	BHI_EVENT_MAX,
	BHI_EVENT_OOM,
	BHI_EVENT_OOM_KILL,
	BHI_EVENT_OOM_GROUP_KILL,
	BHI_EVENT_NR,
};

struct bh_group {
	struct bhi_counter counter;
	/* immutable after init */
	struct bh_group *parent; /* NULL: the root */
	uint32_t id;
	uint32_t depth; /* of the root: 0 */
	char name[BHI_GROUP_NAME_SIZE];
	/* protected by the tree lock */
	uint32_t refs;
	uint32_t nr_children; /* online ones; read without the lock by statistics */
	struct bhi_list children;
	struct bhi_list
		siblings; /* in the parent's children, or among those left behind */
	uint32_t nr_left; /* offline children that still exist */
	/* atomic; set once under the tree lock */
	uint32_t offline;
	/* atomic, see note_holder() in stock.c: whose stock may hold something for it */
	uint32_t stocked_by;
	/* atomic */
	uint32_t on_limit;
	uint32_t on_limit_set; /* it or an ancestor's was; else the kind of memory says */
	uint32_t oom_group;
	int64_t external; /* bytes of bh_charge, but for what stocks count */
	uint64_t events[BHI_EVENT_NR], local_events[BHI_EVENT_NR];
	struct bhi_stall_clock stall;
	/* the task floor's; atomic, written under its lock: bytes that tasks here and
	 * below have charged past limits, for private and for shared memory */
	int64_t overdraft, overdraft_shared;
	/* the reclaim floor's; atomic: bytes that pagefaults want the background to
	 * reclaim, and how often it did */
	int64_t asked;
	uint32_t nr_answers;
	/* the reclaim floor's; protected by its list lock */
	struct bhi_list shrinkers;
	/* the alloc floor's; protected by .owned_lock */
	struct bhi_lock owned_lock;
	struct bhi_list heaps;   /* one a thread that allocates for the group */
	struct bhi_list orphans; /* slabs whose thread is gone */
	uint32_t runs;           /* first page number of the list of page runs */
	uint32_t nr_orphans;     /* atomic; written under the lock */
	/* the alloc floor's; atomic, by class: live objects in shared slabs, and how many
	 * were ever put there */
	uint16_t nr_small[BHI_GROUP_SMALL_CLASSES];
	uint16_t nr_small_allocs[BHI_GROUP_SMALL_CLASSES];
};

extern struct bhi_lock bhi_group_tree_lock;

/* 0 or -ENOMEM. Makes the root with the zone's size as its max. Context: any; once. */
int bhi_group_init(void);

/* Context: any. NULL before bhi_group_init. */
struct bh_group *bhi_group_root(void);

/* As the public functions of the same name, arguments checked. Context: may wait. */
struct bh_group *bhi_group_new(struct bh_group *parent, const char *name);
/* A reference to a group that is offline already only keeps its memory. Context: may
 * wait. */
void bhi_group_get(struct bh_group *group);

/* Context: may wait. */
void bhi_group_put(struct bh_group *group);

/* The group with this id, or NULL. The caller knows that it is pinned. Context: any. */
struct bh_group *bhi_group_by_id(uint32_t id);

/* Whether @group is @ancestor or below it. Context: any, no allocation. */
bool bhi_group_is_within(const struct bh_group *group, const struct bh_group *ancestor);

/*
 * Walk the online groups of @root's subtree in pre-order, @root first: pass NULL, then
 * what the last call gave. Each group is referenced until it is passed in; a walk that
 * ends early puts the last one with bhi_group_put. Context: may wait.
 */
struct bh_group *bhi_group_next(struct bh_group *root, struct bh_group *last);

/* The group whose counter this is. */
static inline struct bh_group *bhi_group_of_counter(struct bhi_counter *counter)
{
	return bhi_container_of(counter, struct bh_group, counter);
}

/*
 * Count an event: on the group itself and, hierarchically, on it and its ancestors.
 * Context: any, no allocation.
 */
void bhi_group_event(struct bh_group *group, enum bhi_event event);

/*
 * The last charge of the group with this id may have gone: free the group if it is
 * offline and holds nothing any more. The id may be another group's by now. Context: may
 * wait.
 */
void bhi_group_release(uint32_t id);

/* The same for all offline groups. Context: may wait. */
void bhi_group_sweep(void);

/* Bytes charged to offline children of @group. Context: may wait. */
uint64_t bhi_group_left_behind(struct bh_group *group);

/* Of @group and its descendants: bytes of bh_charge, but for what stocks count, and bytes
 * charged to offline groups. One look at each. Context: any, no allocation. */
void bhi_group_sums(
	struct bh_group *group, uint64_t *ret_external, uint64_t *ret_left_behind);

/* One more than the highest id ever used. Context: any; under the tree lock. */
uint32_t bhi_group_nr_ids(void) BH_REQUIRES(bhi_group_tree_lock);

/* Number of groups, offline ones included. Context: any. */
uint32_t bhi_group_count(void);

/* The group itself, or the nearest ancestor that is online. The caller knows that @group
 * is pinned. Context: any. */
struct bh_group *bhi_group_online(struct bh_group *group);

/* Called with no lock when a group has gone offline. Set at start by the alloc floor,
 * which gives back its empty slabs. */
extern void (*bhi_group_offline_hook)(struct bh_group *group);

/*
 * Called with the tree lock held when nothing is charged to a group any more, before its
 * memory is freed. False: it owns something all the same, for somebody uncharged more
 * than was charged; it stays. Set at start by the alloc floor, which drops its heaps.
 */
extern bool (*bhi_group_release_hook)(struct bh_group *group);

/* "/": the root; "/a/b". Cut at the front when it does not fit. Returns @buf.
 * Context: any. */
char *bhi_group_path(const struct bh_group *group, char *buf, size_t size);

#endif
