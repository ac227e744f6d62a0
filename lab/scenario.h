/* SPDX-License-Identifier: MIT */
/*
 * A scenario: the zone, groups, locks, caches and tasks of a run, the order in which some
 * steps happen, and what is expected of it under the rules of each era. bulkhead-lab(5)
 * describes the language; parse.c reads it, print.c writes it.
 *
 * All tables are of fixed size and the struct is copied by assignment, which is how the
 * shrinker tries variants.
 */
#ifndef BHI_LAB_SCENARIO_H
#define BHI_LAB_SCENARIO_H

#include "base/compiler.h"

#include "era.h"

#define BHI_LAB_NAME_SIZE 24
#define BHI_LAB_TEXT_SIZE 2048
#define BHI_LAB_GROUPS    16
#define BHI_LAB_LOCKS     16
#define BHI_LAB_EVENTS    16
#define BHI_LAB_CACHES    4
#define BHI_LAB_TASKS     16
#define BHI_LAB_STEPS     48
#define BHI_LAB_MEMORIES  8
#define BHI_LAB_POINTS    32

/* An index that names nothing: the root as a group, no lock, ... */
#define BHI_LAB_NONE (-1)

enum bhi_lab_op {
	BHI_LAB_LOCK,    /* .object: a lock; a rwlock for writing */
	BHI_LAB_RDLOCK,  /* a rwlock for reading */
	BHI_LAB_TRYLOCK, /* goes on without it when it is taken */
	BHI_LAB_UNLOCK,  /* nothing if it is not held */
	BHI_LAB_HOLD,
	BHI_LAB_RELEASE,
	BHI_LAB_ALLOC,   /* shared memory, .size, .flags, as .memory */
	BHI_LAB_MALLOC,  /* private memory, populated */
	BHI_LAB_MAP,     /* private memory, populated by touches */
	BHI_LAB_TOUCH,   /* .size bytes of .memory from where the last touch ended; 0: all
			  */
	BHI_LAB_USE,     /* write to .memory, whether it was had or not */
	BHI_LAB_FREE,    /* .memory, of any kind */
	BHI_LAB_DISCARD, /* the pages of a map */
	BHI_LAB_WAIT,    /* until the event .object is signalled */
	BHI_LAB_BLOCK,   /* the same in a block section */
	BHI_LAB_SIGNAL,
	BHI_LAB_IDLE, /* leave the task, wait for the event, enter it again */
	BHI_LAB_LOOP, /* .count times to the matching end; 0: for ever */
	BHI_LAB_END,
	BHI_LAB_DUMP, /* the reaper leaves the task alone from here ... */
	BHI_LAB_DUMPED,
	BHI_LAB_KILL,      /* the task .object */
	BHI_LAB_ON_SIGNAL, /* whatever the end: signal the event .object */
	BHI_LAB_ON_FREE,   /* whatever the end: free shared .memory */
};

/* What a request that fails does to the task. */
enum bhi_lab_on_error {
	BHI_LAB_RETURN, /* give up all locks and end with the error */
	BHI_LAB_IGNORE, /* go on without */
	BHI_LAB_RETRY,  /* ask again in 10 ms, for ever, locks held */
};

struct bhi_lab_step {
	enum bhi_lab_op op;
	int line;
	char label[BHI_LAB_NAME_SIZE]; /* "": none */
	int object;                    /* a lock, event or task */
	int memory;                    /* slot of the task */
	uint64_t size;                 /* bytes */
	unsigned flags;                /* BH_NORETRY and the like */
	enum bhi_lab_on_error on_error;
	unsigned count; /* of a loop; 0: for ever */
};

struct bhi_lab_group {
	char name[BHI_LAB_NAME_SIZE];
	int parent; /* index or BHI_LAB_NONE: the root */
	uint64_t min, low, high, max;
	bool has_on_limit;
	unsigned on_limit; /* enum bh_on_limit */
	bool oom_group;
};

struct bhi_lab_lock {
	char name[BHI_LAB_NAME_SIZE];
	bool is_rwlock;
};

/* A cache of the host: shared memory that a shrinker gives back. */
struct bhi_lab_cache {
	char name[BHI_LAB_NAME_SIZE];
	int group;
	uint64_t size; /* bytes that it holds at the start */
	int lock;      /* the shrinker tries this one first; BHI_LAB_NONE */
};

struct bhi_lab_task {
	char name[BHI_LAB_NAME_SIZE];
	int group;
	int adj;
	bool cooperative;
	unsigned deadline_ms; /* 0: none */
	unsigned nr_steps;
	unsigned nr_memories;
	char memories[BHI_LAB_MEMORIES][BHI_LAB_NAME_SIZE];
	struct bhi_lab_step steps[BHI_LAB_STEPS];
};

/* A step that begins only after the point before it was passed: its step ended, or waits,
 * or its task ended. */
struct bhi_lab_point {
	int task;
	int step;
};

enum bhi_lab_verdict {
	BHI_LAB_COMPLETES, /* every task came to an end */
	BHI_LAB_LOCKUP,    /* none can, ever */
	BHI_LAB_CRASH,     /* a task followed a pointer it did not get */
	BHI_LAB_BROKEN,    /* the run itself failed, or the library's books disagree */
};

struct bhi_lab_expect {
	bool is_set;
	enum bhi_lab_verdict verdict;
	uint32_t errors; /* a mask of tasks that end with an error */
	unsigned nr_victims;
	uint8_t victims[BHI_LAB_TASKS]; /* in the order of their kills */
	bool any_victims;               /* victims were not written down: any are right */
};

struct bhi_lab_scenario {
	char name[BHI_LAB_NAME_SIZE];
	char title[80];
	char about[BHI_LAB_TEXT_SIZE];
	uint64_t zone; /* bytes */
	bool has_seed;
	uint64_t seed; /* the order of a random schedule */
	unsigned nr_groups, nr_locks, nr_events, nr_caches, nr_tasks, nr_points;
	struct bhi_lab_group groups[BHI_LAB_GROUPS];
	struct bhi_lab_lock locks[BHI_LAB_LOCKS];
	char events[BHI_LAB_EVENTS][BHI_LAB_NAME_SIZE];
	struct bhi_lab_cache caches[BHI_LAB_CACHES];
	struct bhi_lab_task tasks[BHI_LAB_TASKS];
	struct bhi_lab_point points[BHI_LAB_POINTS];
	struct bhi_lab_expect expect[BHI_LAB_ERAS];
};

#endif
