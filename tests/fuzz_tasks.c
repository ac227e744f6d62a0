/* SPDX-License-Identifier: MIT */
/*
 * Tasks, private memory, sections, defers and locks with any arguments in any order, by
 * one thread, in a process that lives on from input to input. Bytes choose what is done
 * outside of tasks, which of them is entered, and what is done there, until the input
 * says to leave or the task is unwound. Groups are small, so the OOM killer is at work;
 * deadlines pass and callers kill. What must come of each call is known from its
 * arguments and from what came before (fuzz_tasks.h); memory has in it what was written.
 * After each input everything is ended and given back: then there is no task, no area and
 * no charge left, and the audit finds nothing.
 *
 * Left out is what the header calls undefined, and what ends or stops the process: wild
 * pointers to bh_free, first touches in hold sections and cooperative tasks, waits that
 * nobody ends, and BH_HIGH below the usage, which sleeps.
 */
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "account/stock.h"
#include "debug/inject.h"
#include "fuzz_locks.h"
#include "fuzz_private.h"
#include "reclaim/reclaim.h"

/* Bytes of an input and of what is added to it. */
#define MOST_READ 2000

/* What stays charged, or is left of a task, for longer than this, stays. */
#define MOST_NS (5 * BHI_NS_PER_SEC)

/* Not refused for good: pages that cannot be given back would be lost with their
 * addresses, and a touch waits for its charge. */
#define ONLY_ONCE (1u << BHI_FP_MPROTECT | 1u << BHI_FP_CHARGE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Groups */

static void op_group_new(struct input *in)
{
	unsigned parent = take_group(in), i = 1 + take(in) % (NR_GROUPS - 1);

	if (state.groups[i])
		return;
	state.groups[i] = bh_group_new(state.groups[parent], "fuzz");
	require(state.groups[i] || (errno == ENOMEM && state.is_injected));
	state.parents[i] = parent;
	state.fails[i] = state.fails[parent];
}

static void set_on_limit(unsigned i, unsigned value)
{
	struct bh_group *group = i ? state.groups[i] : bh_root();

	/* A killed task is unwound after it was set. */
	if (value <= 1)
		state.fails[i] = value == BH_FAIL;
	require(bh_group_set(group, BH_ON_LIMIT, value) == (value > 1 ? -EINVAL : 0));
}

static void op_group_set(struct input *in)
{
	static const uint64_t limits[] = {0, 4096, 65536, 300000, (uint64_t)1 << 20,
		(uint64_t)4 << 20, ZONE_SIZE, BH_UNLIMITED};
	unsigned i = take_group(in), knob = take(in) % 8;
	struct bh_group *group = i ? state.groups[i] : bh_root();
	uint64_t value = limits[take(in) % bhi_array_size(limits)];
	bool valid = knob <= BH_ON_LIMIT && (i || knob >= BH_OOM_GROUP);

	if (knob == BH_HIGH)
		return;
	if (knob == BH_OOM_GROUP)
		valid = (value = take(in) % 3) <= 1;
	if (knob == BH_ON_LIMIT)
		set_on_limit(i, take(in) % 3);
	else
		require(bh_group_set(group, (enum bh_knob)knob, value) ==
			(valid ? 0 : -EINVAL));
}

/* Tasks keep it alive, and objects count for the parent. */
static void put_group(unsigned i)
{
	if (!i || !state.groups[i])
		return;
	for (unsigned j = 0; j <= NR_TASKS; j++) {
		if (now.slots[j].group == i)
			now.slots[j].group = NR_GROUPS;
	}
	for (unsigned j = 0; j < NR_SHARED; j++) {
		if (state.shared[j].group == i)
			state.shared[j].group = NR_GROUPS;
	}
	/* A child's parent stays, offline. */
	for (unsigned j = 0; j < NR_GROUPS; j++) {
		if (state.parents[j] == i)
			state.parents[j] = NR_GROUPS;
	}
	bh_group_put(state.groups[i]);
	state.groups[i] = NULL;
}

static void op_group_put(struct input *in)
{
	put_group(take_group(in));
}

/* Shared memory */

static void op_alloc(struct input *in)
{
	unsigned group = take_group(in);
	size_t size = take_bytes_wanted(in);
	unsigned flags = take_flags(in) & ~(unsigned)BH_NOFAIL;
	void *p = bh_alloc(state.groups[group], size, flags);

	if (p)
		keep_shared(p, size, group);
	else
		require(errno == (flags_are_valid(flags) ? ENOMEM : EINVAL));
}

static void op_free(struct input *in)
{
	struct shared *shared = &state.shared[take(in) % NR_SHARED];

	bh_free(shared->p);
	*shared = (struct shared){.p = NULL};
}

static void op_group_drop(struct input *in)
{
	unsigned group = take_group(in);

	for (unsigned i = 0; i < NR_SHARED; i++) {
		if (state.shared[i].p && state.shared[i].group == group)
			state.shared[i] = (struct shared){.p = NULL};
	}
	require(bh_group_drop(group ? state.groups[group] : bh_root()) == 0);
}

/* With and without a kill: it is given back at once. */
static void op_charge(struct input *in)
{
	struct bh_group *group = state.groups[take_group(in)];
	size_t size = take_bytes_wanted(in);
	unsigned flags = take_flags(in) & ~(unsigned)BH_NOFAIL;
	int r = bh_charge(group, size, flags);

	if (!r)
		bh_uncharge(group, size);
	else
		require(r == (flags_are_valid(flags) && size <= INT64_MAX ? -ENOMEM
									  : -EINVAL));
}

/* Sections, and what ends a task */

static void op_hold(struct input *in)
{
	(void)in;
	bh_hold();
	begin_hold();
}

/* Also what a lock has begun, and what nobody has. */
static void op_release(struct input *in)
{
	bool had_one = now.nr_holds, ends;

	(void)in;
	end_hold();
	ends = had_one && must_end();
	bh_release();
	require(!ends);
}

static void op_block_enter(struct input *in)
{
	(void)in;
	bh_block_enter();
	now.is_blocked = now.inside;
}

static void op_block_leave(struct input *in)
{
	bool ends = must_end();

	(void)in;
	now.is_blocked = false;
	bh_block_leave();
	require(!ends);
}

static void op_check(struct input *in)
{
	bool was_killed = is_killed(), ends = must_end();
	int r = bh_check();

	(void)in;
	require(r == 0 || (r == -ECANCELED && is_killed() && !may_unwind()));
	require((r || !was_killed) && !ends);
	require(bh_current() == (now.inside ? now.inside->task : NULL));
	require(!now.inside || now.inside->task->region.hold == now.nr_holds);
}

static void op_await_deadline(struct input *in)
{
	(void)in;
	if (!now.inside || !now.inside->deadline_ns)
		return;
	while (!bh_check())
		sched_yield();
}

static void op_kill(struct input *in)
{
	struct slot *slot = take(in) % 4 ? take_slot(in) : now.inside;
	bool was_killed;
	int r;

	require(bh_task_kill(NULL) == -EINVAL);
	if (!slot || !slot->task)
		return;
	was_killed = bhi_task_killed(slot->task);
	r = bh_task_kill(slot->task);
	require(r == 0 || r == -ESRCH);
	require(!was_killed || r == -ESRCH);
	/* Of the current task it returns where nothing may be unwound. */
	require(r || slot != now.inside || !may_unwind());
}

__attribute__((noinline, no_sanitize("address"))) static int recurse(int depth)
{
	volatile char frame[10000];

	frame[0] = (char)depth;
	return depth > 1000000 ? 0 : recurse(depth + 1) + frame[0];
}

static void op_overflow(struct input *in)
{
	if (take(in) % 16 == 7 && now.inside && may_unwind())
		require(recurse(0) && false);
}

/* Defers */

static int do_nothing(void *arg)
{
	return arg != NULL;
}

/* From a defer nobody is inside, but nobody else may enter yet. */
static void use_from_defer(void)
{
	int r;

	require(!bh_current() && !bh_malloc(1) && errno == EPERM);
	require(bh_defer(free, NULL) == -EPERM && bh_undefer(free, NULL) == -EPERM);
	require(bh_check() == 0);
	if (!now.inside->is_put)
		require(bh_task_enter(now.inside->task, do_nothing, NULL, NULL) ==
			-EBUSY);
	r = bh_task_run(NULL, NULL, do_nothing, NULL, NULL);
	require(r == 0 || (r == -ENOMEM && state.is_injected));
}

static void on_defer(void *arg)
{
	require((uintptr_t)arg == --now.nr_defers);
	if ((uintptr_t)arg == 3)
		use_from_defer();
}

static void op_defer(struct input *in)
{
	unsigned nr = take(in) < 16 ? BHI_TASK_MAX_DEFERS : 1;

	require(bh_defer(NULL, NULL) == (now.inside ? -EINVAL : -EPERM));
	while (nr--) {
		int r = bh_defer(on_defer, (void *)(uintptr_t)now.nr_defers);

		if (!now.inside)
			require(r == -EPERM);
		else
			require(r ==
				(now.nr_defers == BHI_TASK_MAX_DEFERS ? -ENOMEM : 0));
		now.nr_defers += !r;
	}
}

static void op_undefer(struct input *in)
{
	bool is_right = take(in) % 2 && now.nr_defers;
	uintptr_t arg = is_right ? now.nr_defers - 1 : BHI_TASK_MAX_DEFERS + 1;
	int r = bh_undefer(on_defer, (void *)arg);

	require(r == (!now.inside ? -EPERM : is_right ? 0 : -ENOENT));
	now.nr_defers -= !r;
}

/* Tasks */

static void count_kill(void *arg)
{
	struct slot *slot = arg;

	require(bhi_add_return(&slot->nr_killed, 1) == 1);
}

static bool take_attr(struct input *in, struct bh_task_attr *ret)
{
	static const char *const names[] = {NULL, "fuzz", "", "a/b",
		"0123456789012345678901234567890", "01234567890123456789012345678901"};
	static const int adjs[] = {0, 0, 0, 500, 1000, -500, -1000, -1001, 1001};
	static const uint64_t deadlines[] = {0, 0, 0, 0, 1, 50000, 1000000,
		BHI_NS_PER_SEC * 3600, INT64_MAX, (uint64_t)INT64_MAX + 1};
	unsigned name = take(in) % 16, adj = take(in) % 16, deadline = take(in) % 16;
	unsigned wrong = take(in);

	name = name < bhi_array_size(names) ? name : 0;
	adj = adj < bhi_array_size(adjs) ? adj : 0;
	deadline = deadline < bhi_array_size(deadlines) ? deadline : 0;
	*ret = (struct bh_task_attr){
		.name = names[name],
		.oom_score_adj = adjs[adj],
		.flags = take(in) % 8 ? 0 : BH_TASK_COOPERATIVE,
		.deadline_ns = deadlines[deadline],
		.on_kill = count_kill,
	};
	if (wrong >= 250)
		ret->flags |= 2u << (wrong - 250);
	if (wrong == 249)
		ret->reserved[3] = 1;
	return wrong < 249 && name < 5 && name != 2 && name != 3 && adj < 7 &&
	       deadline < 9;
}

static void describe(struct slot *slot, const struct bh_task_attr *attr, unsigned group)
{
	*slot = (struct slot){
		.group = group,
		.is_cooperative = attr->flags & BH_TASK_COOPERATIVE,
		.is_unkillable = attr->oom_score_adj == BHI_ADJ_UNKILLABLE,
		.deadline_ns = attr->deadline_ns < BHI_NS_PER_SEC ? attr->deadline_ns : 0,
	};
}

/* With the defaults, where there is no @attr. */
static void new_task(struct slot *slot, unsigned group, const struct bh_task_attr *attr)
{
	static const struct bh_task_attr defaults;

	describe(slot, attr ? attr : &defaults, group);
	slot->task = bh_task_new(state.groups[group], attr);
}

static void op_task_new(struct input *in)
{
	struct slot *slot = take_slot(in);
	unsigned group = take_group(in);
	struct bh_task_attr attr;
	bool valid = take_attr(in, &attr);

	attr.on_kill_arg = slot;
	if (slot->task)
		return;
	new_task(slot, group, &attr);
	if (valid)
		require(slot->task || (errno == ENOMEM && state.is_injected));
	else
		require(!slot->task && errno == EINVAL);
}

/* Inside, the thread's own reference remains. */
static void op_task_put(struct input *in)
{
	struct slot *slot = take_slot(in);

	if (slot->is_put)
		return;
	require(bh_task_get(slot->task) == slot->task);
	bh_task_put(slot->task);
	bh_task_put(slot->task);
	if (slot == now.inside)
		slot->is_put = true;
	else
		*slot = (struct slot){.task = NULL};
}

static void op_task_stat(struct input *in)
{
	struct slot *slot = take_slot(in);
	struct bh_task_stat stat;

	require(bh_task_stat(NULL, &stat) == -EINVAL);
	if (!slot->task || slot->is_put)
		return;
	require(bh_task_stat(slot->task, NULL) == -EINVAL);
	require(bh_task_stat(slot->task, &stat) == 0);
	require(stat.is_inside == (slot == now.inside) && stat.peak >= stat.bytes);
}

/* Of a task that nobody is inside; inside of another one in a hold section, so that it
 * ends. A kill of it meanwhile leaves its memory. */
static void op_dump(struct input *in)
{
	struct slot *slot = take_slot(in);
	bool kills = take(in) % 2;
	uint64_t bytes;
	int r;

	require(bh_task_dump_begin(NULL) == -EINVAL);
	bh_task_dump_end(NULL);
	if (!slot->task || slot == now.inside)
		return;
	bh_task_dump_end(slot->task);
	bh_hold();
	r = bh_task_dump_begin(slot->task);
	require(r == 0 || (r == -ESRCH && bhi_task_killed(slot->task)));
	if (!r) {
		bytes = bhi_load(&slot->task->region.bytes);
		if (kills)
			bh_task_kill(slot->task);
		require(bhi_load(&slot->task->region.bytes) == bytes);
		bh_task_dump_end(slot->task);
	}
	bh_release();
}

static void run_ops(struct input *in, bool is_inside);

static int be_inside(void *arg)
{
	/* That of bh_task_run() is known from here on. */
	now.inside->task = bh_current();
	require(now.inside->task != NULL);
	run_ops(arg, true);
	now.returned = true;
	return 7;
}

static void begin_inside(struct slot *slot)
{
	require(!now.nr_defers && !now.nr_holds);
	now.inside = slot;
	now.returned = false;
	now.is_blocked = false;
}

static void forget_memory(struct slot *slot)
{
	memset(slot->objects, 0, sizeof(slot->objects));
	memset(slot->maps, 0, sizeof(slot->maps));
}

/* What bh_task_enter() gave, and the state that it leaves. */
static void check_end(struct slot *slot, int r, const struct bh_report *report)
{
	bool unwound = r == -ECANCELED && !now.returned;

	require(!now.nr_defers);
	if (r == -ENOMEM || r == -EINVAL) {
		require(!report->reason && !now.returned);
	} else if (r) {
		require(r == -ECANCELED && report->reason);
		require(report->victim_state <= BH_VICTIM_IDLE);
		forget_memory(slot);
	} else {
		require(now.returned && !report->reason && report->value == 7);
	}
	/* Who could not be unwound was not; who never ran had nothing. */
	require(!unwound || !now.nr_holds);
	require(!unwound || !slot->is_cooperative || !report->kill_to_unwound_ns);
	require(leak_locks() == report->nr_leaked_locks);
	now.nr_holds = 0;
	now.inside = NULL;
}

static void op_enter(struct input *in)
{
	struct slot *slot = take_slot(in);
	struct bh_report report;
	int r;

	require(bh_task_enter(NULL, be_inside, in, &report) == -EINVAL);
	require(bh_task_enter(slot->task, NULL, in, &report) == -EINVAL);
	require(bh_task_run(NULL, NULL, NULL, in, &report) == -EINVAL);
	if (now.inside) {
		require(bh_task_run(NULL, NULL, be_inside, in, NULL) == -EBUSY);
		require(bh_task_enter(slot->task, be_inside, in, &report) ==
			(slot->task ? -EBUSY : -EINVAL));
		return;
	}
	if (!slot->task)
		new_task(slot, take_group(in), NULL);
	if (!slot->task)
		return;
	begin_inside(slot);
	r = bh_task_enter(slot->task, be_inside, in, &report);
	require(r == 0 || r == -ECANCELED || (r == -ENOMEM && state.is_injected));
	check_end(slot, r, &report);
	if (r == -ECANCELED && !state.is_injected && !slot->is_cooperative &&
		!slot->is_put)
		require(!bhi_load(&slot->task->region.bytes));
	/* Mostly there is no more to be seen of what is dead. */
	if (!slot->is_put && r == -ECANCELED && take(in) % 4) {
		bh_task_put(slot->task);
		slot->is_put = true;
	}
	if (slot->is_put)
		*slot = (struct slot){.task = NULL};
}

static void op_run(struct input *in)
{
	struct slot *slot = &now.slots[NR_TASKS];
	unsigned group = take_group(in);
	struct bh_task_attr attr;
	struct bh_report report;
	bool valid = take_attr(in, &attr);
	int r;

	if (now.inside)
		return;
	attr.on_kill_arg = slot;
	describe(slot, &attr, group);
	begin_inside(slot);
	r = bh_task_run(state.groups[group], &attr, be_inside, in, &report);
	require(valid == (r != -EINVAL));
	require(r == 0 || r == -ECANCELED || r == -EINVAL ||
		(r == -ENOMEM && state.is_injected));
	check_end(slot, r, &report);
	*slot = (struct slot){.task = NULL};
}

/* The rest */

static void op_report(struct input *in)
{
	/* It takes as long as everything else. */
	if (take(in) % 64)
		return;
	require(bh_report_write(state.null_fd, take(in) % 2 ? BH_JSON : BH_TEXT) == 0);
}

static void op_inject(struct input *in)
{
	unsigned nth = 1 + take(in) % 32, kinds = (unsigned)take_bytes(in, 2);
	bool for_good = take(in) % 8 == 0;

	if (take(in) % 4)
		return;
	state.is_injected = true;
	bhi_failpoint_arm(nth, for_good ? BHI_FP_PERSISTENT : BHI_FP_ONCE,
		for_good ? kinds & ~ONLY_ONCE : kinds);
}

static void op_disarm(struct input *in)
{
	(void)in;
	bhi_failpoint_disarm();
	state.is_injected = false;
}

/* What is not for private memory, and all of it outside of tasks, where it is refused. */
static void (*const ops[])(struct input *in) = {op_group_new, op_group_set, op_group_put,
	op_group_drop, op_alloc, op_free, op_charge, op_task_new, op_task_put,
	op_task_stat, op_dump, op_enter, op_enter, op_enter, op_enter, op_enter, op_enter,
	op_run, op_kill, op_hold, op_hold, op_release, op_release, op_block_enter,
	op_block_leave, op_block_leave, op_check, op_defer, op_undefer, op_mutex_lock,
	op_mutex_trylock, op_mutex_unlock, op_mutex_unlock, op_mutex_destroy,
	op_rwlock_lock, op_rwlock_unlock, op_rwlock_destroy, op_cond_wait, op_cond_signal,
	op_no_lock, op_no_range, op_report, op_inject, op_disarm, op_await_deadline,
	op_overflow};

static void (*const private_ops[])(struct input *in) = {op_malloc, op_malloc, op_malloc,
	op_calloc, op_realloc, op_realloc, op_free_private, op_free_private, op_others,
	op_map, op_map, op_touch_map, op_touch_map, op_touch_map, op_range, op_range,
	op_export};

static void refuse_outside(void)
{
	char here;

	require(!bh_malloc(1) && errno == EPERM);
	require(!bh_calloc(1, 1) && errno == EPERM);
	require(!bh_realloc(NULL, 1) && errno == EPERM);
	require(!bh_map(1, 0) && errno == EPERM);
	require(bh_touch(&here, 1) == -EINVAL);
}

static void run_op(struct input *in, unsigned op)
{
	if (op % 2 == 0)
		ops[op / 2 % bhi_array_size(ops)](in);
	else if (!now.inside)
		refuse_outside();
	else if (!now.is_blocked)
		private_ops[op / 2 % bhi_array_size(private_ops)](in);
	else
		/* There private memory is not touched. */
		op_block_leave(in);
}

static void run_ops(struct input *in, bool is_inside)
{
	while (in->size) {
		unsigned op = take(in);

		if (op < 4 && is_inside)
			return;
		run_op(in, op);
	}
}

/* A group at its limit soon, and one in it. */
static void begin(struct input *in)
{
	size_t max = (size_t)(1 + take(in) % 64) << 16;

	for (unsigned i = 1; i <= 2; i++) {
		state.groups[i] = bh_group_new(state.groups[i - 1], "fuzz");
		require(state.groups[i] != NULL);
		state.parents[i] = i - 1;
		state.fails[i] = false;
	}
	require(bh_group_set(state.groups[1], BH_MAX, max) == 0);
	/* Mostly it stays unset. */
	if (take(in) % 4 == 0)
		set_on_limit(1 + take(in) % 2, take(in) % 8 ? BH_KILL : BH_FAIL);
}

static void clean_up(void)
{
	struct input none = {.size = 0};

	op_disarm(&none);
	give_up_locks();
	for (unsigned i = 0; i < NR_CONDS; i++)
		require(bh_cond_destroy(&now.conds[i]) == 0);
	for (unsigned i = 0; i < NR_TASKS; i++) {
		bh_task_put(now.slots[i].task);
		now.slots[i] = (struct slot){.task = NULL};
	}
	for (unsigned i = 0; i < NR_SHARED; i++) {
		bh_free(state.shared[i].p);
		state.shared[i] = (struct shared){.p = NULL};
	}
	for (unsigned i = 0; i < NR_GROUPS; i++)
		put_group(i);
	require(bh_group_set(bh_root(), BH_OOM_GROUP, 0) == 0);
	/* As if it had never been set. */
	bhi_store(&bh_root()->on_limit_set, 0);
	bhi_store(&bh_root()->on_limit, BH_FAIL);
	state.fails[0] = false;
}

/* The reaper may have a reference still, and the background reclaimer its stock. */
static bool is_clean(void)
{
	struct bh_group_stat stat;

	bhi_reclaim_hooks.collect(bh_root());
	bhi_stock_drain(bh_root());
	bhi_group_sweep();
	require(bh_group_stat(bh_root(), &stat) == 0);
	return !bhi_tasks_count() && !bhi_areas_taken() && !stat.usage &&
	       bhi_group_count() == 1 && bh_audit() == 0;
}

/* In a signal handler, or in a call for memory. */
static void check_oom(const struct bh_oom_event *event, void *arg)
{
	require(arg == &state && event->size == sizeof(*event));
	require(event->nr_rows <= BH_OOM_ROWS &&
		event->nr_rows + event->nr_more >= event->nr_candidates);
	require(!event->has_victim == !event->nr_killed);
	require(event->asked && strnlen(event->why, sizeof(event->why)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* Victims in hold sections are given up soon. */
	struct bh_config config = {.size = ZONE_SIZE,
		.reap_tries = 2,
		.reap_interval_ms = 1,
		.on_oom = check_oom,
		.on_oom_arg = &state};

	(void)argc;
	(void)argv;
	require(bh_init(&config) == 0);
	state.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return 0;
}

/* Short inputs go on at random, so that each of them has come to something: what is new
 * in it is found first, and the rest is the same for the same input. */
static struct input lengthen(const uint8_t *data, size_t size)
{
	static uint8_t all[MOST_READ];
	uint64_t word = 0x9e3779b97f4a7c15u;
	size_t at = bhi_min(size, sizeof(all) / 2);

	if (at)
		memcpy(all, data, at);
	for (size_t i = 0; i < at; i++)
		word = (word ^ all[i]) * 0x100000001b3u;
	for (; at < sizeof(all); at++) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		all[at] = (uint8_t)(word >> 32);
	}
	return (struct input){.p = all, .size = sizeof(all)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = lengthen(data, size);
	uint64_t until;

	begin(&in);
	run_ops(&in, false);
	clean_up();
	until = bhi_sys_now_ns() + MOST_NS;
	while (!is_clean()) {
		require(bhi_sys_now_ns() < until);
		sched_yield();
	}
	return 0;
}
