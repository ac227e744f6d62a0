/* SPDX-License-Identifier: MIT */
/* The parsers of /proc/self/cgroup and /proc/self/mountinfo, line by line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "account/zone_probe.h"

#include "support.h"

struct below_row {
	const char *mount_root, *cgroup;
	const char *below; /* NULL: not visible */
};

START_TEST(paths_of_namespaces_are_resolved_only_where_that_is_certain)
{
	static const struct below_row rows[] = {
		{"/", "/", ""},
		{"/", "/a", "/a"},
		{"/", "/a/b", "/a/b"},
		{"/a", "/a", ""},
		{"/a", "/a/b", "/b"},
		{"/a", "/", NULL},
		{"/a", "/ab", NULL},
		{"/a/b", "/a", NULL},
		/* The process is outside of what its namespace calls the root. */
		{"/", "/..", NULL},
		{"/", "/../x", NULL},
		{"/", "/../../x/y", NULL},
		{"/a", "/../a", NULL},
		{"/..", "/..", ""},
		{"/..", "/../x", "/x"},
		{"/..", "/../..", NULL},
		{"/..", "/../../x", NULL},
		{"/../..", "/../../x/y", "/x/y"},
		{"/../x", "/../x/y", "/y"},
		{"/../x", "/../y", NULL},
		/* The mount is from outside of the namespace: an ancestor, nothing
		   nearer. */
		{"/..", "/", ""},
		{"/..", "/a/b", ""},
		{"/../..", "/../x", ""},
		{"/../../..", "/", ""},
		{"/../", "/", ""},
		{"/../x", "/", NULL},
		/* Names that only look like it. */
		{"/...", "/", NULL},
		{"/..a", "/", NULL},
		{"/", "/..a/...", "/..a/..."},
	};
	struct bhi_probe_mount mount = {.origin = BHI_ZONE_FROM_CGROUP2, .point = "/m"};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		const char *below;

		strcpy(mount.root, rows[i].mount_root);
		below = bhi_probe_path_below(&mount, rows[i].cgroup);
		if (rows[i].below)
			ck_assert_pstr_eq(below, rows[i].below);
		else
			ck_assert_msg(!below, "row %zu: %s", i, below);
	}
}
END_TEST

START_TEST(optional_fields_and_an_empty_source_do_not_shift_the_fields)
{
	static const char *const lines[] = {
		"1 2 0:3 / /m rw - cgroup2 cgroup2 rw\n",
		"1 2 0:3 / /m rw shared:1 - cgroup2 cgroup2 rw\n",
		"1 2 0:3 / /m rw shared:1 master:2 unbindable - cgroup2 x rw\n",
		"1 2 0:3 / /m rw - cgroup2  rw\n",
		"1 2 0:3 / /m rw - cgroup2",
	};
	struct bhi_probe_mount mount;

	for (size_t i = 0; i < bhi_array_size(lines); i++) {
		const char *cursor = lines[i];

		ck_assert(bhi_probe_next_mount(&cursor, &mount));
		ck_assert_int_eq(mount.origin, BHI_ZONE_FROM_CGROUP2);
		ck_assert_str_eq(mount.root, "/");
		ck_assert_str_eq(mount.point, "/m");
		ck_assert(!bhi_probe_next_mount(&cursor, &mount));
	}
}
END_TEST

START_TEST(malformed_mount_lines_are_skipped)
{
	static const char text[] =
		"\n \n-\n1 2 0:3 / /m rw\n1 2 0:3 / /m rw cgroup2 x rw\n"
		"1 2 0:3 nowhere /m rw - cgroup2 x rw\n"
		"1 2 0:3 / nowhere rw - cgroup2 x rw\n"
		"1 2 0:3 / /m rw - cgroup x rw,memoryx,xmemory,cpu\n"
		"1 2 0:3 / /m rw - cgroup3 x rw\n"
		"1 2 0:3 / /m\\04 rw - cgroup2 x rw\n";
	struct bhi_probe_mount mount;
	const char *cursor = text;

	ck_assert(bhi_probe_next_mount(&cursor, &mount));
	ck_assert_str_eq(mount.point, "/m\\04");
	ck_assert(!bhi_probe_next_mount(&cursor, &mount));
	ck_assert_str_eq(cursor, "");
}
END_TEST

START_TEST(own_cgroup_is_found_among_all_lines)
{
	static const struct {
		const char *text;
		enum bhi_zone_origin origin;
		const char *path; /* NULL: none */
	} rows[] = {
		{"0::/a\n", BHI_ZONE_FROM_CGROUP2, "/a"},
		{"0::/a", BHI_ZONE_FROM_CGROUP2, "/a"},
		{"0::/a (deleted)\n", BHI_ZONE_FROM_CGROUP2, "/a (deleted)"},
		{"0::/a:b\n", BHI_ZONE_FROM_CGROUP2, "/a:b"},
		{"4:memory:/m\n0::/a\n", BHI_ZONE_FROM_CGROUP2, "/a"},
		{"4:memory:/m\n0::/a\n", BHI_ZONE_FROM_CGROUP1, "/m"},
		{"4:cpu,memory,pids:/m\n", BHI_ZONE_FROM_CGROUP1, "/m"},
		{"4:memory:/m\n", BHI_ZONE_FROM_CGROUP2, NULL},
		{"0::/a\n", BHI_ZONE_FROM_CGROUP1, NULL},
		{"1:name=memory:/m\n", BHI_ZONE_FROM_CGROUP1, NULL},
		{"1:memory2,amemory:/m\n", BHI_ZONE_FROM_CGROUP1, NULL},
		{"", BHI_ZONE_FROM_CGROUP2, NULL},
		{"\n\n:::\n0:\n0::\n0::a\n::\n", BHI_ZONE_FROM_CGROUP2, NULL},
		{"x\n0::\n0::/ok\n", BHI_ZONE_FROM_CGROUP2, "/ok"},
		{"0::/12345678901234\n", BHI_ZONE_FROM_CGROUP2, "/12345678901234"},
		{"0::/123456789012345\n", BHI_ZONE_FROM_CGROUP2, NULL},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		char path[16] = "untouched";
		int r = bhi_probe_cgroup_path(
			rows[i].text, rows[i].origin, path, sizeof(path));

		ck_assert_int_eq(r, rows[i].path ? 0 : -ENOENT);
		ck_assert_str_eq(path, rows[i].path ? rows[i].path : "untouched");
	}
}
END_TEST

START_TEST(paths_as_long_as_they_may_be_are_taken_and_longer_ones_skipped)
{
	enum {
		LONGEST = BHI_PROBE_PATH_SIZE - 1
	};
	static char name[LONGEST + 1], text[4 * BHI_PROBE_PATH_SIZE];
	struct bhi_probe_mount mount;
	const char *cursor;

	for (size_t len = LONGEST; len <= LONGEST + 1; len++) {
		memset(name, 'n', len - 1);
		snprintf(text, sizeof(text),
			"1 2 0:3 /%s /m rw - cgroup2 x rw\n1 2 0:3 / /%s rw - cgroup2 x "
			"rw\n",
			name, name);
		cursor = text;
		ck_assert_int_eq(bhi_probe_next_mount(&cursor, &mount), len == LONGEST);
		if (len > LONGEST)
			break;
		ck_assert_uint_eq(strlen(mount.root), len);
		ck_assert(bhi_probe_next_mount(&cursor, &mount));
		ck_assert_uint_eq(strlen(mount.point), len);
	}
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(
		tcase, paths_of_namespaces_are_resolved_only_where_that_is_certain);
	tcase_add_test(
		tcase, optional_fields_and_an_empty_source_do_not_shift_the_fields);
	tcase_add_test(tcase, malformed_mount_lines_are_skipped);
	tcase_add_test(tcase, own_cgroup_is_found_among_all_lines);
	tcase_add_test(
		tcase, paths_as_long_as_they_may_be_are_taken_and_longer_ones_skipped);
}

int main(void)
{
	return support_run("zone_probe_text", add_tests);
}
