/* SPDX-License-Identifier: MIT */
/*
 * A pool serves 32 groups with neighbouring ids. Its lock covers its slabs and the
 * objects in them; no charge is made and no page is taken or given under it.
 *
 * Why 32: a hundred thousand groups with one object of 64 bytes take 890 bytes each, with
 * pools of eight it is 1490. And a word has a bit for each.
 *
 * slab->sharers says where bh_group_drop need not look for a group's objects:
 *
 *	the bit of a group is clear		it has none in the slab
 *	no other group's bit is set		all live objects are the group's
 *
 * A bit is set with the first object and cleared by the drop alone, not by the last free:
 * where it is set there need not be any.
 */
#include <errno.h>

#include "alloc/small.h"
#include "base/failpoint.h"
#include "base/pool.h"
#include "charge/charge.h"
#include "reclaim/background.h"
#include "reclaim/reclaim.h"

#define GROUPS_PER_POOL 32
#define NR_POOLS        (BHI_GROUP_MAX / GROUPS_PER_POOL)

_Static_assert(GROUPS_PER_POOL <= 32, "slab->sharers has 32 bits");

struct small_bin {
	struct bhi_list partial, full;
};

struct small_pool {
	/* immutable after init */
	struct bhi_lock lock;
	/* protected by .lock */
	struct small_bin bins[BHI_GROUP_SMALL_CLASSES];
};

static struct {
	/* immutable after init; entries set once, by compare-and-swap */
	struct small_pool **pools;
	/* atomic */
	int64_t slab_bytes;
} state;

static struct bhi_pool pool_pool = BHI_POOL_INIT(struct small_pool);

int bhi_small_init(void)
{
	state.pools = bhi_meta_map(NR_POOLS * sizeof(*state.pools));
	return state.pools ? 0 : -ENOMEM;
}

static struct small_pool *pool_of(const struct bh_group *group)
{
	struct small_pool **place = &state.pools[group->id / GROUPS_PER_POOL];
	struct small_pool *pool = bhi_load_acquire(place), *none = NULL;

	if (pool)
		return pool;
	pool = bhi_pool_alloc(&pool_pool);
	if (!pool)
		return NULL;
	bhi_lock_init(&pool->lock, BHI_RANK_SMALL);
	for (unsigned i = 0; i < BHI_GROUP_SMALL_CLASSES; i++) {
		bhi_list_init(&pool->bins[i].partial);
		bhi_list_init(&pool->bins[i].full);
	}
	if (bhi_compare_exchange(place, &none, pool))
		return pool;
	bhi_pool_free(&pool_pool, pool);
	return bhi_load_acquire(place);
}

static int charge_object(struct bh_group *group, int64_t size, unsigned flags)
{
	int r;

	if (bhi_counter_try_charge_below_root(&group->counter, size)) {
		bhi_reclaim_note_below_root(group, -size);
		return 0;
	}
	/* Over a limit: by the rules, which also charge the root; its part goes back. */
	r = bhi_charge(group, size, flags, false);
	if (!r) {
		bhi_reclaim_note(bhi_group_root(), size);
		bhi_counter_uncharge(&bhi_group_root()->counter, size);
	}
	return r;
}

static void uncharge_object(struct bh_group *group, int64_t size)
{
	uint32_t id = group->id;

	bhi_reclaim_note_below_root(group, size);
	bhi_counter_uncharge_below_root(&group->counter, size);
	bhi_group_release(id);
}

static uint32_t object_index(const struct bhi_slab *slab, const void *object)
{
	return (uint32_t)((size_t)((const char *)object - slab->base) / slab->size);
}

static uint32_t sharer_bit(uint32_t owner)
{
	return 1u << owner % GROUPS_PER_POOL;
}

/* Take an object from the pool's slabs; NULL: they are full. */
static void *take(struct small_pool *pool, unsigned class_id, uint32_t owner)
	BH_REQUIRES(pool->lock)
{
	struct small_bin *bin = &pool->bins[class_id];
	struct bhi_slab *slab = bhi_list_first(&bin->partial, struct bhi_slab, node);
	void *object;

	bhi_assert_held(&pool->lock);
	if (!slab)
		return NULL;
	if (!slab->free)
		bhi_slab_extend(slab);
	object = slab->free;
	slab->free = *bhi_slab_link(slab, object);
	bhi_store(&slab->needed, slab->needed + 1);
	bhi_store(&slab->owners[object_index(slab, object)], owner);
	slab->sharers |= sharer_bit(owner);
	if (!slab->free && !slab->nr_fresh) {
		/* Groups that came first mostly go first: theirs are found at once. */
		bhi_list_unlink(&slab->node);
		bhi_list_append(&bin->full, &slab->node);
	}
	return object;
}

static void *take_for(struct small_pool *pool, struct bh_group *group, unsigned class_id)
{
	void *object;

	bhi_lock_acquire(&pool->lock);
	object = take(pool, class_id, group->id);
	bhi_lock_release(&pool->lock);
	return object;
}

static bool grow(struct small_pool *pool, unsigned class_id, unsigned flags)
{
	struct bhi_slab_spec spec = {
		.size = bhi_class_sizes[class_id],
		.class_id = (uint8_t)class_id,
		.order = (uint8_t)bhi_slab_order(bhi_class_sizes[class_id], 0),
		.shared = true,
	};
	int64_t bytes = (int64_t)(BHI_PAGE_SIZE << spec.order);
	struct bhi_slab *slab;

	if (bhi_fault(BH_FAULT_PAGE, spec.order, flags) ||
		bhi_charge(bhi_group_root(), bytes, flags, false))
		return false;
	slab = bhi_slab_new(&spec);
	if (!slab) {
		bhi_uncharge(bhi_group_root(), bytes, false);
		return false;
	}
	bhi_add(&state.slab_bytes, bytes);
	bhi_lock_acquire(&pool->lock);
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_SHARED);
	bhi_list_push(&pool->bins[class_id].partial, &slab->node);
	bhi_lock_release(&pool->lock);
	return true;
}

void *bhi_small_alloc(struct bh_group *group, unsigned class_id, unsigned flags)
{
	struct small_pool *pool = pool_of(group);
	int64_t size = bhi_class_sizes[class_id];
	void *object = NULL;

	if (!pool || charge_object(group, size, flags))
		return NULL;
	do
		object = take_for(pool, group, class_id);
	while (!object && grow(pool, class_id, flags));
	if (object) {
		bhi_add(&group->nr_small[class_id], 1);
		bhi_add(&group->nr_small_allocs[class_id], 1);
		bhi_slab_note_alloc(bhi_slab_of(bhi_page_of(object)), object);
	} else {
		uncharge_object(group, size);
	}
	return object;
}

/* Free one object; an empty slab goes to @doomed. */
static void give(struct small_pool *pool, struct bhi_slab *slab, uint32_t index,
	struct bhi_list *doomed) BH_REQUIRES(pool->lock)
{
	void *object = slab->base + (size_t)index * slab->size;
	bool was_full = !slab->free && !slab->nr_fresh;

	bhi_assert_held(&pool->lock);
	*bhi_slab_link(slab, object) = slab->free;
	slab->free = object;
	bhi_store(&slab->needed, slab->needed - 1);
	bhi_store(&slab->owners[index], BHI_NO_OWNER);
	if (was_full || !slab->needed)
		bhi_list_unlink(&slab->node);
	if (!slab->needed)
		bhi_list_append(doomed, &slab->node);
	else if (was_full)
		bhi_list_append(&pool->bins[slab->class_id].partial, &slab->node);
}

static void release(struct bhi_list *doomed)
{
	struct bhi_slab *slab = bhi_list_first(doomed, struct bhi_slab, node);
	int64_t bytes;

	if (!slab)
		return;
	if (doomed->next == doomed->prev) {
		bytes = (int64_t)bhi_slab_bytes(slab);
		bhi_slab_free(slab);
	} else {
		bytes = (int64_t)bhi_slabs_free(doomed);
	}
	bhi_sub(&state.slab_bytes, bytes);
	bhi_uncharge(bhi_group_root(), bytes, false);
	bhi_background_decay();
}

struct bh_group *bhi_small_owner(const struct bhi_slab *slab, const void *object)
{
	uint32_t owner = bhi_load(&slab->owners[object_index(slab, object)]);

	return owner == BHI_NO_OWNER ? NULL : bhi_group_by_id(owner);
}

bool bhi_small_free(struct bhi_slab *slab, void *object)
{
	struct bh_group *group = bhi_small_owner(slab, object);
	struct bhi_list doomed = {&doomed, &doomed};
	uint32_t index = object_index(slab, object);
	unsigned class_id = slab->class_id;
	struct small_pool *pool;
	bool live;

	if (!group)
		return false;
	pool = pool_of(group);
	bhi_lock_acquire(&pool->lock);
	live = bhi_load(&slab->state) == BHI_SLAB_SHARED &&
	       bhi_load(&slab->owners[index]) == group->id;
	if (live)
		give(pool, slab, index, &doomed);
	bhi_lock_release(&pool->lock);
	if (!live)
		return false;
	bhi_sub(&group->nr_small[class_id], 1);
	uncharge_object(group, bhi_class_sizes[class_id]);
	release(&doomed);
	return true;
}

/* What bh_group_drop looks for, under the lock. */
struct search {
	struct small_pool *pool;
	uint32_t owner;
	uint32_t nr, nr_found; /* objects of the group in the class */
	struct bhi_list doomed;
};

static void note_drops(struct bhi_slab *slab, uint32_t owner)
{
	for (uint32_t i = 0; BH_DEBUG && i < slab->nr_objects; i++) {
		if (bhi_load(&slab->owners[i]) == owner)
			bhi_slab_note_drop(slab, slab->base + (size_t)i * slab->size);
	}
}

/* All that lives in the slab is the group's: neither objects nor owners are touched. */
static void drop_slab(struct search *search, struct bhi_slab *slab)
	BH_REQUIRES(search->pool->lock)
{
	bhi_assert_held(&search->pool->lock);
	search->nr_found += slab->needed;
	bhi_store(&slab->needed, 0);
	/* for bhi_small_free(): the owners say what they said */
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_DOOMED);
	bhi_list_unlink(&slab->node);
	bhi_list_append(&search->doomed, &slab->node);
}

static void drop_objects(struct search *search, struct bhi_slab *slab)
	BH_REQUIRES(search->pool->lock)
{
	uint32_t nr_objects = slab->nr_objects;

	bhi_assert_held(&search->pool->lock);
	for (uint32_t i = 0; i < nr_objects && search->nr_found < search->nr; i++) {
		if (bhi_load(&slab->owners[i]) == search->owner) {
			give(search->pool, slab, i, &search->doomed);
			search->nr_found++;
		}
	}
	slab->sharers &= ~sharer_bit(search->owner);
}

static void drop_in_list(struct search *search, struct bhi_list *slabs)
	BH_REQUIRES(search->pool->lock)
{
	uint32_t bit = sharer_bit(search->owner);

	bhi_assert_held(&search->pool->lock);
	bhi_list_for_each_safe (node, slabs) {
		struct bhi_slab *slab = bhi_list_entry(node, struct bhi_slab, node);

		if (search->nr_found >= search->nr)
			break;
		if (!(slab->sharers & bit))
			continue;
		note_drops(slab, search->owner);
		if (slab->sharers == bit)
			drop_slab(search, slab);
		else
			drop_objects(search, slab);
	}
}

/* Returns bytes. The partial slabs first: full ones become partial as they are dropped
 * from. */
static int64_t drop_class(struct search *search, struct bh_group *group, unsigned i)
{
	struct small_bin *bin = &search->pool->bins[i];

	search->nr = bhi_load(&group->nr_small[i]);
	search->nr_found = 0;
	bhi_lock_acquire(&search->pool->lock);
	drop_in_list(search, &bin->partial);
	drop_in_list(search, &bin->full);
	bhi_lock_release(&search->pool->lock);
	bhi_sub(&group->nr_small[i], (uint16_t)search->nr_found);
	return (int64_t)search->nr_found * bhi_class_sizes[i];
}

void bhi_small_drop(struct bh_group *group)
{
	struct search search = {.owner = group->id};
	int64_t bytes = 0;

	bhi_list_init(&search.doomed);
	for (unsigned i = 0; i < BHI_GROUP_SMALL_CLASSES; i++) {
		if (!bhi_load(&group->nr_small[i]))
			continue;
		if (!search.pool)
			search.pool = pool_of(group);
		bytes += drop_class(&search, group, i);
	}
	if (bytes)
		uncharge_object(group, bytes);
	release(&search.doomed);
}

int64_t bhi_small_bytes(const struct bh_group *group)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < BHI_GROUP_SMALL_CLASSES; i++)
		sum += (int64_t)bhi_load(&group->nr_small[i]) * bhi_class_sizes[i];
	return sum;
}

int64_t bhi_small_slab_bytes(void)
{
	return bhi_load(&state.slab_bytes);
}
