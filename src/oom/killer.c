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
#include "oom/describe.h"
#include "oom/events.h"
#include "task/kill.h"

static struct {
	/* immutable after init */
	void (*fn)(const struct bh_oom_event *event, void *arg);
	void *arg;
} told;

/* A walk over the tasks of the group that is over. */
struct scan {
	const struct bh_group *over;
	uint64_t total; /* bytes that points are measured by */
	int64_t best;   /* most points so far */
	uint32_t nr_equal;
	struct bh_task *chosen; /* who has them */
	bool abort;             /* a victim is not finished */
};

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

static void add_row(struct bh_oom_event *event, const struct bh_task *task,
	const struct bhi_oom_candidate *candidate, uint64_t total)
{
	int64_t points = bhi_oom_points(candidate, total);
	struct bh_oom_row *row = bhi_oom_event_row(event, points);

	event->nr_candidates += points != BHI_OOM_NEVER;
	if (!row)
		return;
	memcpy(row->name, task->name, sizeof(row->name));
	bhi_group_path(task->group, row->group, sizeof(row->group));
	row->bytes = candidate->bytes;
	row->oom_score_adj = candidate->adj;
	row->state = bhi_task_state(task);
	row->is_asker = task == bhi_task_current;
}

static void consider(struct scan *scan, struct bh_task *task, struct bh_oom_event *event)
{
	struct bhi_oom_candidate candidate = candidate_of(task);
	int64_t best = scan->best;

	event->private_bytes += candidate.bytes;
	switch (bhi_oom_consider(&candidate, scan->total, &scan->best)) {
	case BHI_OOM_ABORT:
		scan->abort = !bhi_policy.without.wait_for_victim;
		return;
	case BHI_OOM_TAKE:
		scan->chosen = task;
		scan->nr_equal = scan->best == best ? scan->nr_equal + 1 : 1;
		break;
	case BHI_OOM_PASS:
		break;
	}
	if (!candidate.is_victim)
		add_row(event, task, &candidate, scan->total);
}

/* Fill in the table and find the best one. @to_end: whoever aborts the scan, the table is
 * wanted. */
static void scan_tasks(struct scan *scan, struct bh_oom_event *event, bool to_end)
	BH_REQUIRES(bhi_tasks_lock)
{
	bhi_assert_held(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, node);

		if (bhi_group_is_within(task->group, scan->over))
			consider(scan, task, event);
		if (scan->abort && !to_end)
			return;
	}
	bhi_oom_sum(event);
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
static bool claim(struct bhi_oom_decision *decision, struct bh_task *task)
	BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_oom_event *event = &decision->event;
	struct bhi_kill_cause cause = {
		.reason = BH_KILLED_OOM,
		.asked = event->asked,
		.limit = event->limit,
		.usage = event->usage,
	};

	bhi_assert_held(&bhi_tasks_lock);
	memcpy(cause.over, event->over, sizeof(cause.over));
	memcpy(cause.asker, event->asker, sizeof(cause.asker));
	if (!bhi_task_claim_kill(task, &cause) || !bhi_task_try_get(task))
		return false;
	task->kill.oom_number = event->number;
	event->nr_killed++;
	event->killed_bytes += task->kill.bytes;
	/* Counted before the victim hears of it. */
	bhi_group_event(task->group, BHI_EVENT_OOM_KILL);
	task->next_victim = decision->claimed;
	decision->claimed = task;
	return true;
}

static bool claim_victim(struct bhi_oom_decision *decision, struct bh_task *victim)
	BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_oom_event *event = &decision->event;

	bhi_assert_held(&bhi_tasks_lock);
	if (!claim(decision, victim))
		return false;
	event->has_victim = true;
	memcpy(event->victim, victim->name, sizeof(event->victim));
	bhi_group_path(victim->group, event->victim_group, sizeof(event->victim_group));
	event->victim_adj = bhi_load(&victim->adj);
	event->victim_state = victim->kill.state;
	event->victim_bytes = victim->kill.bytes;
	return true;
}

static void claim_group(struct bhi_oom_decision *decision, struct bh_group *group)
	BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_oom_event *event = &decision->event;

	bhi_assert_held(&bhi_tasks_lock);
	bhi_group_event(group, BHI_EVENT_OOM_GROUP_KILL);
	event->is_group_kill = true;
	bhi_group_path(group, event->killed_group, sizeof(event->killed_group));
	bhi_list_for_each (node, &bhi_tasks) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, node);

		if (bhi_group_is_within(task->group, group) &&
			bhi_load(&task->adj) != BHI_ADJ_UNKILLABLE)
			(void)claim(decision, task);
	}
}

/* False: it is no longer there to be killed. */
static bool kill_chosen(struct bhi_oom_decision *decision, const struct scan *scan)
	BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_group *group = group_kill_of(scan->chosen, scan->over);
	struct bh_oom_event *event = &decision->event;

	bhi_assert_held(&bhi_tasks_lock);
	if (!claim_victim(decision, scan->chosen))
		return false;
	event->victim_points = scan->best;
	event->rows[0].is_chosen = true;
	bhi_oom_explain(event, scan->nr_equal);
	if (group)
		claim_group(decision, group);
	return true;
}

/* The same for the current task. */
static bool kill_asker(struct bhi_oom_decision *decision) BH_REQUIRES(bhi_tasks_lock)
{
	struct bh_oom_event *event = &decision->event;

	bhi_assert_held(&bhi_tasks_lock);
	if (!claim_victim(decision, bhi_task_current))
		return false;
	event->victim_points = BH_OOM_NEVER;
	for (uint32_t i = 0; i < event->nr_rows; i++) {
		struct bh_oom_row *row = &event->rows[i];

		row->is_chosen = row->is_asker;
		if (row->is_asker)
			event->victim_points = row->points;
	}
	bhi_oom_explain_self(event);
	return true;
}

static struct scan scan_of(const struct bh_group *over)
{
	return (struct scan){
		.over = over,
		.total = bhi_oom_total(over),
		.best = BHI_OOM_NEVER,
	};
}

/*
 * False: what was decided is nothing to tell of, for a victim is not finished, or was
 * finished since the last look. Such a victim was passed over because it is skipped, and
 * its bytes were given back before that (pairs with the release in bhi_task_set_skip()):
 * to choose another one now would be a second victim for one shortage.
 */
static bool decide(struct bhi_oom_decision *decision, struct scan *scan, int64_t size)
	BH_REQUIRES(bhi_tasks_lock)
{
	bhi_assert_held(&bhi_tasks_lock);
	scan_tasks(scan, &decision->event, false);
	if (scan->abort || bhi_oom_has_room(scan->over, size))
		return false;
	/* Who is no longer there is killed or ends: as an unfinished victim. */
	if (scan->chosen)
		return kill_chosen(decision, scan);
	if (decision->request->ends_self)
		return kill_asker(decision);
	bhi_oom_explain_nobody(&decision->event);
	return true;
}

static void tell(struct bhi_oom_decision *decision)
{
	bhi_oom_events_add(&decision->event);
	decision->has_event = true;
}

bool bhi_oom_kill(struct bh_group *over, int64_t size)
{
	struct bhi_oom_decision *decision = bhi_oom_decision;
	struct scan scan = scan_of(over);
	bool decided;

	bhi_assert_held(&bhi_oom_lock);
	/* The caller was killed after it last looked, and may be reaped by now: it needs
	 * no more memory, and if it was the last one there is nobody else to be found. */
	if (bhi_task_dying() && bhi_task_may_unwind(bhi_task_current))
		return true;
	bhi_oom_describe(decision, over, size);
	bhi_lock_acquire(&bhi_tasks_lock);
	decided = decide(decision, &scan, size);
	bhi_lock_release(&bhi_tasks_lock);
	if (decided)
		tell(decision);
	return !decided || decision->event.has_victim;
}

void bhi_oom_kill_self(struct bh_group *over, int64_t size, bool kernel_is_short)
{
	const struct bhi_oom_request request = {
		.size = size,
		.is_private = true,
		.origin = BH_OOM_PAGEFAULT,
	};
	struct bhi_oom_decision decision;
	struct scan scan = scan_of(over);
	bool killed;

	if (!bhi_oom_try_begin(&decision, &request))
		return;
	bhi_oom_describe(&decision, over, size);
	if (kernel_is_short)
		decision.event.constraint = BH_OOM_IN_KERNEL;
	bhi_lock_acquire(&bhi_tasks_lock);
	scan_tasks(&scan, &decision.event, true);
	killed = kill_asker(&decision);
	bhi_lock_release(&bhi_tasks_lock);
	if (killed)
		tell(&decision);
	bhi_oom_end(&decision);
}

void bhi_oom_deliver(struct bhi_oom_decision *decision)
{
	bhi_assert_none_held();
	while (decision->claimed) {
		struct bh_task *task = decision->claimed;

		decision->claimed = task->next_victim;
		task->next_victim = NULL;
		bhi_task_deliver_kill(task);
		bhi_task_put(task);
	}
	if (decision->has_event && told.fn)
		told.fn(&decision->event, told.arg);
}

void bhi_oom_tell(void (*fn)(const struct bh_oom_event *event, void *arg), void *arg)
{
	told.fn = fn;
	told.arg = arg;
}
