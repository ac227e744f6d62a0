/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "base/fmt.h"
#include "base/parse.h"

#include "support.h"

#define UNTOUCHED 4711u

struct row {
	const char *text;
	int r;
	uint64_t value;
};

static void check_size(const struct row *row)
{
	uint64_t value = UNTOUCHED;
	int r = bhi_parse_size(row->text, &value);

	ck_assert_msg(r == row->r && value == (r ? UNTOUCHED : row->value),
		"\"%s\": %d, %lu", row->text, r, value);
}

static void check_sizes(const struct row *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		check_size(&rows[i]);
}

START_TEST(size_without_a_unit_is_bytes)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"4096", 0, 4096},
		{"000017", 0, 17},
		{"17B", 0, 17},
		{"17b", 0, 17},
		{"9223372036854775807", 0, INT64_MAX},
	};

	check_sizes(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(units_are_powers_of_1024_in_either_case)
{
	static const struct row rows[] = {
		{"64K", 0, 64 << 10},
		{"64k", 0, 64 << 10},
		{"64KB", 0, 64 << 10},
		{"64kb", 0, 64 << 10},
		{"64KiB", 0, 64 << 10},
		{"64kib", 0, 64 << 10},
		{"3M", 0, 3 << 20},
		{"3m", 0, 3 << 20},
		{"2G", 0, 2ULL << 30},
		{"2GiB", 0, 2ULL << 30},
		{"1T", 0, 1ULL << 40},
		{"5P", 0, 5ULL << 50},
		{"7E", 0, 7ULL << 60},
		{"0E", 0, 0},
	};

	check_sizes(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(fractions_are_exact_to_the_byte)
{
	static const struct row rows[] = {
		{"1.5G", 0, 3ULL << 29},
		{"0.5K", 0, 512},
		{"0.25M", 0, 256 << 10},
		{"1.0K", 0, 1024},
		{"0.001K", 0, 1},
		{"0.0009K", 0, 0},
		{"1.5", 0, 1},
		{"0.1T", 0, 109951162777},
		{"0.99999999999999999999999999999999K", 0, 1023},
		{"0.50000000000000000000000000000000M", 0, 512 << 10},
		{"0.12345678901234567890123456789012K", 0, 126},
		{"0.0000000000000000000000000000001E", 0, 0},
		{"1.0000000000000000009E", 0, (1ULL << 60) + 1},
		{"7.9999999999999999999E", 0, INT64_MAX},
	};

	check_sizes(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(max_is_the_only_word)
{
	static const struct row rows[] = {
		{"max", 0, UINT64_MAX},
		{"MAX", -EINVAL, 0},
		{"Max", -EINVAL, 0},
		{"maximum", -EINVAL, 0},
		{"max ", -EINVAL, 0},
		{"ma", -EINVAL, 0},
		{"unlimited", -EINVAL, 0},
		{"infinity", -EINVAL, 0},
	};

	check_sizes(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(sizes_above_int64_max_are_out_of_range)
{
	static const struct row rows[] = {
		{"9223372036854775808", -ERANGE, 0},
		{"18446744073709551615", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999999999", -ERANGE, 0},
		{"8E", -ERANGE, 0},
		{"8192P", -ERANGE, 0},
		{"18446744073709551615E", -ERANGE, 0},
		{"9007199254740992K", -ERANGE, 0},
		{"9007199254740991K", 0, 9007199254740991ULL << 10},
	};

	check_sizes(rows, bhi_array_size(rows));
}
END_TEST

START_TEST(junk_is_refused)
{
	static const char *const texts[] = {"", " ", "K", "B", ".5K", "1.K", "1.",
		"1..5K", "1.5.5K", "-1", "+1", " 1", "1 ", "1 K", "1K ", "1KK", "1KBB",
		"1Ki", "1iB", "1BK", "1X", "1Z", "0x10", "0x10K", "1e3", "1,5G", "1.5GG",
		"1_000", "1K\n", "nan", "K1", "1\x8b", "1K\xff", "%s", "١"};

	for (size_t i = 0; i < bhi_array_size(texts); i++)
		check_size(&(struct row){texts[i], -EINVAL, 0});
}
END_TEST

START_TEST(numbers_are_decimal_up_to_the_given_maximum)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0, 0},
		{"1", 0, -ERANGE, 0},
		{"3000", 3000, 0, 3000},
		{"3001", 3000, -ERANGE, 0},
		{"0003000", 3000, 0, 3000},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
		{"", UINT64_MAX, -EINVAL, 0},
		{"-1", UINT64_MAX, -EINVAL, 0},
		{"+1", UINT64_MAX, -EINVAL, 0},
		{" 1", UINT64_MAX, -EINVAL, 0},
		{"1 ", UINT64_MAX, -EINVAL, 0},
		{"1K", UINT64_MAX, -EINVAL, 0},
		{"1.0", UINT64_MAX, -EINVAL, 0},
		{"0x1", UINT64_MAX, -EINVAL, 0},
		{"max", UINT64_MAX, -EINVAL, 0},
		{"1\n", UINT64_MAX, -EINVAL, 0},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		uint64_t value = UNTOUCHED;
		int r = bhi_parse_u64(rows[i].text, rows[i].max, &value);

		ck_assert_msg(r == rows[i].r && value == (r ? UNTOUCHED : rows[i].value),
			"\"%s\": %d, %lu", rows[i].text, r, value);
	}
}
END_TEST

START_TEST(what_the_library_prints_can_be_read_back)
{
	uint64_t seed = 88172645463325252ULL;

	for (int i = 0; i < 100000; i++) {
		uint64_t size, back;
		char text[24];

		/* xorshift64: Marsaglia, Xorshift RNGs, 2003 */
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		size = seed >> (1 + seed % 63);
		if (size == INT64_MAX)
			continue;
		ck_assert_int_eq(bhi_parse_size(bhi_format_size(size, text), &back), 0);
		/* Rounded down, by less than a tenth of its unit. */
		ck_assert_uint_le(back, size);
		ck_assert_uint_le(size - back, size / 10);
	}
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, size_without_a_unit_is_bytes);
	tcase_add_test(tcase, units_are_powers_of_1024_in_either_case);
	tcase_add_test(tcase, fractions_are_exact_to_the_byte);
	tcase_add_test(tcase, max_is_the_only_word);
	tcase_add_test(tcase, sizes_above_int64_max_are_out_of_range);
	tcase_add_test(tcase, junk_is_refused);
	tcase_add_test(tcase, numbers_are_decimal_up_to_the_given_maximum);
	tcase_add_test(tcase, what_the_library_prints_can_be_read_back);
}

int main(void)
{
	return support_run("parse", add_tests);
}
