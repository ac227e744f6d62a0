/* SPDX-License-Identifier: MIT */
/* The private heap of a task: bh_malloc and its relatives, on both backends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/private.h"
#include "base/bug.h"
#include "private.h"

#define ZONE (256 * MIB)

/* A size of each kind: classes, runs of pages in shared areas, spans of their own. */
static const size_t sizes[] = {0, 1, 8, 9, 16, 24, 100, 129, 1024, 1025, 4000, 5000,
	20000, 32768, 32769, 100000, 262144, 262145, 1000000, 5000000};

static uint32_t random_state = 2463534242u;

static uint32_t random_below(uint32_t end)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % end;
}

static int use_all(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		char *p = bh_malloc(sizes[i]);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % (sizes[i] > 8 ? 16 : 8), 0);
		ck_assert_uint_ge(bh_usable_size(p), sizes[i]);
		memset(p, 'a', bh_usable_size(p));
		ck_assert_ptr_null(bh_group_of(p));
		bh_free(p);
	}
	return 0;
}

START_TEST(an_object_is_aligned_and_may_be_used_up_to_its_usable_size)
{
	start_private(_i, ZONE);
	in_task(NULL, use_all, NULL);
	support_end();
}
END_TEST

static int zero_all(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		char *p = bh_malloc(sizes[i]);

		memset(p, 'a', bh_usable_size(p));
		bh_free(p);
		p = bh_calloc(sizes[i], 1);
		ck_assert(is_filled(p, sizes[i], 0));
		memset(p, 'b', sizes[i]);
		bh_free(p);
	}
	/* A run of pages of which some were in use before and some were not. */
	for (size_t nr = 9; nr < 60; nr += 7) {
		char *p = bh_calloc(nr, 4096);

		ck_assert(is_filled(p, nr * 4096, 0));
		memset(p, 'c', nr * 4096);
		bh_free(p);
	}
	errno = 0;
	ck_assert_ptr_null(bh_calloc(SIZE_MAX / 2, 3));
	ck_assert_int_eq(errno, ENOMEM);
	return 0;
}

START_TEST(calloc_zeroes_what_was_used_before)
{
	start_private(_i, ZONE);
	in_task(NULL, zero_all, NULL);
	support_end();
}
END_TEST

START_TEST(outside_of_a_task_there_is_no_private_memory)
{
	start_private(_i, ZONE);
	errno = 0;
	ck_assert_ptr_null(bh_malloc(1));
	ck_assert_int_eq(errno, EPERM);
	errno = 0;
	ck_assert_ptr_null(bh_calloc(1, 1));
	ck_assert_int_eq(errno, EPERM);
	errno = 0;
	ck_assert_ptr_null(bh_realloc(NULL, 1));
	ck_assert_int_eq(errno, EPERM);
	errno = 0;
	ck_assert_ptr_null(bh_map(4096, 0));
	ck_assert_int_eq(errno, EPERM);
	support_end();
}
END_TEST

struct traces {
	char *objects[bhi_array_size(sizes)], *map;
	uint32_t nr_same;
};

static int leave_traces(void *arg)
{
	struct traces *traces = arg;

	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		traces->objects[i] = bh_malloc(sizes[i]);
		memset(traces->objects[i], 'x', sizes[i]);
	}
	traces->map = bh_map(MIB, 0);
	memset(traces->map, 'x', MIB);
	return 0;
}

static int find_no_traces(void *arg)
{
	struct traces *traces = arg;
	char *map;

	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		char *p = bh_malloc(sizes[i]);

		traces->nr_same += p == traces->objects[i];
		/* Links of free objects may lie at the beginning of fresh ones. */
		if (sizes[i] > 8)
			ck_assert(is_filled(p + 8, sizes[i] - 8, 0));
	}
	map = bh_map(MIB, 0);
	traces->nr_same += map == traces->map;
	ck_assert(is_filled(map, MIB, 0));
	return 0;
}

START_TEST(pages_that_go_to_another_task_are_zero)
{
	struct traces traces = {0};

	start_private(_i, ZONE);
	in_task(NULL, leave_traces, &traces);
	in_task(NULL, find_no_traces, &traces);
	/* The addresses were those of the first task, so the test saw its pages. */
	ck_assert_uint_eq(traces.nr_same, bhi_array_size(sizes) + 1);
	support_end();
}
END_TEST

/* Little: its pages are kept for the next task. */
static int leave_little(void *arg)
{
	char **ret = arg;

	*ret = bh_malloc(4000);
	memset(*ret, 'x', 4000);
	memset(bh_malloc(100), 'x', 100);
	return 0;
}

static int find_nothing(void *arg)
{
	char **before = arg, *p;

	p = bh_malloc(4000);
	ck_assert_ptr_eq(p, *before);
	ck_assert(is_filled(p + 8, 4000 - 8, 0));
	ck_assert(is_filled((char *)bh_malloc(100) + 8, 92, 0));
	ck_assert_int_eq(bh_audit(), 0);
	return 0;
}

START_TEST(pages_that_are_kept_for_another_task_are_zero)
{
	char *p;

	start_private(_i, ZONE);
	in_task(NULL, leave_little, &p);
	ck_assert_uint_eq(bhi_areas_taken(), 1);
	ck_assert_int_eq(bh_audit(), 0);
	in_task(NULL, find_nothing, &p);
	ck_assert_uint_eq(areas_taken(), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

static int read_into_objects(void *arg)
{
	int fd = *(const int *)arg;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < bhi_array_size(sizes); i++) {
			char *p = bh_malloc(sizes[i]);
			size_t size = bh_usable_size(p);

			ck_assert_int_eq(read(fd, p, size), size);
			bh_free(p);
		}
	}
	return 0;
}

START_TEST(system_calls_can_use_an_object_without_a_touch)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	start_private(_i, ZONE);
	in_task(NULL, read_into_objects, &fd);
	close(fd);
	support_end();
}
END_TEST

/* Wrong pointers: what is freed, and with what it is reported. */

static char *of_another;

static int leave_object(void *arg)
{
	(void)arg;
	of_another = bh_malloc(100);
	return 0;
}

static void *wrong_twice(void)
{
	char *p = bh_malloc(100);

	ck_assert_ptr_nonnull(bh_malloc(100));
	bh_free(p);
	return p;
}

static void *wrong_run_twice(void)
{
	char *p = bh_malloc(100000);

	bh_free(p);
	return p;
}

static void *wrong_span_twice(void)
{
	char *p = bh_malloc(MIB);

	bh_free(p);
	return p;
}

static void *wrong_inside(void)
{
	return (char *)bh_malloc(100) + 8;
}

static void *wrong_inside_run(void)
{
	return (char *)bh_malloc(100000) + 4096;
}

/* A slab has 85 objects of 48 bytes, and 16 bytes are left. */
static void *wrong_past_the_last(void)
{
	char *p = bh_malloc(48);

	return p - (uintptr_t)p % 4096 + 85 * 48;
}

static void *wrong_never_given(void)
{
	char *p = bh_malloc(48);

	return p - (uintptr_t)p % 4096 + 80 * 48;
}

static void *wrong_map(void)
{
	return bh_map(4096, 0);
}

static void *wrong_task(void)
{
	return of_another;
}

static void *wrong_free_area(void)
{
	return bhi_private.base + bhi_private.size - 4096;
}

static const struct wrong {
	void *(*make)(void);
	bool only_debug; /* the check is not free */
	bool trusted;    /* by the short way of bh_free, which a debug build has not */
	bool freed;      /* before: a debug build says from where */
} wrongs[] = {
	{wrong_inside, false, true, false},
	{wrong_inside_run, false, false, false},
	{wrong_past_the_last, false, true, false},
	{wrong_run_twice, false, false, true},
	{wrong_span_twice, false, false, true},
	{wrong_map, false, false, false},
	{wrong_task, false, false, false},
	{wrong_free_area, false, false, false},
	{wrong_twice, false, false, true},
	{wrong_never_given, true, true, false},
};

struct wrong_call {
	const struct wrong *wrong;
	int backend;
	bool realloc;
};

static int misuse(void *arg)
{
	const struct wrong_call *call = arg;
	void *p = call->wrong->make();

	if (!call->realloc)
		bh_free(p);
	else if (bh_realloc(p, 10) || errno != EINVAL)
		_exit(2);
	return 0;
}

static void misuse_in_child(void *arg)
{
	const struct wrong_call *call = arg;
	struct bh_task *other;

	if (call->backend)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	other = bh_task_new(NULL, NULL);
	bh_task_enter(other, leave_object, NULL, NULL);
	if (bh_task_run(NULL, NULL, misuse, arg, NULL))
		_exit(3);
	bh_task_put(other);
	if (bh_audit())
		_exit(4);
}

START_TEST(wild_and_foreign_pointers_are_reported_and_not_freed)
{
	struct wrong_call call = {.wrong = &wrongs[_i / 2], .backend = _i % 2};

	need_backend(call.backend);
	for (int i = 0; i < 2; i++) {
		struct support_output output;

		call.realloc = i;
		if (call.wrong->only_debug && !BH_DEBUG)
			break;
		if (call.wrong->trusted && !call.realloc && !BH_DEBUG)
			continue;
		support_capture(misuse_in_child, &call, &output);
		ck_assert_msg(support_contains(output.err, "no live object of this task"),
			"%d: %#x %s", _i, (unsigned)output.status, output.err);
		ck_assert_int_eq(support_contains(output.err, "; freed before from 0x"),
			BH_DEBUG && call.wrong->freed);
		if (BH_DEBUG)
			ck_assert(WIFSIGNALED(output.status) &&
				  WTERMSIG(output.status) == SIGABRT);
		else
			ck_assert_int_eq(support_exit_status(&output), 0);
		support_output_fini(&output);
	}
}
END_TEST

static int realloc_shared(void *arg)
{
	struct bh_group *group = arg;
	char *p = bh_alloc(group, 100, 0);

	memset(p, 's', 100);
	for (size_t size = 100; size < MIB; size *= 3) {
		p = bh_realloc(p, size);
		ck_assert_ptr_eq(bh_group_of(p), group);
		ck_assert(is_filled(p, 100, 's'));
	}
	bh_free(p);
	return 0;
}

START_TEST(realloc_of_shared_memory_stays_shared)
{
	struct bh_group *group;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	in_task(NULL, realloc_shared, group);
	bh_group_put(group);
	support_end();
}
END_TEST

static int realloc_all(void *arg)
{
	char *p = bh_realloc(NULL, 1);
	size_t had = 1;

	(void)arg;
	p[0] = 'r';
	for (unsigned i = 0; i < 400; i++) {
		size_t size = sizes[random_below(bhi_array_size(sizes))] +
			      random_below(5000) + 1;

		p = bh_realloc(p, size);
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_ge(bh_usable_size(p), size);
		ck_assert(is_filled(p, had < size ? had : size, 'r'));
		memset(p, 'r', size);
		had = size;
	}
	/* A size of 0 does not free. */
	p = bh_realloc(p, 0);
	ck_assert_uint_gt(bh_usable_size(p), 0);
	bh_free(p);
	return 0;
}

START_TEST(realloc_keeps_what_was_there)
{
	start_private(_i, ZONE);
	in_task(NULL, realloc_all, NULL);
	support_end();
}
END_TEST

/* A large object grows into what is left of its last area, and shrinks, where it is. */
static int resize_span(void *arg)
{
	char *p = bh_malloc(MIB + 4096), *q;
	uint64_t bytes = bytes_here();

	q = bh_realloc(p, 2 * MIB);
	ck_assert_ptr_eq(p, q);
	ck_assert_uint_eq(bytes_here(), bytes + MIB - 4096);
	ck_assert_uint_eq(support_usage(arg), bytes_here());
	q = bh_realloc(p, 512 * KIB);
	ck_assert_ptr_eq(p, q);
	ck_assert_uint_eq(bytes_here(), bytes - MIB / 2 - 4096);
	ck_assert_uint_eq(support_usage(arg), bytes_here());
	bh_free(p);
	ck_assert_uint_eq(bytes_here(), 0);
	ck_assert_int_eq(bh_audit(), 0);
	return 0;
}

START_TEST(a_large_object_is_resized_in_place_and_its_charge_follows)
{
	struct bh_group *group;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	in_task(group, resize_span, group);
	bh_group_put(group);
	support_end();
}
END_TEST

/* One of more than a class grows into what is free behind it, and where it has a span of
 * its own it is moved but once for a doubling. */
static int grow_by_steps(void *arg)
{
	unsigned nr_moves = 0;
	size_t had = 40 * KIB;
	char *p = bh_malloc(had), *q;

	memset(p, 'g', had);
	q = bh_realloc(p, 100 * KIB);
	ck_assert_ptr_eq(p, q);
	q = bh_malloc(4 * KIB * 60);
	for (size_t size = had; size < 40 * MIB; size += size / 16) {
		char *moved = bh_realloc(p, size);

		ck_assert_ptr_nonnull(moved);
		nr_moves += moved != p;
		p = moved;
		ck_assert_int_eq(p[0], 'g');
		ck_assert_int_eq(p[had - 1], 'g');
		memset(p, 'g', size);
		had = size;
		ck_assert_uint_eq(support_usage(arg), bytes_here());
	}
	ck_assert_uint_le(nr_moves, 12);
	/* Down again, and what is behind it serves others. */
	p = bh_realloc(p, 40 * KIB);
	ck_assert(is_filled(p, 40 * KIB, 'g'));
	bh_free(p);
	bh_free(q);
	ck_assert_uint_le(bytes_here(), MIB);
	ck_assert_int_eq(bh_audit(), 0);
	return 0;
}

START_TEST(an_object_that_grows_is_seldom_moved)
{
	struct bh_group *group;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	in_task(group, grow_by_steps, group);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

#define MANY 4000

static const size_t kinds[] = {500, 4096, 30000, 40000};

struct given {
	struct bh_group *group;
	size_t size;
	int nr_kinds; /* so far */
};

static int give_back(void *arg)
{
	static void *objects[MANY];
	const struct given *given = arg;
	size_t sum = MANY * given->size;

	for (int i = 0; i < MANY; i++)
		objects[i] = bh_malloc(given->size);
	ck_assert_uint_ge(bytes_here(), sum);
	/* At most an eighth of a slab is waste, and what grows does by doubling. */
	ck_assert_uint_le(bytes_here(), sum + sum / 4 + 10 * MIB);
	ck_assert_uint_eq(support_usage(given->group), bytes_here());
	for (int i = 0; i < MANY; i++)
		bh_free(objects[i]);
	/* 2048 idle pages at most, and for each class a slab or two. */
	ck_assert_uint_le(bytes_here(), 8 * MIB + (size_t)given->nr_kinds * 512 * KIB);
	ck_assert_uint_eq(support_usage(given->group), bytes_here());
	ck_assert_int_eq(bh_audit(), 0);
	return 0;
}

START_TEST(pages_of_freed_objects_are_given_back_and_uncharged)
{
	struct given given = {0};
	struct bh_task *task;

	start_private(_i, ZONE);
	given.group = support_group(NULL, "group");
	task = task_in(given.group, "task");
	for (size_t k = 0; k < bhi_array_size(kinds); k++) {
		given.size = kinds[k];
		given.nr_kinds++;
		enter(task, give_back, &given);
		/* 64 idle pages are left. */
		ck_assert_uint_le(stat_of(task).bytes,
			256 * KIB + (size_t)given.nr_kinds * 512 * KIB);
		ck_assert_uint_eq(support_usage(given.group), stat_of(task).bytes);
		ck_assert_int_eq(bh_audit(), 0);
	}
	bh_task_put(task);
	ck_assert_uint_eq(support_usage(given.group), 0);
	bh_group_put(given.group);
	support_end();
}
END_TEST

/* Slabs of one object: each is full, or empty. */
static int fill_and_empty(void *arg)
{
	static void *objects[64];
	uint64_t bytes = 0;

	(void)arg;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 3; i++)
			objects[i] = bh_malloc(32768);
		for (int i = 0; i < 3; i++)
			bh_free(objects[i]);
		if (!round)
			bytes = bytes_here();
		ck_assert_uint_le(bytes_here(), bytes);
	}
	return 0;
}

START_TEST(what_is_freed_is_used_again)
{
	start_private(_i, ZONE);
	in_task(NULL, fill_and_empty, NULL);
	support_end();
}
END_TEST

static int leave_some(void *arg)
{
	for (size_t i = 0; i < bhi_array_size(sizes); i++)
		ck_assert_ptr_nonnull(bh_malloc(sizes[i]));
	memset(bh_map(3 * MIB, 0), 'm', 3 * MIB);
	*(uint64_t *)arg = bytes_here();
	return 0;
}

START_TEST(the_audit_counts_the_pages_of_tasks_that_live)
{
	struct bh_group *group;
	struct bh_task *task;
	uint64_t bytes;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	task = task_in(group, "resident");
	enter(task, leave_some, &bytes);
	ck_assert_uint_gt(bytes, 8 * MIB);
	ck_assert_uint_eq(support_usage(group), bytes);
	ck_assert_uint_eq(support_usage(bh_root()), bytes);
	ck_assert_int_eq(bh_audit(), 0);
	bh_task_put(task);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(areas_taken(), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static int say_nothing(void *arg)
{
	struct bh_task *task = bh_current();
	uint64_t *populated = &bhi_private.areas[task->region.spans].populated[3];

	(void)arg;
	*populated ^= 1;
	return 0;
}

static void audit_forged(void *arg)
{
	struct bh_task *task;
	uint64_t bytes;

	if (*(int *)arg)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	task = bh_task_new(NULL, NULL);
	bh_task_enter(task, leave_some, &bytes, NULL);
	if (bh_audit())
		_exit(1);
	bh_task_enter(task, say_nothing, NULL, NULL);
	/* The pages of the task, and the usage of the root. */
	if (bh_audit() != 2)
		_exit(2);
	bh_task_enter(task, say_nothing, NULL, NULL);
	bh_task_put(task);
}

START_TEST(the_audit_says_when_the_pages_of_a_task_are_not_what_it_is_charged_for)
{
	struct support_output output;

	need_backend(_i);
	support_capture(audit_forged, &_i, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert(support_contains(output.err, "audit: pages of a task of group '/'"));
	support_output_fini(&output);
}
END_TEST

/* Random operations against a table of what must be there. */

#define NR_SLOTS 300

struct slot {
	unsigned char *p;
	size_t size;
	unsigned char with;
};

static struct slot slots[NR_SLOTS];

static size_t random_size(void)
{
	unsigned shift = random_below(20);

	return random_below((1u << shift) + 1);
}

static void check_slot(const struct slot *slot)
{
	size_t step = slot->size / 64 + 1;

	ck_assert_uint_ge(bh_usable_size(slot->p), slot->size);
	for (size_t i = 0; i < slot->size; i += step)
		ck_assert_int_eq(slot->p[i], slot->with);
	if (slot->size)
		ck_assert_int_eq(slot->p[slot->size - 1], slot->with);
}

static void fill_slot(struct slot *slot, size_t size)
{
	slot->size = size;
	slot->with = (unsigned char)(random_below(255) + 1);
	memset(slot->p, slot->with, size);
}

static void step(struct slot *slot)
{
	size_t size = random_size();

	if (!slot->p) {
		bool zeroed = random_below(2);

		slot->p = zeroed ? bh_calloc(1, size) : bh_malloc(size);
		ck_assert_ptr_nonnull(slot->p);
		if (zeroed)
			ck_assert(is_filled((char *)slot->p, size, 0));
		fill_slot(slot, size);
		return;
	}
	check_slot(slot);
	if (random_below(3)) {
		bh_free(slot->p);
		slot->p = NULL;
		return;
	}
	slot->p = bh_realloc(slot->p, size);
	slot->size = slot->size < size ? slot->size : size;
	check_slot(slot);
	fill_slot(slot, size);
}

static int run_steps(void *arg)
{
	unsigned nr = *(unsigned *)arg;

	for (unsigned i = 0; i < nr; i++)
		step(&slots[random_below(NR_SLOTS)]);
	return 0;
}

START_TEST(random_operations_agree_with_a_model)
{
	struct bh_group *group;
	struct bh_task *task;
	unsigned nr = 1500;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	task = task_in(group, "random");
	for (int round = 0; round < 20; round++) {
		enter(task, run_steps, &nr);
		ck_assert_uint_eq(support_usage(group), stat_of(task).bytes);
		ck_assert_int_eq(bh_audit(), 0);
	}
	bh_task_put(task);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* A limit that is no limit for what fails: the policy says so. */
static int ask_too_much(void *arg)
{
	(void)arg;
	errno = 0;
	ck_assert_ptr_null(bh_malloc(8 * MIB));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(bh_malloc(SIZE_MAX));
	ck_assert_ptr_null(bh_malloc(SIZE_MAX / 2));
	ck_assert_ptr_null(bh_malloc(SIZE_MAX - 4095));
	for (int i = 0; i < 2000; i++) {
		if (!bh_malloc(1000)) {
			ck_assert_int_gt(i, 800);
			return 0;
		}
	}
	ck_abort();
	return 0;
}

START_TEST(a_group_that_fails_gives_null_and_kills_nobody)
{
	struct bh_group *group;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, MIB);
	support_set(group, BH_ON_LIMIT, BH_FAIL);
	in_task(group, ask_too_much, NULL);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* In place there would be room, but not within the limit. */
static int fail_to_grow(void *arg)
{
	/* The last one has room in its own areas; the one before has to move. */
	static const size_t from[] = {40 * KIB, 100 * KIB, MIB, 3 * MIB, 3 * MIB + KIB};
	static const size_t to[] = {
		80 * KIB, 200 * KIB, 2 * MIB, 6 * MIB, 3 * MIB + 100 * KIB};

	for (size_t i = 0; i < bhi_array_size(from); i++) {
		char *p = bh_malloc(from[i]);
		uint64_t usage = support_usage(arg);

		memset(p, 'f', from[i]);
		support_set(arg, BH_MAX, usage + 32 * KIB);
		errno = 0;
		ck_assert_ptr_null(bh_realloc(p, to[i]));
		ck_assert_int_eq(errno, ENOMEM);
		ck_assert(is_filled(p, from[i], 'f'));
		ck_assert_uint_eq(support_usage(arg), bytes_here());
		ck_assert_int_eq(bh_audit(), 0);
		support_set(arg, BH_MAX, 16 * MIB);
		p = bh_realloc(p, to[i]);
		ck_assert(is_filled(p, from[i], 'f'));
		bh_free(p);
	}
	return 0;
}

START_TEST(an_object_that_cannot_grow_stays_as_it_was)
{
	struct bh_group *group;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_ON_LIMIT, BH_FAIL);
	in_task(group, fail_to_grow, group);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		an_object_is_aligned_and_may_be_used_up_to_its_usable_size, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, calloc_zeroes_what_was_used_before, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, outside_of_a_task_there_is_no_private_memory, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, pages_that_go_to_another_task_are_zero, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, pages_that_are_kept_for_another_task_are_zero, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, system_calls_can_use_an_object_without_a_touch, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase, wild_and_foreign_pointers_are_reported_and_not_freed,
		0, NR_BACKENDS * (int)bhi_array_size(wrongs));
	tcase_add_loop_test(tcase, realloc_of_shared_memory_stays_shared, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase, realloc_keeps_what_was_there, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase,
		a_large_object_is_resized_in_place_and_its_charge_follows, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, an_object_that_grows_is_seldom_moved, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, an_object_that_cannot_grow_stays_as_it_was, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase, pages_of_freed_objects_are_given_back_and_uncharged, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, what_is_freed_is_used_again, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, the_audit_counts_the_pages_of_tasks_that_live, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase,
		the_audit_says_when_the_pages_of_a_task_are_not_what_it_is_charged_for, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, random_operations_agree_with_a_model, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, a_group_that_fails_gives_null_and_kills_nobody, 0, NR_BACKENDS);
}

int main(void)
{
	return support_run("private", add);
}
