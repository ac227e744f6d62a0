/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "account/group.h"
#include "alloc/buddy.h"
#include "alloc/classes.h"

#include "support_ops.h"

/* Requests of this size and more are served by whole pages. */
#define WHOLE_PAGES (BHI_CLASS_MAX_SIZE + 1)

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* Of a zone with less free than that a request that must not fail could wait for ever. */
#define NOFAIL_MARGIN (8 * MIB)

enum {
	GROUP_A,
	GROUP_A1,
	GROUP_A2,
	GROUP_B,
	GROUP_B1,
	GROUP_B2,
	GROUP_C,
};

struct ops ops;

static uint64_t below(struct ops_worker *w, uint64_t end)
{
	return model_below(&w->rng, end);
}

static bool one_in(struct ops_worker *w, uint64_t n)
{
	return below(w, n) == 0;
}

static struct model_group *any_group(struct ops_worker *w)
{
	struct model_group *group = NULL;

	if (one_in(w, 3))
		group = w->own[below(w, OPS_MAX_OWN)];
	else if (one_in(w, 20))
		group = &model.root;
	return group ? group : ops.shared[below(w, OPS_NR_SHARED)];
}

static size_t any_size(struct ops_worker *w, const struct model_group *group)
{
	if (group->exact)
		return WHOLE_PAGES + below(w, one_in(w, 20) ? MIB : 64 * KIB);
	switch (below(w, 16)) {
	case 0:
		return below(w, 33);
	case 1:
		return below(w, 64 * KIB);
	case 2:
		return one_in(w, 16) ? below(w, MIB) : below(w, 128 * KIB);
	case 3:
	case 4:
	case 5:
		return below(w, 8 * KIB);
	default:
		return below(w, 1 * KIB);
	}
}

static bool nofail_is_safe(size_t size)
{
	struct bh_group_stat stat;

	return size <= BHI_PAGE_SIZE && bh_group_stat(bh_root(), &stat) == 0 &&
	       stat.usage + NOFAIL_MARGIN < OPS_ZONE_SIZE;
}

static unsigned any_flags(struct ops_worker *w, size_t size)
{
	static const unsigned flags[] = {BH_ZERO, BH_NORETRY, BH_RETRY_MAYFAIL, BH_NOWAIT,
		BH_NORECLAIM, BH_NOWARN, BH_ZERO | BH_NORETRY, BH_ATOMIC};
	bool strict = model_load(&ops.strict);
	unsigned i = (unsigned)below(w, 2 * bhi_array_size(flags));

	if (!strict && one_in(w, 100) && nofail_is_safe(size))
		return BH_NOFAIL;
	return i < bhi_array_size(flags) - strict ? flags[i] : 0;
}

static struct model_object *take(struct ops_worker *w, unsigned i)
{
	struct model_object *object = w->objects[i];

	w->objects[i] = w->objects[--w->nr_objects];
	return object;
}

static void keep(struct ops_worker *w, struct model_object *object)
{
	if (!object)
		return;
	if (w->nr_objects == OPS_MAX_OBJECTS)
		model_free(take(w, (unsigned)below(w, OPS_MAX_OBJECTS)));
	w->objects[w->nr_objects++] = object;
}

static void op_free(struct ops_worker *w)
{
	if (w->nr_objects)
		model_free(take(w, (unsigned)below(w, w->nr_objects)));
}

static bool is_full(struct ops_worker *w)
{
	if (model_live() < (int64_t)model_load(&ops.fill))
		return false;
	op_free(w);
	op_free(w);
	return true;
}

static void op_alloc(struct ops_worker *w)
{
	struct model_group *group = any_group(w);
	size_t size = any_size(w, group);

	if (!is_full(w))
		keep(w, model_alloc(group, size, 0, any_flags(w, size)));
}

static void op_alloc_aligned(struct ops_worker *w)
{
	struct model_group *group = any_group(w);
	size_t size = any_size(w, group);
	size_t align = (size_t)1 << below(w, one_in(w, 8) ? 19 : 13);

	if (!is_full(w))
		keep(w, model_alloc(group, size, align, any_flags(w, size)));
}

static void op_alloc_in_scope(struct ops_worker *w)
{
	unsigned previous = bh_noreclaim_enter();

	op_alloc(w);
	bh_noreclaim_leave(previous);
}

static void op_alloc_pages(struct ops_worker *w)
{
	unsigned order = (unsigned)below(w, one_in(w, 16) ? BH_MAX_ORDER : 5);

	if (!is_full(w))
		keep(w, model_alloc_pages(any_group(w), order,
				any_flags(w, BHI_PAGE_SIZE << order)));
}

static void op_cache_alloc(struct ops_worker *w)
{
	/* Mostly in one group, so that slabs become full. */
	struct model_group *group = one_in(w, 4) ? any_group(w) : ops.shared[GROUP_C];

	if (!group->exact && !is_full(w))
		keep(w, model_cache_alloc(group, (unsigned)below(w, MODEL_NR_CACHES),
				any_flags(w, 1)));
}

static void op_realloc(struct ops_worker *w)
{
	struct model_object *object;
	size_t size;

	if (!w->nr_objects || is_full(w))
		return;
	object = w->objects[below(w, w->nr_objects)];
	if (object->kind != MODEL_HEAP)
		return;
	size = one_in(w, 2) ? any_size(w, object->group) : below(w, 2 * object->size + 1);
	if (object->group->exact && size < WHOLE_PAGES)
		return;
	model_realloc(object, size, any_flags(w, size));
}

static void op_verify(struct ops_worker *w)
{
	if (w->nr_objects)
		model_verify(w->objects[below(w, w->nr_objects)]);
}

/* Put an object into the table that all threads free from, and free what was there. */
static void op_hand_over(struct ops_worker *w)
{
	struct model_object **place = &ops.handover[below(w, OPS_NR_HANDOVER)];
	struct model_object *object = NULL;

	if (w->nr_objects)
		object = take(w, (unsigned)below(w, w->nr_objects));
	if (object && object->group->private_) {
		model_free(object);
		object = NULL;
	}
	object = bhi_exchange(place, object);
	if (!object)
		return;
	if (one_in(w, 2))
		model_free(object);
	else
		keep(w, object);
}

static void op_charge(struct ops_worker *w)
{
	size_t size = one_in(w, 8) ? below(w, MIB) : below(w, 16 * KIB);

	size++;
	if (!is_full(w))
		model_charge(any_group(w), size, any_flags(w, size));
}

static void op_uncharge(struct ops_worker *w)
{
	struct model_group *group = any_group(w);

	if (one_in(w, 4) && w->nr_put)
		group = w->put[below(w, w->nr_put)];
	model_uncharge(group, below(w, one_in(w, 4) ? 4 * MIB : 32 * KIB));
}

/* The end of a group of the past: what is still charged to it goes. */
static void forget_put(struct ops_worker *w, unsigned i)
{
	model_uncharge(w->put[i], SIZE_MAX >> 1);
	w->put[i] = w->put[--w->nr_put];
}

static unsigned depth_of(const struct model_group *group)
{
	unsigned depth = 0;

	for (; group->parent; group = group->parent)
		depth++;
	return depth;
}

static void op_group_new(struct ops_worker *w)
{
	struct model_group **place = &w->own[below(w, OPS_MAX_OWN)];
	struct model_group *parent = any_group(w);
	char name[32];

	if (*place || depth_of(parent) + 2 > MODEL_MAX_DEPTH)
		return;
	snprintf(name, sizeof(name), "private-%lu",
		(unsigned long)__atomic_fetch_add(&ops.nr_names, 1, __ATOMIC_RELAXED));
	*place = model_group_new(parent, name, parent->exact);
	/* What is reallocated when the group is gone becomes the parent's. */
	if (*place)
		(*place)->private_ = parent->private_ || one_in(w, 2);
}

static bool has_own_child(const struct ops_worker *w, const struct model_group *group)
{
	for (unsigned i = 0; i < OPS_MAX_OWN; i++) {
		if (w->own[i] && w->own[i]->parent == group)
			return true;
	}
	return false;
}

/* With what is left behind in it freed later. A child keeps its parent online. */
static void put_own(struct ops_worker *w, unsigned i)
{
	struct model_group *group = w->own[i];

	if (!group || has_own_child(w, group))
		return;
	w->own[i] = NULL;
	model_group_put(group);
	if (w->nr_put == OPS_NR_PUT)
		forget_put(w, (unsigned)below(w, OPS_NR_PUT));
	w->put[w->nr_put++] = group;
}

static void op_group_put(struct ops_worker *w)
{
	put_own(w, (unsigned)below(w, OPS_MAX_OWN));
}

static void op_group_drop(struct ops_worker *w)
{
	struct model_group *group = w->own[below(w, OPS_MAX_OWN)];
	struct model_object *objects = NULL;

	if (!group || !group->private_)
		return;
	for (unsigned i = 0; i < w->nr_objects;) {
		if (w->objects[i]->group == group) {
			struct model_object *object = take(w, i);

			object->next = objects;
			objects = object;
		} else {
			i++;
		}
	}
	model_group_drop(group, objects);
}

/* A group whose limits are this thread's to set. */
static struct model_group *own_group(struct ops_worker *w)
{
	unsigned i = (unsigned)below(w, OPS_NR_SHARED);
	struct model_group *group = w->own[below(w, OPS_MAX_OWN)];

	if (group && one_in(w, 2))
		return group;
	return i % ops.nr_threads == w->index && i != GROUP_C ? ops.shared[i] : NULL;
}

/*
 * The usual limits are some of what the zone has. High stays so close below max that
 * nobody is put to sleep for it.
 */
static void set_max(struct ops_worker *w, struct model_group *group)
{
	uint64_t max = group->parent == &model.root ? 4 * MIB + below(w, 12 * MIB)
						    : below(w, 6 * MIB);

	if (model_load(&ops.strict))
		return;
	if (one_in(w, 3))
		max = BH_UNLIMITED;
	model_group_set(group, BH_HIGH, BH_UNLIMITED);
	model_group_set(group, BH_MAX, max);
	if (max != BH_UNLIMITED && one_in(w, 2))
		model_group_set(group, BH_HIGH, max - max / 100);
}

static void op_group_set(struct ops_worker *w)
{
	struct model_group *group = own_group(w);

	if (!group)
		return;
	switch (below(w, 6)) {
	case 0:
		model_group_set(group, BH_MIN, below(w, 4) * MIB);
		break;
	case 1:
		model_group_set(group, BH_LOW, below(w, 4) * MIB);
		break;
	case 2:
		model_group_set(group, BH_ON_LIMIT, below(w, 2));
		break;
	case 3:
		model_group_set(group, BH_OOM_GROUP, below(w, 2));
		break;
	default:
		set_max(w, group);
		break;
	}
}

static void op_group_check(struct ops_worker *w)
{
	struct model_group *group = own_group(w);

	if (group)
		model_group_check(group, true);
	else
		model_group_check(any_group(w), false);
}

static void op_group_reclaim(struct ops_worker *w)
{
	int r = bh_group_reclaim(any_group(w)->group, below(w, MIB), 0);

	model_require(r == 0 || r == -EAGAIN, "reclaim gives %d", r);
}

static void op_report(struct ops_worker *w)
{
	int r = bh_report_write(ops.null_fd, one_in(w, 2) ? BH_JSON : BH_TEXT);

	model_require(r == 0, "the report gives %d", r);
}

static size_t stash_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct ops_stash *stash = self->arg;
	size_t nr;

	model_require(control->group, "no group to shrink");
	if (pthread_mutex_trylock(&stash->lock))
		return 0;
	nr = stash->nr;
	pthread_mutex_unlock(&stash->lock);
	return nr ? nr : BH_SHRINK_EMPTY;
}

static size_t stash_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct ops_stash *stash = self->arg;
	size_t nr = 0;

	if (pthread_mutex_trylock(&stash->lock))
		return BH_SHRINK_STOP;
	while (stash->first && nr < control->nr_to_scan) {
		struct model_object *object = stash->first;

		stash->first = object->next;
		stash->nr--;
		nr++;
		model_free(object);
	}
	pthread_mutex_unlock(&stash->lock);
	return nr;
}

static void op_stash(struct ops_worker *w)
{
	struct ops_stash *stash = &ops.stashes[below(w, OPS_NR_STASHES)];
	struct model_object *object;

	if (is_full(w))
		return;
	object = model_alloc(stash->group, any_size(w, stash->group), 0, 0);
	if (!object)
		return;
	pthread_mutex_lock(&stash->lock);
	object->next = stash->first;
	stash->first = object;
	stash->nr++;
	pthread_mutex_unlock(&stash->lock);
}

/* With the lock held that the shrinker wants. */
static void op_alloc_under_lock(struct ops_worker *w)
{
	struct ops_stash *stash = &ops.stashes[below(w, OPS_NR_STASHES)];

	pthread_mutex_lock(&stash->lock);
	op_alloc(w);
	pthread_mutex_unlock(&stash->lock);
}

static void op_shrinker(struct ops_worker *w)
{
	unsigned i = (unsigned)below(w, OPS_NR_STASHES);
	struct ops_stash *stash = &ops.stashes[i];
	int r;

	if (i % ops.nr_threads != w->index)
		return;
	r = stash->registered ? bh_shrinker_unregister(&stash->shrinker)
			      : bh_shrinker_register(&stash->shrinker);
	model_require(r == 0, "a shrinker: %d", r);
	stash->registered = !stash->registered;
}

/* A cache of its own, which may go only when it is empty. */
static void op_cache(struct ops_worker *w)
{
	struct bh_cache *cache = bh_cache_new("passing", 1 + below(w, 4 * KIB), 0, NULL);
	struct model_group *group = any_group(w);
	void *object;

	if (!cache) {
		model_require(model.injecting, "no cache");
		return;
	}
	object = bh_cache_alloc(cache, group->exact ? NULL : group->group, 0);
	if (object) {
		model_require(
			bh_cache_destroy(cache) == -EBUSY, "a live cache was destroyed");
		model_require(bh_cache_free(cache, object) == 0, "a cached object");
	}
	model_require(bh_cache_destroy(cache) == 0, "an empty cache was kept");
}

static void op_mistake(struct ops_worker *w)
{
	struct model_object *object = w->nr_objects ? w->objects[0] : NULL;
	struct bh_group *group = any_group(w)->group;

	model_require(!bh_alloc(group, 1, BH_NORETRY | BH_NOFAIL) && errno == EINVAL,
		"a mistake");
	model_require(!bh_alloc_aligned(group, 48, 1, 0) && errno == EINVAL, "a mistake");
	model_require(!bh_alloc_pages(group, BH_MAX_ORDER + 1, 0) && errno == EINVAL,
		"a mistake");
	model_require(!bh_group_new(group, "a/b") && errno == EINVAL, "a mistake");
	model_require(bh_charge(group, 1, 1u << 31) == -EINVAL, "a mistake");
	model_require(bh_group_set(group, (enum bh_knob)99, 0) == -EINVAL, "a mistake");
	model_require(bh_group_set(group, BH_ON_LIMIT, 2) == -EINVAL, "a mistake");
	if (!object)
		return;
	if (object->kind == MODEL_CACHED)
		model_require(bh_cache_free(model.caches[!object->cache].cache,
				      object->p) == -EINVAL,
			"a mistake");
	if (object->kind == MODEL_PAGES)
		model_require(bh_free_pages(object->p, object->order + 1) == -EINVAL,
			"a mistake");
	model_verify(object);
}

static const struct {
	void (*fn)(struct ops_worker *w);
	unsigned weight;
} table[] = {
	{op_alloc, 200},
	{op_free, 140},
	{op_realloc, 60},
	{op_alloc_aligned, 20},
	{op_alloc_in_scope, 10},
	{op_alloc_under_lock, 10},
	{op_alloc_pages, 40},
	{op_cache_alloc, 50},
	{op_hand_over, 80},
	{op_verify, 30},
	{op_charge, 50},
	{op_uncharge, 50},
	{op_stash, 30},
	{op_group_new, 10},
	{op_group_put, 8},
	{op_group_drop, 4},
	{op_group_set, 10},
	{op_group_check, 10},
	{op_group_reclaim, 2},
	{op_shrinker, 2},
	{op_cache, 2},
	{op_mistake, 4},
	{op_report, 1},
};

void ops_step(struct ops_worker *w)
{
	static unsigned sum;
	uint64_t choice;
	size_t i = 0;

	if (!model_load(&sum)) {
		unsigned s = 0;

		for (size_t j = 0; j < bhi_array_size(table); j++)
			s += table[j].weight;
		model_store(&sum, s);
	}
	choice = below(w, model_load(&sum));
	for (; choice >= table[i].weight; i++)
		choice -= table[i].weight;
	table[i].fn(w);
}

static void lock_stashes(void)
{
	for (unsigned i = 0; i < OPS_NR_STASHES; i++)
		pthread_mutex_lock(&ops.stashes[i].lock);
}

static void unlock_stashes(void)
{
	for (unsigned i = 0; i < OPS_NR_STASHES; i++)
		pthread_mutex_unlock(&ops.stashes[i].lock);
}

void ops_check(void)
{
	struct model_group *groups[OPS_NR_SHARED + OPS_MAX_THREADS * OPS_MAX_OWN + 2] = {
		&model.root};
	unsigned nr = 1;

	for (unsigned i = 0; i < OPS_NR_SHARED; i++)
		groups[nr++] = ops.shared[i];
	for (unsigned i = 0; i < OPS_MAX_THREADS * OPS_MAX_OWN; i++) {
		groups[nr] = ops.workers[i / OPS_MAX_OWN].own[i % OPS_MAX_OWN];
		nr += groups[nr] != NULL;
	}
	groups[nr] = NULL;
	/* The background reclaimer's shrinkers stay away meanwhile. */
	lock_stashes();
	model_check(groups);
	unlock_stashes();
}

static void add_group(
	unsigned i, struct model_group *parent, const char *name, bool exact)
{
	ops.shared[i] = model_group_new(parent, name, exact);
}

static void make_groups(void)
{
	add_group(GROUP_A, &model.root, "a", true);
	add_group(GROUP_A1, ops.shared[GROUP_A], "a1", true);
	add_group(GROUP_A2, ops.shared[GROUP_A], "a2", true);
	add_group(GROUP_B, &model.root, "b", false);
	add_group(GROUP_B1, ops.shared[GROUP_B], "b1", false);
	add_group(GROUP_B2, ops.shared[GROUP_B], "b2", false);
	add_group(GROUP_C, &model.root, "c", false);
}

static void make_stash(unsigned i, struct model_group *group, bool global)
{
	struct ops_stash *stash = &ops.stashes[i];

	pthread_mutex_init(&stash->lock, NULL);
	stash->group = group;
	stash->shrinker = (struct bh_shrinker){
		.name = global ? "global" : group->name,
		.count = stash_count,
		.scan = stash_scan,
		.arg = stash,
		.group = global ? NULL : group->group,
		.seeks = i,
		.batch = 8,
	};
}

void ops_init(uint64_t seed, unsigned nr_threads)
{
	model_init(seed, OPS_ZONE_SIZE, nr_threads);
	ops.nr_threads = nr_threads;
	ops.fill = OPS_ZONE_SIZE / 4;
	ops.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	model_require(ops.null_fd >= 0, "/dev/null");
	make_groups();
	make_stash(0, ops.shared[GROUP_B1], false);
	make_stash(1, ops.shared[GROUP_C], false);
	make_stash(2, ops.shared[GROUP_B2], true);
	for (unsigned i = 0; i < nr_threads; i++) {
		ops.workers[i].index = i;
		ops.workers[i].rng = model_random(&seed) | 1;
	}
}

static void empty_stash(struct ops_stash *stash)
{
	if (stash->registered)
		model_require(
			bh_shrinker_unregister(&stash->shrinker) == 0, "unregistering");
	while (stash->first) {
		struct model_object *object = stash->first;

		stash->first = object->next;
		model_free(object);
	}
}

static void empty_worker(struct ops_worker *w)
{
	while (w->nr_objects)
		model_free(take(w, w->nr_objects - 1));
	for (unsigned round = 0; round < OPS_MAX_OWN; round++) {
		for (unsigned i = 0; i < OPS_MAX_OWN; i++)
			put_own(w, i);
	}
	while (w->nr_put)
		forget_put(w, w->nr_put - 1);
}

/* Everything goes; then nothing may be charged to anybody, nor any page be taken. */
void ops_fini(void)
{
	struct bhi_buddy_stat pages;

	for (unsigned i = 0; i < OPS_NR_HANDOVER; i++) {
		if (ops.handover[i])
			model_free(ops.handover[i]);
	}
	for (unsigned i = 0; i < OPS_NR_STASHES; i++)
		empty_stash(&ops.stashes[i]);
	for (unsigned i = 0; i < ops.nr_threads; i++)
		empty_worker(&ops.workers[i]);
	for (unsigned i = OPS_NR_SHARED; i-- > 0;)
		model_uncharge(ops.shared[i], SIZE_MAX >> 1);
	model_uncharge(&model.root, SIZE_MAX >> 1);
	ops_check();
	for (unsigned i = OPS_NR_SHARED; i-- > 0;) {
		model_check_empty(ops.shared[i]);
		model_group_put(ops.shared[i]);
	}
	for (unsigned i = 0; i < MODEL_NR_CACHES; i++)
		model_require(bh_cache_destroy(model.caches[i].cache) == 0, "a cache");
	model_check_empty(&model.root);
	bhi_group_sweep();
	model_require(bhi_group_count() == 1, "%u groups remain", bhi_group_count());
	model_require(!model_live(), "the model has %ld bytes", (long)model_live());
	model_require(bh_audit() == 0, "the last audit");
	bhi_buddy_stat(&pages);
	model_require(pages.taken == pages.cached, "pages stay taken");
	close(ops.null_fd);
	model_fini();
}
