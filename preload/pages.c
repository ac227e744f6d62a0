/* SPDX-License-Identifier: MIT */
/*
 * Whether a call asks for pages is only known when it does. So it is the runner that
 * gives such calls their numbers, and counts occurrences among them. With the hint it
 * refuses the call of that number, and the stack is compared when the call has returned:
 * if it is another one the run has drifted, and what was refused does not count. Without
 * it the stack is compared when the window is opened, for each call from the place of the
 * point's call.
 *
 * The functions that programs map memory with are here too. mmap(2) and mremap(2) may be
 * called before the real ones are known, and are then no more than their system calls.
 */
/* Else mmap is another name of mmap64, and both are defined here. Offsets have 64 bits
 * without it. */
#undef _FILE_OFFSET_BITS

#include "pages.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject.h"
#include "real.h"
#include "settings.h"
#include "stack.h"
#include "table.h"

#define CALLER __builtin_return_address(0)

static struct {
	/* immutable after the start */
	uint64_t break_address; /* 0: not known */
} state;

void bhi_pages_start(void)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	struct dl_find_object loader;
	unsigned long base = getauxval(AT_BASE);

	if (!bhi_subject.pages)
		return;
	state.break_address = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "__curbrk");
	if (!base || _dl_find_object((void *)base, &loader))
		return;
	shared->loader_size = (uint64_t)((const char *)loader.dlfo_map_end -
					 (const char *)loader.dlfo_map_start);
}

/* Its place may be that of another thread which is in a call just now; then the call has
 * no window. */
static struct bhi_check_window *take_window(void)
{
	struct bhi_check_window *window;
	uint32_t nobody = 0;

	if (!bhi_thread.tid)
		bhi_thread.tid = (uint32_t)syscall(SYS_gettid);
	window = &bhi_subject.shared->windows[bhi_thread.tid % BHI_CHECK_NR_WINDOWS];
	return bhi_compare_exchange(&window->tid, &nobody, bhi_thread.tid) ? window
									   : NULL;
}

static BHI_NOINLINE bool has_stack_of_order(const struct bhi_check_order *order)
{
	struct bhi_stack stack;

	bhi_stack_capture(&stack);
	return stack.hash == order->stack;
}

static bool may_be_point(const struct bhi_check_order *order, const void *caller)
{
	if (bhi_subject.hint)
		return true;
	if (order->caller_module &&
		!bhi_stack_is_at(caller, order->caller_module, order->caller_offset))
		return false;
	return has_stack_of_order(order);
}

static enum bhi_check_watch choose(const void *caller)
{
	const struct bhi_check_shared *shared = bhi_subject.shared;
	const struct bhi_check_order *order = &shared->order;

	if (!caller)
		return BHI_CHECK_WATCH_OWN;
	if (order->action != BHI_CHECK_INJECT || bhi_load(&shared->nr_injected) ||
		!may_be_point(order, caller))
		return BHI_CHECK_WATCH_COUNT;
	return bhi_thread.benign ? BHI_CHECK_WATCH_BENIGN : BHI_CHECK_WATCH_POINT;
}

void bhi_pages_enter(const void *caller)
{
	struct bhi_check_window *window;

	if (bhi_thread.has_window)
		return;
	bhi_thread.has_window = true;
	window = take_window();
	bhi_thread.window = window;
	if (!window)
		return;
	window->watch = choose(caller);
	window->break_address = state.break_address;
	window->nr_refused = 0;
	bhi_store(&window->nr_calls, 0);
}

static void note_refused(
	const struct bhi_check_window *window, const struct bhi_stack *stack)
{
	struct bhi_check_shared *shared = bhi_subject.shared;

	if (stack->hash == shared->order.stack) {
		bhi_inject_note(stack, window->call, window->function, window->size);
		return;
	}
	bhi_store(&shared->drifted, 1);
	bhi_store_release(&shared->nr_injected, 0);
}

static BHI_NOINLINE void note(const struct bhi_check_window *window)
{
	struct bhi_stack stack;
	int error = errno;

	if (window->nr_refused) {
		bhi_stack_capture(&stack);
		note_refused(window, &stack);
	} else if (bhi_subject.shared->order.action == BHI_CHECK_RECORD) {
		bhi_stack_capture(&stack);
		bhi_table_record(&stack, window->call, window->function, window->size);
	}
	errno = error;
}

void bhi_pages_leave(void)
{
	struct bhi_check_window *window = bhi_thread.window;

	if (window) {
		if (bhi_load(&window->nr_calls))
			note(window);
		bhi_store_release(&window->tid, 0);
	}
	bhi_thread.window = NULL;
	bhi_thread.has_window = false;
}

/* A call of the program itself, or of an allocator that is no part of the C library. */
static bool enter(bool asks, const void *caller)
{
	if (!asks || !bhi_subject.pages || !bhi_load(&bhi_subject.is_on) ||
		bhi_thread.nesting)
		return false;
	bhi_pages_enter(caller);
	return true;
}

static bool is_found(void)
{
	return bhi_load_acquire(&bhi_real.malloc) != NULL;
}

static void *map(void *address, size_t length, int protection, int flags, int fd,
	off_t offset, const void *caller)
{
	bool is_entered;
	void *p;

	if (flags & MAP_ANONYMOUS && bhi_settings_refuse(BHI_CHECK_MMAP, length))
		return MAP_FAILED;
	is_entered = enter(flags & MAP_ANONYMOUS, caller);
	if (is_found())
		p = bhi_real.mmap(address, length, protection, flags, fd, offset);
	else
		p = (void *)syscall(
			SYS_mmap, address, length, protection, flags, fd, offset);
	if (is_entered)
		bhi_pages_leave();
	return p;
}

BHI_EXPORT void *mmap(
	void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return map(address, length, protection, flags, fd, offset, CALLER);
}

BHI_EXPORT void *mmap64(
	void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	return map(address, length, protection, flags, fd, offset, CALLER);
}

BHI_EXPORT void *mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
	void *wanted = NULL, *p;
	bool is_entered;
	va_list list;

	if (size > old_size && bhi_settings_refuse(BHI_CHECK_MREMAP, size))
		return MAP_FAILED;
	is_entered = enter(size > old_size, CALLER);
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(list, flags);
		wanted = va_arg(list, void *);
		va_end(list);
	}
	if (is_found())
		p = bhi_real.mremap(old, old_size, size, flags, wanted);
	else
		p = (void *)syscall(SYS_mremap, old, old_size, size, flags, wanted);
	if (is_entered)
		bhi_pages_leave();
	return p;
}

static bool is_ready(void)
{
	return is_found() || bhi_subject_start();
}

BHI_EXPORT int brk(void *address)
{
	bool is_entered;
	int r;

	if (!is_ready()) {
		errno = ENOMEM;
		return -1;
	}
	if (bhi_subject.has_settings && address > bhi_real.sbrk(0) &&
		bhi_settings_refuse(BHI_CHECK_BRK, 0))
		return -1;
	is_entered = enter(true, CALLER);
	r = bhi_real.brk(address);
	if (is_entered)
		bhi_pages_leave();
	return r;
}

BHI_EXPORT void *sbrk(intptr_t increment)
{
	bool is_entered;
	void *p;

	if (!is_ready()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	if (increment > 0 && bhi_settings_refuse(BHI_CHECK_BRK, (size_t)increment))
		return (void *)-1;
	is_entered = enter(increment > 0, CALLER);
	p = bhi_real.sbrk(increment);
	if (is_entered)
		bhi_pages_leave();
	return p;
}
