/* SPDX-License-Identifier: MIT */
/* Size classes and the orders of slabs: tables and pure functions, looked at whole. */
#include "alloc/classes.h"
#include "support.h"

#define MOST_TAIL_SHARE 8 /* an eighth */

static size_t size_of_class(size_t size)
{
	return bhi_class_sizes[bhi_class_of(size)];
}

START_TEST(every_size_fits_into_its_class_and_not_into_the_one_before)
{
	bhi_classes_init();
	for (size_t size = 0; size <= BHI_CLASS_MAX_SIZE; size++) {
		unsigned class_id = bhi_class_of(size);

		ck_assert_uint_lt(class_id, BHI_NR_CLASSES);
		ck_assert_uint_ge(bhi_class_sizes[class_id], size);
		if (class_id)
			ck_assert_uint_lt(bhi_class_sizes[class_id - 1], size);
	}
	ck_assert_uint_eq(size_of_class(BHI_CLASS_MAX_SIZE), BHI_CLASS_MAX_SIZE);
}
END_TEST

START_TEST(class_sizes_rise_and_are_their_own_class)
{
	bhi_classes_init();
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++) {
		ck_assert_uint_eq(bhi_class_of(bhi_class_sizes[i]), i);
		if (i)
			ck_assert_uint_gt(bhi_class_sizes[i], bhi_class_sizes[i - 1]);
		ck_assert_uint_eq(bhi_class_sizes[i] % (i ? 16 : 8), 0);
	}
}
END_TEST

START_TEST(waste_is_at_most_15_bytes_up_to_128_and_an_eighth_above)
{
	bhi_classes_init();
	for (size_t size = 1; size <= BHI_CLASS_MAX_SIZE; size++) {
		size_t waste = size_of_class(size) - size;

		if (size <= 128)
			ck_assert_uint_le(waste, 15);
		else
			ck_assert_uint_le(waste * 8, size_of_class(size));
	}
}
END_TEST

START_TEST(the_table_and_the_computation_agree)
{
	bhi_classes_init();
	for (size_t size = 129; size <= BHI_CLASS_TABLE_SIZE; size++)
		ck_assert_uint_eq(bhi_class_of(size), bhi_class_compute(size));
}
END_TEST

static size_t slab_size(size_t size, uint64_t bytes)
{
	return BHI_PAGE_SIZE << bhi_slab_order(size, bytes);
}

START_TEST(a_slab_holds_an_object_and_wastes_at_most_an_eighth_at_its_end)
{
	for (size_t size = 8; size <= BHI_CLASS_MAX_SIZE + 4096; size += 8) {
		for (uint64_t bytes = 0; bytes <= (uint64_t)1 << 24;
			bytes = 4 * bytes + 1) {
			size_t slab = slab_size(size, bytes);

			ck_assert_uint_ge(slab, size);
			ck_assert_uint_le(slab % size * MOST_TAIL_SHARE, slab);
			ck_assert_uint_le(slab, BHI_PAGE_SIZE << 10);
		}
	}
}
END_TEST

/* The smallest slab whose tail is small enough: what nobody can do without. */
static size_t least_slab(size_t size)
{
	size_t slab = BHI_PAGE_SIZE;

	while (slab < size || slab % size * MOST_TAIL_SHARE > slab)
		slab *= 2;
	return slab;
}

START_TEST(the_first_slab_of_a_class_is_the_smallest_that_will_do)
{
	bhi_classes_init();
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++)
		ck_assert_uint_eq(
			slab_size(bhi_class_sizes[i], 0), least_slab(bhi_class_sizes[i]));
	ck_assert_uint_eq(slab_size(8, 0), 4096);
	ck_assert_uint_eq(slab_size(1024, 0), 4096);
}
END_TEST

/*
 * A slab larger than the smallest that will do is at most as large as what its owner has
 * already, so that growing never more than doubles a group.
 */
START_TEST(slabs_grow_with_their_owner_up_to_64_kib_or_eight_objects)
{
	bhi_classes_init();
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++) {
		size_t size = bhi_class_sizes[i], last = 0;
		size_t most = bhi_max((size_t)65536, 8 * size);

		for (uint64_t bytes = 0; bytes <= (uint64_t)1 << 24; bytes += 4096) {
			size_t slab = slab_size(size, bytes);

			ck_assert_uint_ge(slab, last);
			last = slab;
			if (slab == least_slab(size))
				continue;
			ck_assert_uint_le(
				slab, bhi_max(bytes, (uint64_t)least_slab(size)));
			ck_assert_uint_le(slab, most);
		}
		if (size <= 8192)
			ck_assert_uint_eq(last, 65536);
		ck_assert_uint_gt(2 * last, bhi_min(most, (size_t)1 << 20));
	}
}
END_TEST

START_TEST(an_object_begins_where_its_size_divides_the_offset)
{
	bhi_classes_init();
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++) {
		unsigned nr_wrong = 0;

		for (size_t offset = 0; offset < (size_t)1 << 20; offset += 8)
			nr_wrong += bhi_class_divides(i, offset) !=
				    (offset % bhi_class_sizes[i] == 0);
		ck_assert_uint_eq(nr_wrong, 0);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, every_size_fits_into_its_class_and_not_into_the_one_before);
	tcase_add_test(tcase, class_sizes_rise_and_are_their_own_class);
	tcase_add_test(tcase, waste_is_at_most_15_bytes_up_to_128_and_an_eighth_above);
	tcase_add_test(tcase, the_table_and_the_computation_agree);
	tcase_add_test(tcase, an_object_begins_where_its_size_divides_the_offset);
	tcase_add_test(
		tcase, a_slab_holds_an_object_and_wastes_at_most_an_eighth_at_its_end);
	tcase_add_test(tcase, the_first_slab_of_a_class_is_the_smallest_that_will_do);
	tcase_add_test(tcase, slabs_grow_with_their_owner_up_to_64_kib_or_eight_objects);
}

int main(void)
{
	return support_run("classes", add);
}
