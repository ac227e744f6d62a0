/* SPDX-License-Identifier: MIT */
#include "task/end.h"

#include <errno.h>
#include <limits.h>

#include "account/waiters.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "task/access.h"
#include "task/latency.h"
#include "task/warm.h"

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
		/* By the thread that unwound, which may have to wait. */
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
	bhi_store(&region->unstable, 1);
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
