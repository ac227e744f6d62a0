/* SPDX-License-Identifier: MIT */
#include "steps.h"

#include <errno.h>

#include "base/sys.h"
#include "task/task.h"

#include "trace.h"

/* Between two attempts of a request that its author repeats for ever: as
 * congestion_wait() in the kernel's open-coded loops. */
#define RETRY_NS (10 * BHI_NS_PER_MS)

static struct bhi_lab_run_lock *lock_of(int number)
{
	return &bhi_lab_run.locks[number];
}

static bool is_rwlock(int number)
{
	return bhi_lab_run.scenario->locks[number].is_rwlock;
}

static const struct bhi_lab_step *step_of(const struct bhi_lab_run_task *task)
{
	return &task->plan->steps[task->step];
}

void bhi_lab_await(int number)
{
	uint32_t *event = &bhi_lab_run.events[number];

	while (!bhi_load_acquire(event))
		bhi_sys_futex_wait(event, 0, 0);
}

static void signal_event(void *event)
{
	bhi_store_release((uint32_t *)event, 1);
	bhi_sys_futex_wake(event, BHI_LAB_THREADS);
}

void bhi_lab_memory_free(struct bhi_lab_memory *memory, enum bhi_lab_memory_kind kind)
{
	if (memory->kind != kind || kind == BHI_LAB_NO_MEMORY)
		return;
	/* Empty first: the call may unwind. */
	memory->kind = BHI_LAB_NO_MEMORY;
	if (kind == BHI_LAB_MAPPED)
		(void)bh_unmap(memory->ptr, memory->size);
	else
		bh_free(memory->ptr);
}

static void free_at_end(void *arg)
{
	bhi_lab_memory_free(arg, BHI_LAB_SHARED);
}

static void note_locked(struct bhi_lab_run_task *task, int number)
{
	lock_of(number)->holders |= 1u << task->number;
	bhi_lab_trace(BHI_LAB_EV_LOCKED, task, (uint64_t)number);
}

static void unlock(struct bhi_lab_run_task *task, int number)
{
	struct bhi_lab_run_lock *lock = lock_of(number);

	if (!(lock->holders >> task->number & 1))
		return;
	/* Before the call, which may unwind. */
	lock->holders &= ~(1u << task->number);
	bhi_lab_trace(BHI_LAB_EV_UNLOCKED, task, (uint64_t)number);
	if (is_rwlock(number))
		(void)bh_rwlock_unlock(&lock->rwlock);
	else
		(void)bh_mutex_unlock(&lock->mutex);
}

void bhi_lab_let_go(struct bhi_lab_run_task *task)
{
	for (unsigned i = 0; i < bhi_lab_run.scenario->nr_locks; i++)
		unlock(task, (int)i);
	while (task->holds) {
		task->holds--;
		bh_release();
	}
}

static int give_up(struct bhi_lab_run_task *task, int error)
{
	task->error = error;
	bhi_lab_let_go(task);
	for (int i = 0; i < BHI_LAB_MEMORIES; i++)
		bhi_lab_memory_free(&task->memories[i], BHI_LAB_SHARED);
	return BHI_LAB_STEPS;
}

/* What a lock function returned. */
static int locked(struct bhi_lab_run_task *task, int r)
{
	/* What the lock protects is nothing here, so there is nothing to repair. */
	if (r && r != -EOWNERDEAD)
		return give_up(task, -r);
	note_locked(task, step_of(task)->object);
	return task->step + 1;
}

static int do_lock(struct bhi_lab_run_task *task)
{
	int number = step_of(task)->object;

	return locked(task, is_rwlock(number) ? bh_rwlock_wrlock(&lock_of(number)->rwlock)
					      : bh_mutex_lock(&lock_of(number)->mutex));
}

static int do_rdlock(struct bhi_lab_run_task *task)
{
	return locked(task, bh_rwlock_rdlock(&lock_of(step_of(task)->object)->rwlock));
}

static int do_trylock(struct bhi_lab_run_task *task)
{
	int number = step_of(task)->object;
	int r = is_rwlock(number) ? bh_rwlock_trywrlock(&lock_of(number)->rwlock)
				  : bh_mutex_trylock(&lock_of(number)->mutex);

	return r == -EBUSY ? task->step + 1 : locked(task, r);
}

static int do_unlock(struct bhi_lab_run_task *task)
{
	unlock(task, step_of(task)->object);
	return task->step + 1;
}

/* Also of a dump: a task that dumps its own memory is in a hold section meanwhile, as
 * bh_task_dump_begin() is for those outside. */
static int do_hold(struct bhi_lab_run_task *task)
{
	bh_hold();
	task->holds++;
	return task->step + 1;
}

static int do_release(struct bhi_lab_run_task *task)
{
	if (task->holds) {
		task->holds--;
		bh_release();
	}
	return task->step + 1;
}

static void *request(struct bhi_lab_run_task *task, const struct bhi_lab_step *step)
{
	switch (step->op) {
	case BHI_LAB_ALLOC:
		return bh_alloc(task->group, step->size, step->flags);
	case BHI_LAB_MALLOC:
		return bh_malloc(step->size);
	default:
		return bh_map(step->size, 0);
	}
}

static enum bhi_lab_memory_kind kind_of(enum bhi_lab_op op)
{
	switch (op) {
	case BHI_LAB_ALLOC:
		return BHI_LAB_SHARED;
	case BHI_LAB_MALLOC:
		return BHI_LAB_PRIVATE;
	default:
		return BHI_LAB_MAPPED;
	}
}

static int do_request(struct bhi_lab_run_task *task)
{
	const struct bhi_lab_step *step = step_of(task);
	struct bhi_lab_memory *memory =
		step->memory == BHI_LAB_NONE ? NULL : &task->memories[step->memory];
	char *ptr;

	while (!(ptr = request(task, step)) && step->on_error == BHI_LAB_RETRY) {
		bhi_sys_pause(RETRY_NS);
		(void)bh_check();
	}
	if (!ptr && step->on_error == BHI_LAB_RETURN)
		return give_up(task, ENOMEM);
	if (memory)
		*memory = (struct bhi_lab_memory){
			.kind = ptr ? kind_of(step->op) : BHI_LAB_NO_MEMORY,
			.ptr = ptr,
			.size = step->size,
		};
	return task->step + 1;
}

static int do_touch(struct bhi_lab_run_task *task)
{
	const struct bhi_lab_step *step = step_of(task);
	struct bhi_lab_memory *memory = &task->memories[step->memory];
	size_t end = step->size ? memory->touched + step->size : memory->size;

	end = bhi_min(end, memory->size);
	while (memory->touched < end) {
		*(volatile char *)(memory->ptr + memory->touched) = 1;
		memory->touched += BHI_PAGE_SIZE;
	}
	return task->step + 1;
}

/* Where the request failed and nobody looked, this is address 0; sanitizers would end the
 * process before the kernel does. */
__attribute__((no_sanitize("undefined", "address"))) static int do_use(
	struct bhi_lab_run_task *task)
{
	*(volatile char *)task->memories[step_of(task)->memory].ptr = 1;
	return task->step + 1;
}

static int do_free(struct bhi_lab_run_task *task)
{
	struct bhi_lab_memory *memory = &task->memories[step_of(task)->memory];

	bhi_lab_memory_free(memory, memory->kind);
	return task->step + 1;
}

static int do_discard(struct bhi_lab_run_task *task)
{
	struct bhi_lab_memory *memory = &task->memories[step_of(task)->memory];

	memory->touched = 0;
	(void)bh_discard(memory->ptr, bhi_page_align(memory->size));
	return task->step + 1;
}

static int do_wait(struct bhi_lab_run_task *task)
{
	bhi_lab_await(step_of(task)->object);
	return task->step + 1;
}

static int do_block(struct bhi_lab_run_task *task)
{
	bh_block_enter();
	bhi_lab_await(step_of(task)->object);
	bh_block_leave();
	return task->step + 1;
}

static int do_signal(struct bhi_lab_run_task *task)
{
	signal_event(&bhi_lab_run.events[step_of(task)->object]);
	return task->step + 1;
}

static int do_idle(struct bhi_lab_run_task *task)
{
	task->idle = step_of(task)->object;
	return BHI_LAB_STEPS;
}

/* The step after the end that belongs to the loop at @step. */
static int after_loop(const struct bhi_lab_task *plan, int step)
{
	int depth = 0;

	do {
		if (plan->steps[step].op == BHI_LAB_LOOP)
			depth++;
		else if (plan->steps[step].op == BHI_LAB_END)
			depth--;
		step++;
	} while (depth);
	return step;
}

static int loop_of_end(const struct bhi_lab_task *plan, int step)
{
	int depth = 0;

	for (;; step--) {
		if (plan->steps[step].op == BHI_LAB_END)
			depth++;
		else if (plan->steps[step].op == BHI_LAB_LOOP && !--depth)
			return step;
	}
}

static int do_loop(struct bhi_lab_run_task *task)
{
	task->left[task->step] = step_of(task)->count;
	return task->step + 1;
}

static int do_end(struct bhi_lab_run_task *task)
{
	int loop = loop_of_end(task->plan, task->step);

	if (task->plan->steps[loop].count && !--task->left[loop])
		return after_loop(task->plan, loop);
	return loop + 1;
}

static int do_kill(struct bhi_lab_run_task *task)
{
	const struct bhi_lab_run_task *plan = &bhi_lab_run.tasks[step_of(task)->object];
	struct bh_task *other = plan->task;

	/* Of itself it has a reference, and would be unwound with another one. */
	if (other == task->task) {
		(void)bh_task_kill(other);
	} else if (other) {
		bh_task_get(other);
		(void)bh_task_kill(other);
		/* Our reference has kept it, so it may have been chosen after its end,
		 * and its killer may not have got as far as telling it. */
		if (!plan->task && !plan->was_killed &&
			other->kill.cause.reason == BH_KILLED_OOM)
			bhi_lab_run.nr_late_victims++;
		bh_task_put(other);
	}
	return task->step + 1;
}

static int do_on_signal(struct bhi_lab_run_task *task)
{
	if (bh_defer(signal_event, &bhi_lab_run.events[step_of(task)->object]))
		return give_up(task, ENOMEM);
	return task->step + 1;
}

static int do_on_free(struct bhi_lab_run_task *task)
{
	if (bh_defer(free_at_end, &task->memories[step_of(task)->memory]))
		return give_up(task, ENOMEM);
	return task->step + 1;
}

int bhi_lab_step(struct bhi_lab_run_task *task)
{
	static int (*const table[])(struct bhi_lab_run_task * task) = {
		[BHI_LAB_LOCK] = do_lock,
		[BHI_LAB_RDLOCK] = do_rdlock,
		[BHI_LAB_TRYLOCK] = do_trylock,
		[BHI_LAB_UNLOCK] = do_unlock,
		[BHI_LAB_HOLD] = do_hold,
		[BHI_LAB_RELEASE] = do_release,
		[BHI_LAB_ALLOC] = do_request,
		[BHI_LAB_MALLOC] = do_request,
		[BHI_LAB_MAP] = do_request,
		[BHI_LAB_TOUCH] = do_touch,
		[BHI_LAB_USE] = do_use,
		[BHI_LAB_FREE] = do_free,
		[BHI_LAB_DISCARD] = do_discard,
		[BHI_LAB_WAIT] = do_wait,
		[BHI_LAB_BLOCK] = do_block,
		[BHI_LAB_SIGNAL] = do_signal,
		[BHI_LAB_IDLE] = do_idle,
		[BHI_LAB_LOOP] = do_loop,
		[BHI_LAB_END] = do_end,
		[BHI_LAB_DUMP] = do_hold,
		[BHI_LAB_DUMPED] = do_release,
		[BHI_LAB_KILL] = do_kill,
		[BHI_LAB_ON_SIGNAL] = do_on_signal,
		[BHI_LAB_ON_FREE] = do_on_free,
	};

	return table[step_of(task)->op](task);
}
