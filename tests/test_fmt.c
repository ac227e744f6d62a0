/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fmt.h"

#include "support.h"

/* What @fn writes through a bhi_out; to be freed. */
static char *written(void (*fn)(struct bhi_out *out))
{
	char path[PATH_MAX];
	struct bhi_out out;
	char *text;
	int fd;

	snprintf(path, sizeof(path), "%s/out", support_dir());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	bhi_out_init(&out, fd);
	fn(&out);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	close(fd);
	text = support_read_file(path);
	unlink(path);
	return text;
}

/* The same arguments through bhi_outf() and snprintf(). */
#define CHECK_AS_PRINTF(...)                                         \
	do {                                                         \
		char expected_[256], got_[256];                      \
		struct bhi_out out_;                                 \
                                                                     \
		bhi_out_init(&out_, -1);                             \
		bhi_outf(&out_, __VA_ARGS__);                        \
		ck_assert_uint_lt(out_.len, sizeof(got_));           \
		memcpy(got_, out_.buf, out_.len);                    \
		got_[out_.len] = '\0';                               \
		snprintf(expected_, sizeof(expected_), __VA_ARGS__); \
		ck_assert_str_eq(got_, expected_);                   \
	} while (0)

START_TEST(strings_and_characters_are_printed_as_by_printf)
{
	CHECK_AS_PRINTF("plain");
	CHECK_AS_PRINTF("%s", "");
	CHECK_AS_PRINTF("<%s>", "text");
	CHECK_AS_PRINTF("<%10s>", "text");
	CHECK_AS_PRINTF("<%-10s>", "text");
	CHECK_AS_PRINTF("<%2s>", "text");
	CHECK_AS_PRINTF("<%*s>", 7, "text");
	CHECK_AS_PRINTF("<%*s>", -7, "text");
	CHECK_AS_PRINTF("<%-*s>", 7, "text");
	CHECK_AS_PRINTF("<%*s>", 0, "text");
	CHECK_AS_PRINTF("%c%c", 'a', 'b');
	CHECK_AS_PRINTF("<%3c><%-3c>", 'a', 'b');
	CHECK_AS_PRINTF("100%%");
	CHECK_AS_PRINTF("%%s%s%%", "x");
}
END_TEST

START_TEST(numbers_are_printed_as_by_printf)
{
	static const int ints[] = {0, 1, -1, 42, -42, INT_MAX, INT_MIN};
	static const long longs[] = {0, -1, 123456789012, LONG_MAX, LONG_MIN};

	for (size_t i = 0; i < bhi_array_size(ints); i++) {
		CHECK_AS_PRINTF(
			"%d %u %x", ints[i], (unsigned)ints[i], (unsigned)ints[i]);
		CHECK_AS_PRINTF("<%5d> <%-5d> <%05d>", ints[i], ints[i], ints[i]);
		CHECK_AS_PRINTF("<%14d> <%014d>", ints[i], ints[i]);
		CHECK_AS_PRINTF("<%*d>", 12, ints[i]);
		CHECK_AS_PRINTF("<%08x> <%-12u>", (unsigned)ints[i], (unsigned)ints[i]);
	}
	for (size_t i = 0; i < bhi_array_size(longs); i++) {
		CHECK_AS_PRINTF("%ld %lu %lx", longs[i], (unsigned long)longs[i],
			(unsigned long)longs[i]);
		CHECK_AS_PRINTF(
			"%lld %llu", (long long)longs[i], (unsigned long long)longs[i]);
		CHECK_AS_PRINTF("<%24ld> <%024ld>", longs[i], longs[i]);
		CHECK_AS_PRINTF("%zu", (size_t)longs[i]);
	}
}
END_TEST

START_TEST(pointers_are_printed_as_by_printf)
{
	int there;

	CHECK_AS_PRINTF("%p", (void *)&there);
	CHECK_AS_PRINTF("%p", (void *)UINTPTR_MAX);
}
END_TEST

static void write_null_string(struct bhi_out *out)
{
	const char *volatile nothing = NULL;

	bhi_outf(out, "%s", nothing);
}

START_TEST(null_string_is_printed_and_not_followed)
{
	char *text = written(write_null_string);

	ck_assert_str_eq(text, "(null)");
	free(text);
}
END_TEST

static void write_much(struct bhi_out *out)
{
	for (int i = 0; i < 5000; i++)
		bhi_outf(out, "%d,", i);
}

START_TEST(output_larger_than_the_buffer_arrives_whole)
{
	char *text = written(write_much), *p = text;

	for (int i = 0; i < 5000; i++) {
		ck_assert_int_eq(strtol(p, &p, 10), i);
		ck_assert_int_eq(*p++, ',');
	}
	ck_assert_int_eq(*p, '\0');
	free(text);
}
END_TEST

static void write_long_string(struct bhi_out *out)
{
	static char text[10000];

	memset(text, 'x', sizeof(text) - 1);
	bhi_outf(out, "<%s>", text);
}

START_TEST(string_larger_than_the_buffer_arrives_whole)
{
	char *text = written(write_long_string);

	ck_assert_uint_eq(strlen(text), 10001);
	ck_assert_uint_eq(strspn(text + 1, "x"), 9999);
	free(text);
}
END_TEST

START_TEST(first_write_error_sticks)
{
	struct bhi_out out;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(full, 0);
	ck_assert_int_ge(null, 0);
	bhi_out_init(&out, full);
	write_much(&out);
	ck_assert_int_eq(out.error, -ENOSPC);
	/* Nothing is written any more, wherever it would go. */
	out.fd = null;
	bhi_outf(&out, "more");
	ck_assert_int_eq(bhi_out_flush(&out), -ENOSPC);
	out.fd = -1;
	bhi_outf(&out, "more");
	ck_assert_int_eq(bhi_out_flush(&out), -ENOSPC);
	close(full);
	close(null);
}
END_TEST

START_TEST(flush_of_nothing_does_not_write)
{
	struct bhi_out out;

	bhi_out_init(&out, -1);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	bhi_outf(&out, "%s", "");
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	bhi_outf(&out, "x");
	ck_assert_int_eq(bhi_out_flush(&out), -EBADF);
}
END_TEST

START_TEST(sizes_are_printed_in_at_most_four_figures)
{
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1024, "1K"},
		{1025, "1K"},
		{1536, "1.5K"},
		{4096, "4K"},
		{102400, "100K"},
		{1023 << 10, "1023K"},
		{(1 << 20) - 1, "1023K"},
		{1 << 20, "1M"},
		{(1000ULL << 20) - 1, "999.9M"},
		{(1000ULL << 20) + (1 << 19), "1000M"},
		{3ULL << 29, "1.5G"},
		{(2ULL << 30) - 1, "1.9G"},
		{1ULL << 40, "1T"},
		{1ULL << 50, "1P"},
		{3ULL << 60, "3E"},
		{INT64_MAX - 1, "7.9E"},
		{INT64_MAX, "max"},
		{INT64_MAX + 1ULL, "8E"},
		{UINT64_MAX - 1, "15.9E"},
		{UINT64_MAX, "max"},
	};
	char text[24];

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		ck_assert_ptr_eq(bhi_format_size(rows[i].size, text), text);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

static void write_sizes(struct bhi_out *out)
{
	bhi_out_size(out, 3 << 19, 0);
	bhi_outf(out, "|");
	bhi_out_size(out, 3 << 19, 8);
	bhi_outf(out, "|");
	bhi_out_size(out, 3 << 19, -8);
	bhi_outf(out, "|");
}

START_TEST(sizes_are_padded_to_the_width)
{
	char *text = written(write_sizes);

	ck_assert_str_eq(text, "1.5M|    1.5M|1.5M    |");
	free(text);
}
END_TEST

static void write_json(struct bhi_out *out)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "name", "a");
	bhi_json_u64(out, "most", UINT64_MAX);
	bhi_json_bool(out, "yes", true);
	bhi_json_bool(out, "no", false);
	bhi_json_str(out, "none", NULL);
	bhi_json_begin(out, "empty", '[');
	bhi_json_end(out, ']');
	bhi_json_begin(out, "list", '[');
	bhi_json_u64(out, NULL, 1);
	bhi_json_begin(out, NULL, '{');
	bhi_json_end(out, '}');
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}

START_TEST(json_is_indented_and_has_commas_where_they_are_due)
{
	char *text = written(write_json);

	ck_assert_str_eq(text, "{\n"
			       "  \"name\": \"a\",\n"
			       "  \"most\": 18446744073709551615,\n"
			       "  \"yes\": true,\n"
			       "  \"no\": false,\n"
			       "  \"none\": null,\n"
			       "  \"empty\": [],\n"
			       "  \"list\": [\n"
			       "    1,\n"
			       "    {}\n"
			       "  ]\n"
			       "}\n");
	ck_assert(support_json_valid(text));
	free(text);
}
END_TEST

static void write_escapes(struct bhi_out *out)
{
	bhi_json_begin(out, NULL, '[');
	bhi_json_str(out, NULL, "\"\\/\n\t\x01\x1f\x7f");
	bhi_json_str(out, NULL, "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2 \xed\x9f\xbf");
	bhi_json_end(out, ']');
}

START_TEST(json_strings_are_escaped)
{
	char *text = written(write_escapes);

	ck_assert_str_eq(text,
		"[\n  \"\\\"\\\\/\\u000a\\u0009\\u0001\\u001f\x7f\",\n"
		"  \"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2 \xed\x9f\xbf\"\n]\n");
	ck_assert(support_json_valid(text));
	free(text);
}
END_TEST

static const char *const not_utf8[] = {
	"\x80",             /* continuation alone */
	"\xc3",             /* cut */
	"\xe2\x82",         /* cut */
	"\xf0\x9f\x9a",     /* cut */
	"\xc0\xaf",         /* longer than need be */
	"\xe0\x80\xaf",     /* longer than need be */
	"\xf0\x80\x80\xaf", /* longer than need be */
	"\xed\xa0\x80",     /* surrogate */
	"\xf4\x90\x80\x80", /* above U+10FFFF */
	"\xfe\xff",         /* never */
};

static void write_not_utf8(struct bhi_out *out)
{
	bhi_json_begin(out, NULL, '[');
	for (size_t i = 0; i < bhi_array_size(not_utf8); i++)
		bhi_json_str(out, NULL, not_utf8[i]);
	bhi_json_str(out, "ke\xffy", "a\x80z");
	bhi_json_end(out, ']');
}

START_TEST(json_of_bytes_that_are_not_utf8_is_replaced)
{
	char *text = written(write_not_utf8);

	for (const char *p = text; *p; p++)
		ck_assert_int_gt(*p, 0);
	ck_assert(support_contains(text, "[\n  \"\\ufffd\",\n"));
	ck_assert(support_contains(text, "\"ke\\ufffdy\": \"a\\ufffdz\""));
	free(text);
}
END_TEST

START_TEST(json_nested_too_deeply_is_an_error_and_no_overrun)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct bhi_out out;

	bhi_out_init(&out, fd);
	for (int i = 0; i < BHI_JSON_MAX_DEPTH - 1; i++)
		bhi_json_begin(&out, NULL, '[');
	ck_assert_int_eq(out.error, 0);
	ck_assert_uint_eq(out.depth, BHI_JSON_MAX_DEPTH - 1);
	bhi_json_begin(&out, NULL, '[');
	ck_assert_int_eq(out.error, -EOVERFLOW);
	for (int i = 0; i < 100; i++)
		bhi_json_begin(&out, NULL, '[');
	for (int i = 0; i < 200; i++)
		bhi_json_end(&out, ']');
	ck_assert_uint_eq(out.depth, 0);
	ck_assert_int_eq(bhi_out_flush(&out), -EOVERFLOW);
	close(fd);
}
END_TEST

START_TEST(json_too_deep_does_not_hide_an_earlier_error)
{
	struct bhi_out out;

	bhi_out_init(&out, -1);
	write_much(&out);
	ck_assert_int_eq(out.error, -EBADF);
	for (int i = 0; i < BHI_JSON_MAX_DEPTH; i++)
		bhi_json_begin(&out, NULL, '[');
	ck_assert_int_eq(out.error, -EBADF);
}
END_TEST

static void write_error_line(void *arg)
{
	errno = 4711;
	bhi_errf("bulkhead: %s: %d\n", (const char *)arg, 42);
	ck_assert_int_eq(errno, 4711);
}

START_TEST(error_line_goes_to_standard_error_and_keeps_errno)
{
	struct support_output output;

	support_capture(write_error_line, "what", &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.err, "bulkhead: what: 42\n");
	ck_assert_str_eq(output.out, "");
	support_output_fini(&output);
}
END_TEST

START_TEST(error_line_that_is_too_long_is_cut_and_ended)
{
	static char text[2000];
	struct support_output output;

	memset(text, 'x', sizeof(text) - 1);
	support_capture(write_error_line, text, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_uint_eq(strlen(output.err), 512);
	ck_assert_int_eq(support_count_lines(output.err), 1);
	support_output_fini(&output);
}
END_TEST

START_TEST(error_line_is_one_write)
{
	int pair[2];
	char buf[600];
	int saved = dup(2);

	/* A message socket keeps writes apart. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(dup2(pair[0], 2), 2);
	bhi_errf("%s %d %5s%c\n", "one", 2, "three", '4');
	dup2(saved, 2);
	ck_assert_int_eq(recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT), 13);
	ck_assert_mem_eq(buf, "one 2 three4\n", 13);
	ck_assert_int_eq(recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT), -1);
	close(pair[0]);
	close(pair[1]);
	close(saved);
}
END_TEST

/* Standard error is the write end of @ends while the line is written. */
static void try_to_write_line(const int *ends)
{
	int saved = dup(2);

	ck_assert_int_eq(dup2(ends[1], 2), 2);
	errno = 4711;
	bhi_try_errf("%s %d\n", "line", 2);
	ck_assert_int_eq(errno, 4711);
	dup2(saved, 2);
	close(saved);
}

static size_t read_all(int fd, char *buf, size_t size)
{
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, size)) > 0)
		sum += (size_t)n;
	return sum;
}

START_TEST(error_line_is_left_out_where_a_reader_would_have_to_be_waited_for)
{
	static char buf[4096];
	bool by_socket = _i;
	size_t filled = 0;
	ssize_t n;
	int ends[2];

	if (by_socket)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	else
		ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	try_to_write_line(ends);
	ck_assert_uint_eq(read_all(ends[0], buf, sizeof(buf)), 7);
	ck_assert_mem_eq(buf, "line 2\n", 7);
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while ((n = write(ends[1], buf, sizeof(buf))) > 0)
		filled += (size_t)n;
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
	try_to_write_line(ends);
	ck_assert_uint_eq(read_all(ends[0], buf, sizeof(buf)), filled);
	/* Nor is a reader that is gone a reason to be ended by SIGPIPE. */
	close(ends[0]);
	try_to_write_line(ends);
	close(ends[1]);
}
END_TEST

START_TEST(error_line_goes_behind_what_a_file_has)
{
	const char *dir = support_dir();
	char path[512], *text;
	int ends[2];

	snprintf(path, sizeof(path), "%s/log", dir);
	ends[1] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(ends[1], 0);
	ck_assert_int_eq(write(ends[1], "before\n", 7), 7);
	try_to_write_line(ends);
	close(ends[1]);
	text = support_read_file(path);
	ck_assert_str_eq(text, "before\nline 2\n");
	free(text);
}
END_TEST

START_TEST(json_checker_knows_good_from_bad)
{
	static const char *const good[] = {"0", "-0.5e+10", "\"\"", "\"\\u00e9\\n\"",
		"[]", "{}", " { \"a\" : [ 1 , true , null ] } ", "[[[]]]", "1E2",
		"\"\xc3\xa9\""};
	static const char *const bad[] = {"", "[", "]", "{", "[1,]", "{\"a\":1,}",
		"{a:1}", "{\"a\"}", "01", "1.", ".5", "+1", "-", "1e", "\"", "\"\\x\"",
		"\"\\u12\"", "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", "tru", "1 2",
		"[1 2]", "nullx"};

	for (size_t i = 0; i < bhi_array_size(good); i++)
		ck_assert_msg(support_json_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < bhi_array_size(bad); i++)
		ck_assert_msg(!support_json_valid(bad[i]), "%s", bad[i]);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, strings_and_characters_are_printed_as_by_printf);
	tcase_add_test(tcase, numbers_are_printed_as_by_printf);
	tcase_add_test(tcase, pointers_are_printed_as_by_printf);
	tcase_add_test(tcase, null_string_is_printed_and_not_followed);
	tcase_add_test(tcase, output_larger_than_the_buffer_arrives_whole);
	tcase_add_test(tcase, string_larger_than_the_buffer_arrives_whole);
	tcase_add_test(tcase, first_write_error_sticks);
	tcase_add_test(tcase, flush_of_nothing_does_not_write);
	tcase_add_test(tcase, sizes_are_printed_in_at_most_four_figures);
	tcase_add_test(tcase, sizes_are_padded_to_the_width);
	tcase_add_test(tcase, json_is_indented_and_has_commas_where_they_are_due);
	tcase_add_test(tcase, json_strings_are_escaped);
	tcase_add_test(tcase, json_of_bytes_that_are_not_utf8_is_replaced);
	tcase_add_test(tcase, json_nested_too_deeply_is_an_error_and_no_overrun);
	tcase_add_test(tcase, json_too_deep_does_not_hide_an_earlier_error);
	tcase_add_test(tcase, error_line_goes_to_standard_error_and_keeps_errno);
	tcase_add_test(tcase, error_line_that_is_too_long_is_cut_and_ended);
	tcase_add_test(tcase, error_line_is_one_write);
	tcase_add_loop_test(tcase,
		error_line_is_left_out_where_a_reader_would_have_to_be_waited_for, 0, 2);
	tcase_add_test(tcase, error_line_goes_behind_what_a_file_has);
	tcase_add_test(tcase, json_checker_knows_good_from_bad);
}

int main(void)
{
	return support_run("fmt", add_tests);
}
