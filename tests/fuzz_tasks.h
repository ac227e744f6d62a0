/* SPDX-License-Identifier: MIT */
/* What fuzz_tasks.c knows of the state of the library. */
#ifndef BHI_TESTS_FUZZ_TASKS_H
#define BHI_TESTS_FUZZ_TASKS_H

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "fuzz.h"
#include "task/task.h"

/* What the fuzzer asks of one object or map that it means to get. */
#define MOST_BYTES ((size_t)3 << 20)

/* Larger ones may be refused for want of address space. */
#define MOST_GRANTED ((size_t)64 << 20)

#define NR_GROUPS  5
#define NR_TASKS   5
#define NR_OBJECTS 12
#define NR_MAPS    4
#define NR_SHARED  12
#define NR_MARKS   4
#define NR_MUTEXES 3
#define NR_CONDS   2
/* More than a thread can hold. */
#define NR_RWLOCKS (BH_RWLOCKS_HELD_MAX + 2)

struct object {
	unsigned char *p;
	size_t size;
	unsigned char tag;
};

/* Bytes that were written; the others are zero. */
struct map {
	unsigned char *p;
	size_t size;
	struct {
		size_t at;
		unsigned char tag; /* 0: no mark */
	} marks[NR_MARKS];
};

struct slot {
	struct bh_task *task;
	unsigned group; /* 0: the root; NR_GROUPS: one that was put */
	bool is_cooperative, is_unkillable;
	bool is_put; /* by itself, inside */
	uint64_t deadline_ns;
	uint32_t nr_killed; /* calls of on_kill; atomic */
	struct object objects[NR_OBJECTS];
	struct map maps[NR_MAPS];
};

/* Who holds a lock. A task holds none when nobody is inside. */
enum holder {
	NOBODY,
	OUTSIDE, /* this thread, before it entered */
	INSIDE,  /* the current task */
};

struct mutex {
	struct bh_mutex mutex;
	enum holder holder;
	bool owner_died;
};

struct rwlock {
	struct bh_rwlock rwlock;
	enum holder holder;
	bool writes, owner_died;
};

struct shared {
	void *p;
	size_t size;
	unsigned group;
};

static struct {
	int null_fd;
	struct bh_group *groups[NR_GROUPS]; /* 0 stays NULL: the root */
	unsigned parents[NR_GROUPS];
	bool fails[NR_GROUPS]; /* BH_ON_LIMIT is BH_FAIL */
	struct shared shared[NR_SHARED];
	bool is_injected; /* a call may fail for no other reason */
} state;

static struct {
	struct slot slots[NR_TASKS + 1]; /* the last is that of bh_task_run() */
	struct mutex mutexes[NR_MUTEXES];
	struct rwlock rwlocks[NR_RWLOCKS];
	struct bh_cond conds[NR_CONDS];
	/* What is so while a thread is inside; changed before a call that may unwind
	 * after it has done its work, and else after it. */
	struct slot *inside; /* NULL: nobody is */
	bool returned;
	bool is_blocked;
	unsigned nr_holds; /* sections, those of locks included */
	unsigned nr_defers;
} now;

static inline enum holder holder_here(void)
{
	return now.inside ? INSIDE : OUTSIDE;
}

static inline bool is_killed(void)
{
	return now.inside && bhi_task_killed(now.inside->task);
}

/* Whether a kill of the task that this thread is inside unwinds. */
static inline bool may_unwind(void)
{
	return !now.nr_holds && !now.inside->is_cooperative;
}

/* Whether what unwinds a killed task must not return. */
static inline bool must_end(void)
{
	return is_killed() && may_unwind();
}

static inline void begin_hold(void)
{
	now.nr_holds += now.inside != NULL;
}

/* One that begins with a lock; more may have ended than began. */
static inline void end_hold(void)
{
	now.nr_holds -= now.inside && now.nr_holds;
}

static inline unsigned take_group(struct input *in)
{
	unsigned i = take(in) % NR_GROUPS;

	return state.groups[i] ? i : 0;
}

static inline struct slot *take_slot(struct input *in)
{
	return &now.slots[take(in) % NR_TASKS];
}

/* Of what may be got, mostly. */
static inline size_t take_bytes_wanted(struct input *in)
{
	unsigned kind = take(in);

	if (kind < 96)
		return take_size(in);
	return take_bytes(in, 3) % (kind < 224 ? 100000 : MOST_BYTES);
}

static inline struct shared *free_place(void)
{
	for (unsigned i = 0; i < NR_SHARED; i++) {
		if (!state.shared[i].p)
			return &state.shared[i];
	}
	return NULL;
}

static inline void keep_shared(void *p, size_t size, unsigned group)
{
	struct shared *place = free_place();

	require(bh_usable_size(p) >= size);
	if (place)
		*place = (struct shared){.p = p, .size = size, .group = group};
	else
		bh_free(p);
}

#endif
