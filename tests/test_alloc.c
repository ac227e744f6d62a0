/* SPDX-License-Identifier: MIT */
/* bh_alloc and its relatives on one thread. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "account/waiters.h"
#include "alloc/classes.h"
#include "alloc/slab.h"
#include "debug/inject.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"
#include "support_task.h"

#define ZONE (64 * MIB)

/* Sizes of every allocator: shared slabs, slabs, a few pages, blocks, several blocks. */
static const size_t some_sizes[] = {0, 1, 8, 9, 16, 100, 128, 129, 1000, 1024, 1025, 4096,
	5000, 8192, 8193, 20000, 32768, 32769, 65536, 100000, 131072, 131073, 1000000,
	1 << 20, (1 << 20) + 1, 4 << 20, (4 << 20) + 1, 20 << 20};

/* Give back what is kept for reuse; the usage then is what lives. */
static uint64_t usage_without_kept(struct bh_group *group)
{
	bhi_reclaim_hooks.collect(group);
	return support_usage(group);
}

static void *take(struct bh_group *group, size_t size, unsigned flags)
{
	void *p = bh_alloc(group, size, flags);

	ck_assert_msg(p != NULL, "%zu bytes", size);
	return p;
}

/* First, last and middle byte of an object. */
static void mark(char *p, size_t size, char value)
{
	if (size)
		p[0] = p[size / 2] = p[size - 1] = value;
}

static bool is_marked(const char *p, size_t size, char value)
{
	return !size || (p[0] == value && p[size / 2] == value && p[size - 1] == value);
}

static bool is_zero(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void check_object(struct bh_group *group, const void *p, size_t size)
{
	ck_assert_uint_eq((uintptr_t)p % (size <= 8 ? 8 : 16), 0);
	ck_assert_uint_ge(bh_usable_size(p), size);
	ck_assert_ptr_eq(bh_group_of(p), group);
}

START_TEST(every_size_up_to_40000_is_aligned_owned_and_apart_from_others)
{
	enum {
		STEP = 100
	};
	struct bh_group *group;
	char *objects[STEP];

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t first = 0; first <= 40000; first += STEP) {
		for (size_t i = 0; i < STEP; i++) {
			size_t size = first + i;

			objects[i] = take(group, size, 0);
			check_object(group, objects[i], size);
			mark(objects[i], bh_usable_size(objects[i]), (char)i);
		}
		for (size_t i = 0; i < STEP; i++) {
			ck_assert(is_marked(
				objects[i], bh_usable_size(objects[i]), (char)i));
			bh_free(objects[i]);
		}
	}
	ck_assert_uint_eq(usage_without_kept(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(large_sizes_are_served_by_the_page)
{
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
		size_t size = some_sizes[i];
		char *p = take(group, size, 0);

		check_object(group, p, size);
		mark(p, bh_usable_size(p), 1);
		if (size > BHI_CLASS_MAX_SIZE) {
			ck_assert_uint_eq(bh_usable_size(p), bhi_page_align(size));
			ck_assert_uint_eq(
				usage_without_kept(group), bhi_page_align(size));
		}
		bh_free(p);
		ck_assert_uint_eq(usage_without_kept(group), 0);
	}
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_null_group_means_the_root)
{
	void *objects[4];

	support_start(ZONE);
	objects[0] = bh_alloc(NULL, 8, 0);
	objects[1] = bh_alloc(NULL, 500000, 0);
	objects[2] = bh_alloc_aligned(NULL, 64, 100, 0);
	objects[3] = bh_alloc_pages(NULL, 2, 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_ptr_nonnull(objects[i]);
		ck_assert_ptr_eq(bh_group_of(objects[i]), bh_root());
		bh_free(objects[i]);
	}
	/* The second request of a thread takes another path than the first. */
	for (int i = 0; i < 100; i++) {
		void *p = take(NULL, 8, 0), *q = take(bh_root(), 8, 0);

		ck_assert_ptr_ne(p, q);
		bh_free(p);
		bh_free(q);
	}
	ck_assert_uint_eq(usage_without_kept(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(a_null_group_means_the_root_also_after_the_last_group_was_dropped)
{
	struct bh_group *group;
	void *p;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (int i = 0; i < 1000; i++)
		take(group, 64, 0);
	ck_assert_int_eq(bh_group_drop(group), 0);
	p = take(NULL, 64, 0);
	ck_assert_ptr_eq(bh_group_of(p), bh_root());
	bh_free(p);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_first_request_starts_the_library_with_the_defaults)
{
	void *p;

	setenv("BULKHEAD_SIZE", "32M", 1);
	p = bh_alloc(NULL, 100, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(support_stat(bh_root()).max, 32 * MIB);
	bh_free(p);
	bh_free(NULL);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(zeroed_memory_is_zero_where_other_contents_were_before)
{
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
		for (int round = 0; round < 3; round++) {
			char *p = take(group, some_sizes[i], BH_ZERO);

			ck_assert(is_zero(p, bh_usable_size(p)));
			memset(p, 0xff, bh_usable_size(p));
			bh_free(p);
		}
	}
	bh_group_put(group);
	support_end();
}
END_TEST

static void check_aligned(struct bh_group *group, size_t align, size_t size)
{
	char *p = bh_alloc_aligned(group, align, size, BH_ZERO);

	ck_assert_msg(p != NULL, "%zu bytes aligned to %zu", size, align);
	ck_assert_msg((uintptr_t)p % align == 0, "%zu bytes aligned to %zu", size, align);
	check_object(group, p, size);
	ck_assert(is_zero(p, size));
	mark(p, bh_usable_size(p), 1);
	bh_free(p);
}

START_TEST(every_power_of_two_up_to_4_mib_is_an_alignment)
{
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t align = 1; align <= 4 * MIB; align *= 2) {
		for (size_t i = 0; i < bhi_array_size(some_sizes); i++)
			check_aligned(group, align, some_sizes[i]);
	}
	ck_assert_uint_eq(usage_without_kept(group), 0);
	/* Many of them at a time: not only the first of a slab. */
	for (size_t align = 8; align <= 4096; align *= 2) {
		for (size_t size = 1; size < 3 * align; size += align / 8) {
			void *p = bh_alloc_aligned(group, align, size, 0);

			ck_assert_uint_eq((uintptr_t)p % align, 0);
			ck_assert_uint_ge(bh_usable_size(p), size);
		}
	}
	ck_assert_int_eq(bh_group_drop(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(other_alignments_are_refused)
{
	static const size_t bad[] = {0, 3, 24, 4097, 8 * MIB, SIZE_MAX, SIZE_MAX / 2 + 1};

	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(bh_alloc_aligned(NULL, bad[i], 100, 0));
		ck_assert_int_eq(errno, EINVAL);
	}
	support_end();
}
END_TEST

START_TEST(flags_that_contradict_each_other_are_refused)
{
	static const unsigned bad[] = {1u << 8, 1u << 31, BH_NORETRY | BH_NOFAIL,
		BH_NORETRY | BH_RETRY_MAYFAIL, BH_RETRY_MAYFAIL | BH_NOFAIL,
		BH_ATOMIC | BH_NOFAIL, BH_NOWAIT | BH_NOFAIL};
	void *object;

	support_start(ZONE);
	object = take(NULL, 100, 0);
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(bh_alloc(NULL, 100, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		errno = 0;
		ck_assert_ptr_null(bh_alloc(NULL, 1000000, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		errno = 0;
		ck_assert_ptr_null(bh_alloc_aligned(NULL, 64, 100, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		errno = 0;
		ck_assert_ptr_null(bh_alloc_pages(NULL, 0, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		errno = 0;
		ck_assert_ptr_null(bh_realloc_flags(object, 10000, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		errno = 0;
		ck_assert_ptr_null(bh_realloc_flags(NULL, 100, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
	}
	bh_free(object);
	support_end();
}
END_TEST

START_TEST(what_does_not_fit_fails_with_enomem_and_leaves_no_trace)
{
	static const size_t bad[] = {1 << 30, (size_t)1 << 40, (size_t)INT64_MAX,
		(size_t)INT64_MAX + 1, SIZE_MAX - 4095, SIZE_MAX - 4094, SIZE_MAX};
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(bh_alloc(group, bad[i], 0));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(bh_alloc_aligned(group, 4 * MIB, bad[i], BH_ZERO));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(bh_alloc_aligned(group, 64, bad[i], 0));
		ck_assert_int_eq(errno, ENOMEM);
		errno = 0;
		ck_assert_ptr_null(bh_realloc_flags(NULL, bad[i], 0));
		ck_assert_int_eq(errno, ENOMEM);
	}
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_group_at_its_limit_fails_and_the_others_go_on)
{
	struct bh_group *poor, *rich;
	size_t nr = 0;

	support_start(ZONE);
	poor = support_group(NULL, "poor");
	rich = support_group(NULL, "rich");
	support_set(poor, BH_MAX, MIB);
	errno = 0;
	while (bh_alloc(poor, 1000, 0))
		nr++;
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_ge(nr * 1000, MIB * 8 / 10);
	ck_assert_uint_le(support_usage(poor), MIB);
	bh_free(take(rich, 1000, 0));
	ck_assert_int_eq(bh_group_drop(poor), 0);
	ck_assert_uint_eq(support_usage(poor), 0);
	bh_free(take(poor, 1000, 0));
	bh_group_put(poor);
	bh_group_put(rich);
	support_end();
}
END_TEST

START_TEST(realloc_keeps_contents_and_group_whatever_the_sizes)
{
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
		for (size_t j = 0; j < bhi_array_size(some_sizes); j++) {
			size_t from = some_sizes[i], to = some_sizes[j];
			size_t both = bhi_min(from, to);
			char *p = take(group, from, 0), *q;

			mark(p, both, 'x');
			q = bh_realloc_flags(p, to, 0);
			ck_assert_ptr_nonnull(q);
			check_object(group, q, to);
			ck_assert(is_marked(q, both, 'x'));
			bh_free(q);
		}
	}
	ck_assert_uint_eq(usage_without_kept(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(realloc_stays_in_place_while_it_fits_and_is_not_half_empty)
{
	char *p, *q;

	support_start(ZONE);
	p = take(NULL, 1000, 0);
	ck_assert_ptr_eq(bh_realloc_flags(p, 1024, 0), p);
	ck_assert_ptr_eq(bh_realloc_flags(p, 600, 0), p);
	q = bh_realloc_flags(p, 100, 0);
	ck_assert_ptr_ne(q, p);
	ck_assert_uint_le(bh_usable_size(q), 128);
	p = bh_realloc_flags(q, 0, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_le(bh_usable_size(p), 64);
	bh_free(p);
	p = bh_realloc_flags(NULL, 100, 0);
	ck_assert_ptr_eq(bh_group_of(p), bh_root());
	bh_free(p);
	p = bh_realloc_flags(NULL, 0, 0);
	ck_assert_ptr_nonnull(p);
	bh_free(p);
	support_end();
}
END_TEST

START_TEST(realloc_zeroes_what_lies_behind_the_old_usable_size)
{
	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
		size_t size = some_sizes[i], old;
		char *dirty, *p, *q;

		if (size > 4 * MIB)
			continue;
		dirty = take(NULL, 4 * size + 4096, 0);
		memset(dirty, 0xff, bh_usable_size(dirty));
		bh_free(dirty);
		p = take(NULL, size, 0);
		old = bh_usable_size(p);
		memset(p, 0xee, old);
		q = bh_realloc_flags(p, 4 * size + 4096, BH_ZERO);
		ck_assert_ptr_nonnull(q);
		ck_assert(is_marked(q, old, (char)0xee));
		ck_assert(is_zero(q + old, bh_usable_size(q) - old));
		bh_free(q);
	}
	support_end();
}
END_TEST

START_TEST(a_realloc_that_fails_leaves_the_old_object)
{
	struct bh_group *group;
	uint64_t usage;
	char *p;

	support_start(ZONE);
	group = support_group(NULL, "group");
	p = take(group, 1000, 0);
	mark(p, 1000, 'x');
	usage = support_usage(group);
	errno = 0;
	ck_assert_ptr_null(bh_realloc_flags(p, 1 << 30, BH_ZERO));
	ck_assert_int_eq(errno, ENOMEM);
	errno = 0;
	ck_assert_ptr_null(bh_realloc_flags(p, SIZE_MAX, 0));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert(is_marked(p, 1000, 'x'));
	ck_assert_ptr_eq(bh_group_of(p), group);
	ck_assert_uint_eq(support_usage(group), usage);
	bh_free(p);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(what_an_object_of_a_deleted_group_grows_into_is_the_parents)
{
	struct bh_group *parent, *child;
	char *p, *q;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	child = support_group(parent, "child");
	/* Enough for slabs of its own, one of them in use by the fast path. */
	for (int i = 0; i < 1000; i++)
		take(child, 100, 0);
	p = take(child, 100, 0);
	bh_group_put(child);
	ck_assert_ptr_eq(bh_group_of(p), child);
	ck_assert_ptr_eq(bh_realloc_flags(p, 105, 0), p);
	q = bh_realloc_flags(p, 200, 0);
	ck_assert_ptr_eq(bh_group_of(q), parent);
	q = bh_realloc_flags(q, 100, 0);
	ck_assert_ptr_eq(bh_group_of(q), parent);
	bh_free(q);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(only_the_start_of_a_live_object_has_a_size_and_a_group)
{
	char *small, *large, *run;
	char stack = 0;
	void *heap = malloc(100);

	support_start(ZONE);
	small = take(support_group(NULL, "small"), 100, 0);
	large = take(NULL, 5000, 0);
	run = take(NULL, 500000, 0);
	ck_assert_uint_eq(bh_usable_size(NULL), 0);
	ck_assert_ptr_null(bh_group_of(NULL));
	for (size_t i = 1; i < 100; i += 7) {
		ck_assert_uint_eq(bh_usable_size(small + i), 0);
		ck_assert_ptr_null(bh_group_of(small + i));
		ck_assert_uint_eq(bh_usable_size(large + i), 0);
		ck_assert_ptr_null(bh_group_of(large + i));
		ck_assert_uint_eq(bh_usable_size(run + i), 0);
		ck_assert_ptr_null(bh_group_of(run + i));
	}
	for (size_t i = 4096; i < 500000; i += 4096) {
		ck_assert_uint_eq(bh_usable_size(run + i), 0);
		ck_assert_ptr_null(bh_group_of(run + i));
	}
	ck_assert_uint_eq(bh_usable_size(&stack), 0);
	ck_assert_ptr_null(bh_group_of(&stack));
	ck_assert_uint_eq(bh_usable_size(heap), 0);
	ck_assert_ptr_null(bh_group_of(heap));
	bh_free(small);
	ck_assert_ptr_null(bh_group_of(small));
	bh_free(run);
	ck_assert_ptr_null(bh_group_of(run));
	bh_free(large);
	free(heap);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

static void free_with_errno(void *p)
{
	errno = 4711;
	bh_free(p);
	ck_assert_int_eq(errno, 4711);
}

static void *free_in_new_thread(void *arg)
{
	/* The thread's first use of the library, and there is no memory to register it.
	 */
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, (1u << BHI_FP_NR) - 1);
	free_with_errno(arg);
	bhi_failpoint_disarm();
	return NULL;
}

START_TEST(freeing_preserves_errno)
{
	void *p;

	support_start(256 * MIB);
	free_with_errno(NULL);
	for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
		free_with_errno(take(NULL, some_sizes[i], 0));
		p = take(NULL, some_sizes[i], 0);
		support_join(support_thread(free_in_new_thread, p));
	}
	p = take(NULL, 100 * MIB, 0);
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MADVISE);
	free_with_errno(p);
	bhi_failpoint_disarm();
	support_end();
}
END_TEST

START_TEST(usage_goes_back_to_nothing_however_things_are_freed)
{
	enum {
		NR = 3000
	};
	static void *objects[NR];
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (int order = 0; order < 3; order++) {
		for (int i = 0; i < NR; i++)
			objects[i] = take(group, (size_t)i * 7919 % 6000, 0);
		ck_assert_uint_gt(support_usage(group), 0);
		for (int i = 0; i < NR; i++) {
			/* Forward, backward, and by large steps. */
			int at = order == 0   ? i
				 : order == 1 ? NR - 1 - i
					      : (int)((unsigned)i * 1009u % NR);

			bh_free(objects[at]);
		}
		ck_assert_uint_eq(usage_without_kept(group), 0);
	}
	ck_assert_uint_eq(usage_without_kept(bh_root()), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(slabs_grow_with_their_group)
{
	struct bh_group *group;
	uint64_t live = 0;

	support_start(ZONE);
	group = support_group(NULL, "group");
	/* From nothing to 4 MiB of one class: never more than double, plus a page. */
	while (live < 4 * MIB) {
		char *p = take(group, 64, 0);
		uint8_t order = 0;

		live += 64;
		if (live % (64 * 61) == 0)
			ck_assert_uint_le(support_usage(group), 2 * live + 2 * PAGE);
		if (bhi_page_of(p)->type == BHI_PAGE_SLAB)
			order = bhi_slab_of(bhi_page_of(p))->order;
		if (live < 16 * KIB)
			ck_assert_uint_le(order, 1);
		if (live > MIB)
			ck_assert_uint_eq(order, 4);
	}
	ck_assert_uint_le(support_usage(group), live + live / 16);
	ck_assert_int_eq(bh_group_drop(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_group_of_a_few_objects_is_charged_for_them_alone)
{
	enum {
		NR_GROUPS = 16
	};
	struct bh_group *groups[NR_GROUPS];
	uint64_t live = 0, shared = 0;

	support_start(ZONE);
	for (unsigned i = 0; i < NR_GROUPS; i++)
		groups[i] = support_group(NULL, "small");
	for (unsigned class_id = 0; bhi_class_sizes[class_id] <= 4096; class_id++) {
		live += bhi_class_sizes[class_id];
		for (unsigned i = 0; i < NR_GROUPS; i++)
			take(groups[i], bhi_class_sizes[class_id], 0);
	}
	for (unsigned i = 0; i < NR_GROUPS; i++)
		ck_assert_uint_eq(support_usage(groups[i]), live);
	/* Slabs of their own, one a class at the least, would be 45 pages a group. */
	shared = support_usage(bh_root());
	ck_assert_uint_ge(shared, NR_GROUPS * live);
	ck_assert_uint_le(shared, 2 * NR_GROUPS * live);
	ck_assert_int_eq(bh_audit(), 0);
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		ck_assert_int_eq(bh_group_drop(groups[i]), 0);
		ck_assert_uint_eq(support_usage(groups[i]), 0);
		bh_group_put(groups[i]);
	}
	ck_assert_uint_eq(usage_without_kept(bh_root()), 0);
	support_end();
}
END_TEST

/* The sizes in a script interpreter's state: mostly below 64 bytes, a few large ones. */
static uint64_t fill_like_an_interpreter(struct bh_group *group, uint64_t wanted)
{
	static const uint16_t sizes[] = {28, 31, 31, 31, 31, 36, 36, 56, 56, 31, 48, 96,
		31, 31, 28, 36, 31, 16, 64, 31, 31, 96, 56, 31, 36, 31, 28, 31, 128, 31,
		256, 512};
	static const uint16_t large[] = {1024, 2048, 4096, 1320};
	uint64_t live = 0;

	for (unsigned i = 0; live < wanted; i++) {
		size_t size = i % 64 == 63 ? large[i / 64 % 4] : sizes[i % 32];

		take(group, size, 0);
		live += size;
	}
	return live;
}

START_TEST(a_thousand_groups_of_38_kib_take_at_most_two_and_a_half_times_as_much)
{
	enum {
		NR_GROUPS = 1024
	};
	static struct bh_group *groups[NR_GROUPS];
	uint64_t live = 0;

	support_start(256 * MIB);
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		groups[i] = support_group(NULL, "tenant");
		live += fill_like_an_interpreter(groups[i], 38 * KIB);
	}
	ck_assert_uint_le(support_usage(bh_root()) * 2, live * 5);
	ck_assert_int_eq(bh_audit(), 0);
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		ck_assert_int_eq(bh_group_drop(groups[i]), 0);
		bh_group_put(groups[i]);
	}
	ck_assert_uint_eq(usage_without_kept(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(dropping_a_group_frees_what_it_owns_and_nothing_else)
{
	struct bh_group *parent, *group, *child;
	void *parents, *childs;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	child = support_group(group, "child");
	parents = take(parent, 100, 0);
	childs = take(child, 100, 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < bhi_array_size(some_sizes); i++) {
			take(group, some_sizes[i], 0);
			ck_assert_ptr_nonnull(bh_alloc_pages(group, i % 5, 0));
		}
		ck_assert_int_eq(bh_charge(group, 12345, 0), 0);
		ck_assert_int_eq(bh_group_drop(group), 0);
		ck_assert_uint_eq(support_usage(group), support_usage(child) + 12345);
		bh_uncharge(group, 12345);
	}
	ck_assert_uint_eq(bh_usable_size(parents), 112);
	ck_assert_ptr_eq(bh_group_of(parents), parent);
	ck_assert_ptr_eq(bh_group_of(childs), child);
	bh_free(parents);
	bh_free(childs);
	bh_group_put(child);
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(a_request_that_must_not_fail_is_refused_nothing_on_purpose)
{
	static const size_t sizes[] = {100, 5000, 500000};
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, (1u << BHI_FP_NR) - 1);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		void *p = bh_alloc(group, sizes[i], BH_NOFAIL);

		ck_assert_ptr_nonnull(p);
		bh_free(p);
	}
	/* Others on the same thread are. */
	ck_assert_ptr_null(bh_alloc(group, 100000, 0));
	ck_assert_uint_gt(bhi_failpoint_disarm(), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static uint32_t is_ready, is_limited, nr_served;

static void *alloc_while_limited(void *arg)
{
	void *p;

	/* The clock of stalls knows threads that the library knows. */
	bh_free(bh_alloc(arg, 1, 0));
	__atomic_store_n(&is_ready, 1, __ATOMIC_SEQ_CST);
	support_await(&is_limited, 1);
	p = bh_alloc(arg, 9 * MIB, BH_NOFAIL);
	bhi_add(&nr_served, 1);
	return p;
}

/* The kernel refuses this process what it needs for pages: more writable memory. */
START_TEST(a_request_that_must_not_fail_waits_while_the_kernel_refuses)
{
	struct rlimit limit, none;
	struct bh_group *group;
	pthread_t thread;
	void *p;

	support_start(ZONE);
	group = support_group(NULL, "group");
	thread = support_thread(alloc_while_limited, group);
	support_await(&is_ready, 1);
	ck_assert_int_eq(getrlimit(RLIMIT_DATA, &limit), 0);
	/* Less than is asked for, and something for whoever else maps memory here. */
	none = (struct rlimit){
		.rlim_cur = support_status_bytes("VmData") + 6 * MIB,
		.rlim_max = limit.rlim_max,
	};
	ck_assert_int_eq(setrlimit(RLIMIT_DATA, &none), 0);
	__atomic_store_n(&is_limited, 1, __ATOMIC_SEQ_CST);
	/* On the futex, and on the clock of stalls. */
	support_await(&bhi_waiters.nr, 1);
	while (support_stat(group).some.total_ns < 2000000)
		sched_yield();
	ck_assert_uint_eq(bhi_load(&nr_served), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
	p = support_join(thread);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(bhi_load(&bhi_waiters.nr), 0);
	bh_free(p);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, every_size_up_to_40000_is_aligned_owned_and_apart_from_others);
	tcase_add_test(tcase, large_sizes_are_served_by_the_page);
	tcase_add_test(tcase, a_null_group_means_the_root);
	tcase_add_test(
		tcase, a_null_group_means_the_root_also_after_the_last_group_was_dropped);
	tcase_add_test(tcase, the_first_request_starts_the_library_with_the_defaults);
	tcase_add_test(tcase, zeroed_memory_is_zero_where_other_contents_were_before);
	tcase_add_test(tcase, every_power_of_two_up_to_4_mib_is_an_alignment);
	tcase_add_test(tcase, other_alignments_are_refused);
	tcase_add_test(tcase, flags_that_contradict_each_other_are_refused);
	tcase_add_test(tcase, what_does_not_fit_fails_with_enomem_and_leaves_no_trace);
	tcase_add_test(tcase, a_group_at_its_limit_fails_and_the_others_go_on);
	tcase_add_test(tcase, realloc_keeps_contents_and_group_whatever_the_sizes);
	tcase_add_test(tcase, realloc_stays_in_place_while_it_fits_and_is_not_half_empty);
	tcase_add_test(tcase, realloc_zeroes_what_lies_behind_the_old_usable_size);
	tcase_add_test(tcase, a_realloc_that_fails_leaves_the_old_object);
	tcase_add_test(
		tcase, what_an_object_of_a_deleted_group_grows_into_is_the_parents);
	tcase_add_test(tcase, only_the_start_of_a_live_object_has_a_size_and_a_group);
	tcase_add_test(tcase, freeing_preserves_errno);
	tcase_add_test(tcase, usage_goes_back_to_nothing_however_things_are_freed);
	tcase_add_test(tcase, slabs_grow_with_their_group);
	tcase_add_test(tcase, a_group_of_a_few_objects_is_charged_for_them_alone);
	tcase_add_test(tcase,
		a_thousand_groups_of_38_kib_take_at_most_two_and_a_half_times_as_much);
	tcase_add_test(tcase, dropping_a_group_frees_what_it_owns_and_nothing_else);
	tcase_add_test(tcase, a_request_that_must_not_fail_is_refused_nothing_on_purpose);
	tcase_add_test(
		tcase, a_request_that_must_not_fail_waits_while_the_kernel_refuses);
}

int main(void)
{
	return support_run("alloc", add);
}
