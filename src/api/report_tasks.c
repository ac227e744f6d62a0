/* SPDX-License-Identifier: MIT */
/*
 * The list of tasks is walked in batches of bounded length. Between two the lock is given
 * up, and a reference to the last task keeps the place in the list: new tasks go to its
 * front, so the walk ends. Where the reader of the descriptor is slow that one task may
 * outlive its owner's reference for as long; it is idle then, so that its memory is the
 * first that the OOM killer takes.
 */
#include "api/report_tasks.h"

#include <string.h>

#include "base/sys.h"
#include "task/warm.h"

/* Tasks looked at before the lock is given up: as long as a short OOM decision. */
#define BATCH_COUNTED 512

/* Tasks copied at a time. */
#define BATCH_COPIED 8

typedef void (*visit_fn)(const struct bh_task *task, void *arg);

/* Visit the @nr tasks after *@place, which moves on; NULL is the front. False: that was
 * the end. */
static bool visit_batch(struct bh_task **place, unsigned nr, visit_fn visit, void *arg)
{
	struct bh_task *last = *place;
	struct bhi_list *node;

	*place = NULL;
	bhi_lock_acquire(&bhi_tasks_lock);
	node = last ? last->node.next : bhi_tasks.next;
	for (; node != &bhi_tasks && !*place; node = node->next) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, node);

		/* One that is about to leave the list cannot keep the place. */
		if (nr == 1) {
			if (!bhi_task_try_get(task))
				continue;
			*place = task;
		}
		visit(task, arg);
		nr--;
	}
	bhi_lock_release(&bhi_tasks_lock);
	if (last)
		bhi_task_put(last);
	return *place;
}

/* On the list the task still has its reference to the group. */
static void copy_task(const struct bh_task *task, struct bhi_report_task *ret)
{
	bhi_group_path(task->group, ret->path, sizeof(ret->path));
	bhi_task_stat(task, &ret->stat);
	ret->is_cooperative = bhi_task_is_cooperative(task);
}

static void add_largest(struct bhi_report_tasks *tasks, const struct bh_task *task)
{
	uint64_t bytes = bhi_load(&task->region.bytes);
	uint32_t at = tasks->nr_largest;

	while (at && tasks->largest[at - 1].stat.bytes < bytes)
		at--;
	if (at == BHI_REPORT_TASKS)
		return;
	if (tasks->nr_largest < BHI_REPORT_TASKS)
		tasks->nr_largest++;
	memmove(&tasks->largest[at + 1], &tasks->largest[at],
		(tasks->nr_largest - at - 1) * sizeof(tasks->largest[0]));
	copy_task(task, &tasks->largest[at]);
	/* It may grow meanwhile, and the order is by this figure. */
	tasks->largest[at].stat.bytes = bytes;
}

static void count_task(const struct bh_task *task, void *arg)
{
	struct bhi_report_tasks *tasks = arg;

	tasks->nr++;
	tasks->nr_inside += bhi_load(&task->inside) != 0;
	tasks->nr_killed += bhi_task_killed(task) != BH_NOT_KILLED;
	tasks->nr_reaped += bhi_load(&task->skip) != 0;
	tasks->bytes += bhi_load(&task->region.bytes);
	add_largest(tasks, task);
}

void bhi_report_sum_tasks(struct bhi_report_tasks *ret)
{
	struct bh_task *place = NULL;

	ret->nr = ret->nr_inside = ret->nr_killed = ret->nr_reaped = 0;
	ret->bytes = 0;
	ret->nr_largest = 0;
	while (visit_batch(&place, BATCH_COUNTED, count_task, ret))
		;
}

struct copies {
	uint32_t nr;
	struct bhi_report_task tasks[BATCH_COPIED];
};

static void add_copy(const struct bh_task *task, void *arg)
{
	struct copies *copies = arg;

	copy_task(task, &copies->tasks[copies->nr++]);
}

void bhi_report_walk_tasks(
	struct bhi_out *out, const struct bhi_report_rendering *rendering)
{
	struct bh_task *place = NULL;
	struct copies copies;
	bool more;

	do {
		copies.nr = 0;
		more = visit_batch(&place, BATCH_COPIED, add_copy, &copies);
		for (uint32_t i = 0; i < copies.nr; i++)
			rendering->task(out, &copies.tasks[i]);
	} while (more && !out->error);
	if (place)
		bhi_task_put(place);
}

static uint64_t ago(uint64_t time_ns)
{
	uint64_t now = bhi_sys_now_ns();

	return now > time_ns ? now - time_ns : 0;
}

void bhi_report_walk_ooms(
	struct bhi_out *out, const struct bhi_report_rendering *rendering)
{
	struct bhi_report_oom oom = {.is_newest = true};
	uint64_t last = UINT64_MAX;

	for (unsigned i = 0; !out->error && bhi_oom_events_read(i, &oom.event); i++) {
		/* New ones came in front of those that were read. */
		if (oom.event.number >= last)
			continue;
		last = oom.event.number;
		oom.ago_ns = ago(oom.event.time_ns);
		rendering->oom(out, &oom);
		oom.is_newest = false;
	}
}

void bhi_report_judge_kills(struct bhi_report_verdict *verdict)
{
	const struct bh_group *root = bhi_group_root();
	struct bh_oom_event event;

	verdict->nr_kills = bhi_load(&root->events[BHI_EVENT_OOM_KILL]);
	bhi_reaper_stat(&verdict->reaper);
	verdict->nr_ooms = 0;
	verdict->victim[0] = '\0';
	if (!bhi_oom_events_read(0, &event))
		return;
	verdict->nr_ooms = event.number;
	verdict->oom_ago_ns = ago(event.time_ns);
	memcpy(verdict->oom_group, event.over, sizeof(verdict->oom_group));
	memcpy(verdict->victim, event.victim, sizeof(verdict->victim));
}

void bhi_report_read_private(struct bhi_report_private *ret)
{
	ret->window = bhi_private.size;
	ret->taken = (uint64_t)bhi_areas_taken() * BHI_AREA_SIZE;
	ret->warm = bhi_warm_bytes();
	ret->is_uffd = bhi_private.backend == BHI_PAGEFAULT_UFFD;
	bhi_reaper_stat(&ret->reaper);
}

const char *bhi_report_state_name(enum bh_victim_state state)
{
	static const char *const names[] = {
		[BH_VICTIM_RUNNING] = "running",
		[BH_VICTIM_IN_CALL] = "in_call",
		[BH_VICTIM_IN_PAGEFAULT] = "in_pagefault",
		[BH_VICTIM_HOLDING] = "holding",
		[BH_VICTIM_BLOCKED] = "blocked",
		[BH_VICTIM_IDLE] = "idle",
	};

	return names[state];
}

const char *bhi_report_reason_name(enum bh_kill_reason reason)
{
	static const char *const names[] = {
		[BH_NOT_KILLED] = NULL,
		[BH_KILLED_OOM] = "oom",
		[BH_KILLED_DEADLINE] = "deadline",
		[BH_KILLED_CALLER] = "caller",
		[BH_KILLED_STACK] = "stack",
	};

	return names[reason];
}

const char *bhi_report_origin_name(enum bh_oom_origin origin)
{
	static const char *const names[] = {
		[BH_OOM_CALL] = "call",
		[BH_OOM_PAGEFAULT] = "pagefault",
		[BH_OOM_LIMIT] = "limit",
	};

	return names[origin];
}

const char *bhi_report_constraint_name(enum bh_oom_constraint constraint)
{
	static const char *const names[] = {
		[BH_OOM_IN_GROUP] = "group",
		[BH_OOM_IN_ZONE] = "zone",
		[BH_OOM_IN_KERNEL] = "kernel",
	};

	return names[constraint];
}

const char *bhi_report_unreaped_name(enum bh_unreaped why)
{
	static const char *const names[] = {
		[BH_UNREAPED_NONE] = NULL,
		[BH_UNREAPED_HOLDING] = "holding",
		[BH_UNREAPED_DUMPED] = "dumped",
		[BH_UNREAPED_COOPERATIVE] = "cooperative",
		[BH_UNREAPED_BUSY] = "busy",
	};

	return names[why];
}

const char *bhi_report_flag_name(uint32_t flag)
{
	switch (flag) {
	case BH_ZERO:
		return "BH_ZERO";
	case BH_NORETRY:
		return "BH_NORETRY";
	case BH_RETRY_MAYFAIL:
		return "BH_RETRY_MAYFAIL";
	case BH_NOFAIL:
		return "BH_NOFAIL";
	case BH_ATOMIC:
		return "BH_ATOMIC";
	case BH_NOWAIT:
		return "BH_NOWAIT";
	case BH_NORECLAIM:
		return "BH_NORECLAIM";
	case BH_NOWARN:
		return "BH_NOWARN";
	default:
		return NULL;
	}
}
