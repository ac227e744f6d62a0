/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/sys.h"

#include "account/zone.h"
#include "account/zone_probe.h"

/* Bounds of the computed min mark: calculate_min_free_kbytes(). */
#define MIN_FREE_LEAST_KB 128u
#define MIN_FREE_MOST_KB  262144u

/* watermark_scale_factor: a tenth of a percent of the zone. */
#define SCALE_DEFAULT 10u
#define SCALE_UNIT    10000u

/* Kept back from what the machine allows: this process is seldom alone in it, and its
 * page tables, stacks and malloc(3) heap count there but not here. One twentieth, 5 %. */
#define MACHINE_SHARE 20u

struct bhi_zone bhi_zone;

static uint64_t square_root(uint64_t n)
{
	uint64_t root = 0;

	for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1) {
		if ((root | bit) * (root | bit) <= n)
			root |= bit;
	}
	return root;
}

static uint64_t min_pages(uint64_t size, uint64_t min_free)
{
	uint64_t half = size / 2 >> BHI_PAGE_SHIFT;
	uint64_t kb, pages;

	if (min_free) {
		pages = (min_free - 1) >> BHI_PAGE_SHIFT;
		pages++;
	} else {
		kb = square_root((size >> 10) * 16);
		kb = bhi_max(kb, (uint64_t)MIN_FREE_LEAST_KB);
		kb = bhi_min(kb, (uint64_t)MIN_FREE_MOST_KB);
		pages = kb >> (BHI_PAGE_SHIFT - 10);
	}
	return bhi_min(pages, half);
}

struct bhi_watermarks bhi_watermarks_compute(
	uint64_t size, uint64_t min_free, unsigned scale)
{
	uint64_t pages = size >> BHI_PAGE_SHIFT;
	uint64_t min = min_pages(size, min_free);
	uint64_t step, most;

	if (!scale)
		scale = SCALE_DEFAULT;
	/* In two parts: the product of a large zone and @scale does not fit. */
	step = pages / SCALE_UNIT * scale + pages % SCALE_UNIT * scale / SCALE_UNIT;
	step = bhi_max(step, min / 4);
	/* min is half at most, so this is never less than min / 4 but by rounding. */
	most = (pages * 7 / 8 - min) / 2;
	step = bhi_min(step, most);
	return (struct bhi_watermarks){
		.min = min << BHI_PAGE_SHIFT,
		.low = (min + step) << BHI_PAGE_SHIFT,
		.high = (min + 2 * step) << BHI_PAGE_SHIFT,
	};
}

int64_t bhi_zone_floor(const struct bhi_watermarks *marks, enum bhi_reserve reserve)
{
	int64_t half = (int64_t)(marks->min - marks->min / 2);

	switch (reserve) {
	case BHI_RESERVE_HIGH:
		return (int64_t)marks->high;
	case BHI_RESERVE_LOW:
		return (int64_t)marks->low;
	case BHI_RESERVE_HALF:
		return half;
	case BHI_RESERVE_ATOMIC:
		/* Half, and a quarter of the other half: 37.5 % stay. */
		return half - half / 4;
	case BHI_RESERVE_ALL:
		return 0;
	case BHI_RESERVE_NONE:
		break;
	}
	return (int64_t)marks->min;
}

/* What the machine allows, by default or in full. */
static int probe_size(bool all, uint64_t *ret_size, enum bhi_zone_origin *ret_origin)
{
	struct bhi_probe probe;
	int r;

	r = bhi_zone_probe("", &probe);
	if (r)
		return r;
	if (all) {
		*ret_size = probe.ram;
		return 0;
	}
	/* A cgroup may be limited to less than a zone can be; then it is the cgroup that
	 * will say no. */
	*ret_size = bhi_max(
		probe.smallest - probe.smallest / MACHINE_SHARE, BHI_ZONE_SIZE_MIN);
	*ret_origin = probe.origin;
	return 0;
}

int bhi_zone_init(
	uint64_t size, enum bhi_zone_origin origin, uint64_t min_free, unsigned scale)
{
	int r;

	if (scale > BHI_ZONE_WATERMARK_SCALE_MAX)
		return -EINVAL;
	if (size == 0 || size == UINT64_MAX) {
		r = probe_size(size != 0, &size, &origin);
		if (r)
			return r;
	}
	if (size < BHI_ZONE_SIZE_MIN || size > INT64_MAX)
		return -EINVAL;
	bhi_zone.size = size & ~((uint64_t)BHI_PAGE_SIZE - 1);
	bhi_zone.origin = origin;
	bhi_zone.marks = bhi_watermarks_compute(bhi_zone.size, min_free, scale);
	return 0;
}

const char *bhi_zone_origin_name(enum bhi_zone_origin origin)
{
	switch (origin) {
	case BHI_ZONE_FROM_CONFIG:
		return "config";
	case BHI_ZONE_FROM_ENV:
		return "environment";
	case BHI_ZONE_FROM_CGROUP2:
		return "cgroup2";
	case BHI_ZONE_FROM_CGROUP1:
		return "cgroup1";
	case BHI_ZONE_FROM_RAM:
		break;
	}
	return "ram";
}
