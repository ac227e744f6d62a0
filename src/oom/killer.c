/* SPDX-License-Identifier: MIT */
/*
 * Under the OOM lock victims are claimed; they are told after it was given up, since that
 * calls on_kill. Between the two they count as unfinished victims.
 */
#include "oom/killer.h"

#include <string.h>

#include "base/policy.h"
#include "base/sys.h"
#include "oom/choose.h"
#include "oom/events.h"
#include "oom/oom.h"
#include "task/kill.h"

/* Claimed by this thread and not yet delivered; each with a reference. */
static BHI_TLS struct bh_task *claimed;

static uint64_t total_of(const struct bh_group *over)
{
	return bhi_min((uint64_t)bhi_load(&over->counter.max), bhi_zone.size);
}

/* A task without references ends by itself, and its bytes come back: as from a victim. */
static struct bhi_oom_candidate candidate_of(const struct bh_task *task)
{
	uint64_t bytes = bhi_load(&task->region.bytes);
	bool is_ending = !bhi_load(&task->refs);

	return (struct bhi_oom_candidate){
		.bytes = bytes,
		.adj = bhi_load(&task->adj),
		.is_victim = is_ending || bhi_load(&task->kill.claimed),
		.is_skipped = bhi_load_acquire(&task->skip) || (is_ending && !bytes),
		.is_inside = bhi_load(&task->inside) != 0,
	};
}

static void add_row(struct bhi_oom_event *event, const struct bh_task *task,
	const struct bhi_oom_candidate *candidate, uint64_t total)
{
	struct bhi_oom_row row = {
		.bytes = candidate->bytes,
		.points = bhi_oom_points(candidate, total),
		.adj = candidate->adj,
	};

	memcpy(row.name, task->name, sizeof(row.name));
	bhi_oom_event_row(event, &row);
	event->nr_tasks += row.points != BHI_OOM_NEVER;
}

/* The best one. *@ret_abort: a victim is not finished. */
static struct bh_task *choose(const struct bh_group *over, struct bhi_oom_event *event,
	bool *ret_abort) BH_REQUIRES(bhi_tasks_lock)
{
	uint64_t total = total_of(over);
	int64_t best = BHI_OOM_NEVER;
	struct bh_task *chosen = NULL;

	bhi_assert_held(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, node);
		struct bhi_oom_candidate candidate;

		if (!bhi_group_is_within(task->group, over))
			continue;
		candidate = candidate_of(task);
		switch (bhi_oom_consider(&candidate, total, &best)) {
		case BHI_OOM_ABORT:
			if (bhi_policy.without.wait_for_victim)
				break;
			*ret_abort = true;
			return NULL;
		case BHI_OOM_TAKE:
			chosen = task;
			break;
		case BHI_OOM_PASS:
			break;
		}
		if (!candidate.is_victim)
			add_row(event, task, &candidate, total);
	}
	return chosen;
}

/* The highest group from the victim's up to @over that is killed as one; NULL: none. */
static struct bh_group *group_kill_of(
	const struct bh_task *victim, const struct bh_group *over)
{
	struct bh_group *found = NULL;

	for (struct bh_group *group = victim->group; group; group = group->parent) {
		if (bhi_load(&group->oom_group))
			found = group;
		if (group == over)
			break;
	}
	return found;
}

/* False: somebody else kills it, or it is ending. Under the lock of tasks it is not freed
 * before the claim, and the reference for the delivery comes after it. */
static bool claim(struct bh_task *task, const struct bhi_kill_cause *cause)
	BH_REQUIRES(bhi_tasks_lock)
{
	bhi_assert_held(&bhi_tasks_lock);
	if (!bhi_task_claim_kill(task, cause) || !bhi_task_try_get(task))
		return false;
	/* Counted before the victim hears of it. */
	bhi_group_event(task->group, BHI_EVENT_OOM_KILL);
	task->next_victim = claimed;
	claimed = task;
	return true;
}

static uint32_t claim_group(const struct bh_group *group,
	const struct bhi_kill_cause *cause) BH_REQUIRES(bhi_tasks_lock)
{
	uint32_t nr = 0;

	bhi_assert_held(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, node);

		if (bhi_group_is_within(task->group, group) &&
			bhi_load(&task->adj) != BHI_ADJ_UNKILLABLE)
			nr += claim(task, cause);
	}
	return nr;
}

/* False: it is no longer there to be killed. */
static bool kill_chosen(struct bhi_oom_event *event, struct bh_task *victim,
	const struct bh_group *over) BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_group *group = group_kill_of(victim, over);

	bhi_assert_held(&bhi_tasks_lock);
	if (!claim(victim, &event->cause))
		return false;
	event->has_victim = true;
	event->rows[0].is_chosen = true;
	event->nr_killed = 1;
	if (!group)
		return true;
	bhi_group_event(group, BHI_EVENT_OOM_GROUP_KILL);
	event->is_group_kill = true;
	event->nr_killed += claim_group(group, &event->cause);
	return true;
}

static void describe(
	struct bhi_oom_event *event, const struct bh_group *over, int64_t size)
{
	const struct bh_task *asker = bhi_task_current;
	struct bhi_kill_cause *cause = &event->cause;

	event->time_ns = bhi_sys_now_ns();
	event->failcnt = bhi_load(&over->counter.failcnt);
	cause->reason = BH_KILLED_OOM;
	cause->asked = (uint64_t)size;
	cause->limit = total_of(over);
	cause->usage = (uint64_t)bhi_max(bhi_load(&over->counter.usage), (int64_t)0);
	bhi_group_path(over, cause->over, sizeof(cause->over));
	if (asker)
		memcpy(cause->asker, asker->name, sizeof(cause->asker));
}

bool bhi_oom_kill(struct bh_group *over, int64_t size)
{
	struct bhi_oom_event event = {0};
	struct bh_task *victim;
	bool abort = false;

	bhi_assert_held(&bhi_oom_lock);
	/* The caller was killed after it last looked, and may be reaped by now: it needs
	 * no more memory, and if it was the last one there is nobody else to be found. */
	if (bhi_task_dying() && bhi_task_may_unwind(bhi_task_current))
		return true;
	describe(&event, over, size);
	bhi_lock_acquire(&bhi_tasks_lock);
	victim = choose(over, &event, &abort);
	/* Who is no longer there is killed or ends: as an unfinished victim. */
	if (victim && !kill_chosen(&event, victim, over))
		abort = true;
	bhi_lock_release(&bhi_tasks_lock);
	if (!abort)
		bhi_oom_events_add(&event);
	return abort || victim;
}

void bhi_oom_deliver(void)
{
	while (claimed) {
		struct bh_task *task = claimed;

		claimed = task->next_victim;
		task->next_victim = NULL;
		bhi_task_deliver_kill(task);
		bhi_task_put(task);
	}
}
