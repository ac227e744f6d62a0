/* SPDX-License-Identifier: MIT */
/*
 * A request goes through these steps and stops at the first that serves it:
 *
 *  1. this thread's stock of the group;
 *  2. a batch, leaving the zone's low mark alone; the rest fills the stock;
 *  3. exactly what is asked for, down to the mark that the request may go to
 *     (reserve_of); the level that refuses is the one that is over its limit;
 *     requests that may not wait end here;
 *  4. all stocks of that level drained, once for each level that refuses;
 *  5. rounds of reclaim in the group that is over, first of pages that tasks keep and do
 *     not use: one for costly and BH_NORETRY requests, else while they help, and 16 more
 *     that do not;
 *  6. shrinkers of last resort;
 *  7. the policy of the group that is over: fail, or the OOM killer, then from 5;
 *  8. BH_NOFAIL only: past the limits of groups, into half of the reserve, and after a
 *     kill into all of it; then wait until memory comes back.
 *
 * Requests made inside reclaim never reclaim: they get everything the zone has, or fail
 * (BH_NOFAIL: wait).
 * After success the thread pays for what it took above BH_HIGH.
 *
 * A task that is killed meanwhile stops wherever it is. In a hold section it may overdraw
 * a little, otherwise it gets nothing more, and unwinds.
 *
 * A pagefault cannot fail, and its thread runs no code of the host:
 * bhi_charge_pagefault() is steps 1 to 3. When they fail the pagefault leaves everything
 * it was in, and then bhi_charge_pagefault_oom() drains the stocks, has the background
 * reclaim, and decides as if the policy were to kill; after that the instruction runs
 * again.
 *
 * Sources: Linux 6.12 mm/memcontrol.c try_charge_memcg(), mm/page_alloc.c
 * __alloc_pages_slowpath().
 */
#include <errno.h>

#include "account/pressure.h"
#include "account/stock.h"
#include "account/waiters.h"
#include "base/failpoint.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "charge/charge.h"
#include "charge/failures.h"
#include "oom/oom.h"
#include "reclaim/background.h"
#include "reclaim/reclaim.h"
#include "task/keep.h"
#include "task/kill.h"
#include "task/overdraft.h"

#define ALL_FLAGS                                                                      \
	(BH_ZERO | BH_NORETRY | BH_RETRY_MAYFAIL | BH_NOFAIL | BH_ATOMIC | BH_NOWAIT | \
		BH_NORECLAIM | BH_NOWARN)

/* How often a request that waits reclaims again. */
#define LOOK_AGAIN_NS (100 * BHI_NS_PER_MS)

/* How long a fruitless round waits for whoever is in a shrinker's way, most likely
 * another one that reclaims: a kernel tick. Without, all rounds would be over before that
 * one has run again (Linux mm/vmscan.c, reclaim_throttle(), VMSCAN_THROTTLE_NOPROGRESS).
 */
#define THROTTLE_NS BHI_NS_PER_MS

struct request {
	struct bh_group *group;
	int64_t size;
	unsigned flags;
	struct bhi_counter *over; /* the level that refused last */
	struct bh_group *drained; /* step 4 was done for it and all below */
	bool killed;              /* step 7 found a victim, or that memory comes back */
	int fruitless;            /* rounds of reclaim that reclaimed nothing */
	bool looks_again;         /* it was not woken, but has waited for long enough */
	uint32_t sequence;        /* of the waiters, before the last rounds of reclaim */
	int64_t charged;          /* bytes, what went into the stock included */
};

bool bhi_flags_are_valid(unsigned flags)
{
	unsigned retry = flags & (BH_NORETRY | BH_RETRY_MAYFAIL | BH_NOFAIL);
	bool may_not_wait = flags & (BH_ATOMIC | BH_NOWAIT);

	if (flags & ~(unsigned)ALL_FLAGS)
		return false;
	return !(retry & (retry - 1)) && !(may_not_wait && (flags & BH_NOFAIL));
}

static bool may_wait(const struct request *rq)
{
	if (rq->flags & BH_NOFAIL)
		return true;
	return !(rq->flags & (BH_ATOMIC | BH_NOWAIT)) && !bhi_reclaim_active();
}

static bool is_private(const struct request *rq)
{
	return rq->flags & BHI_CHARGE_PRIVATE;
}

/* Never for private memory: its pages need not be adjacent, and who asks for much is the
 * likeliest victim himself. */
static bool is_costly(const struct request *rq)
{
	return rq->size > ((int64_t)BHI_PAGE_SIZE << BHI_COSTLY_ORDER) && !is_private(rq);
}

/* What the group that is over does about it. */
static bool kills(const struct request *rq, const struct bh_group *over)
{
	if (bhi_policy.call == BHI_CALL_KILLS)
		return true;
	if (bhi_policy.call == BHI_CALL_FAILS_IN_GROUP)
		return !over->parent;
	if (bhi_load(&over->on_limit_set))
		return bhi_load(&over->on_limit) == BH_KILL;
	return is_private(rq);
}

/* Whether the request gives up after a single round. */
static bool is_one_round(const struct request *rq)
{
	if (rq->flags & (BH_NOFAIL | BH_RETRY_MAYFAIL))
		return false;
	return (rq->flags & BH_NORETRY) || is_costly(rq) ||
	       !bhi_policy.small_must_succeed;
}

static enum bhi_reserve reserve_of(const struct request *rq)
{
	if (bhi_reclaim_active())
		return BHI_RESERVE_ALL;
	if (rq->flags & BH_ATOMIC)
		return BHI_RESERVE_ATOMIC;
	return BHI_RESERVE_NONE;
}

/* Groups have no reserve of their own, so whoever may use the zone's passes them. */
static bool passes_limits(const struct request *rq)
{
	return bhi_reclaim_active() || (rq->flags & BH_ATOMIC);
}

static struct bh_group *group_over(const struct request *rq)
{
	return bhi_group_of_counter(rq->over);
}

/* A group that refuses hides what the zone would have said. */
static bool is_zone_low(void)
{
	return bhi_counter_free(&bhi_group_root()->counter) < (int64_t)bhi_zone.marks.low;
}

static bool try_batch(struct request *rq)
{
	int64_t batch = bhi_max(rq->size, BHI_STOCK_BATCH);

	if (!bhi_counter_try_charge(
		    &rq->group->counter, batch, BHI_RESERVE_LOW, false, &rq->over))
		return false;
	rq->charged = batch;
	if (batch > rq->size)
		(void)bhi_stock_refill(rq->group, batch - rq->size);
	return true;
}

static bool try_exact(struct request *rq)
{
	return bhi_counter_try_charge(
		&rq->group->counter, rq->size, reserve_of(rq), false, &rq->over);
}

static bool try_past_limits(struct request *rq, enum bhi_reserve reserve)
{
	return bhi_counter_try_charge(
		&rq->group->counter, rq->size, reserve, true, &rq->over);
}

/*
 * Step 4. When a level has room again a higher one may refuse, for the stocks of groups
 * that were not drained yet.
 */
static bool drain_once(struct request *rq)
{
	while (!rq->drained || !bhi_group_is_within(group_over(rq), rq->drained)) {
		rq->drained = group_over(rq);
		bhi_stock_drain(rq->drained);
		if (try_exact(rq))
			return true;
	}
	return false;
}

/* Whether progress that was too little gives the request all its rounds again. */
static bool is_worth_more(const struct request *rq)
{
	return !is_costly(rq) || (rq->flags & BH_NOFAIL);
}

/* Step 5. True: charged. False: reclaim is hopeless, or the request asked for no more. */
static bool reclaim_rounds(struct request *rq)
{
	for (;;) {
		struct bhi_reclaim_result r =
			bhi_reclaim(group_over(rq), (uint64_t)rq->size, rq->flags);

		if (r.reclaimed)
			bhi_background_progress();
		if (try_exact(rq) || drain_once(rq))
			return true;
		if (is_one_round(rq) || bhi_task_dying())
			return false;
		if (r.reclaimed && is_worth_more(rq)) {
			rq->fruitless = 0;
			continue;
		}
		if (!r.reclaimable || rq->fruitless++ >= BHI_MAX_RECLAIM_RETRIES)
			return false;
		if (r.was_stopped)
			bhi_task_sleep(THROTTLE_NS);
	}
}

/* Small requests of old kernels that may not kill: somebody else will, or nobody. */
static bool waits_for_others(struct request *rq)
{
	if (bhi_policy.noreclaim_gives_up)
		return false;
	bhi_task_sleep(LOOK_AGAIN_NS);
	rq->fruitless = 0;
	return true;
}

/* Step 7, the killer. */
static bool ask_killer(const struct request *rq, struct bh_group *over)
{
	return bhi_oom(over, &(struct bhi_oom_request){
				     .size = rq->size,
				     .flags = rq->flags & ALL_FLAGS,
				     .is_private = is_private(rq),
			     });
}

/* Steps 6 and 7. True: trying again makes sense. Those inside reclaim leave it to the one
 * who reclaims. */
static bool decide(struct request *rq)
{
	struct bh_group *over = group_over(rq);

	if (is_one_round(rq) || (rq->flags & BH_RETRY_MAYFAIL) || bhi_reclaim_active() ||
		bhi_task_dying())
		return false;
	if (bhi_reclaim_last_resort(over, rq->flags))
		return true;
	/* However often a waiter looks again, it is one event. */
	if (!is_costly(rq) && !rq->looks_again)
		bhi_group_event(over, BHI_EVENT_OOM);
	rq->looks_again = false;
	if (!kills(rq, over) || is_costly(rq))
		return false;
	/* For the zone's sake a request that keeps shrinkers out kills nobody: it does
	 * not know what the others could still have freed. */
	if ((rq->flags & BH_NORECLAIM) && !over->parent)
		return waits_for_others(rq);
	if (!ask_killer(rq, over))
		return false;
	rq->killed = true;
	rq->fruitless = 0;
	return true;
}

/*
 * Step 8. True: charged. False: something was uncharged or set meanwhile, start again; or
 * it is time to look again: nobody tells us when a lock that shrinkers tried is given up,
 * when their objects are no longer in use, or when a slab that others free into has
 * become empty.
 */
static bool wait_for_memory(struct request *rq)
{
	enum bhi_reserve reserve =
		rq->killed || bhi_reclaim_active() ? BHI_RESERVE_ALL : BHI_RESERVE_HALF;
	bool charged;

	if (try_past_limits(rq, BHI_RESERVE_NONE) || try_past_limits(rq, reserve))
		return true;
	bhi_waiters_enter();
	bhi_stock_drain(bhi_group_root());
	charged = try_past_limits(rq, reserve);
	if (!charged)
		rq->looks_again = !bhi_waiters_wait(rq->sequence, LOOK_AGAIN_NS);
	bhi_waiters_leave();
	return charged;
}

/*
 * The current task is a victim. In a hold section it must get to the end of it: it may
 * overdraw, out of half of the reserve, a little. Else it is to end, not to take more.
 */
static int charge_dying(struct request *rq)
{
	struct bh_task *task = bhi_task_current;

	if (try_exact(rq))
		return 0;
	if (bhi_task_may_unwind(task))
		return -ENOMEM;
	return bhi_overdraft_charge(task, rq->group, rq->size, is_private(rq));
}

/* Steps 4 to 8. */
static int charge_waiting(struct request *rq)
{
	bhi_assert_none_held();
	if (drain_once(rq))
		return 0;
	for (;;) {
		rq->sequence = bhi_waiters_sequence();
		if (reclaim_rounds(rq))
			return 0;
		if (!decide(rq)) {
			if (bhi_task_dying() && !(rq->flags & BH_NOFAIL))
				return charge_dying(rq);
			if (!(rq->flags & BH_NOFAIL))
				return try_exact(rq) ? 0 : -ENOMEM;
			if (wait_for_memory(rq))
				return 0;
		}
		/* What came back spares the caches. */
		if (try_exact(rq))
			return 0;
	}
}

static void set_in_call(bool in_call)
{
	if (bhi_task_current)
		bhi_store(&bhi_task_current->in_call, in_call);
}

/* Steps 2 to 8. */
static BHI_NOINLINE int charge_slow(struct request *rq)
{
	bool charged;
	int r;

	bhi_testpoint(BHI_TP_CHARGE);
	if (bhi_process_inert())
		return -ENOMEM;
	bhi_pressure_work_for(rq->group);
	if (bhi_noreclaim_depth)
		rq->flags |= BH_NORECLAIM;
	if (try_batch(rq))
		return 0;
	charged = try_exact(rq);
	if (!rq->over->parent || is_zone_low())
		bhi_background_wake();
	if (charged)
		return 0;
	if (!passes_limits(rq) && !may_wait(rq))
		return -ENOMEM;
	if (rq->over->parent)
		bhi_group_event(group_over(rq), BHI_EVENT_MAX);
	if (passes_limits(rq) && try_past_limits(rq, reserve_of(rq)))
		return 0;
	if (!may_wait(rq))
		return -ENOMEM;
	bhi_pressure_enter(rq->group);
	set_in_call(true);
	r = charge_waiting(rq);
	set_in_call(false);
	bhi_pressure_leave();
	return r;
}

uint64_t bhi_charge_high_delay(int64_t usage, int64_t high, int64_t debt)
{
	const uint64_t precision = 20, scaling = 14, max_ms = 2000, ignored_ms = 10;
	unsigned __int128 ms;
	uint64_t overage;

	if (usage <= high)
		return 0;
	high = bhi_max(high, (int64_t)1);
	overage = (uint64_t)(((unsigned __int128)(usage - high) << precision) /
			     (uint64_t)high);
	/* Above twice the limit the answer is the maximum; this keeps the square small.
	 */
	overage = bhi_min(overage, (uint64_t)1 << 40);
	ms = (unsigned __int128)overage * overage * 1000 >> (precision + scaling);
	ms = ms * (uint64_t)debt / BHI_STOCK_BATCH;
	ms = bhi_min(ms, (unsigned __int128)max_ms);
	return ms <= ignored_ms ? 0 : (uint64_t)ms * BHI_NS_PER_MS;
}

static uint64_t longest_high_delay(struct bh_group *group, int64_t debt)
{
	uint64_t longest = 0;

	for (; group; group = group->parent) {
		uint64_t delay = bhi_charge_high_delay(bhi_load(&group->counter.usage),
			bhi_load(&group->counter.high), debt);

		longest = bhi_max(longest, delay);
	}
	return longest;
}

/* One reclaim in every group that is above its BH_HIGH; what they gave. */
static uint64_t reclaim_high(struct bh_group *group, int64_t debt, unsigned flags)
{
	uint64_t sum = 0;

	for (; group; group = group->parent) {
		int64_t excess =
			bhi_load(&group->counter.usage) - bhi_load(&group->counter.high);

		if (excess <= 0)
			continue;
		bhi_group_event(group, BHI_EVENT_HIGH);
		/* What was charged may be gone again: no more than is too much. */
		excess = bhi_min(excess, debt);
		sum += bhi_reclaim(group, (uint64_t)excess, flags).reclaimed;
	}
	return sum;
}

/*
 * Pay for what was charged above BH_HIGH: reclaim, and if that is not enough sleep, in
 * proportion to the square of the excess.
 */
static BHI_NOINLINE void pay_high_debt(struct request *rq)
{
	struct bhi_thread *self = bhi_thread_self();
	int tries = BHI_MAX_RECLAIM_RETRIES;
	uint64_t delay, reclaimed;
	int64_t debt;

	/* A victim is to end soon, not to be slowed down. */
	if (!self || bhi_reclaim_active() || bhi_task_dying())
		return;
	self->high_debt += (uint64_t)rq->charged;
	if (!may_wait(rq)) {
		bhi_background_wake_high();
		return;
	}
	debt = (int64_t)self->high_debt;
	self->high_debt = 0;
	bhi_pressure_enter(rq->group);
	do {
		reclaimed = reclaim_high(rq->group, debt, rq->flags);
		delay = longest_high_delay(rq->group, debt);
	} while (delay && (reclaimed || tries-- > 0));
	if (delay)
		bhi_task_sleep(delay);
	bhi_pressure_leave();
}

static bool is_above_high(struct bh_group *group)
{
	for (; group; group = group->parent) {
		if (bhi_load(&group->counter.usage) > bhi_load(&group->counter.high))
			return true;
	}
	return false;
}

/* Nothing failed where the process is inert, or where a victim unwinds instead. */
static BHI_COLD void note_failure(const struct request *rq)
{
	if (!rq->over || (is_private(rq) && bhi_task_dying() &&
				 bhi_task_may_unwind(bhi_task_current)))
		return;
	bhi_failure_note(rq->group, group_over(rq), rq->size, rq->flags);
}

int bhi_charge(struct bh_group *group, int64_t size, unsigned flags, bool external)
{
	struct request rq = {
		.group = group, .size = size, .flags = flags, .charged = size};
	int r;

	if (!(flags & BH_NOFAIL) && bhi_failpoint(BHI_FP_CHARGE))
		return -ENOMEM;
	if (bhi_likely(bhi_stock_consume(group, size, external ? size : 0))) {
		bhi_reclaim_note(group, -size);
		return 0;
	}
	r = charge_slow(&rq);
	if (r) {
		note_failure(&rq);
		return r;
	}
	bhi_reclaim_note(group, -size);
	if (external)
		bhi_add(&group->external, size);
	if (bhi_unlikely(is_above_high(group)))
		pay_high_debt(&rq);
	return 0;
}

int bhi_charge_pagefault(struct bh_group *group, int64_t size, struct bh_group **ret_over)
{
	struct request rq = {.group = group, .size = size, .flags = BHI_CHARGE_PRIVATE};

	if (bhi_failpoint(BHI_FP_CHARGE)) {
		*ret_over = group;
		return -ENOMEM;
	}
	if (bhi_stock_consume(group, size, 0) || try_batch(&rq) || try_exact(&rq)) {
		if (bhi_unlikely(is_above_high(group)))
			bhi_background_wake_high();
		return 0;
	}
	*ret_over = group_over(&rq);
	bhi_background_wake();
	return -ENOMEM;
}

/* Ask the background to reclaim, and wait for its answer. It may be busy with a shrinker
 * that waits for a lock of ours, so not for ever. */
static void await_background(struct bh_group *over, int64_t size)
{
	uint32_t answers = bhi_background_answers(over);

	bhi_background_ask(over, size);
	(void)bhi_task_wait(&over->nr_answers, answers, LOOK_AGAIN_NS);
}

static bool has_room(struct bh_group *over, int64_t size)
{
	return bhi_counter_margin(&over->counter, BHI_RESERVE_NONE) >= size;
}

bool bhi_charge_pagefault_oom(struct bh_group *over, int64_t size, bool ends_self)
{
	const struct bhi_oom_request request = {
		.size = size,
		.is_private = true,
		.origin = BH_OOM_PAGEFAULT,
		.ends_self = ends_self,
	};
	bool again = true;

	bhi_pressure_enter(over);
	bhi_group_event(over, BHI_EVENT_MAX);
	bhi_stock_drain(over);
	if (!has_room(over, size))
		(void)bhi_keep_trim(over, (uint64_t)size);
	if (!has_room(over, size))
		await_background(over, size);
	/* A victim that may not end here needs what others have. */
	if (!has_room(over, size) &&
		(!bhi_task_dying() || !bhi_task_may_unwind(bhi_task_current))) {
		bhi_group_event(over, BHI_EVENT_OOM);
		again = bhi_oom(over, &request);
	}
	bhi_pressure_leave();
	return again;
}

/* How much of @size bytes can be given back to bh_charge; the rest never was charged. */
static BHI_NOINLINE int64_t take_external(struct bh_group *group, int64_t size)
{
	if (bhi_stock_take_external(group, size))
		return size;
	bhi_stock_add_external(group);
	while (!bhi_stock_take_external(group, size)) {
		WARN_ONCE(true, "more was uncharged than was charged");
		size = bhi_min(size, bhi_max(bhi_load(&group->external), (int64_t)0));
	}
	return size;
}

void bhi_uncharge(struct bh_group *group, int64_t size, bool external)
{
	uint32_t id = group->id;

	if (bhi_process_inert())
		return;
	if (external) {
		if (bhi_likely(bhi_stock_return(group, size)))
			return;
		size = take_external(group, size);
	}
	if (!size)
		return;
	bhi_reclaim_note(group, size);
	if (!bhi_stock_refill(group, size))
		bhi_group_release(id);
}

/*
 * Reclaim until @group's usage is at most *@limit, or somebody has set another. False:
 * nothing more can be reclaimed.
 */
static bool reclaim_down_to(struct bh_group *group, const int64_t *limit)
{
	int64_t aim = bhi_load(limit), excess;
	int fruitless = 0;

	while (bhi_load(limit) == aim &&
		(excess = bhi_load(&group->counter.usage) - aim) > 0) {
		struct bhi_reclaim_result r = bhi_reclaim(group, (uint64_t)excess, 0);

		if (!r.reclaimed &&
			(!r.reclaimable || fruitless++ >= BHI_MAX_RECLAIM_RETRIES))
			return false;
	}
	return true;
}

/* As long as a policy was never set, what happens is that of the memory that there is. */
static bool kills_for_max(const struct bh_group *group)
{
	if (bhi_load(&group->on_limit_set))
		return bhi_load(&group->on_limit) == BH_KILL;
	return bhi_tasks_have_private(group);
}

/* As a signal ends the write of memory.max. */
static bool is_to_unwind(void)
{
	return bhi_task_dying() && bhi_task_may_unwind(bhi_task_current);
}

void bhi_charge_enforce_max(struct bh_group *group)
{
	struct bhi_oom_request request = {.origin = BH_OOM_LIMIT};
	const int64_t *max = &group->counter.max;
	int64_t aim = bhi_load(max);

	bhi_stock_drain(group);
	while (bhi_load(max) == aim && !reclaim_down_to(group, max) && !is_to_unwind()) {
		if (bhi_reclaim_last_resort(group, 0))
			continue;
		bhi_group_event(group, BHI_EVENT_OOM);
		request.size = bhi_load(&group->counter.usage) - aim;
		if (!kills_for_max(group) || !bhi_oom(group, &request))
			return;
	}
}

void bhi_charge_enforce_high(struct bh_group *group)
{
	bhi_stock_drain(group);
	(void)reclaim_down_to(group, &group->counter.high);
}
