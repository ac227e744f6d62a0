/* SPDX-License-Identifier: MIT */
#include "task/end.h"

#include <errno.h>
#include <limits.h>

#include "account/waiters.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "task/access.h"
#include "task/keep.h"
#include "task/latency.h"
#include "task/warm.h"

/* How long a change of pages is waited for by who wants idle ones, and how long between
 * two looks. A change lasts for a quarter of a millisecond, unless its thread has lost
 * the processor. */
#define TRIM_WAIT_NS  (100 * BHI_NS_PER_MS)
#define TRIM_PAUSE_NS ((uint64_t)20000)

/* For so many others who want them, too. */
#define MAX_TRIM_WAITS 16

void (*bhi_task_reaped_hook)(struct bh_task *task);

void bhi_task_uncharge(struct bh_task *task, uint64_t bytes)
{
	if (bytes)
		bhi_counter_uncharge(&task->group->counter, (int64_t)bytes);
}

static void note_reaped(struct bh_task *task, uint64_t bytes)
{
	struct bhi_kill *kill = &task->kill;

	if (!bytes || !bhi_task_killed(task))
		return;
	bhi_store(&kill->reaped, kill->reaped + bytes);
	if (!kill->first_byte_ns)
		bhi_store(&kill->first_byte_ns, bhi_sys_now_ns() - kill->time_ns);
}

static void note_all_reaped(struct bh_task *task)
{
	struct bhi_kill *kill = &task->kill;
	uint64_t ns = bhi_max(bhi_sys_now_ns() - kill->time_ns, (uint64_t)1);

	bhi_store(&kill->all_bytes_ns, ns);
	if (kill->first_byte_ns)
		bhi_latency_note(
			kill->state, BHI_LATENCY_FIRST_BYTE, kill->first_byte_ns);
	bhi_latency_note(kill->state, BHI_LATENCY_ALL_BYTES, ns);
	if (bhi_task_reaped_hook)
		bhi_task_reaped_hook(task);
}

static void zap_span(struct bh_task *task, uint32_t first, uint32_t step)
{
	uint32_t nr_pages = bhi_load(&bhi_private.areas[first].nr_pages);

	for (uint32_t page = 0; page < nr_pages; page += bhi_min(step, nr_pages)) {
		uint64_t bytes = bhi_region_zap(
			&task->region, first, page, bhi_min(step, nr_pages - page));

		bhi_task_uncharge(task, bytes);
		note_reaped(task, bytes);
	}
	bhi_testpoint(BHI_TP_ZAPPED);
}

static void zap_spans(struct bh_task *task, uint32_t step)
{
	uint32_t first = task->region.spans;

	for (; task->region.bytes && first != BHI_NO_AREA;
		first = bhi_private.areas[first].next)
		zap_span(task, first, step);
}

/* A second time what the kernel refused: there are fewer mappings now, and the whole of a
 * span may be one, which a part would cut in two. */
static void zap_all_spans(struct bh_task *task)
{
	zap_spans(task, BHI_ZAP_PAGES);
	zap_spans(task, UINT32_MAX);
}

static bool has_pages(uint32_t first)
{
	uint32_t nr_pages = bhi_private.areas[first].nr_pages;

	return bhi_region_missing(first, 0, nr_pages) < nr_pages;
}

/* The caller has asked, and may. The spans stay the task's: a touch of them must lead to
 * it. */
static void zap_all(struct bh_task *task)
{
	struct bhi_region *region = &task->region;

	bhi_store(&region->end, BHI_REGION_TAKEN);
	bhi_testpoint(BHI_TP_REAP);
	bhi_task_uncharge(task, bhi_region_take_pending(region));
	zap_all_spans(task);
	/* What is refused for good stays until the task goes. */
	if (bhi_task_killed(task) && !region->bytes)
		note_all_reaped(task);
	bhi_store_release(&region->end, BHI_REGION_GONE);
	bhi_sys_futex_wake(&region->end, INT_MAX);
}

/* LIVE: that is over, the caller has asked. Else what it is. */
static enum bhi_region_end ask_end(struct bhi_region *region)
{
	uint32_t end = bhi_load_acquire(&region->end);

	if (end != BHI_REGION_LIVE)
		return (enum bhi_region_end)end;
	bhi_testpoint(BHI_TP_LIVE);
	if (bhi_likely(!bhi_policy.without.exclusive_claims))
		(void)bhi_compare_exchange(&region->end, &end, BHI_REGION_ASKED);
	else
		bhi_store(&region->end, BHI_REGION_ASKED);
	return (enum bhi_region_end)end;
}

static void back_off(struct bhi_region *region)
{
	bhi_testpoint(BHI_TP_BACK_OFF);
	bhi_store_release(&region->end, BHI_REGION_LIVE);
	bhi_sys_futex_wake(&region->end, INT_MAX);
}

/* After ASKED was set: bhi_task_dump_begin() does it the other way round. */
static uint32_t nr_dumps(const struct bh_task *task)
{
	return __atomic_load_n(&task->dumping, __ATOMIC_SEQ_CST);
}

void bhi_task_set_skip(struct bh_task *task)
{
	bhi_store_release(&task->skip, 1);
	bhi_waiters_wake();
}

/* What is in the way? DONE: nothing, the region is claimed. */
static enum bhi_reap claim(struct bh_task *task)
{
	if (nr_dumps(task))
		return BHI_REAP_DUMP;
	switch (bhi_region_try_claim(&task->region)) {
	case BHI_CLAIMED:
		return BHI_REAP_DONE;
	case BHI_MET_BUSY:
		return BHI_REAP_BUSY;
	default:
		return BHI_REAP_HOLD;
	}
}

enum bhi_reap bhi_task_try_reap(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	enum bhi_reap met;

	if (bhi_task_is_cooperative(task))
		return BHI_REAP_NEVER;
	switch (ask_end(region)) {
	case BHI_REGION_LIVE:
		break;
	case BHI_REGION_ASKED:
		/* By the thread that unwound, which may have to wait, or by somebody who
		 * takes idle pages. */
		return BHI_REAP_BUSY;
	case BHI_REGION_ENDING:
		return BHI_REAP_DUMP;
	default:
		return BHI_REAP_DONE;
	}
	met = claim(task);
	if (met != BHI_REAP_DONE) {
		back_off(region);
		return met;
	}
	zap_all(task);
	return BHI_REAP_DONE;
}

/* Whether it did: the owner does not run, or its task is killed and the reaper's. */
static bool await_quiet(const struct bh_task *task)
{
	uint64_t start = 0;

	while (!bhi_region_is_quiet(&task->region)) {
		uint64_t now = bhi_sys_now_ns();

		start = start ? start : now;
		if (bhi_task_killed(task) || now - start > TRIM_WAIT_NS)
			return false;
		bhi_sys_pause(TRIM_PAUSE_NS);
	}
	return true;
}

/* Some idle pages; ASKED is ours. */
static uint64_t trim_some(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	uint64_t bytes = 0;

	if (nr_dumps(task))
		return 0;
	bhi_region_claim_idle(region);
	bhi_testpoint(BHI_TP_TRIM);
	if (await_quiet(task)) {
		bhi_testpoint(BHI_TP_QUIET);
		bytes = bhi_keep_zap_hook(task);
	}
	bhi_region_unclaim_idle(region);
	return bytes;
}

/* LIVE: it is ours. */
static enum bhi_region_end ask_to_trim(struct bhi_region *region)
{
	enum bhi_region_end end;
	int waits = 0;

	/* By others who trim, or by the reaper: all are brief. */
	while ((end = ask_end(region)) == BHI_REGION_ASKED && waits++ < MAX_TRIM_WAITS)
		bhi_sys_futex_wait(&region->end, BHI_REGION_ASKED, TRIM_WAIT_NS);
	return end;
}

uint64_t bhi_task_trim(struct bh_task *task)
{
	uint64_t sum = 0, bytes;

	do {
		if (bhi_task_killed(task) ||
			ask_to_trim(&task->region) != BHI_REGION_LIVE)
			break;
		bytes = trim_some(task);
		back_off(&task->region);
		sum += bytes;
	} while (bytes && bhi_load(&task->region.nr_idle));
	return sum;
}

static void await_dumps(struct bh_task *task)
{
	uint32_t nr = nr_dumps(task);

	if (!nr)
		return;
	bhi_store_release(&task->region.end, BHI_REGION_ENDING);
	/* The last one to end wakes us, whatever the number is then. */
	for (; nr; nr = nr_dumps(task))
		bhi_sys_futex_wait(&task->dumping, nr, 0);
}

/* It may go back to LIVE when the reaper met something: then it is ours to ask for. */
void bhi_task_reap_own(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	enum bhi_region_end end;

	while ((end = ask_end(region)) != BHI_REGION_LIVE) {
		/* pairs with the release in zap_all() */
		if (bhi_load_acquire(&region->end) == BHI_REGION_GONE)
			return;
		bhi_sys_futex_wait(&region->end, end, 0);
	}
	await_dumps(task);
	bhi_access_forget(region);
	bhi_store(&region->unstable, BHI_UNSTABLE);
	zap_all(task);
}

int bhi_task_dump_begin(struct bh_task *task)
{
	uint32_t end;

	if (task == bhi_task_current)
		return -EDEADLK;
	bhi_task_get(task);
	(void)bhi_add_return(&task->dumping, 1);
	/* pairs with nr_dumps() */
	while ((end = __atomic_load_n(&task->region.end, __ATOMIC_SEQ_CST)) ==
		BHI_REGION_ASKED)
		bhi_sys_pause(0);
	if (end == BHI_REGION_LIVE) {
		bhi_access_show(task);
		return 0;
	}
	bhi_task_dump_end(task);
	return -ESRCH;
}

void bhi_task_dump_end(struct bh_task *task)
{
	if (!bhi_sub_return(&task->dumping, 1))
		bhi_sys_futex_wake(&task->dumping, INT_MAX);
	bhi_task_put(task);
}

void bhi_task_end(struct bh_task *task)
{
	struct bhi_region *region = &task->region;

	if (bhi_task_end_hook)
		bhi_task_end_hook(task);
	if (bhi_warm_put(task))
		return;
	zap_all_spans(task);
	while (!bhi_region_is_empty(region)) {
		uint32_t first = region->spans;

		if (region->bytes && has_pages(first))
			bhi_task_uncharge(task, bhi_region_retire(region, first));
		else
			bhi_region_give(region, first);
	}
}
