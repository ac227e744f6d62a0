/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/stock.h"
#include "alloc/cache.h"
#include "alloc/heap.h"
#include "alloc/slab.h"
#include "alloc/small.h"

#include "support_model.h"

/*
 * What usage may differ by from what one thread sees of it, in groups that are not exact:
 * slabs that others filled or gave back, in the time between a refusal and our look.
 */
#define INEXACT_SLACK ((int64_t)1 << 20)
/* The same for the zone, to which all empty slabs of all groups may come back. */
#define ZONE_SLACK    ((int64_t)8 << 20)

#define CONSTRUCTED UINT64_C(0xb01dface5eed5eed)

struct model model;

/* One request, while it is on its way. */
struct attempt {
	struct model_group *group;
	int64_t bytes;
	unsigned flags;
	/* of each level from the group up, as it was before */
	int64_t returned[MODEL_MAX_DEPTH], freed_most[MODEL_MAX_DEPTH];
};

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators".
 */
uint64_t model_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

uint64_t model_below(uint64_t *state, uint64_t end)
{
	return (model_random(state) >> 16) % end;
}

void model_fail(
	const char *file, int line, const char *condition, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s:%d: seed %lu: not %s: %s\n", file, line,
		(unsigned long)model.seed, condition, text);
	abort();
}

/* Add to one sum of a group and all its ancestors; @field is its offset. */
static void add_chain(struct model_group *group, size_t field, int64_t bytes)
{
	for (; group; group = group->parent)
		model_add((int64_t *)(void *)((char *)group + field), bytes);
}

#define ADD_CHAIN(group, field, bytes) \
	add_chain((group), offsetof(struct model_group, field), (bytes))

static bool may_reclaim(unsigned flags)
{
	return !(flags & (BH_ATOMIC | BH_NOWAIT));
}

static void attempt_begin(
	struct attempt *attempt, struct model_group *group, int64_t bytes, unsigned flags)
{
	unsigned i = 0;

	attempt->group = group;
	attempt->bytes = bytes;
	attempt->flags = flags;
	for (struct model_group *level = group; level; level = level->parent, i++) {
		model_require(i < MODEL_MAX_DEPTH, "a deep group");
		attempt->returned[i] = model_load(&level->returned);
		attempt->freed_most[i] = model_load(&level->freed_most);
		if (flags & (BH_ATOMIC | BH_NOFAIL))
			model_store(&level->excused, 1);
	}
	ADD_CHAIN(group, wanted, bytes);
}

/*
 * What threads may hold of a level's limit without using it: stocks, each of one batch
 * for the group or for up to four below it, and a batch that was charged and not yet kept
 * or taken back. A request that may wait has drained the stocks, but for those that
 * others filled since.
 */
static int64_t stock_slack(const struct model_group *level, unsigned flags)
{
	int64_t nr_slots = model_load(&level->had_children) ? 4 : 1;
	int64_t nr_others = model.nr_threads - 1;
	int64_t nr_holders = may_reclaim(flags) ? nr_others : (int64_t)model.nr_threads;

	return (nr_holders * nr_slots + nr_others) * BHI_STOCK_BATCH;
}

static bool is_short(const struct attempt *attempt, struct model_group *level, unsigned i)
{
	int64_t used, slack = stock_slack(level, attempt->flags);
	uint64_t max = model_load(&level->max_least);
	struct bh_group_stat stat;

	if (max == BH_UNLIMITED)
		return false;
	if (level->exact)
		return model_load(&level->wanted) - attempt->returned[i] + slack >
		       (int64_t)max;
	model_require(
		bh_group_stat(level->group, &stat) == 0, "stat of '%s'", level->name);
	used = (int64_t)stat.usage + model_load(&level->freed_most) -
	       attempt->freed_most[i];
	slack += level->parent ? INEXACT_SLACK : ZONE_SLACK;
	return used + 2 * attempt->bytes + slack > (int64_t)max;
}

static void show_levels(const struct attempt *attempt)
{
	struct bh_group_stat stat = {0};

	for (struct model_group *level = attempt->group; level; level = level->parent) {
		bh_group_stat(level->group, &stat);
		fprintf(stderr, "'%s': usage %lu, in use %ld, max %ld\n", level->name,
			(unsigned long)stat.usage,
			(long)(model_load(&level->wanted) - model_load(&level->returned)),
			(long)model_load(&level->max_least));
	}
}

/* The request was refused: some level must have been short, then or nearly so. */
static void attempt_fail(struct attempt *attempt, const char *what)
{
	bool is_excused = model.injecting;
	unsigned i = 0;

	for (struct model_group *level = attempt->group; level && !is_excused;
		level = level->parent)
		is_excused = is_short(attempt, level, i++);
	if (!is_excused)
		show_levels(attempt);
	model_require(is_excused,
		"%s of %ld bytes in '%s' with flags %#x found no memory", what,
		(long)attempt->bytes, attempt->group->name, attempt->flags);
	model_require(!(attempt->flags & BH_NOFAIL), "%s must not fail", what);
	model_add(&model.nr_refused, 1);
	ADD_CHAIN(attempt->group, returned, attempt->bytes);
}

/* What a slab may have been that an object of this size lived in. */
static int64_t slab_most(size_t usable)
{
	int64_t eight = 8 * (int64_t)usable;

	return eight > 65536 ? eight : 65536;
}

static int64_t page_align(size_t size)
{
	return (int64_t)bhi_page_align(size ? size : 1);
}

/* Its class when @p lies in an ordinary slab, else MODEL_NR_SIZES. */
static unsigned slab_class(const void *p, size_t usable)
{
	uint8_t type = bhi_load(&bhi_page_of(p)->type);

	if (type != BHI_PAGE_SLAB && type != BHI_PAGE_SLAB_ODD)
		return MODEL_NR_SIZES;
	return bhi_class_of(usable);
}

static void count_live(const struct model_object *object, int64_t change)
{
	unsigned class_id;

	if (object->kind == MODEL_CACHED) {
		model_add(&model.caches[object->cache].nr_live, change);
		return;
	}
	class_id = slab_class(object->p, object->usable);
	if (class_id < MODEL_NR_SIZES)
		model_add(&model.nr_live[class_id], change);
}

static uint64_t pattern(const struct model_object *object, size_t index)
{
	return object->id * UINT64_C(0x9e3779b97f4a7c15) + index;
}

/* Constructed objects keep their first word. */
static size_t first_own_byte(const struct model_object *object)
{
	return object->kind == MODEL_CACHED && model.caches[object->cache].constructed
		       ? 8
		       : 0;
}

static void fill(struct model_object *object)
{
	for (size_t i = first_own_byte(object); i < object->size; i += 8) {
		uint64_t word = pattern(object, i);

		memcpy(object->p + i, &word, bhi_min(object->size - i, (size_t)8));
	}
}

/* The first @size bytes. */
static void check_contents(const struct model_object *object, size_t size)
{
	for (size_t i = first_own_byte(object); i < size; i += 8) {
		uint64_t word = pattern(object, i);

		model_require(!memcmp(object->p + i, &word, bhi_min(size - i, (size_t)8)),
			"byte %zu of %zu at %p (%s) was overwritten", i, object->size,
			(void *)object->p, object->group->name);
	}
}

static void check_zero(const char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		model_require(
			!p[i], "byte %zu of %zu at %p is not zero", i, to, (void *)p);
}

static void check_constructed(const struct model_object *object)
{
	uint64_t word;

	if (!first_own_byte(object))
		return;
	memcpy(&word, object->p, 8);
	model_require(
		word == CONSTRUCTED, "%p lost its constructed state", (void *)object->p);
}

static void construct(void *p)
{
	uint64_t word = CONSTRUCTED;

	memcpy(p, &word, 8);
}

/* The group that owns an object, or one above it: memory of a group that was put is
 * reallocated in its parent. */
static struct model_group *find_owner(const void *p, struct model_group *group)
{
	struct bh_group *owner = bh_group_of(p);

	while (group && group->group != owner && !model_load(&group->online))
		group = group->parent;
	model_require(group && group->group == owner, "%p is of another group", p);
	return group;
}

/* What is charged for an object that has pages of its own. Reallocated in place, it keeps
 * those it does not need any more. */
static int64_t charge_of(const struct model_object *object)
{
	return page_align(object->usable);
}

/* After the call: @object has .p and .size. Moves what was wanted to where it is. */
static void attempt_succeed(struct attempt *attempt, struct model_object *object)
{
	struct model_group *owner = find_owner(object->p, attempt->group);

	object->usable = bh_usable_size(object->p);
	object->group = owner;
	object->id = model_add(&model.next_id, 1);
	model_require(object->usable >= object->size, "%zu usable bytes of %zu",
		object->usable, object->size);
	ADD_CHAIN(owner, wanted, charge_of(object));
	ADD_CHAIN(attempt->group, returned, attempt->bytes);
	ADD_CHAIN(owner, allocated, (int64_t)object->usable);
	count_live(object, 1);
}

static struct model_object *object_new(enum model_kind kind, size_t size)
{
	struct model_object *object = calloc(1, sizeof(*object));

	model_require(object, "the test itself has no memory");
	object->kind = kind;
	object->size = size;
	return object;
}

static struct model_object *finish(
	struct attempt *attempt, struct model_object *object, const char *what)
{
	if (!object->p) {
		model_require(errno == ENOMEM, "%s: errno %d", what, errno);
		attempt_fail(attempt, what);
		free(object);
		return NULL;
	}
	attempt_succeed(attempt, object);
	check_constructed(object);
	if (attempt->flags & BH_ZERO)
		check_zero(object->p, 0, object->size);
	fill(object);
	return object;
}

struct model_object *model_alloc(
	struct model_group *group, size_t size, size_t align, unsigned flags)
{
	struct model_object *object = object_new(MODEL_HEAP, size);
	struct attempt attempt;
	size_t wanted = align ? align : size <= 8 ? 8 : 16;

	model_require(
		!group->exact || size > BHI_CLASS_MAX_SIZE, "a slab in an exact group");
	attempt_begin(&attempt, group, page_align(size), flags);
	object->p = align ? bh_alloc_aligned(group->group, align, size, flags)
			  : bh_alloc(group->group, size, flags);
	model_require(!((uintptr_t)object->p % wanted), "%p for %zu bytes aligned to %zu",
		(void *)object->p, size, wanted);
	return finish(&attempt, object, "an allocation");
}

struct model_object *model_alloc_pages(
	struct model_group *group, unsigned order, unsigned flags)
{
	size_t size = BHI_PAGE_SIZE << order;
	struct model_object *object = object_new(MODEL_PAGES, size);
	struct attempt attempt;

	object->order = order;
	attempt_begin(&attempt, group, (int64_t)size, flags);
	object->p = bh_alloc_pages(group->group, order, flags);
	model_require(!((uintptr_t)object->p % size), "%p for order %u",
		(void *)object->p, order);
	return finish(&attempt, object, "an allocation of pages");
}

struct model_object *model_cache_alloc(
	struct model_group *group, unsigned cache, unsigned flags)
{
	struct model_cache *c = &model.caches[cache];
	struct model_object *object = object_new(MODEL_CACHED, c->size);
	struct attempt attempt;

	object->cache = cache;
	if (c->constructed)
		flags &= ~(unsigned)BH_ZERO;
	attempt_begin(&attempt, group, page_align(c->size), flags);
	object->p = bh_cache_alloc(c->cache, group->group, flags);
	return finish(&attempt, object, "a cached object");
}

/* Out of the sums that are taken before the call. */
static void release(const struct model_object *object)
{
	int64_t most = (int64_t)object->usable;

	if (!object->group->exact)
		most += slab_most(object->usable);
	ADD_CHAIN(object->group, freed_most, most);
	ADD_CHAIN(object->group, freed, (int64_t)object->usable);
	count_live(object, -1);
}

bool model_realloc(struct model_object *object, size_t size, unsigned flags)
{
	struct model_object old = *object;
	struct attempt attempt;
	char *p;

	model_verify(object);
	release(object);
	attempt_begin(&attempt, object->group, page_align(size), flags);
	p = bh_realloc_flags(object->p, size, flags);
	if (!p) {
		model_require(errno == ENOMEM, "errno %d", errno);
		attempt_fail(&attempt, "a reallocation");
		ADD_CHAIN(old.group, allocated, (int64_t)old.usable);
		count_live(&old, 1);
		model_verify(&old);
		return false;
	}
	object->p = p;
	object->size = size;
	attempt_succeed(&attempt, object);
	ADD_CHAIN(old.group, returned, charge_of(&old));
	old.p = p;
	old.group = object->group;
	check_contents(&old, size < old.size ? size : old.size);
	if ((flags & BH_ZERO) && size > old.usable)
		check_zero(p, old.usable, size);
	fill(object);
	return true;
}

void model_verify(const struct model_object *object)
{
	model_require(bh_usable_size(object->p) == object->usable,
		"%zu usable bytes at %p, once %zu", bh_usable_size(object->p),
		(void *)object->p, object->usable);
	model_require(bh_group_of(object->p) == object->group->group,
		"%p is no longer of '%s'", (void *)object->p, object->group->name);
	check_constructed(object);
	check_contents(object, object->size);
}

static void give_back(struct model_object *object)
{
	int r = 0;

	if (object->kind == MODEL_PAGES)
		r = bh_free_pages(object->p, object->order);
	else if (object->kind == MODEL_CACHED && object->id % 2)
		r = bh_cache_free(model.caches[object->cache].cache, object->p);
	else
		bh_free(object->p);
	model_require(r == 0, "freeing %p gives %d", (void *)object->p, r);
}

void model_free(struct model_object *object)
{
	model_verify(object);
	release(object);
	give_back(object);
	ADD_CHAIN(object->group, returned, charge_of(object));
	free(object);
}

void model_group_drop(struct model_group *group, struct model_object *objects)
{
	int r;

	for (struct model_object *object = objects; object; object = object->next) {
		model_verify(object);
		release(object);
	}
	r = bh_group_drop(group->group);
	model_require(r == 0, "dropping '%s' gives %d", group->name, r);
	while (objects) {
		struct model_object *object = objects;

		objects = object->next;
		ADD_CHAIN(group, returned, charge_of(object));
		free(object);
	}
}

bool model_charge(struct model_group *group, size_t size, unsigned flags)
{
	struct attempt attempt;
	int r;

	attempt_begin(&attempt, group, (int64_t)size, flags);
	r = bh_charge(group->group, size, flags);
	if (r) {
		model_require(r == -ENOMEM, "a charge gives %d", r);
		attempt_fail(&attempt, "a charge");
		return false;
	}
	ADD_CHAIN(group, allocated, (int64_t)size);
	model_add(&group->external, (int64_t)size);
	return true;
}

void model_uncharge(struct model_group *group, size_t size)
{
	int64_t have = model_load(&group->external), take;

	do {
		take = have < (int64_t)size ? have : (int64_t)size;
	} while (take && !bhi_compare_exchange(&group->external, &have, have - take));
	if (!take)
		return;
	ADD_CHAIN(group, freed_most, take);
	ADD_CHAIN(group, freed, take);
	bh_uncharge(group->group, (size_t)take);
	ADD_CHAIN(group, returned, take);
}

static void group_init(struct model_group *group, struct model_group *parent)
{
	group->parent = parent;
	group->max = group->max_least = BH_UNLIMITED;
	group->high = BH_UNLIMITED;
	group->online = 1;
}

struct model_group *model_group_new(
	struct model_group *parent, const char *name, bool exact)
{
	struct bh_group *g = bh_group_new(parent->group, name);
	struct model_group *group;
	struct bh_group_stat stat;

	if (!g) {
		model_require(
			errno == ENOMEM && model.injecting, "no group: errno %d", errno);
		return NULL;
	}
	group = calloc(1, sizeof(*group));
	model_require(group, "the test itself has no memory");
	group_init(group, parent);
	group->group = g;
	group->exact = exact;
	/* The parent's, which somebody else may be changing. */
	model_require(bh_group_stat(g, &stat) == 0 && stat.on_limit <= BH_KILL, "stat");
	group->on_limit = stat.on_limit;
	snprintf(group->name, sizeof(group->name), "%s", name);
	group->next = model_load(&model.groups);
	while (!bhi_compare_exchange(&model.groups, &group->next, group))
		;
	model_store(&parent->had_children, 1);
	model_add(&parent->nr_children, 1);
	return group;
}

void model_group_put(struct model_group *group)
{
	model_store(&group->max, BH_UNLIMITED);
	model_store(&group->online, 0);
	model_add(&group->parent->nr_children, -1);
	bh_group_put(group->group);
}

static void note_max(struct model_group *group, uint64_t value)
{
	if (value < model_load(&group->max)) {
		model_store(&group->excused, 1);
		if (value < model_load(&group->max_least))
			model_store(&group->max_least, value);
	}
	model_store(&group->max, value);
}

void model_group_set(struct model_group *group, enum bh_knob knob, uint64_t value)
{
	int r;

	switch (knob) {
	case BH_MIN:
		group->min = value;
		break;
	case BH_LOW:
		group->low = value;
		break;
	case BH_HIGH:
		group->high = value;
		break;
	case BH_MAX:
		note_max(group, value);
		break;
	case BH_OOM_GROUP:
		group->oom_group = (uint32_t)value;
		break;
	case BH_ON_LIMIT:
		group->on_limit = (uint32_t)value;
		break;
	}
	r = bh_group_set(group->group, knob, value);
	model_require(
		r == 0, "setting knob %d of '%s' gives %d", (int)knob, group->name, r);
}

int64_t model_live(void)
{
	return model_load(&model.root.allocated) - model_load(&model.root.freed);
}

void model_init(uint64_t seed, uint64_t zone_size, unsigned nr_threads)
{
	struct bh_config config = {.size = zone_size};
	int r = bh_init(&config);

	model.seed = seed;
	model_require(r == 0, "bh_init() gives %d", r);
	model.nr_threads = nr_threads;
	group_init(&model.root, NULL);
	model.root.group = bh_root();
	model.root.max = model.root.max_least = zone_size - bhi_zone.marks.low;
	strcpy(model.root.name, "/");
	model.caches[0] = (struct model_cache){.size = 72};
	model.caches[0].cache = bh_cache_new("model-plain", 72, 0, NULL);
	model.caches[1] = (struct model_cache){.size = 200, .constructed = true};
	model.caches[1].cache = bh_cache_new("model-constructed", 200, 64, construct);
	model_require(model.caches[0].cache && model.caches[1].cache, "no caches");
}

void model_fini(void)
{
	while (model.groups) {
		struct model_group *group = model.groups;

		model.groups = group->next;
		free(group);
	}
}
