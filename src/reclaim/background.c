/* SPDX-License-Identifier: MIT */
/*
 * The thread sleeps on .word, a set of reasons. Wakers set their bit and wake it only if
 * the bit was clear, so a busy allocator pays one load. The thread takes all bits at once
 * and then works; a bit set meanwhile makes the next sleep return at once.
 */
#include <limits.h>

#include "base/process.h"
#include "base/sys.h"
#include "reclaim/background.h"
#include "reclaim/reclaim.h"

#define REASON_SHORT (1u << 0)
#define REASON_DECAY (1u << 1)
#define REASON_HIGH  (1u << 2)
#define REASON_ASKED (1u << 3)

static struct {
	/* immutable after init */
	uint64_t decay_ns;
	/* atomic, see above */
	uint32_t word;
	/* atomic */
	uint32_t decaying; /* the decay clock runs, or is about to */
	uint32_t failures;
	uint64_t wakeups, runs, reclaimed;
} state;

/* Bytes until @mark is reached; negative above it. */
static int64_t missing(uint64_t mark)
{
	return (int64_t)mark - bhi_counter_free(&bhi_group_root()->counter);
}

uint64_t bhi_background_run(void)
{
	uint64_t sum = 0;
	int64_t want;

	bhi_add(&state.runs, 1);
	while ((want = missing(bhi_zone.marks.high)) > 0 &&
		bhi_load(&state.failures) < BHI_BACKGROUND_MAX_FAILURES) {
		uint64_t reclaimed =
			bhi_reclaim(bhi_group_root(), (uint64_t)want, 0).reclaimed;

		sum += reclaimed;
		if (!reclaimed) {
			bhi_add(&state.failures, 1);
			break;
		}
		bhi_store(&state.failures, 0);
	}
	if (missing(bhi_zone.marks.low) > 0 && bhi_reclaim_hooks.purge)
		bhi_reclaim_hooks.purge(true);
	bhi_add(&state.reclaimed, sum);
	return sum;
}

static void reclaim_above_high(void)
{
	struct bh_group *group = NULL;

	while ((group = bhi_group_next(bhi_group_root(), group))) {
		int64_t over =
			bhi_load(&group->counter.usage) - bhi_load(&group->counter.high);

		if (over > 0)
			bhi_reclaim(group, (uint64_t)over, 0);
	}
}

/* Those who ask cannot reclaim themselves; they wait for our answer. It wakes nobody
 * else: all who wait for a victim would look, and ask again, as long as it takes. */
static void reclaim_as_asked(void)
{
	struct bh_group *group = NULL;

	while ((group = bhi_group_next(bhi_group_root(), group))) {
		int64_t asked = bhi_exchange(&group->asked, 0);

		if (!asked)
			continue;
		bhi_reclaim(group, (uint64_t)asked, 0);
		(void)bhi_add_return(&group->nr_answers, 1);
		bhi_sys_futex_wake(&group->nr_answers, INT_MAX);
	}
}

static void collect_all(void)
{
	struct bh_group *group = NULL;

	while ((group = bhi_group_next(bhi_group_root(), group)))
		bhi_reclaim_hooks.collect(group);
}

/* Whether there is more to give back later. */
static bool decay_step(void)
{
	bool more;

	/* Before the look, so that what becomes free after it is announced again. */
	(void)bhi_exchange(&state.decaying, 0);
	more = bhi_reclaim_hooks.age && bhi_reclaim_hooks.age();
	if (more)
		bhi_store(&state.decaying, 1);

	if (bhi_reclaim_hooks.keeps && bhi_reclaim_hooks.keeps())
		collect_all();
	if (bhi_reclaim_hooks.purge)
		bhi_reclaim_hooks.purge(false);
	bhi_group_sweep();
	return more;
}

static void *background_main(void *arg)
{
	uint64_t next_step = 0;

	(void)arg;
	for (;;) {
		uint32_t reasons = bhi_exchange(&state.word, 0);
		uint64_t now = bhi_sys_now_ns(), wait = 0;

		if (reasons & REASON_SHORT) {
			bhi_add(&state.wakeups, 1);
			bhi_background_run();
		}
		if (reasons & REASON_HIGH)
			reclaim_above_high();
		if (reasons & REASON_ASKED)
			reclaim_as_asked();
		if (!next_step && (reasons & REASON_DECAY))
			next_step = now + state.decay_ns;
		if (next_step && now >= next_step)
			next_step = decay_step() ? now + state.decay_ns : 0;
		if (next_step)
			wait = bhi_max(next_step - now, (uint64_t)1);
		bhi_sys_futex_wait(&state.word, 0, wait);
	}
	return NULL;
}

int bhi_background_start(uint32_t decay_ms)
{
	state.decay_ns = decay_ms * BHI_NS_PER_MS;
	return bhi_sys_thread_start(background_main, NULL);
}

static void wake(uint32_t reason)
{
	if (bhi_load(&state.word) & reason)
		return;
	if (!(__atomic_fetch_or(&state.word, reason, __ATOMIC_SEQ_CST) & reason))
		bhi_sys_futex_wake(&state.word, 1);
}

void bhi_background_wake(void)
{
	if (bhi_load(&state.failures) < BHI_BACKGROUND_MAX_FAILURES)
		wake(REASON_SHORT);
}

void bhi_background_wake_high(void)
{
	wake(REASON_HIGH);
}

uint32_t bhi_background_answers(const struct bh_group *group)
{
	return bhi_load_acquire(&group->nr_answers);
}

void bhi_background_ask(struct bh_group *group, int64_t size)
{
	(void)bhi_add_return(&group->asked, size);
	wake(REASON_ASKED);
}

void bhi_background_decay(void)
{
	if (bhi_likely(bhi_load(&state.decaying)) || bhi_exchange(&state.decaying, 1))
		return;
	wake(REASON_DECAY);
}

void bhi_background_progress(void)
{
	if (bhi_load(&state.failures))
		bhi_store(&state.failures, 0);
}

void bhi_background_stat(struct bhi_background_stat *ret)
{
	ret->wakeups = bhi_load(&state.wakeups);
	ret->runs = bhi_load(&state.runs);
	ret->reclaimed = bhi_load(&state.reclaimed);
	ret->failures = bhi_load(&state.failures);
}
