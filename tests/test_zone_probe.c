/* SPDX-License-Identifier: MIT */
/* Machines made of files in a temporary directory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/zone_probe.h"
#include "debug/inject.h"
#include "base/pool.h"

#include "support.h"

#define MIB ((uint64_t)1 << 20)
#define RAM (8192 * MIB)

#define MEMINFO "MemTotal:        8388608 kB\nMemFree:          100000 kB\n"

/* A line of mountinfo; the optional fields vary between machines. */
#define V2_MOUNT(root, point)        \
	"31 23 0:26 " root " " point \
	" rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT(root, point) \
	"35 31 0:32 " root " " point " rw - cgroup cgroup rw,memory\n"
#define OTHER_MOUNTS                                              \
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"         \
	"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n" \
	"34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

#define POINT    "/sys/fs/cgroup"
#define V1_POINT "/sys/fs/cgroup/memory"
#define V1_NONE  "9223372036854771712\n"

struct file {
	const char *path, *text;
};

struct expected {
	const char *path;
	uint64_t size;
	enum bhi_zone_origin origin;
};

static const char *make_machine(const char *cgroup, const char *mountinfo)
{
	const char *dir = support_dir();

	support_write_file(dir, "proc/meminfo", MEMINFO);
	if (cgroup)
		support_write_file(dir, "proc/self/cgroup", cgroup);
	if (mountinfo)
		support_write_file(dir, "proc/self/mountinfo", mountinfo);
	return dir;
}

static void write_files(const char *dir, const struct file *files)
{
	for (; files->path; files++)
		support_write_file(dir, files->path + 1, files->text);
}

static void check_limits(
	const struct bhi_probe *probe, const struct expected *expected, size_t nr)
{
	ck_assert_uint_eq(probe->nr_limits, nr);
	for (size_t i = 0; i < nr; i++) {
		ck_assert_str_eq(probe->limits[i].path, expected[i].path);
		ck_assert_uint_eq(probe->limits[i].size, expected[i].size);
		ck_assert_int_eq(probe->limits[i].origin, expected[i].origin);
	}
}

static struct bhi_probe probe_machine(const char *dir)
{
	size_t meta = bhi_meta_bytes();
	struct bhi_probe probe;

	ck_assert_int_eq(bhi_zone_probe(dir, &probe), 0);
	ck_assert_uint_eq(bhi_meta_bytes(), meta);
	ck_assert_uint_eq(probe.ram, RAM);
	return probe;
}

static void check_smallest(
	const struct bhi_probe *probe, uint64_t size, enum bhi_zone_origin origin)
{
	ck_assert_uint_eq(probe->smallest, size);
	ck_assert_int_eq(probe->origin, origin);
}

START_TEST(without_cgroups_ram_is_the_limit)
{
	struct bhi_probe probe = probe_machine(make_machine(NULL, NULL));

	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
	ck_assert_uint_eq(probe.nr_limits, 0);
	probe = probe_machine(make_machine("", OTHER_MOUNTS));
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
	probe = probe_machine(make_machine("0::/a\n", NULL));
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
}
END_TEST

START_TEST(unknown_ram_is_an_error_that_changes_nothing)
{
	static const char *const texts[] = {"", "MemFree: 1 kB\n", "MemTotal:\n",
		"MemTotal: kB\n", "MemTotal: 12\n", "MemTotal: 12 MB\n",
		"MemTotal: x kB\n", "MemTotal: 99999999999999999999999 kB\n",
		"MemTotal: 0 kB\n"};
	struct bhi_probe probe = {.ram = 4711};

	ck_assert_int_eq(bhi_zone_probe(support_dir(), &probe), -ENOENT);
	for (size_t i = 0; i < bhi_array_size(texts); i++) {
		const char *dir = support_dir();

		support_write_file(dir, "proc/meminfo", texts[i]);
		ck_assert_int_eq(bhi_zone_probe(dir, &probe), -ENOENT);
	}
	ck_assert_uint_eq(probe.ram, 4711);
}
END_TEST

START_TEST(v2_limits_are_listed_from_the_own_cgroup_up_to_the_root)
{
	static const struct file files[] = {
		{POINT "/a/b/c/memory.max", "max\n"},
		{POINT "/a/b/memory.max", "1073741824\n"},
		{POINT "/a/memory.max", "2147483648\n"},
		{NULL, NULL},
	};
	static const struct expected expected[] = {
		{POINT "/a/b/c/memory.max", UINT64_MAX, BHI_ZONE_FROM_CGROUP2},
		{POINT "/a/b/memory.max", 1024 * MIB, BHI_ZONE_FROM_CGROUP2},
		{POINT "/a/memory.max", 2048 * MIB, BHI_ZONE_FROM_CGROUP2},
	};
	const char *dir = make_machine("0::/a/b/c\n", OTHER_MOUNTS V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	write_files(dir, files);
	probe = probe_machine(dir);
	check_limits(&probe, expected, bhi_array_size(expected));
	check_smallest(&probe, 1024 * MIB, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

START_TEST(v1_limits_are_listed_from_the_own_cgroup_up_to_the_root)
{
	static const struct file files[] = {
		{V1_POINT "/svc/x/memory.limit_in_bytes", V1_NONE},
		{V1_POINT "/svc/memory.limit_in_bytes", "536870912\n"},
		{V1_POINT "/memory.limit_in_bytes", V1_NONE},
		{POINT "/cpu/svc/x/memory.limit_in_bytes", "4096\n"},
		{NULL, NULL},
	};
	static const struct expected expected[] = {
		{V1_POINT "/svc/x/memory.limit_in_bytes", UINT64_MAX,
			BHI_ZONE_FROM_CGROUP1},
		{V1_POINT "/svc/memory.limit_in_bytes", 512 * MIB, BHI_ZONE_FROM_CGROUP1},
		{V1_POINT "/memory.limit_in_bytes", UINT64_MAX, BHI_ZONE_FROM_CGROUP1},
	};
	const char *dir =
		make_machine("9:name=systemd:/\n4:memory:/svc/x\n2:cpu,cpuacct:/\n",
			OTHER_MOUNTS V1_MOUNT("/", V1_POINT));
	struct bhi_probe probe;

	write_files(dir, files);
	probe = probe_machine(dir);
	check_limits(&probe, expected, bhi_array_size(expected));
	check_smallest(&probe, 512 * MIB, BHI_ZONE_FROM_CGROUP1);
}
END_TEST

START_TEST(hybrid_machine_takes_the_smaller_of_both_hierarchies)
{
	static const char cgroup[] =
		"5:memory,hugetlb:/one\n1:name=systemd:/one\n0::/two\n";
	static const char mountinfo[] =
		OTHER_MOUNTS V2_MOUNT("/", POINT "/unified") V1_MOUNT("/", V1_POINT);
	const char *dir = make_machine(cgroup, mountinfo);
	struct bhi_probe probe;

	support_write_file(
		dir, "sys/fs/cgroup/memory/one/memory.limit_in_bytes", "209715200\n");
	probe = probe_machine(dir);
	check_smallest(&probe, 200 * MIB, BHI_ZONE_FROM_CGROUP1);
	ck_assert_uint_eq(probe.nr_limits, 1);
	support_write_file(dir, "sys/fs/cgroup/unified/two/memory.max", "104857600\n");
	probe = probe_machine(dir);
	check_smallest(&probe, 100 * MIB, BHI_ZONE_FROM_CGROUP2);
	ck_assert_uint_eq(probe.nr_limits, 2);
}
END_TEST

START_TEST(file_of_the_other_version_is_not_looked_at)
{
	const char *dir = make_machine("0::/a\n4:memory:/b\n",
		V2_MOUNT("/", POINT "/unified") V1_MOUNT("/", V1_POINT));
	struct bhi_probe probe;

	support_write_file(
		dir, "sys/fs/cgroup/unified/a/memory.limit_in_bytes", "4096\n");
	support_write_file(dir, "sys/fs/cgroup/memory/b/memory.max", "4096\n");
	support_write_file(dir, "sys/fs/cgroup/unified/b/memory.max", "4096\n");
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, 0);
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
}
END_TEST

START_TEST(limit_above_ram_does_not_count)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "1099511627776\n");
	probe = probe_machine(dir);
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
	ck_assert_uint_eq(probe.nr_limits, 1);
	ck_assert_uint_eq(probe.limits[0].size, MIB << 20);
}
END_TEST

START_TEST(limit_as_large_as_ram_counts_as_ram)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "8589934592\n");
	probe = probe_machine(dir);
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "8589934591\n");
	probe = probe_machine(dir);
	check_smallest(&probe, RAM - 1, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

START_TEST(v1_no_limit_of_any_page_size_is_no_limit)
{
	static const char *const texts[] = {"9223372036854771712\n",
		"9223372036854710272\n", "9223372036854775807\n",
		"18446744073709551615\n"};

	for (size_t i = 0; i < bhi_array_size(texts); i++) {
		const char *dir = make_machine("4:memory:/\n", V1_MOUNT("/", V1_POINT));
		struct bhi_probe probe;

		support_write_file(
			dir, "sys/fs/cgroup/memory/memory.limit_in_bytes", texts[i]);
		probe = probe_machine(dir);
		ck_assert_uint_eq(probe.nr_limits, 1);
		ck_assert_uint_eq(probe.limits[0].size, UINT64_MAX);
	}
}
END_TEST

START_TEST(mount_with_a_root_shows_the_cgroup_below_that_root)
{
	static const struct expected expected[] = {
		{V1_POINT "/init/memory.limit_in_bytes", 20 * MIB, BHI_ZONE_FROM_CGROUP1},
		{V1_POINT "/memory.limit_in_bytes", 30 * MIB, BHI_ZONE_FROM_CGROUP1},
	};
	const char *dir = make_machine(
		"4:memory:/docker/abc/init\n", V1_MOUNT("/docker/abc", V1_POINT));
	struct bhi_probe probe;

	support_write_file(
		dir, "sys/fs/cgroup/memory/init/memory.limit_in_bytes", "20971520\n");
	support_write_file(
		dir, "sys/fs/cgroup/memory/memory.limit_in_bytes", "31457280\n");
	/* Beside the mount: nobody's. */
	support_write_file(dir, "sys/fs/cgroup/memory.limit_in_bytes", "4096\n");
	probe = probe_machine(dir);
	check_limits(&probe, expected, bhi_array_size(expected));
	check_smallest(&probe, 20 * MIB, BHI_ZONE_FROM_CGROUP1);
}
END_TEST

START_TEST(mount_of_somebody_elses_cgroup_is_ignored)
{
	static const char *const roots[] = {
		"/docker/ab", "/docker/abcd", "/x", "/docker/abc/d"};
	char mountinfo[256];

	for (size_t i = 0; i < bhi_array_size(roots); i++) {
		struct bhi_probe probe;
		const char *dir;

		snprintf(mountinfo, sizeof(mountinfo),
			"35 31 0:32 %s " V1_POINT " rw - cgroup cgroup rw,memory\n",
			roots[i]);
		dir = make_machine("4:memory:/docker/abc\n", mountinfo);
		support_write_file(
			dir, "sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
		probe = probe_machine(dir);
		ck_assert_uint_eq(probe.nr_limits, 0);
	}
}
END_TEST

START_TEST(every_mount_that_shows_the_cgroup_is_looked_at)
{
	static const struct expected expected[] = {
		{"/view/memory.max", 100 * MIB, BHI_ZONE_FROM_CGROUP2},
		{POINT "/a/b/memory.max", 100 * MIB, BHI_ZONE_FROM_CGROUP2},
		{POINT "/a/memory.max", 50 * MIB, BHI_ZONE_FROM_CGROUP2},
	};
	const char *dir = make_machine("0::/a/b\n",
		V2_MOUNT("/a/b", "/view") V2_MOUNT("/", "/hidden") V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "view/memory.max", "104857600\n");
	support_write_file(dir, "sys/fs/cgroup/a/b/memory.max", "104857600\n");
	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "52428800\n");
	probe = probe_machine(dir);
	check_limits(&probe, expected, bhi_array_size(expected));
	check_smallest(&probe, 50 * MIB, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

START_TEST(namespaced_container_finds_its_limit_at_the_mount_point)
{
	const char *dir = make_machine("0::/\n", V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "sys/fs/cgroup/memory.max", "67108864\n");
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, 1);
	ck_assert_str_eq(probe.limits[0].path, POINT "/memory.max");
	check_smallest(&probe, 64 * MIB, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

START_TEST(host_mount_seen_from_a_namespace_gives_the_limit_of_an_ancestor)
{
	const char *dir = make_machine("0::/\n", V2_MOUNT("/../..", "/host/cgroup"));
	struct bhi_probe probe;

	support_write_file(dir, "host/cgroup/memory.max", "67108864\n");
	probe = probe_machine(dir);
	check_smallest(&probe, 64 * MIB, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

START_TEST(escaped_characters_in_mounts_are_decoded)
{
	const char *dir = make_machine("0::/my box/a:b\n",
		"31 23 0:26 /my\\040box /cg\\011tab\\134slash rw - cgroup2 none rw\n");
	struct bhi_probe probe;

	support_write_file(dir, "cg\ttab\\slash/a:b/memory.max", "67108864\n");
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, 1);
	ck_assert_str_eq(probe.limits[0].path, "/cg\ttab\\slash/a:b/memory.max");
}
END_TEST

START_TEST(unreadable_and_malformed_limits_count_as_none)
{
	static const char *const texts[] = {"", "\n", "junk\n", "-1\n", "12 34\n",
		"0x10\n", "64K\n", "99999999999999999999999\n", "maximum\n", " 4096\n",
		"4096000000000000000000000000000000000000000000000000000\n"};

	for (size_t i = 0; i < bhi_array_size(texts); i++) {
		const char *dir = make_machine("0::/a/b\n", V2_MOUNT("/", POINT));
		struct bhi_probe probe;

		support_write_file(dir, "sys/fs/cgroup/a/b/memory.max", texts[i]);
		support_write_file(dir, "sys/fs/cgroup/a/memory.max", "1048576\n");
		probe = probe_machine(dir);
		ck_assert_uint_eq(probe.nr_limits, 1);
		check_smallest(&probe, MIB, BHI_ZONE_FROM_CGROUP2);
	}
}
END_TEST

START_TEST(directory_in_place_of_a_file_counts_as_none)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "sys/fs/cgroup/a/memory.max/x", "1\n");
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, 0);
}
END_TEST

START_TEST(limit_of_zero_is_a_limit)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));
	struct bhi_probe probe;

	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "0\n");
	probe = probe_machine(dir);
	check_smallest(&probe, 0, BHI_ZONE_FROM_CGROUP2);
}
END_TEST

/* Level i (1 is the outermost) of a deep cgroup, "/1/2/3" for 3. */
static void level_path(char *buf, size_t size, int level)
{
	size_t len = 0;

	buf[0] = '\0';
	for (int i = 1; i <= level; i++)
		len += (size_t)snprintf(buf + len, size - len, "/%d", i);
}

START_TEST(of_more_levels_than_fit_the_smallest_limits_are_kept)
{
	enum {
		LEVELS = 40
	};
	char path[512], file[600], text[64], cgroup[600];
	struct bhi_probe probe;
	const char *dir;

	level_path(path, sizeof(path), LEVELS);
	snprintf(cgroup, sizeof(cgroup), "0::%s\n", path);
	dir = make_machine(cgroup, V2_MOUNT("/", "/cg"));
	for (int i = 1; i <= LEVELS; i++) {
		level_path(path, sizeof(path), i);
		snprintf(file, sizeof(file), "cg%s/memory.max", path);
		snprintf(text, sizeof(text), "%d\n", 1000 + (i * 17) % 41);
		support_write_file(dir, file, text);
	}
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, BHI_PROBE_MAX_LIMITS);
	/* 17 i mod 41 takes every value from 1 to 40 once. */
	check_smallest(&probe, 1001, BHI_ZONE_FROM_CGROUP2);
	for (unsigned i = 0; i < probe.nr_limits; i++)
		ck_assert_uint_le(probe.limits[i].size, 1000 + BHI_PROBE_MAX_LIMITS);
}
END_TEST

START_TEST(long_path_is_shown_cut_at_the_front)
{
	char name[201], cgroup[300], file[300];
	struct bhi_probe probe;
	const char *dir, *shown;

	memset(name, 'n', 200);
	name[200] = '\0';
	snprintf(cgroup, sizeof(cgroup), "0::/%s\n", name);
	snprintf(file, sizeof(file), "cg/%s/memory.max", name);
	dir = make_machine(cgroup, V2_MOUNT("/", "/cg"));
	support_write_file(dir, file, "1048576\n");
	probe = probe_machine(dir);
	ck_assert_uint_eq(probe.nr_limits, 1);
	shown = probe.limits[0].path;
	ck_assert_uint_eq(strlen(shown), sizeof(probe.limits[0].path) - 1);
	ck_assert(!strncmp(shown, "...nnn", 6));
	ck_assert_str_eq(shown + strlen(shown) - 12, "n/memory.max");
}
END_TEST

/* @nr lines of mounts that are no cgroups, then @last. */
static char *many_mounts(const char *first, int nr, const char *last)
{
	static const char line[] = "100 27 0:99 / /var/lib/some/where/deep/below "
				   "rw,relatime - tmpfs tmpfs rw\n";
	char *text = malloc(strlen(first) + (size_t)nr * strlen(line) + strlen(last) + 1);
	char *p = text;

	ck_assert_ptr_nonnull(text);
	p = stpcpy(p, first);
	for (int i = 0; i < nr; i++)
		p = stpcpy(p, line);
	strcpy(p, last);
	return text;
}

START_TEST(mountinfo_of_half_a_mebibyte_is_read_to_its_end)
{
	char *text = many_mounts("", 8000, V2_MOUNT("/", POINT));
	const char *dir = make_machine("0::/a\n", text);
	struct bhi_probe probe;

	ck_assert_uint_gt(strlen(text), 512 * 1024);
	ck_assert_uint_lt(strlen(text), 1024 * 1024);
	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "1048576\n");
	probe = probe_machine(dir);
	check_smallest(&probe, MIB, BHI_ZONE_FROM_CGROUP2);
	free(text);
}
END_TEST

START_TEST(mountinfo_above_a_mebibyte_is_cut)
{
	char *text = many_mounts(V2_MOUNT("/", POINT), 20000, V2_MOUNT("/", "/late"));
	const char *dir = make_machine("0::/a\n", text);
	struct bhi_probe probe;

	ck_assert_uint_gt(strlen(text), 1024 * 1024);
	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "2097152\n");
	support_write_file(dir, "late/a/memory.max", "1048576\n");
	probe = probe_machine(dir);
	check_smallest(&probe, 2 * MIB, BHI_ZONE_FROM_CGROUP2);
	free(text);
}
END_TEST

START_TEST(longest_paths_together_fit_and_are_no_limit)
{
	static char name[BHI_PROBE_PATH_SIZE - 1], text[2 * BHI_PROBE_PATH_SIZE];
	struct bhi_probe probe;
	const char *dir;

	memset(name, 'n', sizeof(name) - 1);
	snprintf(text, sizeof(text), "0::/%s\n", name);
	dir = make_machine(text, NULL);
	snprintf(text, sizeof(text), "1 2 0:3 / /%s rw - cgroup2 x rw\n", name);
	support_write_file(dir, "proc/self/mountinfo", text);
	probe = probe_machine(dir);
	check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
}
END_TEST

START_TEST(root_that_is_too_long_is_refused)
{
	char root[BHI_PROBE_PATH_SIZE + 1];
	struct bhi_probe probe;

	memset(root, '/', sizeof(root) - 1);
	root[sizeof(root) - 1] = '\0';
	ck_assert_int_eq(bhi_zone_probe(root, &probe), -ENOENT);
}
END_TEST

START_TEST(refused_mappings_are_enomem_and_nothing_leaks)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));
	size_t meta = bhi_meta_bytes();
	unsigned nth = 0, nr_hit;

	do {
		struct bhi_probe probe = {.ram = 4711};
		int r;

		bhi_failpoint_arm(++nth, BHI_FP_PERSISTENT, 1u << BHI_FP_MMAP);
		r = bhi_zone_probe(dir, &probe);
		nr_hit = bhi_failpoint_disarm();
		ck_assert_int_eq(r, nr_hit ? -ENOMEM : 0);
		ck_assert_uint_eq(probe.ram, nr_hit ? 4711 : RAM);
		ck_assert_uint_eq(bhi_meta_bytes(), meta);
	} while (nr_hit);
	ck_assert_uint_eq(nth, 5);
}
END_TEST

START_TEST(refused_opens_count_as_no_limit)
{
	const char *dir = make_machine("0::/a\n", V2_MOUNT("/", POINT));

	support_write_file(dir, "sys/fs/cgroup/a/memory.max", "1048576\n");
	/* The first file is meminfo; cgroup, mountinfo and the limit follow. */
	for (unsigned nth = 2; nth <= 4; nth++) {
		struct bhi_probe probe;

		bhi_failpoint_arm(nth, BHI_FP_ONCE, 1u << BHI_FP_OPEN);
		probe = probe_machine(dir);
		ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
		check_smallest(&probe, RAM, BHI_ZONE_FROM_RAM);
	}
}
END_TEST

START_TEST(this_machine_can_be_probed)
{
	struct bhi_probe probe;

	ck_assert_int_eq(bhi_zone_probe("", &probe), 0);
	/* /proc/meminfo may be that of a container; never more than there is. */
	ck_assert_uint_gt(probe.ram, 16 * MIB);
	ck_assert_uint_le(probe.ram,
		(uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	ck_assert_uint_le(probe.smallest, probe.ram);
	for (unsigned i = 0; i < probe.nr_limits; i++)
		ck_assert_uint_ge(probe.limits[i].size, probe.smallest);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, without_cgroups_ram_is_the_limit);
	tcase_add_test(tcase, unknown_ram_is_an_error_that_changes_nothing);
	tcase_add_test(tcase, v2_limits_are_listed_from_the_own_cgroup_up_to_the_root);
	tcase_add_test(tcase, v1_limits_are_listed_from_the_own_cgroup_up_to_the_root);
	tcase_add_test(tcase, hybrid_machine_takes_the_smaller_of_both_hierarchies);
	tcase_add_test(tcase, file_of_the_other_version_is_not_looked_at);
	tcase_add_test(tcase, limit_above_ram_does_not_count);
	tcase_add_test(tcase, limit_as_large_as_ram_counts_as_ram);
	tcase_add_test(tcase, v1_no_limit_of_any_page_size_is_no_limit);
	tcase_add_test(tcase, mount_with_a_root_shows_the_cgroup_below_that_root);
	tcase_add_test(tcase, mount_of_somebody_elses_cgroup_is_ignored);
	tcase_add_test(tcase, every_mount_that_shows_the_cgroup_is_looked_at);
	tcase_add_test(tcase, namespaced_container_finds_its_limit_at_the_mount_point);
	tcase_add_test(
		tcase, host_mount_seen_from_a_namespace_gives_the_limit_of_an_ancestor);
	tcase_add_test(tcase, escaped_characters_in_mounts_are_decoded);
	tcase_add_test(tcase, unreadable_and_malformed_limits_count_as_none);
	tcase_add_test(tcase, directory_in_place_of_a_file_counts_as_none);
	tcase_add_test(tcase, limit_of_zero_is_a_limit);
	tcase_add_test(tcase, of_more_levels_than_fit_the_smallest_limits_are_kept);
	tcase_add_test(tcase, long_path_is_shown_cut_at_the_front);
	tcase_add_test(tcase, mountinfo_of_half_a_mebibyte_is_read_to_its_end);
	tcase_add_test(tcase, mountinfo_above_a_mebibyte_is_cut);
	tcase_add_test(tcase, longest_paths_together_fit_and_are_no_limit);
	tcase_add_test(tcase, root_that_is_too_long_is_refused);
	tcase_add_test(tcase, refused_mappings_are_enomem_and_nothing_leaks);
	tcase_add_test(tcase, refused_opens_count_as_no_limit);
	tcase_add_test(tcase, this_machine_can_be_probed);
}

int main(void)
{
	return support_run("zone_probe", add_tests);
}
