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
#include "charge/failures.h"
#include "debug/inject.h"
#include "oom/events.h"
#include "oom/reaper.h"
#include "reclaim/background.h"
#include "reclaim/shrinker.h"
#include "task/latency.h"

/* Rises when a field goes or changes its meaning; not for new fields. */
#define BHI_REPORT_VERSION 1

/* Paths are cut at the front when they are longer. */
#define BHI_REPORT_PATH_SIZE 256

/* Groups that the verdict calls by name; of the others only the number is told. */
#define BHI_REPORT_NAMED 4

/* Tasks that the text lists, those with most private memory. */
#define BHI_REPORT_TASKS 20

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
	struct bhi_report_groups failed;  /* reclaim was hopeless, now or earlier */
	struct bhi_report_groups limited; /* neither, but a request once did not fit */
	uint64_t nr_kills;                /* tasks that the OOM killer killed */
	uint64_t nr_ooms; /* times that it was asked; 0: the next three say nothing */
	uint64_t oom_ago_ns;
	char oom_group[BHI_TASK_PATH_SIZE];
	char victim[BHI_TASK_NAME_SIZE]; /* "": the last OOM found nobody to kill */
	struct bhi_reaper_stat reaper;
	uint64_t nr_failed; /* requests */
};

/* All in bytes, unless the name says otherwise. */
struct bhi_report_zone {
	uint64_t charged, free;
	uint64_t reserve; /* free bytes that ordinary requests leave alone */
	uint64_t floor_nofail, floor_atomic; /* of these, what others leave alone too */
	uint64_t stocks;                     /* charged in advance by threads */
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
	enum bh_on_limit on_limit_private; /* the policy for private memory */
};

struct bhi_report_task {
	char path[BHI_REPORT_PATH_SIZE]; /* of its group */
	struct bh_task_stat stat;
	bool is_cooperative;
};

/* All tasks, and the largest of them, most bytes first. */
struct bhi_report_tasks {
	uint32_t nr, nr_inside, nr_killed, nr_reaped;
	uint64_t bytes;
	uint32_t nr_largest;
	struct bhi_report_task largest[BHI_REPORT_TASKS];
};

struct bhi_report_oom {
	struct bh_oom_event event;
	uint64_t ago_ns;
	bool is_newest;
};

struct bhi_report_failure {
	struct bhi_failure failure;
	uint64_t ago_ns;
	uint64_t nr_failed; /* in all */
	bool is_newest;
};

/* A kind of injected failures, and how it is set. */
struct bhi_report_injecting {
	enum bh_fault_kind kind;
	struct bh_fault_stat stat;
	bool is_first;
};

struct bhi_report_injection {
	struct bhi_injection injection;
	uint64_t ago_ns;
};

/* The private window and the reaper. */
struct bhi_report_private {
	uint64_t window; /* address space, bytes */
	uint64_t taken;  /* of it: areas that tasks have, or that are kept warm, bytes */
	uint64_t warm;   /* populated bytes of ended tasks, kept for the next ones */
	bool is_uffd;
	struct bhi_reaper_stat reaper;
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
	BHI_REPORT_LIST_OOMS,
	BHI_REPORT_LIST_FAILURES,
	BHI_REPORT_LIST_INJECTING,
	BHI_REPORT_LIST_INJECTIONS,
	BHI_REPORT_LIST_KILLS,
	BHI_REPORT_LIST_TASKS,
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
	void (*oom)(struct bhi_out *out, const struct bhi_report_oom *oom);
	void (*failure)(struct bhi_out *out, const struct bhi_report_failure *failure);
	void (*injecting)(
		struct bhi_out *out, const struct bhi_report_injecting *injecting);
	void (*injection)(
		struct bhi_out *out, const struct bhi_report_injection *injection);
	/* How long the memory of victims in @state took to come back. */
	void (*kills)(struct bhi_out *out, enum bh_victim_state state);
	/* NULL: .tasks says enough. */
	void (*task)(struct bhi_out *out, const struct bhi_report_task *task);
	/* At the end of the list of tasks. */
	void (*tasks)(struct bhi_out *out, const struct bhi_report_tasks *tasks);
	void (*group)(struct bhi_out *out, const struct bhi_report_group *group);
	void (*class)(struct bhi_out *out, const struct bhi_report_class *class);
	void (*cache)(struct bhi_out *out, const struct bhi_cache_info *cache);
	void (*shrinker)(struct bhi_out *out, const struct bhi_report_shrinker *shrinker);
	void (*list_end)(struct bhi_out *out, enum bhi_report_list list);
	void (*private)(struct bhi_out *out, const struct bhi_report_private *private);
	void (*end)(struct bhi_out *out, const struct bhi_background_stat *background,
		const struct bhi_report_overhead *overhead);
};

extern const struct bhi_report_rendering bhi_report_text, bhi_report_json;

#endif
