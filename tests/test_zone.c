/* SPDX-License-Identifier: MIT */
/*
 * The figures of the tables are worked out by hand from the kernel's formulas, in kB:
 * min = isqrt(kB * 16) within 128 and 262144, in whole pages; step = the larger of min /
 * 4 and zone * scale / 10000, both in whole pages; low = min + step; high = low + step.
 */
#include <errno.h>
#include <string.h>

#include "account/zone.h"
#include "account/zone_probe.h"
#include "debug/inject.h"
#include "base/pool.h"
#include "base/sys.h"

#include "support.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

struct mark_row {
	uint64_t size, min_free;
	unsigned scale;
	uint64_t min_kb, low_kb, high_kb;
};

static void check_rows(const struct mark_row *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct mark_row *row = &rows[i];
		struct bhi_watermarks marks =
			bhi_watermarks_compute(row->size, row->min_free, row->scale);

		ck_assert_msg(marks.min == row->min_kb * KIB &&
				      marks.low == row->low_kb * KIB &&
				      marks.high == row->high_kb * KIB,
			"row %zu: min %lu low %lu high %lu kB", i, marks.min / KIB,
			marks.low / KIB, marks.high / KIB);
	}
}

START_TEST(watermarks_follow_the_kernels_formulas_from_1_mib_to_1_tib)
{
	static const struct mark_row rows[] = {
		{1 * MIB, 0, 0, 128, 160, 192},
		{2 * MIB, 0, 0, 180, 224, 268},
		{4 * MIB, 0, 0, 256, 320, 384},
		{16 * MIB, 0, 0, 512, 640, 768},
		{64 * MIB, 0, 0, 1024, 1280, 1536},
		{100 * MIB, 0, 0, 1280, 1600, 1920},
		{256 * MIB, 0, 0, 2048, 2560, 3072},
		{1000 * MIB, 0, 0, 4044, 5068, 6092},
		{1 * GIB, 0, 0, 4096, 5144, 6192},
		{4 * GIB, 0, 0, 8192, 12384, 16576},
		{16 * GIB, 0, 0, 16384, 33160, 49936},
		{64 * GIB, 0, 0, 32768, 99876, 166984},
		{256 * GIB, 0, 0, 65536, 333968, 602400},
		{1 * TIB, 0, 0, 131072, 1204812, 2278552},
	};

	check_rows(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(computed_min_stays_within_128_kb_and_256_mib)
{
	static const struct mark_row rows[] = {
		{4 * TIB, 0, 0, 262144, 4557108, 8852072},
		{16 * TIB, 0, 0, 262144, 17442012, 34621880},
		/* Too small for a zone of its own, but not for the arithmetic: half of
		   it. */
		{128 * KIB, 0, 0, 64, 80, 96},
	};

	check_rows(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(square_root_is_rounded_down_next_to_a_square)
{
	static const struct mark_row rows[] = {
		{16380 * KIB, 0, 0, 508, 632, 756}, /* isqrt(512^2 - 64) = 511 */
		{16384 * KIB, 0, 0, 512, 640, 768}, /* isqrt(512^2) = 512 */
		{16388 * KIB, 0, 0, 512, 640, 768}, /* isqrt(512^2 + 64) = 512 */
	};

	check_rows(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(wanted_min_and_scale_replace_the_computed_ones)
{
	static const struct mark_row rows[] = {
		{1 * GIB, 8 * MIB, 0, 8192, 10240, 12288},
		{1 * GIB, 64 * KIB, 0, 64, 1112, 2160},
		{1 * GIB, 1, 0, 4, 1052, 2100},
		{1 * GIB, 4097, 0, 8, 1056, 2104},
		{1 * GIB, 0, 1, 4096, 5120, 6144},
		{1 * GIB, 0, 10, 4096, 5144, 6192},
		{1 * GIB, 0, 100, 4096, 14580, 25064},
		{1 * GIB, 0, 3000, 4096, 318668, 633240},
		{1 * TIB, 0, 3000, 131072, 322253616, 644376160},
		{1 * GIB, 128 * MIB, 3000, 131072, 445644, 760216},
	};

	check_rows(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(marks_that_would_fill_the_zone_are_cut)
{
	static const struct mark_row rows[] = {
		{1 * MIB, 512 * KIB, 0, 512, 640, 768},
		{1 * MIB, 600 * KIB, 0, 512, 640, 768},
		{1 * MIB, UINT64_MAX, 0, 512, 640, 768},
		{1 * MIB, 512 * KIB, 3000, 512, 704, 896},
		{4100 * KIB, UINT64_MAX, 0, 2048, 2560, 3072},
		{1 * GIB, GIB, 3000, 524288, 720896, 917504},
	};

	check_rows(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(marks_are_whole_pages_in_rising_order_below_the_zone)
{
	static const uint64_t mins[] = {0, 1, 100 * KIB, GIB, UINT64_MAX};
	static const unsigned scales[] = {0, 1, 10, 777, 3000};

	for (uint64_t size = MIB; size <= TIB; size += size / 7 & ~(uint64_t)4095) {
		for (size_t i = 0; i < bhi_array_size(mins) * bhi_array_size(scales);
			i++) {
			struct bhi_watermarks marks = bhi_watermarks_compute(size,
				mins[i % bhi_array_size(mins)],
				scales[i / bhi_array_size(mins)]);

			ck_assert_uint_eq((marks.min | marks.low | marks.high) % 4096, 0);
			ck_assert_uint_gt(marks.min, 0);
			/* A page of min and a zone of 1 MiB leave a step of nothing. */
			ck_assert_uint_le(marks.min, marks.low);
			ck_assert_uint_eq(marks.high - marks.low, marks.low - marks.min);
			ck_assert_uint_le(marks.high, size - size / 8);
		}
	}
}
END_TEST

START_TEST(each_reserve_leaves_its_part_of_min)
{
	static const struct {
		struct bhi_watermarks marks;
		int64_t low, none, half, atomic, high;
	} rows[] = {
		{{4096 * KIB, 5144 * KIB, 6192 * KIB}, 5144 * KIB, 4096 * KIB, 2048 * KIB,
			1536 * KIB, 6192 * KIB},
		{{128 * KIB, 160 * KIB, 192 * KIB}, 160 * KIB, 128 * KIB, 64 * KIB,
			48 * KIB, 192 * KIB},
		{{4096, 8192, 12288}, 8192, 4096, 2048, 1536, 12288},
		{{0, 4096, 8192}, 4096, 0, 0, 0, 8192},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		const struct bhi_watermarks *m = &rows[i].marks;

		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_LOW), rows[i].low);
		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_NONE), rows[i].none);
		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_HALF), rows[i].half);
		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_ATOMIC), rows[i].atomic);
		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_HIGH), rows[i].high);
		ck_assert_int_eq(bhi_zone_floor(m, BHI_RESERVE_ALL), 0);
	}
}
END_TEST

START_TEST(init_takes_a_given_size_as_it_is)
{
	ck_assert_int_eq(bhi_zone_init(GIB, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	ck_assert_uint_eq(bhi_zone.size, GIB);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_CONFIG);
	ck_assert_uint_eq(bhi_zone.marks.min, 4 * MIB);
	ck_assert_int_eq(bhi_zone_init(MIB + 4095, BHI_ZONE_FROM_ENV, 64 * KIB, 100), 0);
	ck_assert_uint_eq(bhi_zone.size, MIB);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_ENV);
	ck_assert_uint_eq(bhi_zone.marks.min, 64 * KIB);
	ck_assert_uint_eq(bhi_zone.marks.low, 80 * KIB);
}
END_TEST

START_TEST(init_does_not_cut_a_zone_larger_than_ram)
{
	struct bhi_probe probe;

	ck_assert_int_eq(bhi_zone_probe("", &probe), 0);
	ck_assert_int_eq(bhi_zone_init(probe.ram * 4, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	ck_assert_uint_eq(bhi_zone.size, probe.ram * 4);
}
END_TEST

START_TEST(init_refuses_impossible_values_and_changes_nothing)
{
	struct bhi_zone before;

	ck_assert_int_eq(bhi_zone_init(GIB, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	before = bhi_zone;
	ck_assert_int_eq(bhi_zone_init(MIB - 1, BHI_ZONE_FROM_ENV, 0, 0), -EINVAL);
	ck_assert_int_eq(bhi_zone_init(1, BHI_ZONE_FROM_ENV, 0, 0), -EINVAL);
	ck_assert_int_eq(
		bhi_zone_init((uint64_t)1 << 63, BHI_ZONE_FROM_ENV, 0, 0), -EINVAL);
	ck_assert_int_eq(bhi_zone_init(UINT64_MAX - 1, BHI_ZONE_FROM_ENV, 0, 0), -EINVAL);
	ck_assert_int_eq(bhi_zone_init(2 * GIB, BHI_ZONE_FROM_ENV, 0, 3001), -EINVAL);
	ck_assert_mem_eq(&bhi_zone, &before, sizeof(before));
}
END_TEST

START_TEST(init_without_a_size_takes_95_percent_of_the_smallest_limit)
{
	struct bhi_probe probe;
	uint64_t least, most;

	ck_assert_int_eq(bhi_zone_probe("", &probe), 0);
	ck_assert_int_eq(bhi_zone_init(0, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	most = probe.smallest / 20 * 19 + 20;
	least = most - 2 * BHI_PAGE_SIZE;
	ck_assert_uint_ge(bhi_zone.size, least);
	ck_assert_uint_le(bhi_zone.size, most);
	ck_assert_uint_eq(bhi_zone.size % BHI_PAGE_SIZE, 0);
	ck_assert_int_eq(bhi_zone.origin, probe.origin);
}
END_TEST

START_TEST(init_with_max_takes_all_of_ram_and_keeps_the_origin)
{
	struct bhi_probe probe;

	ck_assert_int_eq(bhi_zone_probe("", &probe), 0);
	ck_assert_int_eq(bhi_zone_init(UINT64_MAX, BHI_ZONE_FROM_ENV, 0, 0), 0);
	ck_assert_uint_eq(bhi_zone.size, probe.ram / BHI_PAGE_SIZE * BHI_PAGE_SIZE);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_ENV);
}
END_TEST

START_TEST(init_without_readable_files_falls_back_to_the_system_call)
{
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_OPEN);
	ck_assert_int_eq(bhi_zone_init(0, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	ck_assert_uint_gt(bhi_failpoint_disarm(), 0);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_RAM);
	ck_assert_uint_gt(bhi_zone.size, 16 * MIB);
}
END_TEST

START_TEST(init_without_memory_fails_and_changes_nothing)
{
	struct bhi_zone before = bhi_zone;
	size_t meta = bhi_meta_bytes();
	unsigned nth = 0, nr_hit;

	do {
		int r;

		bhi_failpoint_arm(++nth, BHI_FP_ONCE, 1u << BHI_FP_MMAP);
		r = bhi_zone_init(0, BHI_ZONE_FROM_CONFIG, 0, 0);
		nr_hit = bhi_failpoint_disarm();
		ck_assert_int_eq(r, nr_hit ? -ENOMEM : 0);
		ck_assert_uint_eq(bhi_meta_bytes(), meta);
		if (nr_hit)
			ck_assert_mem_eq(&bhi_zone, &before, sizeof(before));
	} while (nr_hit);
	/* The scratch memory and three files. */
	ck_assert_uint_ge(nth, 5);
}
END_TEST

START_TEST(every_origin_has_a_name_of_its_own)
{
	static const char *const names[] = {
		[BHI_ZONE_FROM_CONFIG] = "config",
		[BHI_ZONE_FROM_ENV] = "environment",
		[BHI_ZONE_FROM_CGROUP2] = "cgroup2",
		[BHI_ZONE_FROM_CGROUP1] = "cgroup1",
		[BHI_ZONE_FROM_RAM] = "ram",
	};

	for (size_t i = 0; i < bhi_array_size(names); i++)
		ck_assert_str_eq(bhi_zone_origin_name((enum bhi_zone_origin)i), names[i]);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, watermarks_follow_the_kernels_formulas_from_1_mib_to_1_tib);
	tcase_add_test(tcase, computed_min_stays_within_128_kb_and_256_mib);
	tcase_add_test(tcase, square_root_is_rounded_down_next_to_a_square);
	tcase_add_test(tcase, wanted_min_and_scale_replace_the_computed_ones);
	tcase_add_test(tcase, marks_that_would_fill_the_zone_are_cut);
	tcase_add_test(tcase, marks_are_whole_pages_in_rising_order_below_the_zone);
	tcase_add_test(tcase, each_reserve_leaves_its_part_of_min);
	tcase_add_test(tcase, init_takes_a_given_size_as_it_is);
	tcase_add_test(tcase, init_does_not_cut_a_zone_larger_than_ram);
	tcase_add_test(tcase, init_refuses_impossible_values_and_changes_nothing);
	tcase_add_test(tcase, init_without_a_size_takes_95_percent_of_the_smallest_limit);
	tcase_add_test(tcase, init_with_max_takes_all_of_ram_and_keeps_the_origin);
	tcase_add_test(tcase, init_without_readable_files_falls_back_to_the_system_call);
	tcase_add_test(tcase, init_without_memory_fails_and_changes_nothing);
	tcase_add_test(tcase, every_origin_has_a_name_of_its_own);
}

int main(void)
{
	return support_run("zone", add_tests);
}
