/* SPDX-License-Identifier: MIT */
/*
 * The key-value cache that all tenants share: cache_get() and cache_set() of their
 * scripts. Its memory belongs to the group /cache; when that, or the zone, is short, a
 * shrinker lets the oldest entries go.
 *
 * One bh_mutex protects it. A script that waits for it can be killed there; one that has
 * it cannot, and nobody holds it for longer than a copy of 64 KiB takes.
 */
#ifndef TENANTS_CACHE_H
#define TENANTS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CACHE_KEY_MAX   256
#define CACHE_VALUE_MAX ((size_t)64 * 1024)

struct cache_stat {
	uint64_t nr_entries, bytes, hits, misses, stores, refused, shrunk;
};

/* Returns 0 or a negative errno. */
int cache_init(uint64_t max);
void cache_fini(void);

/* Copy the value of @key to @value, which has CACHE_VALUE_MAX bytes; its size, or -1. May
 * wait; inside a task it may be unwound. */
ssize_t cache_get(const char *key, size_t key_size, char *value);

/* False: too large, or no memory. The bytes may be private memory. May wait and unwind.
 */
bool cache_set(const char *key, size_t key_size, const char *value, size_t value_size);

/* For drills: the same, but until the task is killed, or five seconds, it is half done
 * and the lock is held. */
bool cache_set_slowly(
	const char *key, size_t key_size, const char *value, size_t value_size);

/* In a child process: it has none, since its copy is nobody else's, with a lock that
 * another thread of the parent may have had. */
void cache_disown(void);

void cache_stat(struct cache_stat *ret);

/* For drills: take the lock as a thread of the host would, and leave it. */
void cache_lock(void);
void cache_unlock(void);

#endif
