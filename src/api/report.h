/* SPDX-License-Identifier: MIT */
/*
 * The report is one walk (report.c) and two renderings of it (report_text.c,
 * report_json.c). The walk copies one item at a time, with whatever lock that needs, and
 * hands it to the rendering with no lock held: the descriptor may block for as long as
 * its reader likes. Items were read one after the other while other threads went on, so
 * their figures need not add up to the last page.
 */
#ifndef BHI_API_REPORT_H
#define BHI_API_REPORT_H

#include "account/group.h"
#include "account/zone.h"
#include "alloc/buddy.h"
#include "alloc/cache.h"
#include "base/fmt.h"
#include "reclaim/background.h"
#include "reclaim/shrinker.h"

/* Rises when a field goes or changes its meaning; not for new fields. */
#define BHI_REPORT_VERSION 1

/* Paths are cut at the front when they are longer. */
#define BHI_REPORT_PATH_SIZE 256

/* Groups that the verdict calls by name; of the others only the number is told. */
#define BHI_REPORT_NAMED 4

enum bhi_report_state {
	BHI_REPORT_OK,
	BHI_REPORT_BELOW_LOW,
	BHI_REPORT_BELOW_MIN,
};

/* Groups that have something in common: how many, and the first few in the tree's order.
 */
struct bhi_report_groups {
	uint32_t nr;
	char paths[BHI_REPORT_NAMED][BHI_REPORT_PATH_SIZE];
};

struct bhi_report_verdict {
	enum bhi_report_state state;
	struct bhi_report_groups at_max;  /* less than a page is left below BH_MAX */
	struct bhi_report_groups failed;  /* a request failed, now or earlier */
	struct bhi_report_groups limited; /* neither, but a request once did not fit */
};

/* All in bytes, unless the name says otherwise. */
struct bhi_report_zone {
	uint64_t charged, free;
	uint64_t reserve; /* free bytes that ordinary requests leave alone */
	uint64_t stocks;  /* charged in advance by threads */
	struct bhi_buddy_stat pages;
};

struct bhi_report_group {
	const char *name;
	char path[BHI_REPORT_PATH_SIZE];
	uint32_t id, parent_id; /* the root is its own parent here */
	uint32_t depth;
	uint64_t parent_usage;
	/* .emin and .elow are as of the last reclaim, .external leaves stocks out */
	struct bh_group_stat stat;
};

/* Objects of one size in the slabs of bh_alloc. */
struct bhi_report_class {
	uint32_t size;
	uint64_t nr_slabs;
	uint64_t nr_shared; /* of these: slabs shared by very small groups */
	uint64_t nr_objects, nr_live, bytes;
};

struct bhi_report_shrinker {
	struct bhi_shrinker_info info;
	char path[BHI_REPORT_PATH_SIZE]; /* of the group; "" for a global one */
};

struct bhi_report_overhead {
	uint64_t metadata;     /* address space of metadata, most of it never touched */
	uint64_t page_structs; /* of the blocks opened so far */
	uint64_t descriptors;  /* of slabs */
	uint32_t nr_threads;
};

enum bhi_report_list {
	BHI_REPORT_LIST_GROUPS,
	BHI_REPORT_LIST_CLASSES,
	BHI_REPORT_LIST_CACHES,
	BHI_REPORT_LIST_SHRINKERS,
};

/* A rendering; the functions are called in this order. Context of all: may wait; with no
 * lock of the library held. */
struct bhi_report_rendering {
	void (*begin)(struct bhi_out *out, const struct bhi_report_verdict *verdict,
		const struct bhi_report_zone *zone);
	void (*list_begin)(struct bhi_out *out, enum bhi_report_list list);
	void (*group)(struct bhi_out *out, const struct bhi_report_group *group);
	void (*class)(struct bhi_out *out, const struct bhi_report_class *class);
	void (*cache)(struct bhi_out *out, const struct bhi_cache_info *cache);
	void (*shrinker)(struct bhi_out *out, const struct bhi_report_shrinker *shrinker);
	void (*list_end)(struct bhi_out *out, enum bhi_report_list list);
	void (*end)(struct bhi_out *out, const struct bhi_background_stat *background,
		const struct bhi_report_overhead *overhead);
};

extern const struct bhi_report_rendering bhi_report_text, bhi_report_json;

#endif
