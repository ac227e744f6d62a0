/* SPDX-License-Identifier: MIT */
/*
 * What the machine and its control groups allow this process: RAM, and every cgroup
 * memory limit on the way from its own cgroup up to the root of each hierarchy (v2
 * memory.max, v1 memory.limit_in_bytes), found through /proc/self/cgroup and
 * /proc/self/mountinfo.
 */
#ifndef BHI_ACCOUNT_ZONE_PROBE_H
#define BHI_ACCOUNT_ZONE_PROBE_H

#include "account/zone.h"

#define BHI_PROBE_MAX_LIMITS 16
#define BHI_PROBE_PATH_SIZE  4096 /* PATH_MAX: longer cgroup paths are not shown */

struct bhi_probe_limit {
	enum bhi_zone_origin origin; /* BHI_ZONE_FROM_CGROUP2 or _CGROUP1 */
	uint64_t size;               /* UINT64_MAX: no limit at this level */
	char path[192];              /* the file, cut at the front when too long */
};

struct bhi_probe {
	uint64_t ram;
	/* own cgroup first; of more than fit, the smallest */
	unsigned nr_limits;
	struct bhi_probe_limit limits[BHI_PROBE_MAX_LIMITS];
	/* the smallest of all, and where it came from */
	uint64_t smallest;
	enum bhi_zone_origin origin;
};

/*
 * Fill *@ret. @root is put in front of every absolute path ("" in the library; a
 * directory with a made-up proc and sys in tests); the paths in *@ret are without it.
 * Files that cannot be read or make no sense count as no limit. Returns 0; -ENOMEM; or
 * -ENOENT when not even RAM is known. Context: may wait.
 */
int bhi_zone_probe(const char *root, struct bhi_probe *ret);

/*
 * The parsers, over text that may hold anything. @origin is BHI_ZONE_FROM_CGROUP2 or
 * _CGROUP1 and says which hierarchy is meant: the unified one, or the one of version 1
 * with the memory controller.
 */

/* A mount of such a hierarchy. */
struct bhi_probe_mount {
	enum bhi_zone_origin origin;
	char root[BHI_PROBE_PATH_SIZE];  /* the cgroup that is seen at .point */
	char point[BHI_PROBE_PATH_SIZE]; /* the directory it is mounted on */
};

/*
 * The path of the process's own cgroup, from the text of /proc/self/cgroup. 0; -ENOENT
 * when the process is in no such hierarchy or the path does not fit into @size.
 * Context: signal-safe.
 */
int bhi_probe_cgroup_path(
	const char *text, enum bhi_zone_origin origin, char *buf, size_t size);

/*
 * Find the next mount of either hierarchy in the text of /proc/self/mountinfo and advance
 * *@text past it; false at the end. Context: signal-safe.
 */
bool bhi_probe_next_mount(const char **text, struct bhi_probe_mount *ret);

/*
 * The path below @mount->point that shows @cgroup ("" or "/..."), pointing into @cgroup.
 * "" too when the mount shows only ancestors of a cgroup whose name is hidden from this
 * namespace. NULL when the mount shows neither. Context: signal-safe.
 */
const char *bhi_probe_path_below(const struct bhi_probe_mount *mount, const char *cgroup);

#endif
