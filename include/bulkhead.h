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
struct bh_oom_event;

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
	uint32_t reap_tries; /* of a victim that holds a lock; 1 to 1000, default 10 */
	uint32_t reap_interval_ms; /* between two of these; up to 10000, default 100 */
	/*
	 * Called once for each OOM, on the thread that decided, with no lock held and
	 * after the victims were told. It may be in a signal handler, in a call for
	 * memory, or in a hold section of the host: as on_kill of a task it must be
	 * lock-free and signal-safe (copy the event to a ring, write to an eventfd), ask
	 * for no memory, touch no private memory and call nothing of Bulkhead. @event is
	 * valid until it returns. NULL: nobody is told.
	 */
	void (*on_oom)(const struct bh_oom_event *event, void *arg);
	void *on_oom_arg;     /* NULL without on_oom */
	uint32_t reserved[4]; /* zero */
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
	BH_FEATURE_PAGEFAULT = 1u << 3,  /* tasks can have lazily populated memory */
	BH_FEATURE_UFFD = 1u << 4,       /* by userfaultfd; else by mprotect */
	BH_FEATURE_REAPER = 1u << 5,     /* victims are reaped */
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
	BH_NOWAIT = 1u << 5,    /* never wait nor reclaim; no reserve; BH_NOWARN */
	BH_NORECLAIM = 1u << 6, /* shrinkers that take the caller's locks stay out */
	BH_NOWARN = 1u << 7,    /* a failure leaves no trace in the report */
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
	BH_KILL = 1, /* the OOM killer chooses a task of the group that is over */
};

enum bh_knob {
	BH_MIN,       /* bytes never reclaimed; the group's share of its parent's */
	BH_LOW,       /* bytes reclaimed only when nothing else is left */
	BH_HIGH,      /* bytes above which callers are slowed down and reclaim */
	BH_MAX,       /* bytes exceeded by BH_ATOMIC, BH_NOFAIL, overdrafts only */
	BH_OOM_GROUP, /* 0 or 1: a kill in this group kills all of it */
	/* enum bh_on_limit; a new group takes its parent's. Never set, it is BH_FAIL for
	 * shared memory and BH_KILL for the private memory of tasks. */
	BH_ON_LIMIT,
};

/*
 * Set one knob. Byte values are any uint64_t; BH_UNLIMITED takes BH_HIGH or BH_MAX away.
 * Setting BH_MAX below the usage takes effect at once; the call then reclaims and
 * applies the OOM policy until the usage fits, nothing more can be done, or somebody has
 * set another BH_MAX, and still returns 0. Where BH_ON_LIMIT was never set it kills as
 * long as tasks of the group have private memory. May wait. In a task that is killed
 * meanwhile the call ends when the value is set: it unwinds; in a hold section or a
 * cooperative task it goes on, and waits for other victims.
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
	uint32_t overdraft; /* bytes that hold sections and victims have past the limit */
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
 * bh_realloc_flags: the group stays that of @ptr; a NULL @ptr allocates from the root; a
 * @size of 0 shrinks to the smallest object and does not free. On failure the old object
 * is as it was. BH_ZERO makes the bytes past the old bh_usable_size zero.
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
void *bh_realloc_flags(void *ptr, size_t size, unsigned flags);
size_t bh_usable_size(const void *ptr);
struct bh_group *bh_group_of(const void *ptr);
void bh_free(void *ptr);

/*
 * Caches of objects of one type. @size is 1 to 32768 bytes, @align a power of two up to
 * 4096 or 0 for the natural one. @ctor (may be NULL) runs once on each object when its
 * slab is made, not at each allocation: free objects keep their constructed state. It
 * must not allocate from the same cache. Inside of a task it runs in a hold section, and
 * not at all if the task is being reaped: bh_cache_alloc then fails, or unwinds with
 * BH_NOFAIL. The name is copied (1 to 31 bytes, as a
 * group's). NULL and EINVAL or ENOMEM.
 *
 * bh_cache_alloc: an object charged to @group (NULL: the root). BH_ZERO with a
 * constructor is EINVAL.
 * bh_cache_free: NULL is fine; -EINVAL (and nothing freed) for an object of another
 * cache, and for no object at all, which a debug build reports as bh_free does. bh_free
 * takes cache objects too.
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
 * bh_free_pages: -EINVAL, and nothing freed, when @order is not that of the allocation,
 * or when there is none, which a debug build reports as bh_free does.
 */
void *bh_alloc_pages(struct bh_group *group, unsigned order, unsigned flags);
int bh_free_pages(void *pages, unsigned order);

/* --------------------------------------------------------------------- tasks */

/*
 * A task is a compartment: private memory, charged to a group, and code that runs in it
 * on whichever thread enters. When the group is over its limit and the task is the
 * victim, the reaper takes its private memory back at once, whatever the task is doing,
 * and the task is unwound to bh_task_enter: when it touches private memory, makes a call
 * of Bulkhead, or ends a hold section. Code between is not interrupted.
 *
 * Unwinding leaves C frames as longjmp(3) does: what they own outside private memory is
 * released by bh_defer, or never.
 */
struct bh_task;

enum bh_task_flags {
	/* Never unwound nor reaped: a kill sets a flag that bh_check() returns. */
	BH_TASK_COOPERATIVE = 1u << 0,
};

/* All zero means defaults. */
struct bh_task_attr {
	const char *name;     /* copied, for reports; as a group's; NULL: "task" */
	int oom_score_adj;    /* -1000 (never chosen) to 1000 */
	unsigned flags;       /* enum bh_task_flags */
	uint64_t deadline_ns; /* how long one bh_task_enter may last; 0: for ever */
	/* Called once, on the thread that kills; must be lock-free (an eventfd write). */
	void (*on_kill)(void *arg);
	void *on_kill_arg;
	uint64_t reserved[4]; /* zero */
};

enum bh_kill_reason {
	BH_NOT_KILLED = 0,
	BH_KILLED_OOM,      /* chosen by the OOM killer */
	BH_KILLED_DEADLINE, /* its deadline passed */
	BH_KILLED_CALLER,   /* by bh_task_kill */
	BH_KILLED_STACK,    /* it overflowed the stack of its thread */
};

/* What a victim was doing when it was killed. */
enum bh_victim_state {
	BH_VICTIM_RUNNING,
	BH_VICTIM_IN_CALL,      /* in an allocation call */
	BH_VICTIM_IN_PAGEFAULT, /* touching a page that was not there */
	BH_VICTIM_HOLDING,      /* in a hold section */
	BH_VICTIM_BLOCKED,      /* in a block section, or waiting for a lock */
	BH_VICTIM_IDLE,         /* nobody was inside */
};

/* What became of one bh_task_enter. */
struct bh_report {
	int value; /* what fn returned; 0 if it did not */
	enum bh_kill_reason reason;
	enum bh_victim_state victim_state;
	uint32_t nr_leaked_locks;       /* held at the end: handed over as owner-died */
	uint64_t bytes;                 /* of private memory when it was killed */
	uint64_t reaped;                /* of these: taken back by the reaper so far */
	uint64_t kill_to_first_byte_ns; /* 0: not yet */
	uint64_t kill_to_bytes_ns;      /* until all were back; 0: not yet */
	uint64_t kill_to_unwound_ns;    /* until bh_task_enter returned; idle: 0 */
	/* BH_KILLED_OOM: the shortage */
	char over[64];  /* path of the group that was over its limit */
	char asker[32]; /* name of the task that asked for memory; "": none */
	uint64_t asked; /* bytes asked for */
	uint64_t limit; /* of that group */
	uint64_t usage; /* of that group */
};

/* What a task is and has. */
struct bh_task_stat {
	char name[32];
	uint64_t bytes;     /* private memory that is populated */
	uint64_t peak;      /* highest bytes so far */
	uint64_t nr_enters; /* how often it was entered */
	int oom_score_adj;
	enum bh_kill_reason killed;
	uint32_t is_inside; /* whether a thread is inside */
	uint32_t is_reaped; /* whether the reaper is done with it, or gave up */
};

/*
 * bh_task_new: a compartment whose private memory is charged to @group (NULL: the root),
 * which it keeps alive; @attr NULL means all zero. The caller owns one reference. NULL
 * and EINVAL for bad attributes, ENOMEM.
 *
 * bh_task_get / bh_task_put: add and drop a reference; put accepts NULL. With the last
 * one the private memory goes. A thread that is inside holds a reference of its own.
 *
 * bh_task_enter: run @fn(@arg) inside @task on this thread. What fn leaves in private
 * memory is there at the next enter. *@ret (may be NULL) is filled in whatever happens.
 *   0: fn returned, its value is ret->value;
 *   -ECANCELED: the task is killed, now or while idle; ret says why. It stays killed;
 *   -EBUSY: a thread is inside this task, or this thread is inside another one;
 *   -EINVAL, -ENOMEM: fn did not run.
 *
 * bh_task_run: new, enter and put in one.
 */
struct bh_task *bh_task_new(struct bh_group *group, const struct bh_task_attr *attr);
struct bh_task *bh_task_get(struct bh_task *task);
void bh_task_put(struct bh_task *task);
int bh_task_enter(
	struct bh_task *task, int (*fn)(void *arg), void *arg, struct bh_report *ret);
int bh_task_run(struct bh_group *group, const struct bh_task_attr *attr,
	int (*fn)(void *arg), void *arg, struct bh_report *ret);

/* The task this thread is inside, without a reference, or NULL. Signal-safe. */
struct bh_task *bh_current(void);

/*
 * Kill a task from outside or inside: it is reaped and unwound as a victim of the OOM
 * killer is. Killing the current task returns only in a hold section or when it is
 * cooperative. 0; -ESRCH if it is killed already; -EINVAL. Never waits.
 */
int bh_task_kill(struct bh_task *task);

/* Fill *@ret. Returns 0 or -EINVAL. */
int bh_task_stat(struct bh_task *task, struct bh_task_stat *ret);

/*
 * Between the two somebody looks at the task's memory, which may be read from outside
 * then, and it is not taken back: the reaper gives up as it does on a hold section, so
 * that others go on; bh_task_enter of a killed task returns after the end of the dump;
 * the dump has a reference, which may be the last one when it ends. They nest. What the
 * task gives back by itself is gone all the same. A dump must be able to end: do not wait
 * for the task in it, nor enter it, and inside of another task be in a hold section or
 * have bh_defer end it.
 * begin: 0; -ESRCH if the task is reaped, or about to be, or was unwound; -EDEADLK inside
 * of it, where a hold section is what is wanted; -EINVAL.
 */
int bh_task_dump_begin(struct bh_task *task);
void bh_task_dump_end(struct bh_task *task);

/* ------------------------------------------------------------ private memory */

/*
 * Memory of the current task, charged to its group, gone with the task. Only code inside
 * the task may touch it: a debug build takes the access away while nobody is inside,
 * reports a touch and aborts. In a task these never return NULL for want of memory unless
 * the group says BH_FAIL, or in a hold section: the task gets memory, or is unwound.
 *
 * bh_malloc, bh_calloc, bh_realloc: as in C, aligned to 16 bytes (8 up to 8), populated:
 * system calls can read and write it. NULL and EPERM outside of a task. Free with
 * bh_free, inside the task. bh_realloc takes shared memory too, which stays shared, as
 * bh_realloc_flags with no flags does.
 *
 * bh_map: @size bytes, whole pages, zeroed, populated at the first touch, read or write.
 * @flags: 0. NULL and ENOMEM only when address space is short.
 * bh_touch: populate a range now, so that system calls can use it.
 * bh_discard: give the pages of a range back; they read as zero at the next touch.
 * bh_unmap: end a map, given whole. These three: 0, or -EINVAL when [ptr, ptr + size) is
 * not within one map of this task; bh_touch: -ENOMEM as bh_malloc.
 */
void *bh_malloc(size_t size);
void *bh_calloc(size_t nr, size_t size);
void *bh_realloc(void *ptr, size_t size);
void *bh_map(size_t size, unsigned flags);
int bh_unmap(void *ptr, size_t size);
int bh_discard(void *ptr, size_t size);
int bh_touch(void *ptr, size_t size);

/*
 * Copy @size bytes at @ptr, private or not, to shared memory charged to @group (NULL: the
 * root), in a hold section: results leave a task so. NULL and ENOMEM.
 */
void *bh_export(struct bh_group *group, const void *ptr, size_t size);

/* ----------------------------------------------------- living with being killed */

/*
 * bh_check: 0; in a killed task it does not return, or returns -ECANCELED if the task is
 * cooperative or in a hold section. One load.
 *
 * Hold sections are never unwound and never reaped: state that others share is whole
 * when they end. They nest, and every bh_mutex and bh_rwlock held is one. Keep them
 * short: the reaper tries ten times and then gives the victim up.
 *
 * In a block section the code promises not to touch private memory, ask for any or give
 * any back: around system calls that may wait. A debug build takes the access away,
 * reports a touch and aborts; system calls that are given private memory fail with
 * EFAULT. They do not nest and may be inside of hold sections. Both are nothing outside
 * of tasks. The ends of either may unwind.
 */
int bh_check(void);
void bh_hold(void);
void bh_release(void);
void bh_block_enter(void);
void bh_block_leave(void);

/*
 * Call @fn(@arg) when this bh_task_enter ends, however it ends, newest first, after the
 * task was left: for what the task owns outside its private memory. Up to 32 at a time.
 * 0; -ENOMEM beyond that; -EPERM outside of a task. bh_undefer takes the newest one back
 * without calling it; -ENOENT if it is another.
 */
int bh_defer(void (*fn)(void *arg), void *arg);
int bh_undefer(void (*fn)(void *arg), void *arg);

/* --------------------------------------------------------------------- locks */

/*
 * Locks that tasks share. Holding one is a hold section. The wait for one ends when the
 * task is killed: without the lock, by unwinding, or with -ECANCELED in a cooperative
 * task or a hold section. A lock whose holder's task ended is reported, and handed over
 * with -EOWNERDEAD: the lock is held, and what it protects may need repair. They may be
 * used outside of tasks too, where the thread is the holder, and no wait ends early.
 *
 * A zeroed struct is an initialised lock without a name. @name must outlive the lock. In
 * private memory a lock is -EINVAL: nobody could share it. None of them is recursive.
 */
struct bh_mutex {
	uint32_t word_;
	uint32_t flags_;
	void *owner_;
	const void *where_;
	const char *name_;
	void *links_[2];
};

/*
 * lock: 0, -EOWNERDEAD, -ECANCELED, or -EDEADLK when the caller holds it. trylock: 0,
 * -EOWNERDEAD or -EBUSY. unlock: 0, or -EPERM when the caller does not hold it; may
 * unwind, after it has unlocked. destroy: 0, or -EBUSY when it is held.
 */
int bh_mutex_init(struct bh_mutex *mutex, const char *name);
int bh_mutex_lock(struct bh_mutex *mutex);
int bh_mutex_trylock(struct bh_mutex *mutex);
int bh_mutex_unlock(struct bh_mutex *mutex);
int bh_mutex_destroy(struct bh_mutex *mutex);

/* How many bh_rwlocks a thread can hold at a time, those of its task included. */
#define BH_RWLOCKS_HELD_MAX 16u

/* Many readers or one writer. New readers stay behind writers that wait. */
struct bh_rwlock {
	uint64_t state_;
	uint32_t flags_;
	uint32_t reserved_;
	const char *name_;
};

/*
 * As for a mutex; unlock ends either kind of holding. Who waits for writing while it
 * reads, or reads twice, gets -EDEADLK. rdlock, wrlock and the try functions: -EAGAIN
 * beyond BH_RWLOCKS_HELD_MAX. -EOWNERDEAD means that a writer's task ended: readers are
 * told too, and cannot repair, so all are until a writer was. destroy: -EBUSY also while
 * somebody waits.
 */
int bh_rwlock_init(struct bh_rwlock *rwlock, const char *name);
int bh_rwlock_rdlock(struct bh_rwlock *rwlock);
int bh_rwlock_tryrdlock(struct bh_rwlock *rwlock);
int bh_rwlock_wrlock(struct bh_rwlock *rwlock);
int bh_rwlock_trywrlock(struct bh_rwlock *rwlock);
int bh_rwlock_unlock(struct bh_rwlock *rwlock);
int bh_rwlock_destroy(struct bh_rwlock *rwlock);

/* Waiters are served in the order in which they came, and never without a signal. */
struct bh_cond {
	void *links_[2];
	uint32_t nr_;
	uint32_t reserved_;
	const char *name_;
};

/*
 * wait: gives the mutex up, and its hold section, until somebody signals, and takes it
 * again. @until_ns is a point in time on CLOCK_MONOTONIC.
 *   0: signalled; the mutex is held;
 *   -EOWNERDEAD: signalled or timed out; the mutex is held, its last holder's task ended;
 *   -ETIMEDOUT: the mutex is held;
 *   -ECANCELED: killed. The mutex is not held, and a signal was passed on. The task is
 *   unwound instead, unless it is cooperative or in a hold section on account of others;
 *   -EPERM: the caller does not hold the mutex.
 * signal wakes one waiter, broadcast all; the mutex need not be held. destroy: 0, or
 * -EBUSY while a wait has not returned.
 */
int bh_cond_init(struct bh_cond *cond, const char *name);
int bh_cond_wait(struct bh_cond *cond, struct bh_mutex *mutex);
int bh_cond_timedwait(struct bh_cond *cond, struct bh_mutex *mutex, uint64_t until_ns);
int bh_cond_signal(struct bh_cond *cond);
int bh_cond_broadcast(struct bh_cond *cond);
int bh_cond_destroy(struct bh_cond *cond);

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
 * group alive. register: 0; -EINVAL for a missing name, count or scan, unknown flags, or
 * a struct or name in private memory, which others could not touch; -EBUSY if registered.
 * unregister: 0; -EINVAL if it is not registered.
 */
int bh_shrinker_register(struct bh_shrinker *shrinker);
int bh_shrinker_unregister(struct bh_shrinker *shrinker);

/* ------------------------------------------------------------- out of memory */

/* What the request was that did not fit. */
enum bh_oom_origin {
	BH_OOM_CALL,      /* a call for memory */
	BH_OOM_PAGEFAULT, /* a first touch, or the end of a hold section that had some */
	BH_OOM_LIMIT,     /* bh_group_set() of a BH_MAX below the usage */
};

/* What it did not fit into. */
enum bh_oom_constraint {
	BH_OOM_IN_GROUP,  /* the max of a group */
	BH_OOM_IN_ZONE,   /* the zone */
	BH_OOM_IN_KERNEL, /* it fitted, and the kernel had no page for a first touch */
};

/* Why the reaper gave a victim up. */
enum bh_unreaped {
	BH_UNREAPED_NONE,
	BH_UNREAPED_HOLDING,     /* it stayed in a hold section */
	BH_UNREAPED_DUMPED,      /* it is between bh_task_dump_begin() and its end */
	BH_UNREAPED_COOPERATIVE, /* it is BH_TASK_COOPERATIVE */
	BH_UNREAPED_BUSY,        /* it was changing its pages at each try */
};

/* The points of a task that is never chosen. */
#define BH_OOM_NEVER INT64_MIN

/* A task of the group that was over its limit, or of a descendant. */
struct bh_oom_row {
	char name[32];
	char group[64]; /* path of its group, cut at the front */
	uint64_t bytes; /* private memory */
	int64_t points; /* pages of it, and oom_score_adj thousandths of the limit's */
	int32_t oom_score_adj;
	enum bh_victim_state state; /* what it was doing */
	uint32_t is_chosen;         /* the victim */
	uint32_t is_asker;
};

#define BH_OOM_ROWS 16

/*
 * An OOM: somebody asked for memory, reclaim was hopeless, and a task was to be killed.
 * The last 16 stand in bh_report_write(); bh_config.on_oom gets each of them. Later
 * versions add members at the end only.
 */
struct bh_oom_event {
	uint32_t size; /* of this struct, as the library that filled it knows it */
	uint32_t reserved;
	uint64_t number;  /* 1 is the first of this process */
	uint64_t time_ns; /* on CLOCK_MONOTONIC */
	/* who asked, and for what */
	char asker[32];       /* name of the task; "": a thread outside of tasks */
	char asker_group[64]; /* path of the task's group, cut at the front */
	int32_t asker_adj;    /* its oom_score_adj */
	enum bh_oom_origin origin;
	uint64_t asked;      /* bytes */
	uint32_t flags;      /* of the request: enum bh_flags */
	uint32_t is_private; /* whether it was for private memory */
	/* the group that was over its limit; bytes, with those of its descendants */
	char over[64]; /* its path, cut at the front */
	enum bh_oom_constraint constraint;
	uint32_t reserved2;
	uint64_t usage;
	uint64_t limit; /* not more than the zone */
	uint64_t failcnt;
	uint64_t private_bytes; /* of the usage: private memory of tasks */
	uint64_t shared_bytes;  /* the rest, with what threads hold in advance */
	uint64_t external;      /* of bh_charge, but for what threads hold in advance */
	uint64_t left_behind;   /* of deleted groups */
	/* the tasks there that were not killed before */
	uint32_t nr_candidates; /* that could be chosen */
	uint32_t nr_rows;
	uint32_t nr_more; /* for which the table had no room */
	uint32_t reserved3;
	struct bh_oom_row rows[BH_OOM_ROWS]; /* most points first */
	/* the victim */
	char why[160];       /* a sentence: why this one, or why nobody */
	uint32_t has_victim; /* 0: nobody could be killed, the request fails */
	uint32_t nr_killed;
	char victim[32];
	char victim_group[64];  /* path of its group, cut at the front */
	uint32_t is_group_kill; /* all of a group was killed with it, by BH_OOM_GROUP */
	int32_t victim_adj;     /* its oom_score_adj */
	int64_t victim_points;  /* as in its row */
	char killed_group[64];  /* path of the group that was killed as one, or "" */
	uint64_t victim_bytes;  /* its private memory when it was killed */
	uint64_t killed_bytes;  /* the same of all that were killed */
	enum bh_victim_state victim_state;
	/* what became of their memory; nothing yet when on_oom is called */
	enum bh_unreaped unreaped; /* of those given up, the last one */
	uint32_t nr_tries;         /* of the reaper, until then */
	uint32_t nr_given_up;      /* some may have come back by themselves since */
	uint32_t nr_reaped;        /* victims whose memory is back, whoever took it */
	uint32_t reserved4;
	uint64_t reaped;    /* bytes of these, with what they still got meanwhile */
	uint64_t reaped_ns; /* from the kill until the last of them was back */
};

/* --------------------------------------------------------- injected failures */

/*
 * Requests that could be served are made to fail, so that what a program does then is
 * run. Where it happens nothing was looked for yet: an injected failure reclaims nothing,
 * kills nobody and is no failed request in the report; it is NULL and ENOMEM. BH_NOFAIL
 * requests are never made to fail. Kinds, settings and their order are those of the
 * kernel's fault injection; bh_fault_set(3) has them all.
 */
enum bh_fault_kind {
	BH_FAULT_SLAB, /* bh_alloc and the like up to 128 KiB, bh_cache_alloc */
	BH_FAULT_PAGE, /* pages: of bh_alloc_pages, slabs, large objects; private ones */
	BH_FAULT_SYSCALL, /* mmap(2) of the library */
};

/*
 * Set what is to fail: @settings as in BULKHEAD_FAIL, for instance
 *
 *	"slab:probability=10,times=-1,ignore-gfp-wait=N;page:min-order=0"
 *
 * What is not named stays as it was; "off", or NULL, is all defaults: nothing fails but
 * what bh_fault_nth() set. The names of functions and modules are looked up now. Returns
 * 0; -EINVAL, with one line on standard error that says what is wrong and where, and
 * nothing set; -EINVAL in a child of fork(2); -ENOMEM when the library cannot start. May
 * wait.
 */
int bh_fault_set(const char *settings);

/*
 * The @nth eligible request of this thread from now, of any kind, fails, once; 0: none.
 * Only filters of the kind and of the stack have a say. Returns 0, or -ENOMEM when the
 * library cannot start. bh_fault_left: how many of them are left, 0 when it has failed,
 * or none was set. Signal-safe. A child of fork(2) has none.
 */
int bh_fault_nth(unsigned nth);
unsigned bh_fault_left(void);

/*
 * Whom the setting task-filter lets fail: @task, on whichever thread, or this thread
 * (NULL), inside of any task and outside. @is_marked: 0 or 1, anything else is -EINVAL.
 * A new task has the mark of who makes it, as a child of fork(2) in the kernel; a new
 * thread has none. Returns 0.
 *
 * bh_fault_mark_cache: the same for the setting cache-filter. -EINVAL for NULL, too.
 */
int bh_fault_mark(struct bh_task *task, int is_marked);
int bh_fault_mark_cache(struct bh_cache *cache, int is_marked);

struct bh_fault_stat {
	uint64_t nr_calls;  /* eligible requests, while anything was set */
	uint64_t nr_failed; /* of these: made to fail */
	uint64_t space;     /* bytes, or pages, that pass before; what is left */
	int64_t times;      /* failures left, -1: no end */
	uint32_t probability, interval;
	uint32_t reserved[4];
};

/* Fill *@ret. Returns 0, -EINVAL, or -ENOMEM when the library cannot start. */
int bh_fault_stat(enum bh_fault_kind kind, struct bh_fault_stat *ret);

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
 * for, one operation each; so are ends of tasks, those that the reaper still has to do
 * with among them, for a second at most. A task that somebody is in changes while it is
 * counted and may be reported for that: look again.
 */
int bh_audit(void);

#ifdef __cplusplus
}
#endif

#endif
