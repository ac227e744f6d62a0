/* SPDX-License-Identifier: MIT */
/*
 * Tasks: the struct, its life, and the list of all tasks.
 *
 * References: the host's, one of the thread that is inside, one of each dump, and one of
 * the reaper for each victim it is to look at. With the last one the task leaves the list
 * and its memory goes. The list is what the OOM killer chooses from; who finds a task
 * there takes a reference unless there is none left.
 *
 * Life of a kill, in the order that closes the races:
 *
 *	claim	.kill.claimed goes from 0 to 1: whoever does it kills, once
 *	record	why, when and in which state, in .kill
 *	signal	.killed becomes the reason (release, pairs with bhi_task_killed());
 *		whoever waits on behalf of the task is woken
 *	reserve	only then may the victim use the reserves, which .killed tells it
 *	reap	the reaper is told, with a reference
 *	skip	.skip becomes 1 when its memory is back, or will not come back by
 *		reaping: now the next victim may be chosen
 *
 * A kill while the task returns from fn: enter looks at .killed before it makes the task
 * idle. If the kill comes later it met an idle task, and the next enter says so.
 */
#ifndef BHI_TASK_TASK_H
#define BHI_TASK_TASK_H

#include "account/group.h"
#include "task/region.h"

#define BHI_TASK_NAME_SIZE  32
#define BHI_TASK_MAX_DEFERS 32
#define BHI_TASK_PATH_SIZE  64

#define BHI_ADJ_UNKILLABLE (-1000)
#define BHI_ADJ_MAX        1000

/* How much a holder or a victim may take past the limits of its groups: two stocks,
 * enough for what is done under a lock, and small against any limit worth setting.
 * overdraft.h has what all of them together may. */
#define BHI_TASK_OVERDRAFT ((int64_t)2 * 64 * 4096)

struct bhi_defer {
	void (*fn)(void *arg);
	void *arg;
};

/* Why a task is killed: what the killer knows. */
struct bhi_kill_cause {
	enum bh_kill_reason reason;
	uint64_t asked, limit, usage;
	char over[BHI_TASK_PATH_SIZE];
	char asker[BHI_TASK_NAME_SIZE];
};

struct bhi_kill {
	/* atomic */
	uint32_t claimed;
	/* immutable after .killed of the task is set */
	enum bh_victim_state state;
	uint64_t time_ns;
	uint64_t bytes;
	struct bhi_kill_cause cause;
	uint64_t oom_number; /* of the OOM event that tells of it; 0: none does */
	/* atomic; written by whoever takes the memory back */
	uint64_t reaped;
	uint64_t first_byte_ns, all_bytes_ns; /* after time_ns; 0: not yet */
};

struct bhi_private_heap;

/*
 * What entering and leaving looks at stands in the first three cache lines, for of many
 * idle tasks none is in a cache: that is what an enter costs.
 */
struct BHI_ALIGNED(BHI_CACHE_LINE) bh_task {
	/* atomic */
	uint32_t refs;
	uint32_t inside; /* id of the thread that is, or 0 */
	uint32_t killed; /* enum bh_kill_reason; a futex that kills wake */
	/* the thread inside */
	uint32_t nr_defers;
	/* atomic */
	uint64_t nr_enters;
	/* immutable after init */
	struct bh_group *group; /* referenced */
	uint64_t deadline_ns;
	/* the thread inside */
	void *landing;             /* stack pointer of the landing pad */
	struct bh_group *oom_over; /* recorded in a hold section: who is over its limit */
	int64_t overdraft;         /* bytes charged past limits, see overdraft.c */
	/* the thread inside; read by killers and the reaper */
	struct bhi_region region;
	uint32_t blocked;  /* in a block section, or waiting for a lock */
	uint32_t in_call;  /* asking for memory */
	uint32_t in_fault; /* in a pagefault */
	/* immutable after init */
	unsigned flags;
	/* the thread inside */
	struct bhi_list locks; /* bh_mutex and the like that the task holds */
	struct bhi_private_heap *heap;
	bool keeps; /* it is on the list of those that keep idle pages */
	/* its first word, which is looked at, and the rest, which is not */
	struct bhi_kill kill;
	/* atomic */
	int32_t adj;
	uint32_t skip;         /* nothing more will come back by reaping */
	uint32_t dumping;      /* dumps; a futex that the end of the last wakes */
	uint32_t fault_marked; /* task filters of injected failures let it through */
	/* the thread inside */
	uint32_t nr_leaked;
	int64_t overdraft_private; /* of .overdraft: for private memory */
	struct bhi_defer defers[BHI_TASK_MAX_DEFERS];
	/* immutable after init */
	char name[BHI_TASK_NAME_SIZE];
	void (*on_kill)(void *arg);
	void *on_kill_arg;
	/* protected by the list's lock */
	struct bhi_list node;
	struct bhi_list deadline_node;
	struct bhi_list keep_node; /* keep.h */
	uint64_t deadline_at;      /* 0: none is running */
	/* the killer's, until the victim is handed over; then the reaper's */
	struct bh_task *next_victim;
	uint64_t reap_at;
	uint64_t busy_until; /* so long busy is no try; 0: it was not met last */
	uint32_t nr_tries;
};

_Static_assert(offsetof(struct bh_task, kill.claimed) < 3 * (size_t)BHI_CACHE_LINE,
	"what is looked at is together");
_Static_assert(sizeof(struct bh_task) <= 1536, "100,000 idle tasks are cheap");

/* The task this thread is inside. */
extern BHI_TLS struct bh_task *bhi_task_current;

extern struct bhi_lock bhi_tasks_lock;
/* All tasks, newest first. */
extern struct bhi_list bhi_tasks;

/* A task with one reference; takes one to @group. @attr and its name are not in private
 * memory. NULL: no memory. Context: may wait. */
struct bh_task *bhi_task_new(struct bh_group *group, const struct bh_task_attr *attr);

/* Context: any, no allocation. */
static inline void bhi_task_get(struct bh_task *task)
{
	(void)bhi_add_return(&task->refs, 1);
}

/* False: there is none left, the task is about to go. Context: any, no allocation. */
bool bhi_task_try_get(struct bh_task *task);

/* Context: may wait. */
void bhi_task_put(struct bh_task *task);

/* What the alloc floor does before a task's memory goes: forgets its heap. */
extern void (*bhi_task_end_hook)(struct bh_task *task);

/* Context: signal-safe. The reason, or BH_NOT_KILLED. */
static inline enum bh_kill_reason bhi_task_killed(const struct bh_task *task)
{
	/* pairs with the store in bhi_task_deliver_kill() */
	return (enum bh_kill_reason)bhi_load_acquire(&task->killed);
}

static inline bool bhi_task_is_cooperative(const struct bh_task *task)
{
	return task->flags & BH_TASK_COOPERATIVE;
}

/* Whether the task may be unwound where it is now. Context: owner thread only. */
static inline bool bhi_task_may_unwind(const struct bh_task *task)
{
	return !task->region.hold && !bhi_task_is_cooperative(task);
}

/* Number of tasks. Context: any. */
unsigned bhi_tasks_count(void);

/* Whether a task of @group or below has private memory. Context: may wait. */
bool bhi_tasks_have_private(const struct bh_group *group);

/* Fill *@ret. Context: any. */
void bhi_task_stat(const struct bh_task *task, struct bh_task_stat *ret);

#endif
