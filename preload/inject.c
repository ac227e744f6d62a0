/* SPDX-License-Identifier: MIT */
/*
 * Calls are numbered by one counter for all threads and processes of the run. With the
 * hint nothing but that number is looked at until it is reached; then the stack there is
 * compared. If it is another one the run has drifted: nothing is refused in it any more,
 * since occurrences were not counted on the way, and the runner repeats it without the
 * hint. Without it, the stack of each call from the place of the point's call is
 * captured and compared, and occurrences are counted, in all processes together.
 *
 * Once the point was met, .injected_call is its number, and whether a later call is in
 * the burst follows from its own number. Numbers are unique, so the point is met once,
 * whichever thread comes to it.
 */
#include "inject.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "copy.h"
#include "pages.h"
#include "settings.h"
#include "stack.h"
#include "table.h"

static bool is_benign(void)
{
	if (!bhi_thread.benign)
		return false;
	bhi_add(&bhi_subject.shared->nr_benign, 1);
	return true;
}

static bool refuse(void)
{
	if (is_benign())
		return false;
	bhi_add(&bhi_subject.shared->nr_injected, 1);
	return true;
}

void bhi_inject_note(const struct bhi_stack *stack, uint64_t call,
	enum bhi_check_function function, size_t size)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	struct bhi_check_trace *trace = &shared->injected;
	uint32_t none = 0;

	if (!bhi_compare_exchange(&trace->state, &none, 1))
		return;
	for (uint32_t i = 0; i < stack->nr; i++) {
		trace->frames[i] = stack->frames[i];
		trace->cfa[i] = stack->cfa[i];
	}
	trace->nr_frames = stack->nr;
	shared->injected_function = function;
	shared->injected_tid = (uint32_t)syscall(SYS_gettid);
	shared->injected_size = size;
	bhi_store_release(&trace->state, 2);
	/* Pairs with the acquire in bhi_inject_slow(). */
	bhi_store_release(&shared->injected_call, call);
	if (shared->order.stop_at_point)
		(void)raise(SIGTRAP);
}

static bool is_point(uint64_t call)
{
	const struct bhi_check_order *order = &bhi_subject.shared->order;

	if (bhi_subject.hint)
		return call == bhi_subject.hint;
	return bhi_add_return(&bhi_subject.shared->nr_met, 1) == order->occurrence;
}

static BHI_NOINLINE bool look(
	enum bhi_check_function function, size_t size, uint64_t call)
{
	const struct bhi_check_order *order = &bhi_subject.shared->order;
	struct bhi_stack stack;

	bhi_stack_capture(&stack);
	if (stack.hash != order->stack) {
		if (bhi_subject.hint)
			bhi_store(&bhi_subject.shared->drifted, 1);
		return false;
	}
	if (!is_point(call))
		return false;
	if (is_benign())
		return false;
	bhi_inject_note(&stack, call, function, size);
	return refuse();
}

static BHI_NOINLINE void record(
	enum bhi_check_function function, size_t size, uint64_t call)
{
	struct bhi_stack stack;

	bhi_stack_capture(&stack);
	bhi_table_record(&stack, call, function, size);
}

bool bhi_inject_slow(enum bhi_check_function function, size_t size, const void *caller)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	const struct bhi_check_order *order = &shared->order;
	uint64_t call, point;

	if (bhi_subject.pages) {
		/* Those of C++ may leave by an exception, which a window would outlive.
		 */
		if (function < BHI_CHECK_NEW)
			bhi_pages_enter(caller);
		return false;
	}
	call = __atomic_add_fetch(&shared->nr_calls, 1, __ATOMIC_RELAXED);
	if (bhi_subject.hint && call < bhi_subject.hint)
		return false;
	if (order->action == BHI_CHECK_COPY)
		return bhi_copy_meet(function, size, call);
	if (order->action == BHI_CHECK_SETTINGS)
		return !bhi_thread.benign && bhi_settings_fail(function, size, call);
	if (order->action != BHI_CHECK_INJECT) {
		if (order->action == BHI_CHECK_RECORD)
			record(function, size, call);
		return false;
	}
	point = bhi_load_acquire(&shared->injected_call);
	if (point)
		return call > point &&
		       (order->persistent || call - point < order->burst) && refuse();
	if (bhi_subject.hint)
		return call == bhi_subject.hint && look(function, size, call);
	if (order->caller_module &&
		!bhi_stack_is_at(caller, order->caller_module, order->caller_offset))
		return false;
	return look(function, size, call);
}
