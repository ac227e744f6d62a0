/* SPDX-License-Identifier: MIT */
/*
 * The parsers of /proc/self/cgroup and /proc/self/mountinfo over any text. The first line
 * of the input is the text of the former, the rest that of the latter.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "account/zone_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static bool has_dotdot(const char *path)
{
	size_t len = strlen(path);

	return strstr(path, "/../") || (len >= 3 && !strcmp(path + len - 3, "/.."));
}

static void check_mount(const struct bhi_probe_mount *mount, const char *cgroup)
{
	const char *below, *end = cgroup + strlen(cgroup);

	require(mount->origin == BHI_ZONE_FROM_CGROUP2 ||
		mount->origin == BHI_ZONE_FROM_CGROUP1);
	require(mount->root[0] == '/' && strlen(mount->root) < sizeof(mount->root));
	require(mount->point[0] == '/' && strlen(mount->point) < sizeof(mount->point));
	below = bhi_probe_path_below(mount, cgroup);
	if (!below)
		return;
	/* A suffix of the cgroup's path that never leaves the mount. */
	require(below >= cgroup && below <= end);
	require(*below == '\0' || *below == '/');
	require(!has_dotdot(below));
}

static void check_cgroup(
	const char *text, const char *mountinfo, enum bhi_zone_origin origin)
{
	static struct bhi_probe_mount mount;
	static char cgroup[BHI_PROBE_PATH_SIZE];
	const char *cursor = mountinfo, *before;
	int r = bhi_probe_cgroup_path(text, origin, cgroup, sizeof(cgroup));

	require(r == 0 || r == -ENOENT);
	if (r)
		return;
	require(cgroup[0] == '/' && strlen(cgroup) < sizeof(cgroup));
	for (before = cursor; bhi_probe_next_mount(&cursor, &mount); before = cursor) {
		require(cursor > before);
		check_mount(&mount, cgroup);
	}
	require(!*cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of exactly the size, so that a read past the end is seen. */
	char *text = malloc(size + 1), *mountinfo;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	mountinfo = strchr(text, '\n');
	if (mountinfo)
		*mountinfo++ = '\0';
	else
		mountinfo = text + strlen(text);
	check_cgroup(text, mountinfo, BHI_ZONE_FROM_CGROUP2);
	check_cgroup(text, mountinfo, BHI_ZONE_FROM_CGROUP1);
	free(text);
	return 0;
}
