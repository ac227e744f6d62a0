/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "debug/fault.h"

bool bhi_fault_is_eligible(enum bh_fault_kind kind, const struct bhi_fault_filter *filter,
	size_t size, unsigned flags)
{
	bool waits = !(flags & (BH_ATOMIC | BH_NOWAIT));

	if (kind == BH_FAULT_SYSCALL)
		return flags & bhi_load(&filter->calls);
	if (kind == BH_FAULT_PAGE && size < bhi_load(&filter->min_order))
		return false;
	if (flags & BH_NOFAIL)
		return false;
	if (kind == BH_FAULT_PAGE && (flags & BHI_FAULT_PRIVATE) &&
		bhi_load(&filter->ignore_private))
		return false;
	if (waits && bhi_load(&filter->ignore_wait))
		return false;
	return kind != BH_FAULT_SLAB || !bhi_load(&filter->cache_filter) ||
	       (flags & BHI_FAULT_IN_MARKED);
}

static bool is_in(const struct bhi_range *ranges, uint32_t nr, uintptr_t address)
{
	for (uint32_t i = 0; i < bhi_min(nr, (uint32_t)BHI_FAULT_RANGES); i++) {
		if (address >= bhi_load(&ranges[i].start) &&
			address < bhi_load(&ranges[i].end))
			return true;
	}
	return false;
}

bool bhi_fault_stack_allows(
	const struct bhi_fault_attr *attr, const uintptr_t *frames, unsigned nr)
{
	uint32_t nr_require = bhi_load(&attr->nr_require);
	uint32_t nr_reject = bhi_load(&attr->nr_reject);
	bool found = !nr_require;

	for (unsigned i = 0; i < nr; i++) {
		if (is_in(attr->reject, nr_reject, frames[i]))
			return false;
		if (is_in(attr->require, nr_require, frames[i]))
			found = true;
	}
	return found;
}

/* Frames are asked for only when something depends on them. */
static bool stack_allows(
	const struct bhi_fault_attr *attr, const struct bhi_fault_call *call)
{
	uint32_t depth = bhi_min(bhi_load(&attr->stack_depth), (uint32_t)BHI_STACK_DEPTH);
	uintptr_t frames[BHI_STACK_DEPTH];
	unsigned nr = 0;

	if (depth && (bhi_load(&attr->nr_require) || bhi_load(&attr->nr_reject)))
		nr = call->capture ? call->capture(frames, depth, call->arg)
				   : bhi_stack_walk(frames, depth);
	return bhi_fault_stack_allows(attr, frames, nr);
}

/* A budget that is as large as the request, or smaller, stays what it is and is in the
 * way of nothing. */
static bool is_let_through_by_space(struct bhi_fault_attr *attr, uint64_t size)
{
	uint64_t space = bhi_load(&attr->space);

	while (space > size) {
		if (bhi_compare_exchange(&attr->space, &space, space - size))
			return true;
	}
	return false;
}

static bool is_let_through_by_interval(struct bhi_fault_attr *attr)
{
	uint32_t interval = bhi_load(&attr->interval);

	return interval > 1 && bhi_add_return(&attr->count, 1) % interval;
}

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. The state is
 * a counter, so threads share it without a lock; 2^64 mod 100 is nothing here. */
static uint32_t draw_own(struct bhi_fault_attr *attr)
{
	uint64_t z = bhi_add_return(&attr->random, 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) % 100);
}

static bool is_drawn(struct bhi_fault_attr *attr, const struct bhi_fault_call *call)
{
	uint32_t drawn = call->draw ? call->draw(call->arg) : draw_own(attr);

	return bhi_load(&attr->probability) > drawn;
}

/* One failure less. False: others had the last one meanwhile. @ret_before: those left, as
 * a report has them. */
static bool take_one(struct bhi_fault_attr *attr, int32_t *ret_before)
{
	int32_t times = bhi_load(&attr->times);

	while (times > 0 && !bhi_compare_exchange(&attr->times, &times, times - 1))
		;
	*ret_before = times;
	return times != 0;
}

static void fail(
	struct bhi_fault_attr *attr, const struct bhi_fault_call *call, int32_t times)
{
	bhi_add(&attr->nr_failed, 1);
	if (!call->no_warn && call->report && bhi_load(&attr->verbose))
		call->report(attr, call, times);
}

/* The n-th eligible request of a thread fails, whatever else is set but the stack. */
static bool should_fail_nth(
	struct bhi_fault_attr *attr, const struct bhi_fault_call *call)
{
	int32_t times;

	if (!stack_allows(attr, call) || --*call->nth)
		return false;
	(void)take_one(attr, &times);
	fail(attr, call, times);
	return true;
}

bool bhi_fault_should_fail(struct bhi_fault_attr *attr, const struct bhi_fault_call *call)
{
	int32_t times;

	bhi_add(&attr->nr_calls, 1);
	if (!call->is_no_task && call->nth && *call->nth)
		return should_fail_nth(attr, call);
	if (!bhi_load(&attr->probability))
		return false;
	if (bhi_load(&attr->task_filter) && (call->is_no_task || !call->is_marked))
		return false;
	if (!bhi_load(&attr->times))
		return false;
	if (!stack_allows(attr, call))
		return false;
	if (is_let_through_by_space(attr, call->size))
		return false;
	if (is_let_through_by_interval(attr))
		return false;
	if (!is_drawn(attr, call))
		return false;
	if (!take_one(attr, &times))
		return false;
	fail(attr, call, times);
	return true;
}

intptr_t bhi_fault_syscall_result(unsigned call, uintptr_t old_break)
{
	return call == BHI_FAULT_BRK ? (intptr_t)old_break : -ENOMEM;
}
