/* SPDX-License-Identifier: MIT */
/*
 * A zone, groups and caches for the tests of what happens when memory is short. Each test
 * runs in a process of its own, starts the library with a small zone and ends with an
 * audit.
 */
#ifndef BHI_TESTS_SUPPORT_MEMORY_H
#define BHI_TESTS_SUPPORT_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bulkhead.h"

#define KIB  ((uint64_t)1 << 10)
#define MIB  ((uint64_t)1 << 20)
#define PAGE ((uint64_t)BH_PAGE_SIZE)

/* Start the library with a zone of @size bytes and marks by the formulas. */
void support_start(uint64_t size);

/* Every test ends so: no group has references left, and bh_audit() finds nothing. */
void support_end(void);

/* A group with the library's defaults; NULL: a child of the root. Never NULL. */
struct bh_group *support_group(struct bh_group *parent, const char *name);

void support_set(struct bh_group *group, enum bh_knob knob, uint64_t value);
struct bh_group_stat support_stat(struct bh_group *group);

/* Exact usage: no thread has anything of @group in stock afterwards. */
uint64_t support_usage(struct bh_group *group);

/*
 * Charge the group "filler" past all marks until exactly @bytes of the zone are free;
 * gives back what is too much. No stock holds anything afterwards.
 */
void support_leave_free(uint64_t bytes);
uint64_t support_free(void);

/* Give processor time to the others until the word at @word is at least @value. */
void support_await(const uint32_t *word, uint32_t value);

/* The background reclaimer has done all that it was woken for before this call; how often
 * it was woken because the zone was short. */
uint64_t support_background_wakeups(void);

pthread_t support_thread(void *(*fn)(void *), void *arg);
void *support_join(pthread_t thread);

/* A cache of pages with a shrinker, which frees the newest first. */
struct support_cache {
	struct bh_shrinker shrinker;
	/* immutable after init; may be changed while nobody reclaims */
	struct bh_group *group; /* that is charged */
	unsigned order;
	bool in_use;    /* atomic: count() says that there is nothing */
	bool only_here; /* other threads than the one that made it see nothing */
	pthread_t here;
	/* protected by .lock */
	pthread_mutex_t lock;
	void **objects;
	size_t nr, room;
	/* atomic */
	uint32_t nr_counts, nr_scans;
};

/* An empty cache of blocks of 2^@order pages charged to @group, registered. */
void support_cache_init(
	struct support_cache *cache, struct bh_group *group, unsigned order);

/* Add up to @nr blocks, one request with @flags each; how many were had. */
size_t support_cache_fill(struct support_cache *cache, size_t nr, unsigned flags);

/* Unregister, and free what is left. */
void support_cache_fini(struct support_cache *cache);

#endif
