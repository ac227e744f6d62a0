/* SPDX-License-Identifier: MIT */
/*
 * Bulkhead: the kernel's out-of-memory handling for ordinary programs.
 *
 * A process has one zone (the bytes it may commit) and a tree of groups, each with
 * limits, protections, events and a policy for the moment when memory runs out. Shared
 * memory is allocated on behalf of a group, is charged to it by the page and outlives
 * threads. An allocation that does not fit first reclaims, and then fails with ENOMEM.
 *
 * Units: sizes and usage are bytes, times are nanoseconds unless the name says
 * otherwise. Errors: functions that return int give 0 or a negative errno value;
 * functions that return a pointer give NULL and set errno. Every function may be called
 * from any thread, and none from a signal handler, unless its text says otherwise.
 *
 * After fork(2) the library is inert in the child: existing memory can be read, written
 * and freed, new requests fail with ENOMEM, and exit(3) and execve(2) work.
 *
 * This is resource isolation and no security sandbox: code in one group can still write
 * over the memory of another.
 */
#ifndef BULKHEAD_H
#define BULKHEAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_VERSION_MAJOR 0
#define BH_VERSION_MINOR 1
#define BH_VERSION_PATCH 0

#define BH_PAGE_SIZE 4096u
#define BH_MAX_ORDER 10u

/* The value of a limit that limits nothing. */
#define BH_UNLIMITED UINT64_MAX

struct bh_group;
struct bh_cache;

/* ------------------------------------------------------------------ start-up */

/*
 * The zone and the workings of the library. All zero means defaults, which are those of
 * the BULKHEAD_* variables (docs/environment.md) and then of the machine.
 */
struct bh_config {
	uint64_t size;            /* the zone in bytes, at least 1 MiB */
	uint64_t min_free;        /* the min watermark in bytes, at most half the zone */
	uint32_t watermark_scale; /* distance between watermarks, 1/10000 of the zone */
	uint32_t decay_ms;        /* how long free pages stay resident; default 1000 */
	uint32_t reserved[10];    /* zero */
};

/*
 * Start the library. Optional: the first use of any other function starts it with the
 * defaults. Takes @config by copy; NULL means all zero.
 *
 * Returns 0; -EALREADY when it is running (nothing is changed); -EINVAL for a value out
 * of range or a malformed BULKHEAD_* variable (one line on standard error says which);
 * -ENOMEM when address space or the background thread cannot be had.
 */
int bh_init(const struct bh_config *config);

/* What this process can use, as found at start. */
enum bh_feature {
	BH_FEATURE_MEMBARRIER = 1u << 0, /* remote work costs one membarrier(2) */
	BH_FEATURE_WIPEONFORK = 1u << 1, /* children of any kind of fork are detected */
	BH_FEATURE_DEBUG = 1u << 2,      /* built with misuse detection */
};

/* A mask of enum bh_feature; 0 when the library could not start. */
unsigned bh_features(void);

/* "0.1.0": the version of the library that is loaded. Static storage. */
const char *bh_version(void);

/* ------------------------------------------------------------------ requests */

/*
 * How a request behaves when memory is short. 0 is the ordinary request: it may wait and
 * reclaim, and then does what the group's BH_ON_LIMIT says.
 */
enum bh_flags {
	BH_ZERO = 1u << 0,          /* the memory reads as zero */
	BH_NORETRY = 1u << 1,       /* one round of reclaim, then fail */
	BH_RETRY_MAYFAIL = 1u << 2, /* reclaim while it helps; never kill; then fail */
	BH_NOFAIL = 1u << 3,        /* never fail: wait for memory, for ever if need be */
	BH_ATOMIC = 1u << 4,    /* never wait nor reclaim; may use most of the reserve */
	BH_NOWAIT = 1u << 5,    /* never wait nor reclaim; no reserve */
	BH_NORECLAIM = 1u << 6, /* shrinkers that take the caller's locks stay out */
	BH_NOWARN = 1u << 7,    /* no allocation-failure event */
};

/*
 * Everything this thread asks for between enter and leave behaves as BH_NORECLAIM.
 * Scopes nest: leave takes what the matching enter returned. Signal-safe.
 */
unsigned bh_noreclaim_enter(void);
void bh_noreclaim_leave(unsigned previous);

/* -------------------------------------------------------------------- groups */

/*
 * Groups form a tree; a charge counts in the group and in all its ancestors up to the
 * root, whose limit is the zone.
 *
 * bh_root: the root; valid for the life of the process; needs no put. NULL and ENOMEM
 * when the library cannot start.
 *
 * bh_group_new: a child of @parent (NULL: the root) with unlimited max, named by a copy
 * of @name (1 to 31 bytes of printable ASCII without '/', '"' or '\'). The caller owns
 * one reference. NULL and EINVAL for a bad name or an offline parent, ENOMEM.
 *
 * bh_group_get / bh_group_put: add and drop a reference; put accepts NULL. When the last
 * reference goes the group goes offline. If memory is still charged to it, the rest is
 * left behind: it counts for the parent from then on, and disappears when it is freed.
 */
struct bh_group *bh_root(void);
struct bh_group *bh_group_new(struct bh_group *parent, const char *name);
struct bh_group *bh_group_get(struct bh_group *group);
void bh_group_put(struct bh_group *group);

enum bh_on_limit {
	BH_FAIL = 0, /* the call fails with ENOMEM; nobody is killed for a call */
	BH_KILL =
		1, /* the OOM killer chooses a task of the group that is over its limit */
};

enum bh_knob {
	BH_MIN,       /* bytes never reclaimed; the group's share of its parent's */
	BH_LOW,       /* bytes reclaimed only when nothing else is left */
	BH_HIGH,      /* bytes above which callers are slowed down and reclaim */
	BH_MAX,       /* bytes never exceeded, but for BH_ATOMIC and BH_NOFAIL */
	BH_OOM_GROUP, /* 0 or 1: a kill in this group kills all of it */
	BH_ON_LIMIT,  /* enum bh_on_limit; a new group takes its parent's */
};

/*
 * Set one knob. Byte values are any uint64_t; BH_UNLIMITED takes BH_HIGH or BH_MAX away.
 * Setting BH_MAX below the usage takes effect at once; the call then reclaims and
 * applies the OOM policy until the usage fits or nothing more can be done, and still
 * returns 0. May wait.
 *
 * Returns 0; -EINVAL for an unknown knob, a value out of range, or any knob of the root
 * but BH_ON_LIMIT and BH_OOM_GROUP.
 */
int bh_group_set(struct bh_group *group, enum bh_knob knob, uint64_t value);

/* Counts since the group was made, in the order in which the kernel lists them. */
struct bh_events {
	uint64_t low;            /* reclaimed although below BH_LOW */
	uint64_t high;           /* made to reclaim or wait above BH_HIGH */
	uint64_t max;            /* about to go over BH_MAX */
	uint64_t oom;            /* at the limit with reclaim hopeless */
	uint64_t oom_kill;       /* tasks killed */
	uint64_t oom_group_kill; /* kills that took the whole group */
};

/* Pressure: the share of time lost to waiting for memory. */
struct bh_stall {
	uint64_t total_ns; /* sum since the group was made */
	uint32_t avg10;    /* running averages over 10, 60 and 300 s, in 1/100 % */
	uint32_t avg60;
	uint32_t avg300;
	uint32_t reserved;
};

struct bh_group_stat {
	uint64_t usage; /* bytes charged now, descendants included */
	uint64_t peak;  /* highest usage so far */
	uint64_t min, low, high, max;
	uint64_t emin, elow;     /* the effective protection the parent leaves */
	uint64_t failcnt;        /* charges this counter has refused */
	uint64_t external;       /* bytes of bh_charge in the group itself */
	uint64_t left_behind;    /* bytes of deleted children counted here */
	struct bh_events events; /* the group and its descendants */
	struct bh_events local;  /* the group itself */
	struct bh_stall some,
		full; /* at least one thread waits; all that work here wait */
	uint32_t nr_children;
	uint32_t oom_group;
	enum bh_on_limit on_limit;
	uint32_t reserved;
};

/* Fill *@ret. Returns 0 or -EINVAL. Usage is exact up to 256 KiB a thread of stock. */
int bh_group_stat(struct bh_group *group, struct bh_group_stat *ret);

/*
 * Free all shared memory that @group itself owns (not its descendants'): every object,
 * page and cache object charged to it. Pointers to it are dead afterwards. The caller
 * makes sure that no other thread uses this group or its memory meanwhile. Bytes of
 * bh_charge stay. Returns 0 or -EINVAL.
 */
int bh_group_drop(struct bh_group *group);

/*
 * Reclaim @size bytes from @group and its descendants by running shrinkers and giving
 * back free slabs. May wait. Returns 0 when that much was reclaimed, -EAGAIN when it was
 * less, -EINVAL.
 */
int bh_group_reclaim(struct bh_group *group, size_t size, unsigned flags);

/*
 * Charge @size bytes that somebody else allocated (a malloc, a mapping) to @group; it
 * counts like memory of Bulkhead. Takes the slow path of every allocation. Each
 * bh_uncharge gives back bytes charged before; more than that is reported once and
 * clamped.
 *
 * Returns 0; -ENOMEM; -EINVAL for flags that contradict each other or a size above
 * INT64_MAX. bh_uncharge never fails.
 */
int bh_charge(struct bh_group *group, size_t size, unsigned flags);
void bh_uncharge(struct bh_group *group, size_t size);

/* ------------------------------------------------------------- shared memory */

/*
 * Allocate @size bytes charged to @group (NULL: the root), aligned to 16 bytes (8 for
 * sizes up to 8). A size of 0 gives a pointer that can be freed. NULL and ENOMEM; NULL
 * and EINVAL for contradicting flags. May wait, but for BH_ATOMIC and BH_NOWAIT.
 *
 * bh_alloc_aligned: @align is a power of two up to 4 MiB, else EINVAL.
 *
 * bh_realloc: the group stays that of @ptr; a NULL @ptr allocates from the root; a @size
 * of 0 shrinks to the smallest object and does not free. On failure the old object is
 * as it was. BH_ZERO makes the bytes past the old bh_usable_size zero.
 *
 * bh_usable_size: bytes that may be used at @ptr, at least those asked for; 0 for NULL.
 *
 * bh_group_of: the group that owns the object at @ptr, without a reference; NULL if no
 * live object starts there.
 *
 * bh_free: any pointer of Bulkhead, from any thread; NULL is fine. A pointer that is no
 * live object is reported and ignored where the check is free, always in debug builds,
 * which then abort. Preserves errno.
 */
void *bh_alloc(struct bh_group *group, size_t size, unsigned flags);
void *bh_alloc_aligned(struct bh_group *group, size_t align, size_t size, unsigned flags);
void *bh_realloc(void *ptr, size_t size, unsigned flags);
size_t bh_usable_size(const void *ptr);
struct bh_group *bh_group_of(const void *ptr);
void bh_free(void *ptr);

/*
 * Caches of objects of one type. @size is 1 to 32768 bytes, @align a power of two up to
 * 4096 or 0 for the natural one. @ctor (may be NULL) runs once on each object when its
 * slab is made, not at each allocation: free objects keep their constructed state. It
 * must not allocate from the same cache. The name is copied (1 to 31 bytes, as a
 * group's). NULL and EINVAL or ENOMEM.
 *
 * bh_cache_alloc: an object charged to @group (NULL: the root). BH_ZERO with a
 * constructor is EINVAL.
 * bh_cache_free: NULL is fine; -EINVAL (and nothing freed) for an object of another
 * cache. bh_free takes cache objects too.
 * bh_cache_destroy: -EBUSY while objects are live; 0 for NULL.
 */
struct bh_cache *bh_cache_new(
	const char *name, size_t size, size_t align, void (*ctor)(void *));
void *bh_cache_alloc(struct bh_cache *cache, struct bh_group *group, unsigned flags);
int bh_cache_free(struct bh_cache *cache, void *object);
int bh_cache_destroy(struct bh_cache *cache);

/*
 * Whole pages: 2^@order of them, aligned to their size, charged to @group (NULL: the
 * root). Orders above 3 are costly: they fail after one round of reclaim. NULL and
 * ENOMEM, or EINVAL for an order above BH_MAX_ORDER or contradicting flags.
 * bh_free_pages: -EINVAL, and nothing freed, when @order is not that of the allocation.
 */
void *bh_alloc_pages(struct bh_group *group, unsigned order, unsigned flags);
int bh_free_pages(void *pages, unsigned order);

/* ----------------------------------------------------------------- shrinkers */

/* What scan() returns to say: going on could deadlock, ask somebody else. */
#define BH_SHRINK_STOP  SIZE_MAX
/* What count() returns to say: there is nothing at all. 0 means: skip me this time. */
#define BH_SHRINK_EMPTY (SIZE_MAX - 1)

/* What one call of a shrinker is about. */
struct bh_shrink_control {
	struct bh_group *group; /* the group being reclaimed; never NULL */
	unsigned flags;    /* of the request; BH_NORECLAIM: leave the caller's locks */
	size_t nr_to_scan; /* scan: how many objects to look at */
	size_t nr_scanned; /* scan: set to nr_to_scan; lower it if you did less */
};

enum bh_shrinker_flags {
	BH_SHRINKER_LAST_RESORT = 1u << 0, /* called only before the OOM policy acts */
};

/*
 * A cache that can give memory back. The memory of the struct is the caller's, from
 * register to the return of unregister. count() and scan() run on whichever thread is
 * short of memory, or on the background reclaimer, with no lock of Bulkhead held; calls
 * may run at the same time. They may allocate (such requests do not reclaim, and may use
 * the reserves) and free. They must not wait for a lock whose holder may be waiting for
 * memory: use trylock and BH_SHRINK_STOP.
 */
struct bh_shrinker {
	const char *name; /* for reports; must outlive the registration */
	/* Objects that could be freed for control->group. */
	size_t (*count)(struct bh_shrinker *self, struct bh_shrink_control *control);
	/* Free up to control->nr_to_scan objects; returns the number freed. */
	size_t (*scan)(struct bh_shrinker *self, struct bh_shrink_control *control);
	void *arg; /* for the owner */
	struct bh_group
		*group; /* whose memory it frees; NULL: anybody's (a global one) */
	unsigned seeks; /* cost of making an object again; 0: cheap, 2: usual */
	unsigned batch; /* objects a scan() call; 0: 128 */
	unsigned flags; /* enum bh_shrinker_flags */
	unsigned reserved;
	void *private_[8]; /* Bulkhead's while registered */
};

/*
 * Start and stop calling a shrinker. Unregister waits until calls in progress have
 * returned; called from inside the shrinker's own count() or scan() it would wait for
 * itself and returns -EDEADLK instead, nothing changed. A registered shrinker keeps its
 * group alive. register: 0; -EINVAL for a missing name, count or scan or unknown flags;
 * -EBUSY if registered. unregister: 0; -EINVAL if it is not registered.
 */
int bh_shrinker_register(struct bh_shrinker *shrinker);
int bh_shrinker_unregister(struct bh_shrinker *shrinker);

/* ------------------------------------------------------------ looking inside */

enum bh_format {
	BH_TEXT = 0,
	BH_JSON = 1, /* docs/report.md describes the schema and its version */
};

/*
 * Write the state of the library to @fd: zone, watermarks, groups, caches, shrinkers,
 * stalls, Bulkhead's own overhead. Uses no heap. May wait for @fd. Returns 0, -EINVAL, or
 * the negative errno of write(2).
 */
int bh_report_write(int fd, enum bh_format format);

/*
 * Recount everything from the pages up and compare with the counters. Returns 0 when all
 * agree, else the number of disagreements, each of which was written to standard error;
 * -ENOMEM when there is no room to count. Threads that allocate meanwhile are waited
 * for, one operation each.
 */
int bh_audit(void);

#ifdef __cplusplus
}
#endif

#endif
