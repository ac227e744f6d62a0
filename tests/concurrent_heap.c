/* SPDX-License-Identifier: MIT */
/*
 * Heaps, orphans and frees by other threads (alloc/heap.h). First what a few threads in a
 * fixed order do; then, in debug builds, the interleavings that the protocol is about,
 * each forced at a test point; then everything at once. Every test ends with an audit,
 * and with the usage back to what lives.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/heap.h"
#include "debug/inject.h"
#include "base/testpoint.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (128 * MIB)

static uint32_t nr_groups;

static void start(void)
{
	support_start(ZONE);
	nr_groups = bhi_group_count();
}

/* Give back what is kept for reuse, in @group and in what it was left with. */
static uint64_t usage_without_kept(struct bh_group *group)
{
	bhi_reclaim_hooks.collect(group);
	return support_usage(group);
}

/* Nothing lives any more, and all groups that were put are gone. */
static void end(void)
{
	ck_assert_uint_eq(usage_without_kept(bh_root()), 0);
	bhi_group_sweep();
	ck_assert_uint_eq(bhi_group_count(), nr_groups);
	support_end();
}

static void *take(struct bh_group *group, size_t size)
{
	void *p = bh_alloc(group, size, 0);

	ck_assert_ptr_nonnull(p);
	memset(p, 0x5a, size);
	return p;
}

/* Beyond what groups keep in shared slabs: objects of slabs that threads own. */
static size_t own_size(void)
{
	return 5000;
}

/*
 * A thread that does what it is told: bodies run one after the other, each when the test
 * says so. Between them it is idle, with its heaps.
 */
struct worker {
	pthread_t thread;
	struct bhi_thread *self;
	void (*body)(struct worker *self);
	uint32_t told, done; /* how many bodies */
	bool parks;          /* the next body stops at park.point, once */
	struct bh_group *group;
	struct bh_cache *cache;
	void *objects[4096];
	int nr;
};

static __thread struct worker *this_worker;

static void *work(void *arg)
{
	struct worker *worker = this_worker = arg;
	uint32_t nr = 0;

	worker->self = bhi_thread_self();
	for (;;) {
		support_await(&worker->told, ++nr);
		if (!worker->body)
			return NULL;
		worker->body(worker);
		__atomic_store_n(&worker->done, nr, __ATOMIC_SEQ_CST);
	}
}

static struct worker *hire(struct bh_group *group)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	ck_assert_ptr_nonnull(worker);
	worker->group = group;
	worker->thread = support_thread(work, worker);
	return worker;
}

static void tell(struct worker *worker, void (*body)(struct worker *self))
{
	worker->body = body;
	__atomic_fetch_add(&worker->told, 1, __ATOMIC_SEQ_CST);
}

static void await_done(struct worker *worker)
{
	support_await(&worker->done, worker->told);
}

static void let(struct worker *worker, void (*body)(struct worker *self))
{
	tell(worker, body);
	await_done(worker);
}

static void dismiss(struct worker *worker)
{
	tell(worker, NULL);
	support_join(worker->thread);
	free(worker);
}

static void take_one(struct worker *self)
{
	self->objects[self->nr++] = take(self->group, own_size());
}

static void take_many(struct worker *self)
{
	while (self->nr < 1000)
		self->objects[self->nr++] = take(self->group, 100);
}

static void free_one(struct worker *self)
{
	bh_free(self->objects[--self->nr]);
}

static void free_many(struct worker *self)
{
	while (self->nr)
		bh_free(self->objects[--self->nr]);
}

/* Hand @worker's newest object to @to. */
static void pass(struct worker *worker, struct worker *to)
{
	to->objects[to->nr++] = worker->objects[--worker->nr];
}

START_TEST(what_another_thread_frees_is_used_again_by_the_owner)
{
	struct worker *other;
	uint64_t usage;
	void **objects;

	start();
	other = hire(bh_root());
	objects = other->objects;
	for (int round = 0; round < 10; round++) {
		for (other->nr = 0; other->nr < 2000; other->nr++)
			objects[other->nr] = take(bh_root(), 100);
		if (round == 0)
			usage = support_usage(bh_root());
		else
			ck_assert_uint_le(support_usage(bh_root()), usage);
		let(other, free_many);
	}
	dismiss(other);
	end();
}
END_TEST

START_TEST(a_slab_freed_by_two_threads_is_given_back)
{
	struct worker *owner, *other;

	/* Every order of two objects and two threads. */
	start();
	owner = hire(bh_root());
	other = hire(bh_root());
	for (int round = 0; round < 4; round++) {
		let(owner, take_one);
		let(owner, take_one);
		pass(owner, other);
		let(round & 1 ? other : owner, free_one);
		let(round & 1 ? owner : other, free_one);
		if (round & 2)
			bhi_heaps_collect(bh_root());
		ck_assert_uint_le(support_usage(bh_root()), 64 * KIB);
	}
	dismiss(owner);
	dismiss(other);
	end();
}
END_TEST

START_TEST(objects_outlive_their_thread_and_are_freed_by_others)
{
	struct bh_group *group;
	struct worker *owner, *others[3];

	start();
	group = support_group(NULL, "group");
	owner = hire(group);
	for (int i = 0; i < 3; i++)
		others[i] = hire(group);
	let(owner, take_many);
	while (owner->nr > 1)
		pass(owner, others[owner->nr % 3]);
	pass(owner, others[0]);
	dismiss(owner);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_uint_ge(support_usage(group), 100 * 1000);
	for (int i = 0; i < 3; i++)
		tell(others[i], free_many);
	for (int i = 0; i < 3; i++)
		await_done(others[i]);
	ck_assert_uint_eq(usage_without_kept(group), 0);
	for (int i = 0; i < 3; i++)
		dismiss(others[i]);
	bh_group_put(group);
	end();
}
END_TEST

START_TEST(an_empty_thread_leaves_nothing)
{
	struct bh_group *group;
	struct worker *worker;

	start();
	group = support_group(NULL, "group");
	worker = hire(group);
	let(worker, take_many);
	let(worker, free_many);
	dismiss(worker);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert(bhi_list_empty(&group->heaps));
	ck_assert_uint_eq(group->nr_orphans, 0);
	bh_group_put(group);
	end();
}
END_TEST

static void *left_over[400];

/* Leave one object of each slab's worth; the rest of the slab is for others to use. */
static void leave_one(struct worker *self)
{
	static int nr;

	take_many(self);
	left_over[nr++] = self->objects[--self->nr];
	free_many(self);
}

START_TEST(threads_that_follow_use_what_others_left)
{
	struct bh_group *group;
	uint64_t usage = 0;

	start();
	group = support_group(NULL, "group");
	for (int i = 0; i < 400; i++) {
		struct worker *worker = hire(group);

		let(worker, leave_one);
		dismiss(worker);
		if (i == 10)
			usage = support_usage(group);
	}
	/* 400 slabs, one object in each, would be 1.6 MiB and more. */
	ck_assert_uint_le(support_usage(group), usage + 128 * KIB);
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 0; i < 400; i++)
		bh_free(left_over[i]);
	ck_assert_uint_eq(usage_without_kept(group), 0);
	bh_group_put(group);
	end();
}
END_TEST

static void fill_slabs(struct worker *self)
{
	/* Full slabs of many classes: nothing that anybody could use. */
	for (size_t size = 8; size <= 2048; size += 16) {
		for (int i = 0; i < 8; i++)
			take(self->group, size);
	}
}

START_TEST(full_orphans_do_not_hide_those_with_space)
{
	struct bh_group *group;
	struct worker *worker;
	uint64_t usage = 0;

	start();
	group = support_group(NULL, "group");
	worker = hire(group);
	let(worker, fill_slabs);
	dismiss(worker);
	ck_assert_uint_gt(group->nr_orphans, 50);
	for (int i = 0; i < 100; i++) {
		worker = hire(group);
		let(worker, leave_one);
		dismiss(worker);
		/* Not the first time, but soon somebody finds it. */
		if (i == 20)
			usage = support_usage(group);
	}
	ck_assert_uint_le(support_usage(group), usage + 128 * KIB);
	ck_assert_int_eq(bh_group_drop(group), 0);
	bh_group_put(group);
	end();
}
END_TEST

START_TEST(a_deleted_group_goes_when_others_free_its_last_object)
{
	struct bh_group *group;
	struct worker *owner, *other;

	start();
	owner = hire(NULL);
	other = hire(NULL);
	/* The slab is active, partial or full; the owner lives on and does nothing. */
	for (int nr = 1; nr <= 20; nr++) {
		group = support_group(NULL, "group");
		owner->group = group;
		for (int i = 0; i < nr; i++)
			let(owner, take_one);
		while (owner->nr)
			pass(owner, other);
		if (nr % 2)
			let(other, free_one);
		bh_group_put(group);
		ck_assert_uint_eq(bhi_group_count(), nr_groups + (nr > 1));
		let(other, free_many);
		ck_assert_uint_eq(support_usage(bh_root()), 0);
		ck_assert_uint_eq(bhi_group_count(), nr_groups);
	}
	dismiss(owner);
	dismiss(other);
	end();
}
END_TEST

START_TEST(a_deleted_group_goes_when_its_owner_frees_the_last_object)
{
	struct bh_group *group;
	struct worker *owner;

	start();
	owner = hire(NULL);
	for (int nr = 1; nr <= 20; nr++) {
		group = support_group(NULL, "group");
		owner->group = group;
		for (int i = 0; i < nr; i++)
			let(owner, take_one);
		bh_group_put(group);
		let(owner, free_many);
		ck_assert_uint_eq(support_usage(bh_root()), 0);
		ck_assert_uint_eq(bhi_group_count(), nr_groups);
	}
	dismiss(owner);
	end();
}
END_TEST

static void take_for_offline(struct worker *self)
{
	struct bh_group *group = bh_group_get(bh_group_of(self->objects[0]));

	ck_assert_ptr_eq(group, self->group);
	for (int i = 0; i < 10; i++)
		self->objects[self->nr++] = take(group, 100);
	bh_group_put(group);
}

START_TEST(what_is_asked_for_a_deleted_group_is_its_parents)
{
	struct bh_group *parent, *child;
	struct worker *owner;

	start();
	parent = support_group(NULL, "parent");
	child = support_group(parent, "child");
	owner = hire(child);
	/* The child is the group that the owner's fast path knows. */
	let(owner, take_many);
	bh_group_put(child);
	let(owner, take_for_offline);
	ck_assert_ptr_eq(bh_group_of(owner->objects[0]), child);
	for (int i = 1000; i < 1010; i++)
		ck_assert_ptr_eq(bh_group_of(owner->objects[i]), parent);
	let(owner, free_many);
	dismiss(owner);
	bh_group_put(parent);
	end();
}
END_TEST

/*
 * One object of a slab comes back from another thread, which nobody collects once the
 * group is deleted; then the owner frees the other one, and does not see that nothing is
 * left: who reclaims does.
 */
static struct bh_group *leave_a_slab_freed_on_two_sides(
	struct worker *owner, struct worker *other, struct bh_group *parent)
{
	struct bh_group *group = support_group(parent, "group");

	owner->group = group;
	let(owner, take_one);
	let(owner, take_one);
	pass(owner, other);
	let(other, free_one);
	bh_group_put(group);
	let(owner, free_one);
	return group;
}

START_TEST(a_slab_of_a_deleted_group_freed_on_two_sides_is_reclaimed)
{
	struct worker *owner, *other;
	struct bh_group *parent;

	start();
	owner = hire(NULL);
	other = hire(NULL);
	parent = support_group(NULL, "parent");
	leave_a_slab_freed_on_two_sides(owner, other, parent);
	ck_assert_uint_gt(support_usage(parent), 0);
	ck_assert_int_eq(bh_group_reclaim(parent, PAGE, 0), 0);
	ck_assert_uint_eq(support_usage(parent), 0);
	bh_group_put(parent);
	dismiss(owner);
	dismiss(other);
	end();
}
END_TEST

START_TEST(a_slab_of_a_deleted_group_freed_on_two_sides_goes_with_time)
{
	struct bh_config config = {.size = ZONE, .decay_ms = 1};
	struct worker *owner, *other;
	struct bh_group_stat stat;

	ck_assert_int_eq(bh_init(&config), 0);
	owner = hire(NULL);
	other = hire(NULL);
	leave_a_slab_freed_on_two_sides(owner, other, NULL);
	/* Nobody asks for memory: the decay clock comes by. */
	do {
		sched_yield();
		stat = support_stat(bh_root());
	} while (stat.left_behind);
	dismiss(owner);
	dismiss(other);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(dropping_a_group_takes_the_slabs_of_living_and_dead_threads)
{
	struct bh_group *group;
	struct worker *living, *dead, *other;

	start();
	group = support_group(NULL, "group");
	living = hire(group);
	dead = hire(group);
	other = hire(group);
	for (int round = 0; round < 3; round++) {
		let(living, take_many);
		let(dead, take_many);
		/* Some came back from another thread and were not collected. */
		for (int i = 0; i < 100; i++)
			pass(living, other);
		let(other, free_many);
		dismiss(dead);
		dead = hire(group);
		ck_assert_int_eq(bh_group_drop(group), 0);
		ck_assert_uint_eq(support_usage(group), 0);
		ck_assert_int_eq(bh_audit(), 0);
		living->nr = dead->nr = 0;
		/* The group goes on as if new. */
		let(living, take_many);
		let(living, free_many);
	}
	dismiss(living);
	dismiss(dead);
	dismiss(other);
	bh_group_put(group);
	end();
}
END_TEST

/* The one thread that stops at one point, once. */
static struct {
	enum bhi_testpoint point;
	uint32_t arrived, may_go;
} park;

static void stop_at_point(enum bhi_testpoint point)
{
	if (!this_worker || !this_worker->parks || point != park.point)
		return;
	this_worker->parks = false;
	__atomic_store_n(&park.arrived, 1, __ATOMIC_SEQ_CST);
	support_await(&park.may_go, 1);
}

/* @worker begins @body and stops at @point. */
static void send_to(struct worker *worker, void (*body)(struct worker *self),
	enum bhi_testpoint point)
{
	park.point = point;
	park.arrived = park.may_go = 0;
	bhi_store_release(&bhi_testpoint_hook, stop_at_point);
	worker->parks = true;
	tell(worker, body);
	support_await(&park.arrived, 1);
}

static void go_on(struct worker *worker)
{
	__atomic_store_n(&park.may_go, 1, __ATOMIC_SEQ_CST);
	if (worker)
		await_done(worker);
	bhi_store(&bhi_testpoint_hook, NULL);
}

/* Somebody has begun to claim, and waits for the section that @worker is in. */
static void await_claim(struct worker *worker)
{
	support_await(&worker->self->claimed, 1);
	ck_assert_uint_eq(bhi_load(&worker->self->busy), 1);
}

START_TEST(a_thread_ends_only_after_frees_that_rely_on_its_heap)
{
	struct worker *owner, *other;

	start();
	owner = hire(bh_root());
	other = hire(bh_root());
	let(owner, take_one);
	pass(owner, other);
	send_to(other, free_one, BHI_TP_REMOTE_PUSHED);
	tell(owner, NULL);
	await_claim(other);
	ck_assert_int_eq(pthread_tryjoin_np(owner->thread, NULL), EBUSY);
	go_on(other);
	support_join(owner->thread);
	free(owner);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	dismiss(other);
	end();
}
END_TEST

static struct bh_cache *typed;

static void take_typed(struct worker *self)
{
	for (int i = 0; i < 100; i++) {
		void *object = bh_cache_alloc(typed, self->group, 0);

		ck_assert_ptr_nonnull(object);
		self->objects[self->nr++] = object;
	}
}

static void collect_group(struct worker *self)
{
	bhi_heaps_collect(self->group);
}

START_TEST(a_slab_on_its_way_back_does_not_keep_its_cache)
{
	struct worker *owner, *other;

	start();
	typed = bh_cache_new("typed", 1000, 0, NULL);
	owner = hire(bh_root());
	other = hire(bh_root());
	let(owner, take_typed);
	while (owner->nr)
		pass(owner, other);
	let(other, free_many);
	/* It takes the slabs but the active one, and has freed none yet. */
	send_to(other, collect_group, BHI_TP_SLAB_RELEASE);
	ck_assert_int_eq(bh_cache_destroy(typed), 0);
	go_on(other);
	dismiss(owner);
	dismiss(other);
	end();
}
END_TEST

START_TEST(a_slab_may_be_adopted_between_the_look_and_the_lock)
{
	struct worker *owner, *other, *heir;
	struct bhi_slab *slab;

	start();
	owner = hire(bh_root());
	other = hire(bh_root());
	heir = hire(bh_root());
	let(owner, take_one);
	slab = bhi_slab_of(bhi_page_of(owner->objects[0]));
	pass(owner, other);
	dismiss(owner);
	ck_assert_uint_eq(slab->state, BHI_SLAB_ORPHAN);
	send_to(other, free_one, BHI_TP_REMOTE_ORPHAN);
	let(heir, take_one);
	ck_assert_ptr_eq(bhi_slab_of(bhi_page_of(heir->objects[0])), slab);
	ck_assert_ptr_eq(slab->thread, heir->self);
	go_on(other);
	/* The heir was told, although the freer had seen an orphan. */
	ck_assert_ptr_eq(slab->heap->returned, slab);
	ck_assert_uint_eq(bhi_slab_nr_live(slab), 1);
	let(heir, free_one);
	dismiss(other);
	dismiss(heir);
	end();
}
END_TEST

static struct bh_group *to_put;

static void *put_group(void *arg)
{
	bh_group_put(to_put);
	return arg;
}

/* The last object is freed while the group is deleted: by the time it is, or later. */
static void put_during_a_remote_free(enum bhi_testpoint point)
{
	struct worker *owner, *other;
	pthread_t thread;

	start();
	to_put = support_group(NULL, "group");
	owner = hire(to_put);
	other = hire(to_put);
	let(owner, take_one);
	pass(owner, other);
	send_to(other, free_one, point);
	thread = support_thread(put_group, NULL);
	await_claim(other);
	go_on(other);
	support_join(thread);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	ck_assert_uint_eq(bhi_group_count(), nr_groups);
	dismiss(owner);
	dismiss(other);
	end();
}

START_TEST(a_group_deleted_before_a_remote_free_pushes_misses_nothing)
{
	put_during_a_remote_free(BHI_TP_REMOTE_GIVE);
}
END_TEST

START_TEST(a_group_deleted_before_a_remote_free_returns_the_slab_misses_nothing)
{
	put_during_a_remote_free(BHI_TP_REMOTE_PUSHED);
}
END_TEST

START_TEST(a_slab_about_to_be_emptied_is_not_taken_from_its_owner)
{
	struct worker *owner;

	start();
	to_put = support_group(NULL, "group");
	owner = hire(to_put);
	let(owner, take_one);
	send_to(owner, free_one, BHI_TP_FREE_LAST);
	/* All that could find the slab empty before its owner has done with it. */
	bh_group_put(to_put);
	bhi_heaps_collect_left(NULL);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_uint_eq(bhi_group_count(), nr_groups + 1);
	go_on(owner);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	ck_assert_uint_eq(bhi_group_count(), nr_groups);
	dismiss(owner);
	end();
}
END_TEST

static void grow_one(struct worker *self)
{
	void **object = &self->objects[self->nr - 1];
	void *p = bh_realloc_flags(*object, 1000, 0);

	ck_assert_ptr_nonnull(p);
	*object = p;
}

static void take_small(struct worker *self)
{
	self->objects[self->nr++] = take(self->group, 100);
	bh_free(take(self->group, 1000));
}

START_TEST(a_group_is_deleted_before_or_after_an_object_of_it_grows)
{
	struct worker *owner;
	pthread_t thread;
	void *p;

	start();
	to_put = support_group(NULL, "group");
	owner = hire(to_put);
	let(owner, take_many);
	/* An empty active slab for the new size: what the deleter would take. */
	owner->group = to_put;
	for (int i = 0; i < 200; i++)
		let(owner, take_small);
	p = owner->objects[owner->nr - 1];
	send_to(owner, grow_one, BHI_TP_ALLOC_PINNED);
	thread = support_thread(put_group, NULL);
	await_claim(owner);
	go_on(owner);
	support_join(thread);
	ck_assert_ptr_ne(owner->objects[owner->nr - 1], p);
	ck_assert_ptr_eq(bh_group_of(owner->objects[owner->nr - 1]), to_put);
	ck_assert_int_eq(bh_audit(), 0);
	let(owner, free_many);
	ck_assert_uint_eq(bhi_group_count(), nr_groups);
	dismiss(owner);
	end();
}
END_TEST

static void *drop_group(void *arg)
{
	ck_assert_int_eq(bh_group_drop(arg), 0);
	return NULL;
}

START_TEST(a_heap_that_a_thread_looks_at_is_not_dropped_under_it)
{
	enum {
		NR = 256
	};
	struct bh_group *groups[NR + 1];
	struct worker *worker;
	pthread_t thread;

	start();
	/* The first and the last have the same place in the tables of threads. */
	for (int i = 0; i <= NR; i++)
		groups[i] = support_group(NULL, "group");
	worker = hire(groups[0]);
	let(worker, take_one);
	worker->group = groups[NR];
	send_to(worker, take_one, BHI_TP_FIND_HEAP);
	thread = support_thread(drop_group, groups[0]);
	await_claim(worker);
	go_on(worker);
	support_join(thread);
	ck_assert_uint_eq(support_usage(groups[0]), 0);
	ck_assert_ptr_eq(bh_group_of(worker->objects[1]), groups[NR]);
	bh_free(worker->objects[1]);
	dismiss(worker);
	for (int i = 0; i <= NR; i++)
		bh_group_put(groups[i]);
	end();
}
END_TEST

START_TEST(dropping_what_one_thread_made_waits_for_no_other)
{
	struct bh_group *groups[2];
	struct worker *worker;

	start();
	for (int i = 0; i < 2; i++)
		groups[i] = support_group(NULL, "group");
	worker = hire(groups[0]);
	send_to(worker, take_one, BHI_TP_FIND_HEAP);
	/* The worker is in its section: a claim would not return. */
	take(groups[1], 1);
	take(groups[1], own_size());
	ck_assert_int_eq(bh_charge(groups[1], 1, 0), 0);
	bh_uncharge(groups[1], 1);
	ck_assert_int_eq(bh_group_drop(groups[1]), 0);
	ck_assert_uint_eq(bhi_load(&groups[1]->counter.usage), 0);
	go_on(worker);
	dismiss(worker);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(bh_group_drop(groups[i]), 0);
		bh_group_put(groups[i]);
	}
	end();
}
END_TEST

static void charge_one(struct worker *self)
{
	ck_assert_int_eq(bh_charge(self->group, 1, 0), 0);
	bh_uncharge(self->group, 1);
}

START_TEST(dropping_a_group_takes_what_any_thread_holds_in_stock_for_it)
{
	struct bh_group *group, *child;
	struct worker *workers[2];

	start();
	group = support_group(NULL, "group");
	child = support_group(group, "child");
	for (int i = 0; i < 2; i++)
		workers[i] = hire(group);
	/* One other thread; this one and another; others, and one below. */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			workers[i]->group = i ? child : group;
			if (round == 2 || !i)
				let(workers[i], charge_one);
		}
		if (round == 1)
			bh_free(take(group, own_size()));
		ck_assert_int_gt(bhi_load(&group->counter.usage), 0);
		ck_assert_int_eq(bh_group_drop(group), 0);
		ck_assert_int_eq(bhi_load(&group->counter.usage), 0);
	}
	for (int i = 0; i < 2; i++)
		dismiss(workers[i]);
	bh_group_put(child);
	bh_group_put(group);
	end();
}
END_TEST

START_TEST(heaps_of_an_ending_thread_may_go_before_it_has_ended)
{
	struct bh_group *dropped, *deleted;
	struct worker *worker;

	start();
	dropped = support_group(NULL, "dropped");
	deleted = support_group(NULL, "deleted");
	worker = hire(dropped);
	worker->cache = bh_cache_new("items", 100, 0, NULL);
	let(worker, take_one);
	worker->group = deleted;
	let(worker, take_one);
	park.point = BHI_TP_EXIT;
	park.arrived = park.may_go = 0;
	bhi_store_release(&bhi_testpoint_hook, stop_at_point);
	worker->parks = true;
	tell(worker, NULL);
	support_await(&park.arrived, 1);
	ck_assert_int_eq(bh_group_drop(dropped), 0);
	bh_group_put(dropped);
	bh_group_put(deleted);
	bh_free(worker->objects[1]);
	ck_assert_int_eq(bh_cache_destroy(worker->cache), 0);
	bhi_group_sweep();
	ck_assert_int_eq(bh_audit(), 0);
	go_on(NULL);
	support_join(worker->thread);
	free(worker);
	end();
}
END_TEST

/* From here on: threads at full speed. */

#define NR_RACERS 4

static struct {
	uint32_t ready, over;
	struct bh_group *groups[NR_RACERS];
	/* objects on their way from one thread to another */
	void *shelf[256];
} race;

static void begin_race(void)
{
	__atomic_fetch_add(&race.ready, 1, __ATOMIC_SEQ_CST);
	support_await(&race.ready, NR_RACERS);
}

static unsigned next_random(unsigned *seed)
{
	return *seed = *seed * 1103515245u + 12345u;
}

static void swap_on_shelf(unsigned at, void *p)
{
	bh_free(__atomic_exchange_n(&race.shelf[at % 256], p, __ATOMIC_ACQ_REL));
}

static void clear_shelf(void)
{
	for (unsigned i = 0; i < 256; i++)
		swap_on_shelf(i, NULL);
}

static void *take_random(struct bh_group *group, unsigned *seed)
{
	unsigned r = next_random(seed) >> 8;
	size_t size = r % 16 ? r % 512 : r % 20000;

	return take(group, size + 1);
}

static void *produce_and_consume(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	begin_race();
	for (int i = 0; i < 40000; i++) {
		struct bh_group *group =
			race.groups[(next_random(&seed) >> 10) % NR_RACERS];

		swap_on_shelf(next_random(&seed) >> 12, take_random(group, &seed));
	}
	return NULL;
}

static void run_race(void *(*fn)(void *))
{
	pthread_t threads[NR_RACERS];

	race.ready = 0;
	for (uintptr_t i = 0; i < NR_RACERS; i++)
		threads[i] = support_thread(fn, (void *)(i + 1));
	for (int i = 0; i < NR_RACERS; i++)
		support_join(threads[i]);
}

static void make_groups(void)
{
	for (int i = 0; i < NR_RACERS; i++)
		race.groups[i] = support_group(NULL, "racer");
}

static void put_groups(void)
{
	for (int i = 0; i < NR_RACERS; i++)
		bh_group_put(race.groups[i]);
}

START_TEST(producers_and_consumers_leave_nothing_behind)
{
	start();
	make_groups();
	run_race(produce_and_consume);
	clear_shelf();
	for (int i = 0; i < NR_RACERS; i++)
		ck_assert_uint_eq(usage_without_kept(race.groups[i]), 0);
	put_groups();
	end();
}
END_TEST

START_TEST(producers_and_consumers_get_by_without_membarrier)
{
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MEMBARRIER);
	start();
	bhi_failpoint_disarm();
	ck_assert(bhi_thread_fenced);
	make_groups();
	run_race(produce_and_consume);
	run_race(produce_and_consume);
	clear_shelf();
	put_groups();
	end();
}
END_TEST

static void *allocate_and_end(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 300; i++)
		swap_on_shelf(
			next_random(&seed) >> 12, take_random(race.groups[0], &seed));
	return NULL;
}

/* Threads are born, allocate and end while others free what they made. */
static void *raise_children(void *arg)
{
	uintptr_t seed = (uintptr_t)arg;

	begin_race();
	for (int i = 0; i < 60; i++) {
		pthread_t child = support_thread(
			allocate_and_end, (void *)(seed * 1000 + (uintptr_t)i));

		for (unsigned at = 0; at < 256; at += 3)
			swap_on_shelf(at, NULL);
		support_join(child);
	}
	return NULL;
}

START_TEST(threads_end_while_others_free_their_objects)
{
	start();
	make_groups();
	run_race(raise_children);
	clear_shelf();
	ck_assert_uint_eq(usage_without_kept(race.groups[0]), 0);
	ck_assert_uint_eq(race.groups[0]->nr_orphans, 0);
	put_groups();
	end();
}
END_TEST

/* Groups are made, used and deleted while others still hold and free their objects. */
static void *make_and_delete_groups(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	begin_race();
	for (int i = 0; i < 200; i++) {
		struct bh_group *group = support_group(NULL, "short");

		for (int j = 0; j < 40; j++)
			swap_on_shelf(
				next_random(&seed) >> 12, take_random(group, &seed));
		bh_group_put(group);
		for (int j = 0; j < 10; j++)
			swap_on_shelf(next_random(&seed) >> 12, NULL);
	}
	return NULL;
}

START_TEST(groups_are_deleted_while_others_free_their_objects)
{
	start();
	run_race(make_and_delete_groups);
	clear_shelf();
	bhi_heaps_collect_left(NULL);
	end();
}
END_TEST

static void *grow_and_delete(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	begin_race();
	for (int i = 0; i < 100; i++) {
		struct bh_group *group = support_group(NULL, "short");

		/* Another thread may realloc while this one deletes the group. */
		for (int j = 0; j < 100; j++) {
			unsigned at = (next_random(&seed) >> 12) % 256;
			void *p = __atomic_exchange_n(
				&race.shelf[at], take(group, 100), __ATOMIC_ACQ_REL);

			if (p)
				p = bh_realloc_flags(
					p, 200 + next_random(&seed) % 1000, 0);
			swap_on_shelf(next_random(&seed) >> 12, p);
		}
		bh_group_put(group);
	}
	return NULL;
}

START_TEST(groups_are_deleted_while_others_grow_their_objects)
{
	start();
	run_race(grow_and_delete);
	clear_shelf();
	bhi_heaps_collect_left(NULL);
	end();
}
END_TEST

static void *reclaim_all_the_time(void *arg)
{
	unsigned nr = 0;

	while (!bhi_load(&race.over)) {
		int r = bh_group_reclaim(
			nr % 2 ? bh_root() : race.groups[nr % NR_RACERS], PAGE, 0);

		ck_assert(r == 0 || r == -EAGAIN);
		nr++;
	}
	return arg;
}

START_TEST(reclaiming_races_with_allocating_and_freeing)
{
	pthread_t reclaimer;

	start();
	make_groups();
	reclaimer = support_thread(reclaim_all_the_time, NULL);
	run_race(produce_and_consume);
	bhi_store(&race.over, 1);
	support_join(reclaimer);
	clear_shelf();
	put_groups();
	end();
}
END_TEST

static void *end_with_many_heaps(void *arg)
{
	struct bh_group **groups = arg;

	for (int i = 0; i < 64; i++) {
		void *p = take(groups[i], own_size());

		bh_free(p);
		take(groups[i], own_size());
	}
	__atomic_fetch_add(&race.ready, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

START_TEST(threads_end_while_their_groups_are_dropped_and_deleted)
{
	struct bh_group *groups[64];

	start();
	for (int round = 0; round < 60; round++) {
		pthread_t thread;

		for (int i = 0; i < 64; i++)
			groups[i] = support_group(NULL, "short");
		race.ready = 0;
		thread = support_thread(end_with_many_heaps, groups);
		support_await(&race.ready, 1);
		/* The thread does nothing any more but end. */
		for (int i = 0; i < 64; i++) {
			ck_assert_int_eq(bh_group_drop(groups[i]), 0);
			bh_group_put(groups[i]);
		}
		support_join(thread);
	}
	end();
}
END_TEST

static struct bh_cache *raced_cache;

static void *pass_cached(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	begin_race();
	for (int i = 0; i < 20000; i++) {
		void *p = bh_cache_alloc(raced_cache,
			race.groups[(next_random(&seed) >> 10) % NR_RACERS], 0);

		ck_assert_ptr_nonnull(p);
		swap_on_shelf(next_random(&seed) >> 12, p);
	}
	return NULL;
}

START_TEST(objects_of_a_cache_pass_between_threads_and_the_cache_goes)
{
	start();
	make_groups();
	for (int round = 0; round < 2; round++) {
		raced_cache = bh_cache_new("items", 100, 64, NULL);
		ck_assert_ptr_nonnull(raced_cache);
		run_race(pass_cached);
		ck_assert_int_eq(bh_cache_destroy(raced_cache), -EBUSY);
		clear_shelf();
		ck_assert_int_eq(bh_cache_destroy(raced_cache), 0);
	}
	put_groups();
	end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, what_another_thread_frees_is_used_again_by_the_owner);
	tcase_add_test(tcase, a_slab_freed_by_two_threads_is_given_back);
	tcase_add_test(tcase, objects_outlive_their_thread_and_are_freed_by_others);
	tcase_add_test(tcase, an_empty_thread_leaves_nothing);
	tcase_add_test(tcase, threads_that_follow_use_what_others_left);
	tcase_add_test(tcase, full_orphans_do_not_hide_those_with_space);
	tcase_add_test(tcase, a_deleted_group_goes_when_others_free_its_last_object);
	tcase_add_test(tcase, a_deleted_group_goes_when_its_owner_frees_the_last_object);
	tcase_add_test(tcase, what_is_asked_for_a_deleted_group_is_its_parents);
	tcase_add_test(tcase, a_slab_of_a_deleted_group_freed_on_two_sides_is_reclaimed);
	tcase_add_test(
		tcase, a_slab_of_a_deleted_group_freed_on_two_sides_goes_with_time);
	tcase_add_test(
		tcase, dropping_a_group_takes_the_slabs_of_living_and_dead_threads);
	tcase_add_test(tcase, a_thread_ends_only_after_frees_that_rely_on_its_heap);
	tcase_add_test(tcase, a_slab_on_its_way_back_does_not_keep_its_cache);
	tcase_add_test(tcase, a_slab_may_be_adopted_between_the_look_and_the_lock);
	tcase_add_test(tcase, a_group_deleted_before_a_remote_free_pushes_misses_nothing);
	tcase_add_test(tcase,
		a_group_deleted_before_a_remote_free_returns_the_slab_misses_nothing);
	tcase_add_test(tcase, a_slab_about_to_be_emptied_is_not_taken_from_its_owner);
	tcase_add_test(tcase, a_group_is_deleted_before_or_after_an_object_of_it_grows);
	tcase_add_test(tcase, a_heap_that_a_thread_looks_at_is_not_dropped_under_it);
	tcase_add_test(tcase, dropping_what_one_thread_made_waits_for_no_other);
	tcase_add_test(
		tcase, dropping_a_group_takes_what_any_thread_holds_in_stock_for_it);
	tcase_add_test(tcase, heaps_of_an_ending_thread_may_go_before_it_has_ended);
	tcase_add_test(tcase, producers_and_consumers_leave_nothing_behind);
	tcase_add_test(tcase, producers_and_consumers_get_by_without_membarrier);
	tcase_add_test(tcase, threads_end_while_others_free_their_objects);
	tcase_add_test(tcase, groups_are_deleted_while_others_free_their_objects);
	tcase_add_test(tcase, groups_are_deleted_while_others_grow_their_objects);
	tcase_add_test(tcase, reclaiming_races_with_allocating_and_freeing);
	tcase_add_test(tcase, threads_end_while_their_groups_are_dropped_and_deleted);
	tcase_add_test(tcase, objects_of_a_cache_pass_between_threads_and_the_cache_goes);
}

int main(void)
{
	return support_run("heap", add);
}
