/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "account/group.h"
#include "account/pressure.h"
#include "account/stock.h"
#include "base/bug.h"
#include "base/pool.h"
#include "base/sys.h"

/* How many offline groups a new one looks at in passing, so that a host that only ever
 * makes groups finds the rest swept at a bounded price each. */
#define SWEEP_BATCH 8

_Static_assert(sizeof(struct bh_group) <= 1024, "100,000 groups take at most 1 KiB each");

struct bhi_lock bhi_group_tree_lock = BHI_LOCK_INIT(BHI_RANK_TREE);
bool (*bhi_group_release_hook)(struct bh_group *group);
void (*bhi_group_offline_hook)(struct bh_group *group);

/* In the low bits of the table of ids. */
#define ID_FREE    ((uintptr_t)1)
#define ID_OFFLINE ((uintptr_t)2)
#define ID_BITS    (ID_FREE | ID_OFFLINE)

static struct bhi_pool pool = BHI_POOL_INIT(struct bh_group);

static struct {
	/* immutable after init */
	struct bh_group *root;
	/* by id, atomic: the group and ID_OFFLINE, or the next free id shifted and
	 * ID_FREE */
	uintptr_t *ids;
	/* protected by the tree lock */
	uint32_t nr_ids;  /* ids ever used */
	uint32_t free_id; /* head of the free ids; 0: none (the root has id 0) */
	uint32_t nr_groups;
	uint32_t nr_left;
	struct bhi_list left; /* offline groups, longest not looked at first */
} state;

static int take_id(struct bh_group *group) BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	if (state.free_id) {
		group->id = state.free_id;
		state.free_id = (uint32_t)(state.ids[group->id] >> 2);
	} else if (state.nr_ids < BHI_GROUP_MAX) {
		group->id = state.nr_ids++;
	} else {
		return -ENOMEM;
	}
	bhi_store_release(&state.ids[group->id], (uintptr_t)group);
	state.nr_groups++;
	return 0;
}

static void drop_id(struct bh_group *group) BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	bhi_store(&state.ids[group->id], ((uintptr_t)state.free_id << 2) | ID_FREE);
	state.free_id = group->id;
	state.nr_groups--;
}

static void group_init(struct bh_group *group, struct bh_group *parent, const char *name)
{
	bhi_counter_init(&group->counter, parent ? &parent->counter : NULL);
	group->parent = parent;
	group->depth = parent ? parent->depth + 1 : 0;
	strncpy(group->name, name, sizeof(group->name) - 1);
	group->refs = 1;
	group->on_limit = parent ? bhi_load(&parent->on_limit) : BH_FAIL;
	group->on_limit_set = parent ? bhi_load(&parent->on_limit_set) : 0;
	group->runs = UINT32_MAX;
	bhi_list_init(&group->children);
	bhi_list_init(&group->siblings);
	bhi_list_init(&group->shrinkers);
	bhi_list_init(&group->heaps);
	bhi_list_init(&group->orphans);
	bhi_lock_init(&group->owned_lock, BHI_RANK_OWNED);
	bhi_stall_clock_init(&group->stall, bhi_sys_now_ns());
}

int bhi_group_init(void)
{
	struct bh_group *root;

	state.ids = bhi_meta_map(BHI_GROUP_MAX * sizeof(*state.ids));
	if (!state.ids)
		return -ENOMEM;
	root = bhi_pool_alloc(&pool);
	if (!root) {
		bhi_meta_unmap(state.ids, BHI_GROUP_MAX * sizeof(*state.ids));
		state.ids = NULL;
		return -ENOMEM;
	}
	group_init(root, NULL, "/");
	root->counter.max = (int64_t)bhi_zone.size;
	bhi_list_init(&state.left);
	state.nr_ids = 0;
	state.nr_groups = 0;
	bhi_lock_acquire(&bhi_group_tree_lock);
	take_id(root);
	bhi_lock_release(&bhi_group_tree_lock);
	bhi_store_release(&state.root, root);
	return 0;
}

struct bh_group *bhi_group_root(void)
{
	return bhi_load_acquire(&state.root);
}

struct bh_group *bhi_group_by_id(uint32_t id)
{
	uintptr_t entry;

	if (id >= BHI_GROUP_MAX)
		return NULL;
	entry = bhi_load_acquire(&state.ids[id]);
	return entry & ID_FREE ? NULL : (struct bh_group *)(entry & ~ID_BITS);
}

/*
 * Free @group if nothing holds it any more, and then its ancestors likewise: with the
 * last of those that were left behind, an offline parent may go too.
 */
static void release_chain(struct bh_group *group) BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	while (group && group->offline && !group->nr_left && !group->refs &&
		!bhi_load_acquire(&group->counter.usage)) {
		struct bh_group *parent = group->parent;

		if (bhi_group_release_hook && !bhi_group_release_hook(group))
			return;
		bhi_list_unlink(&group->siblings);
		state.nr_left--;
		parent->nr_left--;
		drop_id(group);
		bhi_pool_free(&pool, group);
		group = parent;
	}
}

static void sweep(unsigned most) BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	for (most = bhi_min(most, state.nr_left); most && state.nr_left; most--) {
		struct bh_group *group =
			bhi_list_first(&state.left, struct bh_group, siblings);

		bhi_list_unlink(&group->siblings);
		bhi_list_append(&state.left, &group->siblings);
		release_chain(group);
	}
}

void bhi_group_sweep(void)
{
	bhi_lock_acquire(&bhi_group_tree_lock);
	sweep(state.nr_left);
	bhi_lock_release(&bhi_group_tree_lock);
}

/*
 * The uncharger subtracts and then looks at the mark; bhi_group_put() sets the mark, lets
 * all threads go (membarrier) and then looks at the usage: at least one of the two sees
 * the other.
 */
void bhi_group_release(uint32_t id)
{
	uintptr_t entry = __atomic_load_n(&state.ids[id], __ATOMIC_SEQ_CST);

	if (bhi_likely((entry & ID_BITS) != ID_OFFLINE))
		return;
	bhi_lock_acquire(&bhi_group_tree_lock);
	release_chain(bhi_group_by_id(id));
	bhi_lock_release(&bhi_group_tree_lock);
}

struct bh_group *bhi_group_new(struct bh_group *parent, const char *name)
{
	struct bh_group *group = bhi_pool_alloc(&pool);

	if (!group)
		return NULL;
	group_init(group, parent, name);
	bhi_lock_acquire(&bhi_group_tree_lock);
	sweep(SWEEP_BATCH);
	if (take_id(group)) {
		bhi_lock_release(&bhi_group_tree_lock);
		bhi_pool_free(&pool, group);
		return NULL;
	}
	parent->refs++;
	bhi_store(&parent->nr_children, parent->nr_children + 1);
	bhi_list_append(&parent->children, &group->siblings);
	bhi_lock_release(&bhi_group_tree_lock);
	return group;
}

void bhi_group_get(struct bh_group *group)
{
	bhi_lock_acquire(&bhi_group_tree_lock);
	group->refs++;
	bhi_lock_release(&bhi_group_tree_lock);
}

/*
 * The last reference is gone. Lifting the limits comes before the flag: an uncharger that
 * sees the flag may already be the last user.
 */
static void go_offline(struct bh_group *group) BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	bhi_counter_set_min(&group->counter, 0);
	bhi_counter_set_low(&group->counter, 0);
	bhi_store(&group->counter.high, BHI_COUNTER_MAX);
	bhi_store(&group->counter.max, BHI_COUNTER_MAX);
	bhi_list_unlink(&group->siblings);
	bhi_list_append(&state.left, &group->siblings);
	state.nr_left++;
	bhi_store(&group->parent->nr_children, group->parent->nr_children - 1);
	group->parent->nr_left++;
	bhi_store(&state.ids[group->id], (uintptr_t)group | ID_OFFLINE);
	bhi_store_release(&group->offline, 1);
}

/* Take an offline group out of what the threads keep. */
static void let_go(struct bh_group *group)
{
	bhi_pressure_forget(group);
	if (bhi_group_offline_hook)
		bhi_group_offline_hook(group);
	bhi_stock_drain(group);
}

void bhi_group_put(struct bh_group *group)
{
	while (group) {
		struct bh_group *parent = group->parent;

		bhi_lock_acquire(&bhi_group_tree_lock);
		BUG_ON(!group->refs);
		if (--group->refs || !parent || group->offline) {
			release_chain(group);
			bhi_lock_release(&bhi_group_tree_lock);
			return;
		}
		group->refs =
			1; /* against a sweep, until the threads have let go of it */
		go_offline(group);
		bhi_lock_release(&bhi_group_tree_lock);
		let_go(group);
		bhi_lock_acquire(&bhi_group_tree_lock);
		group->refs--;
		release_chain(group);
		bhi_lock_release(&bhi_group_tree_lock);
		group = parent;
	}
}

struct bh_group *bhi_group_online(struct bh_group *group)
{
	while (bhi_load_acquire(&group->offline))
		group = group->parent;
	return group;
}

bool bhi_group_is_within(const struct bh_group *group, const struct bh_group *ancestor)
{
	bh_assert(ancestor);
	while (group && group->depth > ancestor->depth)
		group = group->parent;
	return group == ancestor;
}

static struct bh_group *next_locked(struct bh_group *root, struct bh_group *last)
	BH_REQUIRES(bhi_group_tree_lock)
{
	bhi_assert_held(&bhi_group_tree_lock);
	if (!bhi_list_empty(&last->children))
		return bhi_list_first(&last->children, struct bh_group, siblings);
	while (last != root) {
		struct bh_group *parent = last->parent;

		if (last->siblings.next != &parent->children)
			return bhi_list_entry(
				last->siblings.next, struct bh_group, siblings);
		last = parent;
	}
	return NULL;
}

struct bh_group *bhi_group_next(struct bh_group *root, struct bh_group *last)
{
	struct bh_group *next;

	bhi_lock_acquire(&bhi_group_tree_lock);
	/* The reference keeps @last online, so its place in the tree is there. */
	next = last ? next_locked(root, last) : root;
	if (next)
		next->refs++;
	bhi_lock_release(&bhi_group_tree_lock);
	bhi_group_put(last);
	return next;
}

void bhi_group_event(struct bh_group *group, enum bhi_event event)
{
	bhi_add(&group->local_events[event], 1);
	for (; group; group = group->parent)
		bhi_add(&group->events[event], 1);
}

uint64_t bhi_group_left_behind(struct bh_group *group)
{
	int64_t sum = 0;

	bhi_lock_acquire(&bhi_group_tree_lock);
	if (group->nr_left) {
		bhi_list_for_each (node, &state.left) {
			struct bh_group *left =
				bhi_list_entry(node, struct bh_group, siblings);

			if (left->parent == group)
				sum += bhi_load(&left->counter.usage);
		}
	}
	bhi_lock_release(&bhi_group_tree_lock);
	return (uint64_t)bhi_max(sum, (int64_t)0);
}

void bhi_group_sums(
	struct bh_group *group, uint64_t *ret_external, uint64_t *ret_left_behind)
{
	int64_t external = 0, left_behind = 0;

	bhi_lock_acquire(&bhi_group_tree_lock);
	for (struct bh_group *at = group; at; at = next_locked(group, at))
		external += bhi_load(&at->external);
	bhi_list_for_each (node, &state.left) {
		const struct bh_group *left =
			bhi_list_entry(node, struct bh_group, siblings);

		/* What was left behind in its turn counts in the parent. */
		if (!left->parent->offline && bhi_group_is_within(left->parent, group))
			left_behind += bhi_load(&left->counter.usage);
	}
	bhi_lock_release(&bhi_group_tree_lock);
	*ret_external = (uint64_t)bhi_max(external, (int64_t)0);
	*ret_left_behind = (uint64_t)bhi_max(left_behind, (int64_t)0);
}

uint32_t bhi_group_nr_ids(void)
{
	bhi_assert_held(&bhi_group_tree_lock);
	return state.nr_ids;
}

uint32_t bhi_group_count(void)
{
	uint32_t nr;

	bhi_lock_acquire(&bhi_group_tree_lock);
	nr = state.nr_groups;
	bhi_lock_release(&bhi_group_tree_lock);
	return nr;
}

char *bhi_group_path(const struct bh_group *group, char *buf, size_t size)
{
	char *p = buf + size - 1;

	*p = '\0';
	for (; group->parent; group = group->parent) {
		size_t len = strlen(group->name);

		if ((size_t)(p - buf) < len + 1)
			break;
		p -= len;
		memcpy(p, group->name, len);
		*--p = '/';
	}
	if (!*p)
		*--p = '/';
	return memmove(buf, p, (size_t)(buf + size - p));
}
