/* SPDX-License-Identifier: MIT */
/*
 * The sanitizers follow calls and returns, and an unwinding skips returns. Address
 * Sanitizer is told that the frames between are no more; Thread Sanitizer's stack of
 * calls is kept straight by running the task as a fiber of its own, which is thrown away.
 */
#include "task/landing.h"

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

int bhi_landing_enter(void **landing, int (*fn)(void *arg), void *arg, int *ret);
void bhi_landing_pad(void);
__attribute__((noreturn)) void bhi_landing_jump(void *landing);

#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>

/* The red zone of the ABI lies below the stack pointer. */
#define RED_ZONE 128

static void forget_frames(uintptr_t from, const void *landing)
{
	from -= RED_ZONE;
	if (from < (uintptr_t)landing)
		__asan_unpoison_memory_region(
			(const void *)from, (uintptr_t)landing - from);
}
#else
static inline void forget_frames(uintptr_t from, const void *landing)
{
	(void)from, (void)landing;
}
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);

__attribute__((no_sanitize("thread"))) bool bhi_landing_call(
	void **landing, int (*fn)(void *arg), void *arg, int *ret)
{
	void *outside = __tsan_get_current_fiber();
	void *inside = __tsan_create_fiber(0);
	bool returned;

	__tsan_switch_to_fiber(inside, 0);
	returned = bhi_landing_enter(landing, fn, arg, ret);
	__tsan_switch_to_fiber(outside, 0);
	__tsan_destroy_fiber(inside);
	return returned;
}
#else
bool bhi_landing_call(void **landing, int (*fn)(void *arg), void *arg, int *ret)
{
	return bhi_landing_enter(landing, fn, arg, ret);
}
#endif

void bhi_landing_unwind(void *landing)
{
	forget_frames((uintptr_t)__builtin_frame_address(0), landing);
	bhi_landing_jump(landing);
}

#if defined(__x86_64__)
uintptr_t bhi_landing_stack(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

const void *bhi_landing_place(const ucontext_t *context)
{
	return (const void *)context->uc_mcontext.gregs[REG_RIP];
}

void bhi_landing_redirect(ucontext_t *context, void *landing)
{
	forget_frames(bhi_landing_stack(context), landing);
	context->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)landing;
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)bhi_landing_pad;
}
#elif defined(__aarch64__)
uintptr_t bhi_landing_stack(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.sp;
}

const void *bhi_landing_place(const ucontext_t *context)
{
	return (const void *)context->uc_mcontext.pc;
}

void bhi_landing_redirect(ucontext_t *context, void *landing)
{
	forget_frames(bhi_landing_stack(context), landing);
	context->uc_mcontext.sp = (uintptr_t)landing;
	context->uc_mcontext.pc = (uintptr_t)bhi_landing_pad;
}
#endif
