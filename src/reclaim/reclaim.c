/* SPDX-License-Identifier: MIT */
#include "account/protection.h"
#include "base/bug.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"
#include "task/keep.h"
#include "task/section.h"

struct bhi_reclaim_hooks bhi_reclaim_hooks;
BHI_TLS unsigned bhi_noreclaim_depth;

struct scan {
	struct bh_group *target;
	uint64_t want;
	unsigned flags;
	uint64_t start; /* of the thread's count of uncharged bytes */
	bool low_too;   /* protection by BH_LOW no longer counts */
	bool skipped_low;
	bool was_stopped;
	uint64_t reclaimable;
};

/* The subtree this thread reclaims from; counted by bhi_reclaim_note(). */
static BHI_TLS struct bh_group *target_now;

static uint64_t reclaimed(const struct scan *scan)
{
	int64_t sum = (int64_t)(bhi_thread_current->uncharged - scan->start);

	return sum > 0 ? (uint64_t)sum : 0;
}

void bhi_reclaim_note_slow(const struct bh_group *group, int64_t size)
{
	if (target_now && bhi_group_is_within(group, target_now))
		bhi_thread_current->uncharged += (uint64_t)size;
}

void bhi_reclaim_note_below_root(const struct bh_group *group, int64_t size)
{
	if (target_now && target_now->parent)
		bhi_reclaim_note(group, size);
}

/*
 * The share of @group that may be taken; 0: it is protected. *@ret_low: what is taken is
 * taken from below its BH_LOW.
 */
static unsigned unprotected_share(
	struct scan *scan, struct bh_group *group, bool *ret_low)
{
	int64_t usage = bhi_load(&group->counter.usage);
	int64_t emin, elow, protection;
	bool by_low;

	bhi_protection_update(&scan->target->counter, &group->counter);
	emin = bhi_load(&group->counter.emin);
	elow = bhi_load(&group->counter.elow);
	if (emin && usage <= emin)
		return 0;
	by_low = elow > emin && !scan->low_too;
	scan->skipped_low |= by_low;
	protection = by_low ? elow : emin;
	if (by_low && usage <= elow)
		return 0;
	*ret_low = elow && usage <= elow;
	if (protection <= 0 || usage <= 0)
		return BHI_SHRINK_ALL;
	/* At least a little of whatever is above the protection. */
	return (unsigned)bhi_max(
		(int64_t)((__int128)(usage - protection) * BHI_SHRINK_ALL / usage),
		(int64_t)1);
}

static void scan_group(struct scan *scan, struct bh_group *group, int priority)
{
	uint64_t before = reclaimed(scan);
	bool low = false;
	struct bhi_shrink_pass pass = {
		.group = group,
		.flags = scan->flags,
		.priority = priority,
		.share = unprotected_share(scan, group, &low),
	};

	if (!pass.share)
		return;
	bhi_shrink(&pass, false);
	if (bhi_reclaim_hooks.collect)
		bhi_reclaim_hooks.collect(group);
	scan->reclaimable += pass.reclaimable;
	scan->was_stopped |= pass.was_stopped;
	/* Having been asked is no harm done. */
	if (low && reclaimed(scan) > before)
		bhi_group_event(group, BHI_EVENT_LOW);
}

/* Every group once, then the global shrinkers. True: enough was reclaimed. */
static bool scan_subtree(struct scan *scan, int priority)
{
	struct bhi_shrink_pass pass = {
		.group = scan->target,
		.flags = scan->flags,
		.priority = priority,
		.share = BHI_SHRINK_ALL,
	};
	struct bh_group *group = NULL;

	while ((group = bhi_group_next(scan->target, group))) {
		scan_group(scan, group, priority);
		if (reclaimed(scan) >= scan->want) {
			bhi_group_put(group);
			return true;
		}
	}
	bhi_shrink(&pass, true);
	scan->reclaimable += pass.reclaimable;
	scan->was_stopped |= pass.was_stopped;
	return reclaimed(scan) >= scan->want;
}

static void scan_priorities(struct scan *scan)
{
	for (int priority = BHI_RECLAIM_PRIORITY; priority >= 0; priority--) {
		uint64_t counted = scan->reclaimable;

		if (scan_subtree(scan, priority))
			return;
		/* Nobody has anything: lower priorities would ask the same. */
		if (scan->reclaimable == counted)
			return;
	}
}

/*
 * Shrinkers are code of the host, which may end hold sections: an unwinding there would
 * leave the walk in the middle. So reclaim is a hold section of the task that does it.
 * False: there is nothing to be had on this thread now.
 */
static bool may_reclaim(void)
{
	struct bh_task *task = bhi_task_current;

	if (!bhi_thread_self() || bhi_reclaim_active())
		return false;
	return !task || bhi_task_try_hold(task);
}

static void hold_end(void)
{
	if (bhi_task_current)
		bhi_task_unhold(bhi_task_current);
}

static struct scan scan_begin(struct bh_group *target, uint64_t want, unsigned flags)
{
	struct scan scan = {.target = target, .want = want, .flags = flags};

	if (bhi_noreclaim_depth)
		scan.flags |= BH_NORECLAIM;
	scan.start = bhi_thread_current->uncharged;
	bhi_thread_current->nesting++;
	target_now = target;
	return scan;
}

static void scan_end(void)
{
	target_now = NULL;
	bhi_thread_current->nesting--;
}

/* Pages that nobody uses come first, protected or not: with them nothing is lost. True:
 * they are enough. */
static bool trim_tasks(struct scan *scan)
{
	uint64_t bytes = bhi_keep_trim(scan->target, scan->want);

	bhi_reclaim_note(scan->target, (int64_t)bytes);
	return bytes >= scan->want;
}

struct bhi_reclaim_result bhi_reclaim(
	struct bh_group *target, uint64_t want, unsigned flags)
{
	struct bhi_reclaim_result result = {0};
	struct scan scan;

	if (!may_reclaim())
		return result;
	scan = scan_begin(target, bhi_max(want, BHI_RECLAIM_LEAST), flags);
	if (!trim_tasks(&scan))
		scan_priorities(&scan);
	if (!reclaimed(&scan) && scan.skipped_low) {
		scan.low_too = true;
		scan_priorities(&scan);
	}
	result.reclaimed = reclaimed(&scan);
	result.reclaimable = scan.reclaimable;
	result.was_stopped = scan.was_stopped;
	scan_end();
	hold_end();
	return result;
}

uint64_t bhi_reclaim_last_resort(struct bh_group *target, unsigned flags)
{
	struct bhi_shrink_pass pass = {.share = BHI_SHRINK_ALL, .last_resort = true};
	struct bh_group *group = NULL;
	struct scan scan;
	uint64_t result;

	if (!may_reclaim())
		return 0;
	scan = scan_begin(target, 0, flags);
	pass.flags = scan.flags;
	while ((group = bhi_group_next(target, group))) {
		pass.group = group;
		bhi_shrink(&pass, false);
	}
	pass.group = target;
	bhi_shrink(&pass, true);
	result = reclaimed(&scan);
	scan_end();
	hold_end();
	return result;
}
