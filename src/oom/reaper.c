/* SPDX-License-Identifier: MIT */
/*
 * Victims are handed over on a stack of tasks, so two OOMs close together lose nobody; a
 * task is handed over once, by whoever delivers its kill, with a reference. The thread
 * takes the whole stack and keeps what it could not reap yet on a list of its own.
 */
#include "oom/reaper.h"

#include "base/fmt.h"
#include "base/policy.h"
#include "base/sys.h"
#include "oom/events.h"
#include "task/end.h"
#include "task/enter.h"
#include "task/kill.h"

/* How soon a victim is tried again that was changing pages: about as long as a step of
 * that takes (region.h), and so seldom that looking costs nothing. */
#define BUSY_NS (200 * BHI_NS_PER_MS / 1000)

static struct {
	/* immutable after init */
	uint32_t tries;
	uint64_t interval_ns;
	/* atomic: rises when there is something to do; the thread sleeps on it */
	uint32_t word;
	/* written by the thread: what .word was when nothing was left to do */
	uint32_t idle_word;
	uint64_t nr_reaped, nr_given_up;
	/* protected by .lock */
	struct bhi_lock lock;
	struct bh_task *handed_over;
	/* protected by the lock of tasks: those with a deadline, the next one first */
	struct bhi_list deadlines;
	/* the thread's */
	struct bh_task *pending;
} state = {
	.lock = BHI_LOCK_INIT(BHI_RANK_REAPER),
	.deadlines = {&state.deadlines, &state.deadlines},
};

static void wake(void)
{
	(void)bhi_add_return(&state.word, 1);
	bhi_sys_futex_wake(&state.word, 1);
}

static bool push(struct bh_task *task)
{
	bool has_room;

	bhi_lock_acquire(&state.lock);
	has_room = !state.handed_over || !bhi_policy.without.victim_list;
	if (has_room) {
		task->next_victim = state.handed_over;
		state.handed_over = task;
	}
	bhi_lock_release(&state.lock);
	return has_room;
}

static void hand_over(struct bh_task *task)
{
	if (!bhi_policy.reaper)
		return;
	bhi_task_get(task);
	if (push(task))
		wake();
	else
		bhi_task_put(task);
}

static struct bh_task *take_over(void)
{
	struct bh_task *first;

	bhi_lock_acquire(&state.lock);
	first = state.handed_over;
	state.handed_over = NULL;
	bhi_lock_release(&state.lock);
	return first;
}

/* Where a task is when it cannot be reaped. */
static enum bh_unreaped why_not(enum bhi_reap met)
{
	switch (met) {
	case BHI_REAP_NEVER:
		return BH_UNREAPED_COOPERATIVE;
	case BHI_REAP_DUMP:
		return BH_UNREAPED_DUMPED;
	case BHI_REAP_BUSY:
		return BH_UNREAPED_BUSY;
	default:
		return BH_UNREAPED_HOLDING;
	}
}

static void note_reaped(struct bh_task *task)
{
	const struct bhi_kill *kill = &task->kill;

	bhi_oom_events_reaped(
		kill->oom_number, bhi_load(&kill->reaped), bhi_load(&kill->all_bytes_ns));
}

/* Reaped or given up: in either case the next victim may be chosen. Not yet if the thread
 * that was inside takes the memory back: then it says so when it has done that. */
static void dismiss(struct bh_task *task)
{
	if (bhi_load_acquire(&task->region.end) != BHI_REGION_TAKEN)
		bhi_task_set_skip(task);
}

/* All others wait for this thread: it tells of it afterwards, and only if that takes no
 * reader of standard error. */
static void give_up(struct bh_task *task, enum bhi_reap met)
{
	static const char *const texts[] = {
		[BH_UNREAPED_HOLDING] = "it is in a hold section",
		[BH_UNREAPED_DUMPED] = "it is being dumped",
		[BH_UNREAPED_COOPERATIVE] = "it is cooperative and has not ended",
		[BH_UNREAPED_BUSY] = "it was changing its pages each time",
	};
	uint64_t bytes = bhi_load(&task->region.bytes);
	enum bh_unreaped why = why_not(met);

	bhi_add(&state.nr_given_up, 1);
	bhi_oom_events_given_up(task->kill.oom_number, why, task->nr_tries);
	if (!bhi_policy.without.skip_of_given_up)
		dismiss(task);
	bhi_try_errf("bulkhead: unable to reap task '%s' (%lu bytes) in %u tries: %s\n",
		task->name, bytes, task->nr_tries, texts[why]);
}

/* Whether that was one of the tries. The owner is changing pages only for a moment, so
 * that counts once in the time between two tries, and is looked at often meanwhile. */
static bool counts(struct bh_task *task, enum bhi_reap met, uint64_t now)
{
	if (met != BHI_REAP_BUSY) {
		task->reap_at = now + state.interval_ns;
		task->busy_until = 0;
		return true;
	}
	task->reap_at = now + BUSY_NS;
	if (!task->busy_until)
		task->busy_until = now + state.interval_ns;
	if (task->busy_until > now)
		return false;
	task->busy_until = now + state.interval_ns;
	return true;
}

/* True: done with it. */
static bool attend(struct bh_task *task, uint64_t now)
{
	enum bhi_reap met;

	/* It may have ended by itself meanwhile; a cooperative one with its memory. */
	if (bhi_load_acquire(&task->skip)) {
		if (bhi_task_is_cooperative(task))
			bhi_oom_events_given_up(task->kill.oom_number,
				BH_UNREAPED_COOPERATIVE, task->nr_tries);
		return true;
	}
	if (task->reap_at > now)
		return false;
	met = bhi_task_try_reap(task);
	if (met == BHI_REAP_DONE) {
		bhi_add(&state.nr_reaped, 1);
		dismiss(task);
		return true;
	}
	if (!counts(task, met, now))
		return false;
	bhi_store(&task->nr_tries, task->nr_tries + 1);
	if (task->nr_tries < state.tries)
		return false;
	give_up(task, met);
	return true;
}

/* When the next try is due; 0: nobody waits. */
static uint64_t attend_all(uint64_t now)
{
	struct bh_task *left = NULL, *next;
	uint64_t due = 0;

	for (struct bh_task *task = state.pending; task; task = next) {
		next = task->next_victim;
		if (attend(task, now)) {
			bhi_task_put(task);
			continue;
		}
		task->next_victim = left;
		left = task;
		due = due ? bhi_min(due, task->reap_at) : task->reap_at;
	}
	state.pending = left;
	return due;
}

static void take_new_victims(void)
{
	struct bh_task *task = take_over(), *next;

	for (; task; task = next) {
		next = task->next_victim;
		task->next_victim = state.pending;
		state.pending = task;
	}
}

/*
 * A deadline that passed is over: take it off, claim the kill, and a reference for the
 * delivery. Claimed under the lock, so that an enter that ends meanwhile cannot miss it.
 * NULL: none; then *@ret_next says when the next one is, 0: never.
 */
static struct bh_task *take_expired(uint64_t now, uint64_t *ret_next, bool *ret_claimed)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_DEADLINE};
	struct bh_task *task;

	bhi_lock_acquire(&bhi_tasks_lock);
	task = bhi_list_first(&state.deadlines, struct bh_task, deadline_node);
	*ret_next = task ? task->deadline_at : 0;
	if (task && task->deadline_at > now)
		task = NULL;
	if (task) {
		bhi_list_unlink(&task->deadline_node);
		task->deadline_at = 0;
		/* Not idle before the next round: the victim may have ended by then. */
		(void)bhi_add_return(&state.word, 1);
		/* The thread inside holds a reference. */
		bhi_task_get(task);
		*ret_claimed = bhi_task_claim_kill(task, &cause);
	}
	bhi_lock_release(&bhi_tasks_lock);
	return task;
}

static uint64_t kill_expired(uint64_t now)
{
	struct bh_task *task;
	bool claimed = false;
	uint64_t next;

	while ((task = take_expired(now, &next, &claimed))) {
		if (claimed)
			bhi_task_deliver_kill(task);
		bhi_task_put(task);
	}
	return next;
}

/* New ones are mostly the latest. */
static void on_deadline(struct bh_task *task, bool begins)
{
	struct bhi_list *at;
	bool is_next;

	bhi_lock_acquire(&bhi_tasks_lock);
	if (bhi_list_linked(&task->deadline_node))
		bhi_list_unlink(&task->deadline_node);
	task->deadline_at = begins ? bhi_sys_now_ns() + task->deadline_ns : 0;
	if (begins) {
		for (at = state.deadlines.prev; at != &state.deadlines; at = at->prev) {
			if (bhi_list_entry(at, struct bh_task, deadline_node)
					->deadline_at <= task->deadline_at)
				break;
		}
		bhi_list_push(at, &task->deadline_node);
	}
	is_next = begins && state.deadlines.next == &task->deadline_node;
	bhi_lock_release(&bhi_tasks_lock);
	if (is_next)
		wake();
}

static uint64_t until(uint64_t now, uint64_t a, uint64_t b)
{
	uint64_t due = a && b ? bhi_min(a, b) : a + b;

	if (!due)
		return 0;
	return due > now ? due - now : 1;
}

static void *reaper_main(void *arg)
{
	struct bhi_thread *self = bhi_thread_self();

	(void)arg;
	/* What it uncharges must be seen at once, and not wait in a stock. */
	if (self)
		self->nesting = 1;
	for (;;) {
		uint32_t seen = bhi_load_acquire(&state.word);
		uint64_t now = bhi_sys_now_ns(), next_try, next_deadline;

		next_deadline = kill_expired(now);
		take_new_victims();
		next_try = attend_all(now);
		/* pairs with bhi_reaper_is_idle() */
		if (!state.pending)
			bhi_store_release(&state.idle_word, seen);
		bhi_sys_futex_wait(&state.word, seen,
			until(bhi_sys_now_ns(), next_try, next_deadline));
	}
	return NULL;
}

int bhi_reaper_start(uint32_t tries, uint32_t interval_ms)
{
	state.tries = tries;
	state.interval_ns = interval_ms * BHI_NS_PER_MS;
	bhi_task_reap_hook = hand_over;
	bhi_task_deadline_hook = on_deadline;
	bhi_task_reaped_hook = note_reaped;
	return bhi_sys_thread_start(reaper_main, NULL);
}

bool bhi_reaper_is_idle(void)
{
	uint32_t idle_word = bhi_load_acquire(&state.idle_word);

	return bhi_load_acquire(&state.word) == idle_word;
}

void bhi_reaper_stat(struct bhi_reaper_stat *ret)
{
	ret->nr_reaped = bhi_load(&state.nr_reaped);
	ret->nr_given_up = bhi_load(&state.nr_given_up);
}
