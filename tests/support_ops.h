/* SPDX-License-Identifier: MIT */
/*
 * Threads that do something at random with groups, objects, pages, caches, charges,
 * shrinkers and limits, through the model.
 *
 * They share a tree of groups, "a" and below exact ones, three shrinkers, and a table
 * through which they hand objects over; each has objects and a few groups of its own.
 */
#ifndef BHI_TESTS_SUPPORT_OPS_H
#define BHI_TESTS_SUPPORT_OPS_H

#include "support_model.h"

#define OPS_MAX_THREADS 4

#define OPS_ZONE_SIZE ((size_t)32 << 20)

#define OPS_MAX_OBJECTS 1024
#define OPS_MAX_OWN     4
#define OPS_NR_PUT      16
#define OPS_NR_HANDOVER 64
#define OPS_NR_STASHES  3
#define OPS_NR_SHARED   7

struct ops_worker {
	unsigned index;
	uint64_t rng;
	struct model_object *objects[OPS_MAX_OBJECTS];
	unsigned nr_objects;
	struct model_group *own[OPS_MAX_OWN];
	struct model_group
		*put[OPS_NR_PUT]; /* groups of the past, perhaps still charged */
	unsigned nr_put;
};

/* Objects that a shrinker may free. */
struct ops_stash {
	struct bh_shrinker shrinker;
	struct model_group *group; /* where the objects are */
	pthread_mutex_t lock;
	/* protected by .lock */
	struct model_object *first;
	size_t nr;
	/* the owner thread only */
	bool registered;
};

struct ops {
	/* immutable after init */
	unsigned nr_threads;
	int null_fd;
	struct model_group *shared[OPS_NR_SHARED];
	/* each that thread's only */
	struct ops_worker workers[OPS_MAX_THREADS];
	struct ops_stash stashes[OPS_NR_STASHES];
	/* atomic */
	size_t fill;     /* bytes: above this, threads free */
	uint32_t strict; /* nothing that may exceed a limit */
	struct model_object *handover[OPS_NR_HANDOVER];
	uint64_t nr_names;
};

extern struct ops ops;

/* Start library and model, and make what is shared. */
void ops_init(uint64_t seed, unsigned nr_threads);

/* One operation. */
void ops_step(struct ops_worker *worker);

/* With nobody in ops_step(): model_check() of everything. */
void ops_check(void);

/* The same; then free everything, and check that nothing is charged to anybody and no
 * page is taken. */
void ops_fini(void);

#endif
