/* SPDX-License-Identifier: MIT */
/*
 * A model of groups and objects for random tests. Every call of the library goes through
 * a function here, which knows what may come of it, checks that and takes it down.
 *
 * The model counts, for each group with its descendants, four sums of bytes that only
 * grow. With calls of several threads going on,
 *
 *	.allocated - .freed	is surely charged: added after a call, taken before one
 *	.wanted - .returned	may be charged: added before a call, taken after one
 *
 * so the usage at any moment lies between the two, read in the right order. The upper one
 * knows nothing of slabs, stocks and charges in flight: in groups that hold only whole
 * pages and charges ("exact" ones) the rest is bounded, in others the library's own usage
 * takes its place.
 *
 * Whatever is wrong ends the process with a line that says what and in which seed.
 */
#ifndef BHI_TESTS_SUPPORT_MODEL_H
#define BHI_TESTS_SUPPORT_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bulkhead.h"

#define MODEL_MAX_DEPTH 8
#define MODEL_NR_CACHES 2
#define MODEL_NR_SIZES  128

struct model_group {
	/* immutable after model_group_new() */
	struct bh_group *group;
	struct model_group *parent; /* NULL: the root */
	bool exact;
	bool private_; /* only one thread ever uses its objects, and those below it */
	char name[32];
	struct model_group *next; /* in model.groups */
	/* atomic, see above */
	int64_t allocated, freed, wanted, returned;
	int64_t freed_most; /* what frees may have taken off the usage, slabs included */
	/* atomic */
	int64_t external; /* bytes of bh_charge in the group itself */
	int64_t nr_children;
	uint64_t max, max_least; /* now, and the least since the last model_check() */
	uint32_t excused;        /* may be above .max */
	uint32_t online;
	uint32_t had_children;
	/* the thread that may set limits */
	uint64_t min, low, high;
	uint32_t on_limit, oom_group;
	uint64_t last_failcnt;
	struct bh_events last_events;
};

enum model_kind {
	MODEL_HEAP,  /* bh_alloc, bh_alloc_aligned, bh_realloc_flags */
	MODEL_PAGES, /* bh_alloc_pages */
	MODEL_CACHED,
};

struct model_object {
	char *p;
	size_t size, usable;
	struct model_group *group;
	uint64_t id; /* what the contents are made of */
	enum model_kind kind;
	unsigned order; /* of pages */
	unsigned cache; /* number of the cache */
	struct model_object *next;
};

struct model_cache {
	struct bh_cache *cache;
	size_t size;
	bool constructed;
	/* atomic */
	int64_t nr_live;
};

struct model {
	uint64_t seed;
	unsigned nr_threads; /* that use the library, but for the background reclaimer */
	bool injecting;      /* any call may fail; changed only while nobody calls */
	struct model_group root;
	struct model_cache caches[MODEL_NR_CACHES];
	/* atomic */
	struct model_group *groups; /* all that ever were */
	uint64_t next_id;
	int64_t nr_live[MODEL_NR_SIZES]; /* objects in slabs, by class */
	uint64_t nr_refused;             /* calls that failed for want of memory */
};

extern struct model model;

/* In one order for all threads: what a check reads first was so first. */
#define model_load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define model_store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define model_add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

/* Random numbers, repeatable from a seed that is not 0. */
uint64_t model_random(uint64_t *state);
/* From 0 to @end - 1. */
uint64_t model_below(uint64_t *state, uint64_t end);

/* One line on standard error, abort. */
__attribute__((noreturn, format(printf, 4, 5))) void model_fail(
	const char *file, int line, const char *condition, const char *format, ...);
#define model_require(cond, ...)                                            \
	do {                                                                \
		if (!(cond))                                                \
			model_fail(__FILE__, __LINE__, #cond, __VA_ARGS__); \
	} while (0)

/* Start the library and the model. */
void model_init(uint64_t seed, uint64_t zone_size, unsigned nr_threads);

/* Free the memory of the model itself, when all objects are gone. */
void model_fini(void);

/* A child of @parent; NULL when memory may be short and is. Not for several threads with
 * one @parent->exact that differs from @exact. */
struct model_group *model_group_new(
	struct model_group *parent, const char *name, bool exact);

/* Drop the only reference. What is left behind may still be freed and uncharged. */
void model_group_put(struct model_group *group);

/* By the thread that may. */
void model_group_set(struct model_group *group, enum bh_knob knob, uint64_t value);

/* What can be said of a group while others work. @owner: the caller may set limits. */
void model_group_check(struct model_group *group, bool owner);

/* NULL: the library had no memory, and could not have. @order is for pages, @cache for
 * cached objects, @align 0 for bh_alloc. */
struct model_object *model_alloc(
	struct model_group *group, size_t size, size_t align, unsigned flags);
struct model_object *model_alloc_pages(
	struct model_group *group, unsigned order, unsigned flags);
struct model_object *model_cache_alloc(
	struct model_group *group, unsigned cache, unsigned flags);

/* False: as above, and @object is as it was. */
bool model_realloc(struct model_object *object, size_t size, unsigned flags);

/* Contents, size and owner. */
void model_verify(const struct model_object *object);

/* Verify and free. */
void model_free(struct model_object *object);

/* bh_group_drop(), with all objects of a private group: a list by .next. */
void model_group_drop(struct model_group *group, struct model_object *objects);

/* False: as above. */
bool model_charge(struct model_group *group, size_t size, unsigned flags);

/* Up to @size of what is charged there; by any thread, also when the group was put. */
void model_uncharge(struct model_group *group, size_t size);

/* All that is live under the root, as the model has it. */
int64_t model_live(void);

/*
 * With nobody calling: bh_audit(), all groups from @groups (NULL ends it) and all objects
 * in slabs. Disagreements that pass are the background reclaimer's, which cannot be held
 * back.
 */
void model_check(struct model_group *const *groups);

/* With nobody calling and all else freed: usage of @group is 0 once stocks and empty
 * slabs are given back. */
void model_check_empty(struct model_group *group);

#endif
