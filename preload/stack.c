/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <dlfcn.h>
#include <pthread.h>

#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#include "context.h"
#include "module.h"

static struct {
	/* immutable after the start: the addresses of this object */
	uintptr_t own_start, own_end;
} state;

struct walk {
	struct bhi_stack *stack;
	uint64_t hash;
	struct bhi_module last; /* of the frame before: most frames are of the same one */
};

static bool is_own(uintptr_t address)
{
	return address - state.own_start < state.own_end - state.own_start;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 29);
}

/* The frame of @address; @last is the module of the frame before it. */
static bhi_check_frame name_frame(uintptr_t address, struct bhi_module *last)
{
	if (address - last->start >= last->end - last->start &&
		!bhi_module_find(address, last)) {
		memset(last, 0, sizeof(*last));
		return (bhi_check_frame)BHI_CHECK_NO_MODULE << 48;
	}
	return (bhi_check_frame)last->number << 48 | (address - last->base);
}

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	struct bhi_stack *stack = walk->stack;
	uintptr_t address = _Unwind_GetIP(context);
	bhi_check_frame frame;

	if (is_own(address))
		return _URC_NO_REASON;
	if (!address)
		return _URC_END_OF_STACK;
	if (stack->nr == BHI_CHECK_MAX_DEPTH) {
		stack->is_cut = true;
		return _URC_END_OF_STACK;
	}
	frame = name_frame(address, &walk->last);
	walk->hash = mix(walk->hash, walk->last.name_hash);
	walk->hash = mix(walk->hash, frame & 0xffffffffffff);
	stack->cfa[stack->nr] = _Unwind_GetCFA(context);
	stack->frames[stack->nr++] = frame;
	return _URC_NO_REASON;
}

/* What @fn is called for ends before a frame that cannot be read. @blocked: this is a
 * signal handler, and a fault would find its signal blocked. */
static void protect(void (*fn)(void *arg), void *arg, bool blocked)
{
	void *outer = bhi_thread.walk_end;
	sigjmp_buf end;
	sigset_t faults, mask;

	if (!sigsetjmp(end, 1)) {
		bhi_thread.walk_end = &end;
		if (blocked) {
			sigemptyset(&faults);
			sigaddset(&faults, SIGSEGV);
			sigaddset(&faults, SIGBUS);
			(void)pthread_sigmask(SIG_UNBLOCK, &faults, &mask);
		}
		fn(arg);
		if (blocked)
			(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
	}
	bhi_thread.walk_end = outer;
}

static void walk_here(void *arg)
{
	_Unwind_Backtrace(add_frame, arg);
}

void bhi_stack_capture(struct bhi_stack *ret)
{
	struct walk walk = {.stack = ret};

	ret->nr = 0;
	ret->is_cut = false;
	protect(walk_here, &walk, false);
	/* 0 and 1 have a meaning of their own in the table. */
	ret->hash = walk.hash > 1 ? walk.hash : 2;
}

struct addresses {
	uintptr_t *array;
	unsigned nr, most;
};

static _Unwind_Reason_Code add_address(struct _Unwind_Context *context, void *arg)
{
	struct addresses *addresses = arg;
	uintptr_t address = _Unwind_GetIP(context);

	if (is_own(address))
		return _URC_NO_REASON;
	if (!address || addresses->nr == addresses->most)
		return _URC_END_OF_STACK;
	addresses->array[addresses->nr++] = address;
	return _URC_NO_REASON;
}

static void walk_addresses(void *arg)
{
	_Unwind_Backtrace(add_address, arg);
}

unsigned bhi_stack_addresses(uintptr_t *ret, unsigned most)
{
	struct addresses addresses = {.array = ret, .most = most};

	protect(walk_addresses, &addresses, false);
	return addresses.nr;
}

struct signal_walk {
	struct bhi_check_trace *trace;
	void *context;
	uintptr_t start; /* the frame that was interrupted; those above it are ours */
	bool is_there;
	struct bhi_module last;
};

static _Unwind_Reason_Code add_signal_frame(struct _Unwind_Context *context, void *arg)
{
	struct signal_walk *walk = arg;
	struct bhi_check_trace *trace = walk->trace;
	uintptr_t address = _Unwind_GetIP(context);

	walk->is_there = walk->is_there || address == walk->start;
	if (!walk->is_there || is_own(address))
		return _URC_NO_REASON;
	if (!address || trace->nr_frames == BHI_CHECK_MAX_DEPTH)
		return _URC_END_OF_STACK;
	trace->cfa[trace->nr_frames] = _Unwind_GetCFA(context);
	trace->frames[trace->nr_frames] = name_frame(address, &walk->last);
	bhi_store_release(&trace->nr_frames, trace->nr_frames + 1);
	return _URC_NO_REASON;
}

/*
 * A call through a pointer that leads nowhere leaves a pc that no table describes, and
 * the walk would end there. It is the first instruction of the "function", so the caller
 * is known: the context is made to say that the call has just returned, for as long as
 * the walk takes. Code that was made at run time has such a pc too, and there what is on
 * top of the stack is no return address, or seldom.
 */
static void walk_signal(void *arg)
{
	struct signal_walk *walk = arg;
	struct bhi_module module;

	walk->start = bhi_context_pc(walk->context);
	if (!bhi_module_find(walk->start, &module)) {
		if (!bhi_context_return(walk->context))
			return;
		walk->start = bhi_context_pc(walk->context);
		if (!bhi_module_find(walk->start, &module))
			return;
	}
	_Unwind_Backtrace(add_signal_frame, walk);
}

void bhi_stack_capture_signal(void *context, struct bhi_check_trace *trace)
{
	struct signal_walk walk = {.trace = trace, .context = context};
	mcontext_t saved = *bhi_context_registers(context);
	uintptr_t pc = bhi_context_pc(context);
	bhi_check_frame frame = name_frame(pc, &walk.last);
	bool is_nowhere = frame >> 48 == BHI_CHECK_NO_MODULE;

	if (is_nowhere) {
		trace->frames[0] = frame;
		trace->cfa[0] = bhi_context_sp(context);
		trace->nr_frames = 1;
	}
	protect(walk_signal, &walk, true);
	if (is_nowhere)
		*bhi_context_registers(context) = saved;
	if (!trace->nr_frames) {
		trace->frames[0] = frame;
		trace->cfa[0] = bhi_context_sp(context);
		bhi_store_release(&trace->nr_frames, 1);
	}
}

bool bhi_stack_is_at(const void *address, uint32_t module_hash, uint64_t offset)
{
	struct bhi_module module;

	/* Objects are mapped by the page. */
	if (((uintptr_t)address ^ offset) & 0xfff)
		return false;
	return bhi_module_find((uintptr_t)address, &module) &&
	       module.name_hash == module_hash &&
	       (uintptr_t)address - module.base == offset;
}

void bhi_stack_start(bool warm)
{
	struct dl_find_object own;
	struct bhi_stack stack;

	if (!_dl_find_object((void *)bhi_stack_start, &own)) {
		state.own_start = (uintptr_t)own.dlfo_map_start;
		state.own_end = (uintptr_t)own.dlfo_map_end;
	}
	if (warm)
		bhi_stack_capture(&stack);
}
