/* SPDX-License-Identifier: MIT */
/* The part of fuzz_tasks.c that is about private memory. Somebody is inside, but for what
 * is about ranges that are nobody's. */
#ifndef BHI_TESTS_FUZZ_PRIVATE_H
#define BHI_TESTS_FUZZ_PRIVATE_H

#include "base/bug.h"
#include "fuzz_tasks.h"
#include "task/overdraft.h"

/* Whether a request for private memory may come back with nothing. */
static bool may_be_refused(size_t size)
{
	const struct slot *slot = now.inside;
	unsigned group = slot->group;

	if (state.is_injected || size > MOST_GRANTED || !may_unwind() ||
		slot->is_unkillable)
		return true;
	for (; group && group != NR_GROUPS; group = state.parents[group]) {
		if (state.fails[group])
			return true;
	}
	/* What was put has lifted its limits. */
	return group == NR_GROUPS || state.fails[0];
}

static void check_granted(const void *p, size_t size)
{
	if (!now.inside)
		require(!p && errno == EPERM);
	else if (!p)
		require(errno == ENOMEM && may_be_refused(size));
	else
		require((uintptr_t)p % (size > 8 ? 16 : 8) == 0 &&
			bh_usable_size(p) >= size);
}

static struct object *take_object(struct input *in)
{
	return &now.inside->objects[take(in) % NR_OBJECTS];
}

static struct map *take_map(struct input *in)
{
	return &now.inside->maps[take(in) % NR_MAPS];
}

static void check_object(const struct object *object)
{
	if (object->size)
		require(object->p[0] == object->tag &&
			object->p[object->size / 2] == object->tag &&
			object->p[object->size - 1] == object->tag);
}

static void keep_object(struct object *object, void *p, size_t size, unsigned tag)
{
	*object = (struct object){.p = p, .size = size, .tag = (unsigned char)tag};
	if (size)
		object->p[0] = object->p[size / 2] = object->p[size - 1] = object->tag;
}

static bool is_zero(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i<size; i += size> 65536 ? 509 : 1) {
		if (p[i])
			return false;
	}
	return true;
}

static void op_malloc(struct input *in)
{
	struct object *object = take_object(in);
	size_t size = take_bytes_wanted(in);
	bool ends = must_end();
	void *p;

	if (object->p)
		return;
	p = bh_malloc(size);
	check_granted(p, size);
	require(!ends);
	if (p)
		keep_object(object, p, size, take(in));
}

static void op_calloc(struct input *in)
{
	struct object *object = take_object(in);
	size_t size = take_bytes_wanted(in), nr = take(in) < 200 ? 1 : take_size(in);
	size_t bytes;
	bool ends;
	unsigned char *p;

	if (object->p)
		return;
	if (__builtin_mul_overflow(nr, size, &bytes))
		bytes = SIZE_MAX;
	ends = must_end();
	p = bh_calloc(nr, size);
	check_granted(p, bytes);
	/* There is no need to look where no memory is asked for. */
	require(!ends || bytes == SIZE_MAX);
	if (!p)
		return;
	require(is_zero(p, bytes));
	keep_object(object, p, bytes, take(in));
}

static void op_realloc(struct input *in)
{
	struct object *object = take_object(in);
	size_t size = take_bytes_wanted(in), had = object->size;
	unsigned char *p = bh_realloc(object->p, size);

	check_granted(p, size);
	if (!p) {
		check_object(object);
		return;
	}
	if (had && size > had / 2)
		require(p[0] == object->tag && p[had / 2] == object->tag);
	keep_object(object, p, size, take(in));
}

static void op_free_private(struct input *in)
{
	struct object *object = take_object(in);
	unsigned char *p = object->p;

	check_object(object);
	*object = (struct object){.p = NULL};
	bh_free(p);
}

/* Others' memory, from inside: none of it is given. */
static void op_others(struct input *in)
{
	const struct slot *other = take_slot(in);
	const struct object *object = &other->objects[take(in) % NR_OBJECTS];
	const struct map *map = &other->maps[take(in) % NR_MAPS];

	if (other == now.inside || !other->task)
		return;
	require(!bh_usable_size(object->p));
	require(bh_unmap(map->p, map->size) == -EINVAL);
	require(bh_discard(map->p, map->size) == -EINVAL);
	require(bh_touch(map->p, map->size) == -EINVAL);
	/* A debug build stops there. */
	if (BH_DEBUG)
		return;
	bh_free(object->p);
	require(!object->p || !bh_realloc(object->p, 100));
}

static void op_map(struct input *in)
{
	struct map *map = take_map(in);
	size_t size = take_bytes_wanted(in);
	unsigned flags = take(in) < 240 ? 0 : take(in);
	bool ends;
	void *p;

	if (map->p)
		return;
	ends = must_end();
	p = bh_map(size, flags);
	require(!ends || flags || !size);
	if (!p) {
		require(errno == (flags || !size ? EINVAL : ENOMEM));
		require(flags || !size || size > MOST_GRANTED || state.is_injected);
		return;
	}
	require(!flags && size && !((uintptr_t)p % BH_PAGE_SIZE));
	*map = (struct map){.p = p, .size = size};
}

/* Whether a first touch that cannot fail is sure to be granted. */
static bool may_overdraw(void)
{
	const struct bh_task *task = now.inside->task;
	const int64_t size = BH_PAGE_SIZE;

	if (state.is_injected || task->overdraft + size > BHI_TASK_OVERDRAFT ||
		bhi_counter_margin(&bh_root()->counter, BHI_RESERVE_HALF) < size)
		return false;
	for (const struct bh_group *group = task->group; group; group = group->parent) {
		if (bhi_overdraft_of(group) + size > BHI_GROUP_OVERDRAFT)
			return false;
	}
	return true;
}

/* Make sure that the map can be written and read there, where it must be made sure of. */
static bool can_touch(struct map *map, size_t at, bool overdraws)
{
	if (may_unwind() || (overdraws && may_overdraw()))
		return true;
	return bh_touch(map->p + at, 1) == 0;
}

static unsigned char expected_at(const struct map *map, size_t at)
{
	for (unsigned i = 0; i < NR_MARKS; i++) {
		if (map->marks[i].tag && map->marks[i].at == at)
			return map->marks[i].tag;
	}
	return 0;
}

static void op_touch_map(struct input *in)
{
	struct map *map = take_map(in);
	size_t at = take_bytes(in, 3);
	unsigned nr = take(in) % 64, mark = take(in) % NR_MARKS;
	bool overdraws = take(in) % 2;
	volatile unsigned char *p = map->p;

	if (!p)
		return;
	for (unsigned i = 0; i <= nr; i++) {
		at = (at + (size_t)i * 9 * BH_PAGE_SIZE) % map->size;
		if (!can_touch(map, at, overdraws))
			return;
		require(p[at] == expected_at(map, at));
	}
	for (unsigned i = 0; i < NR_MARKS; i++) {
		if (map->marks[i].tag && i != mark && map->marks[i].at == at)
			return;
	}
	/* The byte that this mark stood for before is no longer looked at. */
	if (map->marks[mark].tag && map->marks[mark].at != at) {
		if (!can_touch(map, map->marks[mark].at, overdraws))
			return;
		p[map->marks[mark].at] = 0;
		map->marks[mark].tag = 0;
		if (!can_touch(map, at, overdraws))
			return;
	}
	p[at] = (unsigned char)(1 + mark);
	map->marks[mark].at = at;
	map->marks[mark].tag = (unsigned char)(1 + mark);
}

static bool is_within(const struct map *map, size_t at, size_t size)
{
	size_t end = bhi_page_align(map->size);

	return map->p && size && at < end && size <= end - at;
}

/* What begins in the areas of the map, for all that takes a range. */
static void op_range(struct input *in)
{
	struct map *map = take_map(in);
	bool is_whole = take(in) % 2;
	size_t room = (map->size + BHI_AREA_SIZE - 1) & ~(BHI_AREA_SIZE - 1);
	size_t at = is_whole || !room ? 0 : take_bytes(in, 3) % room;
	size_t size = is_whole ? map->size : take_size(in);
	unsigned what = take(in) % 3;
	bool fits;
	int r;

	/* About the end of it. */
	if (at < map->size && take(in) % 4 == 0)
		size = map->size - at + take(in) % 3 * BH_PAGE_SIZE;
	if (!is_whole && take(in) % 2) {
		at &= ~(size_t)(BH_PAGE_SIZE - 1);
		size &= ~(size_t)(BH_PAGE_SIZE - 1);
	}
	fits = is_within(map, at, size);
	if (what == 0) {
		r = bh_touch(map->p + at, size);
		require(r == (fits ? 0 : -EINVAL) ||
			(fits && r == -ENOMEM && may_be_refused(size)));
		return;
	}
	if (what == 1) {
		fits = fits && !(at % BH_PAGE_SIZE) && !(size % BH_PAGE_SIZE);
		require(bh_discard(map->p + at, size) == (fits ? 0 : -EINVAL));
		for (unsigned i = 0; fits && i < NR_MARKS; i++) {
			if (map->marks[i].at >= at && map->marks[i].at - at < size)
				map->marks[i].tag = 0;
		}
		return;
	}
	fits = fits && !at && bhi_page_align(size) == bhi_page_align(map->size);
	require(bh_unmap(map->p + at, size) == (fits ? 0 : -EINVAL));
	if (fits)
		*map = (struct map){.p = NULL};
}

/* What is no map of anybody's. */
static void op_no_range(struct input *in)
{
	char here;
	void *wild[] = {NULL, &here, (void *)(uintptr_t)take_bytes(in, 8),
		bhi_private.base + bhi_private.size - 1, bhi_private.base,
		now.inside ? now.inside->objects[0].p : NULL};
	size_t size = take_size(in);

	/* There nothing is asked for or given back. */
	if (now.inside && now.is_blocked)
		return;
	for (size_t i = 0; i < bhi_array_size(wild); i++) {
		/* The beginning of the window may be a map's. */
		if (now.inside && bhi_private_contains(wild[i]) && i != 3 && i != 5)
			continue;
		require(bh_touch(wild[i], size) == -EINVAL);
		require(bh_discard(wild[i], size) == -EINVAL);
		require(bh_unmap(wild[i], size) == -EINVAL);
	}
}

/* What others get to see is copied whole, or the task ends. */
static void op_export(struct input *in)
{
	const struct object *object = take_object(in);
	unsigned group = take_group(in);
	size_t size = take(in) < 200 ? object->size : take_size(in);
	unsigned char *p;

	if (object->p && size > object->size)
		size = object->size;
	p = bh_export(state.groups[group], object->p, size);
	if (!p) {
		require(errno == (!object->p && size ? EINVAL : ENOMEM));
		return;
	}
	require(object->p || !size);
	if (size)
		require(p[0] == object->tag);
	keep_shared(p, size, group);
}

#endif
