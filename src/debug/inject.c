/* SPDX-License-Identifier: MIT */
/*
 * A decision takes no lock: it may be in the signal handler of a pagefault, and under
 * locks of the library where an internal point is. The ring of records has a try-lock
 * for each slot; who meets somebody in a slot, a reader or a thread sixteen records
 * behind, leaves no record.
 */
#include <errno.h>
#include <string.h>

#include "base/fmt.h"
#include "base/sys.h"
#include "base/thread.h"
#include "debug/inject.h"

/* What a line on standard error quotes of a text. */
#define QUOTED 40

#define KIND                                                                  \
	{                                                                     \
		.attr = BHI_FAULT_ATTR_INIT, .filter = BHI_FAULT_FILTER_INIT, \
	}

struct kind {
	struct bhi_fault_attr attr;
	struct bhi_fault_filter filter;
	/* atomic; of the rate limit of records */
	uint64_t window_ns; /* when the current interval began, 0: never */
	uint32_t nr_in_window;
	/* protected by .lock */
	bool is_on;
};

struct slot {
	uint32_t busy; /* a try-lock */
	struct bhi_injection injection;
};

static struct {
	struct kind kinds[BHI_FAULT_KINDS];
	/* atomic */
	struct bhi_fault_attr points;
	uint32_t point_kinds;
	uint32_t has_points; /* they are a reason to ask */
	uint32_t counts_nth; /* armed with BHI_FP_NTH */
	uint64_t nr_injections;
	struct slot ring[BHI_INJECTIONS];
	/* one setter at a time */
	struct bhi_lock lock;
} state = {
	.kinds = {KIND, KIND, KIND},
	.lock = BHI_LOCK_INIT(BHI_RANK_FAULT),
};

BHI_TLS bool bhi_inject_marked;

static BHI_TLS uint32_t nth_of_thread;
static BHI_TLS uint32_t nr_nth_failed;

bool bhi_inject_is_marked(void)
{
	const struct bh_task *task = bhi_task_current;

	return bhi_inject_marked || (task && bhi_load(&task->fault_marked));
}

/* The thread's fail-nth is one reason to ask, until it has come down to 0. */
static bool decide(struct bhi_fault_attr *attr, const struct bhi_fault_call *call)
{
	bool was_set = nth_of_thread;
	bool fails = bhi_fault_should_fail(attr, call);

	if (was_set && !nth_of_thread) {
		bhi_sub(&bhi_failpoint_armed, 1);
		nr_nth_failed++;
	}
	return fails;
}

/* Linux lib/ratelimit.c, but that a race for a new interval may let one more through. */
static bool is_limited(struct kind *kind, uint64_t now)
{
	uint64_t interval = bhi_load(&kind->attr.ratelimit_interval_ms) * BHI_NS_PER_MS;
	uint64_t began = bhi_load(&kind->window_ns);

	if (!interval)
		return false;
	if ((!began || now - began >= interval) &&
		bhi_compare_exchange(&kind->window_ns, &began, now))
		bhi_store(&kind->nr_in_window, 0);
	return bhi_add_return(&kind->nr_in_window, 1) >
	       bhi_load(&kind->attr.ratelimit_burst);
}

static bool slot_try_lock(struct slot *slot)
{
	return !bhi_exchange(&slot->busy, 1);
}

static void slot_unlock(struct slot *slot)
{
	/* pairs with the exchange in slot_try_lock() */
	bhi_store_release(&slot->busy, 0);
}

static void fill(struct bhi_injection *injection, const struct bhi_fault_attr *attr,
	const struct bhi_fault_call *call, int32_t times)
{
	const struct bh_task *task = bhi_task_current;

	injection->thread = bhi_sys_thread_id();
	memset(injection->asker, 0, sizeof(injection->asker));
	if (task)
		memcpy(injection->asker, task->name, sizeof(injection->asker));
	injection->size = call->size;
	injection->interval = bhi_load(&attr->interval);
	injection->probability = bhi_load(&attr->probability);
	injection->space = bhi_load(&attr->space);
	injection->times = times;
}

static void record(const struct bhi_fault_attr *attr, const struct bhi_fault_call *call,
	int32_t times)
{
	struct kind *kind = bhi_container_of(attr, struct kind, attr);
	uint64_t now = bhi_sys_now_ns(), number;
	uintptr_t frames[BHI_STACK_DEPTH];
	struct slot *slot;
	unsigned nr = 0;

	if (is_limited(kind, now))
		return;
	/* In no slot yet: a stack in private memory that is reaped unwinds from here. */
	if (bhi_load(&attr->verbose) > 1)
		nr = bhi_stack_walk(frames, BHI_STACK_DEPTH);
	number = bhi_add_return(&state.nr_injections, 1);
	slot = &state.ring[number % BHI_INJECTIONS];
	if (!slot_try_lock(slot))
		return;
	slot->injection.number = number;
	slot->injection.time_ns = now;
	slot->injection.kind = (enum bh_fault_kind)(kind - state.kinds);
	slot->injection.nr_frames = nr;
	memcpy(slot->injection.frames, frames, nr * sizeof(*frames));
	fill(&slot->injection, attr, call, times);
	slot_unlock(slot);
}

static bool hit_point(enum bhi_failpoint_kind kind)
{
	const struct bhi_fault_call call = {.size = 1, .nth = &nth_of_thread};

	return (bhi_load(&state.point_kinds) & (1u << kind)) &&
	       decide(&state.points, &call);
}

static bool hit_request(enum bh_fault_kind kind, size_t size, unsigned flags)
{
	struct kind *own = &state.kinds[kind];
	const struct bhi_fault_call call = {
		.size = kind == BH_FAULT_PAGE ? (size_t)1 << size : size,
		.no_warn = flags & (BH_NOWARN | BH_NOWAIT),
		.is_marked = bhi_inject_is_marked(),
		.nth = &nth_of_thread,
		.report = record,
	};

	return bhi_fault_is_eligible(kind, &own->filter, size, flags) &&
	       decide(&own->attr, &call);
}

static void hook(void)
{
	static const struct bhi_failpoint_hooks hooks = {
		.point = hit_point,
		.request = hit_request,
	};

	/* pairs with hooks_if_due() */
	bhi_store_release(&bhi_failpoint_hooks, &hooks);
}

static void arm(bool is_reason, bool was_reason)
{
	if (is_reason && !was_reason)
		bhi_add(&bhi_failpoint_armed, 1);
	if (was_reason && !is_reason)
		bhi_sub(&bhi_failpoint_armed, 1);
}

void bhi_failpoint_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds)
{
	hook();
	bhi_store(&state.point_kinds, 0);
	bhi_store(&state.points.nr_failed, 0);
	bhi_store(&state.points.space, nth);
	bhi_store(&state.points.times, mode == BHI_FP_ONCE ? 1 : BHI_FAULT_UNLIMITED);
	bhi_store(&state.points.probability, mode == BHI_FP_NTH ? 0 : 100);
	bhi_store(&state.counts_nth, mode == BHI_FP_NTH);
	bhi_inject_set_nth(mode == BHI_FP_NTH ? nth : 0);
	nr_nth_failed = 0;
	bhi_store_release(&state.point_kinds, kinds);
	arm(true, bhi_exchange(&state.has_points, 1));
}

unsigned bhi_failpoint_disarm(void)
{
	bhi_inject_set_nth(0);
	bhi_store(&state.point_kinds, 0);
	arm(false, bhi_exchange(&state.has_points, 0));
	return bhi_load(&state.counts_nth) ? nr_nth_failed
					   : (unsigned)bhi_load(&state.points.nr_failed);
}

void bhi_inject_set_nth(uint32_t nth)
{
	hook();
	arm(nth, nth_of_thread);
	nth_of_thread = nth;
}

uint32_t bhi_inject_nth(void)
{
	return nth_of_thread;
}

/* A thread that ends is no reason to ask any more. A child has no requests to fail. */
static void exit_thread(struct bhi_thread *self)
{
	(void)self;
	bhi_inject_set_nth(0);
}

static void forget_in_child(void)
{
	bhi_inject_set_nth(0);
}

static struct bhi_thread_hook thread_hook = {
	.exit = exit_thread,
	.fork = forget_in_child,
};

/* Seeds differ from run to run unless one is set. */
void bhi_inject_init(void)
{
	for (size_t i = 0; i < BHI_FAULT_KINDS; i++)
		state.kinds[i].attr.random =
			bhi_sys_now_ns() ^ (uint64_t)(uintptr_t)&state ^ i << 56;
	bhi_thread_hook_register(&thread_hook);
}

int bhi_inject_read(const char *name, const char *text, struct bhi_fault_changes *ret)
{
	char quoted[QUOTED];
	size_t len;

	if (!bhi_fault_parse(text, ret))
		return 0;
	text += ret->where;
	len = bhi_min(strcspn(text, ",;"), sizeof(quoted) - 1);
	/* It stays one line, whatever the text. */
	for (size_t i = 0; i < len; i++)
		quoted[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
	quoted[len] = '\0';
	bhi_errf("bulkhead: %s, at \"%s\" (byte %zu): %s\n", name, quoted, ret->where,
		ret->what);
	return -EINVAL;
}

/*
 * A probability comes last: nothing fails while only some of its filters are there. What
 * it is then was said by the last change that says so.
 */
static void set_locked(const struct bhi_fault_changes *changes) BH_REQUIRES(state.lock)
{
	uint32_t probability[BHI_FAULT_KINDS];

	bhi_assert_held(&state.lock);
	for (size_t i = 0; i < BHI_FAULT_KINDS; i++)
		probability[i] = bhi_load(&state.kinds[i].attr.probability);
	for (unsigned i = 0; i < changes->nr; i++) {
		const struct bhi_fault_change *change = &changes->array[i];
		struct kind *kind = &state.kinds[change->kind];

		if (change->knob == BHI_FAULT_OFF)
			probability[change->kind] = 0;
		if (change->knob == BHI_FAULT_PROBABILITY)
			probability[change->kind] = (uint32_t)change->value;
		else
			bhi_fault_apply(change, &kind->attr, &kind->filter);
	}
	for (size_t i = 0; i < BHI_FAULT_KINDS; i++) {
		struct kind *kind = &state.kinds[i];

		bhi_store(&kind->attr.probability, probability[i]);
		arm(probability[i], kind->is_on);
		kind->is_on = probability[i];
	}
}

void bhi_inject_set(const struct bhi_fault_changes *changes)
{
	hook();
	bhi_lock_acquire(&state.lock);
	set_locked(changes);
	bhi_lock_release(&state.lock);
}

void bhi_inject_stat(enum bh_fault_kind kind, struct bh_fault_stat *ret)
{
	const struct bhi_fault_attr *attr = &state.kinds[kind].attr;

	*ret = (struct bh_fault_stat){
		.nr_calls = bhi_load(&attr->nr_calls),
		.nr_failed = bhi_load(&attr->nr_failed),
		.space = bhi_load(&attr->space),
		.times = bhi_load(&attr->times),
		.probability = bhi_load(&attr->probability),
		.interval = bhi_load(&attr->interval),
	};
}

bool bhi_injection_read(unsigned index, struct bhi_injection *ret)
{
	uint64_t nr = bhi_load(&state.nr_injections);
	struct slot *slot;
	bool found;

	if (index >= nr || index >= BHI_INJECTIONS)
		return false;
	slot = &state.ring[(nr - index) % BHI_INJECTIONS];
	if (!slot_try_lock(slot))
		return false;
	found = slot->injection.number == nr - index;
	if (found)
		*ret = slot->injection;
	slot_unlock(slot);
	return found;
}

uint64_t bhi_injections_count(void)
{
	return bhi_load(&state.nr_injections);
}
