/* SPDX-License-Identifier: MIT */
/*
 * The zone: the bytes this process may commit, and the marks below which the last of
 * them are kept for those who need them most. Pure arithmetic plus the values chosen at
 * start; what is charged lives in the root group's counter.
 *
 * Formulas: Linux 6.12 mm/page_alloc.c, calculate_min_free_kbytes(),
 * __setup_per_zone_wmarks(), __zone_watermark_ok().
 */
#ifndef BHI_ACCOUNT_ZONE_H
#define BHI_ACCOUNT_ZONE_H

#include "base/compiler.h"

#define BHI_ZONE_SIZE_MIN            ((uint64_t)1 << 20)
#define BHI_ZONE_WATERMARK_SCALE_MAX 3000u

enum bhi_zone_origin {
	BHI_ZONE_FROM_CONFIG,
	BHI_ZONE_FROM_ENV,
	BHI_ZONE_FROM_CGROUP2,
	BHI_ZONE_FROM_CGROUP1,
	BHI_ZONE_FROM_RAM,
};

struct bhi_watermarks {
	uint64_t min, low, high; /* bytes free */
};

struct bhi_zone {
	/* immutable after init */
	uint64_t size; /* bytes, a multiple of the page size */
	enum bhi_zone_origin origin;
	struct bhi_watermarks marks;
};

extern struct bhi_zone bhi_zone;

/*
 * The marks of a zone of @size bytes, whole pages each. @min_free: the wanted min mark,
 * rounded up, or 0 for isqrt(kB * 16) kB within 128 kB and 256 MiB. @scale: distance
 * between the marks in 1/10000 of the zone, or 0 for 10; a quarter of min at least.
 *
 * Values that would leave no room for memory in use are cut: min to half the zone, then
 * the distance so that high is at most seven eighths of it. Context: signal-safe.
 */
struct bhi_watermarks bhi_watermarks_compute(
	uint64_t size, uint64_t min_free, unsigned scale);

/* Who asks for the last bytes of the zone. */
enum bhi_reserve {
	BHI_RESERVE_LOW,    /* the fast path: leaves the low mark alone */
	BHI_RESERVE_NONE,   /* the slow path: down to min */
	BHI_RESERVE_HALF,   /* BH_NOFAIL each round, victims: half of min is theirs */
	BHI_RESERVE_ATOMIC, /* BH_ATOMIC: 62.5 % of min is theirs */
	BHI_RESERVE_ALL,    /* inside reclaim: everything */
	BHI_RESERVE_HIGH,   /* the last look before an OOM: leaves the high mark alone */
};

/*
 * The bytes that must be left free by a request. The kernel asks for strictly more than
 * the mark to be free before the last page of the request is taken, which is the same: at
 * least the mark is free afterwards. 0 for BHI_RESERVE_ALL. Context: signal-safe.
 */
int64_t bhi_zone_floor(const struct bhi_watermarks *marks, enum bhi_reserve reserve);

/*
 * Set bhi_zone. @size 0: the smallest of the cgroup limits and RAM, less 5 %, and at
 * least 1 MiB; @origin is then what was found. UINT64_MAX ("max"): all of RAM. Larger
 * than RAM is allowed and not cut. @min_free and @scale as above.
 *
 * 0; -EINVAL (below 1 MiB, above INT64_MAX, or @scale above 3000); or, when the machine
 * had to be asked, an error of bhi_zone_probe(). Nothing is changed then. Context: may
 * wait; once.
 */
int bhi_zone_init(
	uint64_t size, enum bhi_zone_origin origin, uint64_t min_free, unsigned scale);

/* "config", "environment", "cgroup2", "cgroup1", "ram". Context: signal-safe. */
const char *bhi_zone_origin_name(enum bhi_zone_origin origin);

#endif
