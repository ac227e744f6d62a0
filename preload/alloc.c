/* SPDX-License-Identifier: MIT */
/*
 * The allocation functions of C. Each counts its call and may refuse it; otherwise the
 * real one is called, under a guard so that allocation functions which that one calls are
 * not taken for calls of the program. What is live is tallied by malloc_usable_size(),
 * which says the same at allocation and release.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "inject.h"
#include "pages.h"
#include "real.h"
#include "subject.h"

static inline bool is_ready(void)
{
	return bhi_likely(bhi_load_acquire(&bhi_real.malloc) != NULL) ||
	       bhi_subject_start();
}

static BHI_COLD void *fail(void)
{
	if (bhi_thread.has_window)
		bhi_pages_leave();
	errno = ENOMEM;
	return NULL;
}

static inline void *note_new(void *p)
{
	if (bhi_likely(p) && bhi_load(&bhi_subject.is_on)) {
		long size = (long)bhi_real.malloc_usable_size(p);

		bhi_tally(blocks, 1);
		bhi_tally(bytes, size);
	}
	return p;
}

static inline void note_gone(size_t size)
{
	bhi_tally(blocks, -1);
	bhi_tally(bytes, -(long)size);
}

#define CALLER __builtin_return_address(0)

/* The value of the real function, called with the guard up. Calls inside have no window
 * of their own, so the outermost one closes it. */
#define guarded(call)                                                             \
	({                                                                        \
		__typeof__(call) r_;                                              \
                                                                                  \
		bhi_thread.nesting++;                                             \
		r_ = (call);                                                      \
		if (!--bhi_thread.nesting && bhi_unlikely(bhi_thread.has_window)) \
			bhi_pages_leave();                                        \
		r_;                                                               \
	})

BHI_EXPORT void *malloc(size_t size)
{
	if (bhi_unlikely(!is_ready()))
		return bhi_boot_alloc(0, size);
	if (bhi_unlikely(bhi_inject(BHI_CHECK_MALLOC, size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real.malloc(size)));
}

BHI_EXPORT void *calloc(size_t n, size_t size)
{
	size_t total;

	if (bhi_unlikely(!is_ready())) {
		if (__builtin_mul_overflow(n, size, &total))
			return fail();
		return bhi_boot_alloc(0, total);
	}
	if (bhi_unlikely(bhi_inject(BHI_CHECK_CALLOC, n * size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real.calloc(n, size)));
}

static BHI_COLD void *move_from_boot(void *p, size_t size)
{
	size_t old = bhi_boot_size(p);
	void *moved = is_ready() ? bhi_real.malloc(size) : bhi_boot_alloc(0, size);

	if (moved)
		memcpy(moved, p, old < size ? old : size);
	return bhi_boot_owns(moved) ? moved : note_new(moved);
}

static void *resize(void *p, size_t size)
{
	bool is_on = bhi_load(&bhi_subject.is_on);
	size_t old = is_on && p ? bhi_real.malloc_usable_size(p) : 0;
	void *resized = guarded(bhi_real.realloc(p, size));

	/* With a size of 0 the C library frees and gives NULL; other allocators give a
	 * small block. */
	if (is_on && p && (resized || !size))
		note_gone(old);
	return note_new(resized);
}

BHI_EXPORT void *realloc(void *p, size_t size)
{
	if (bhi_unlikely(!is_ready() || bhi_boot_owns(p)))
		return p ? move_from_boot(p, size) : malloc(size);
	if (bhi_likely(!p || size) &&
		bhi_unlikely(bhi_inject(BHI_CHECK_REALLOC, size, CALLER)))
		return fail();
	return resize(p, size);
}

BHI_EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (bhi_unlikely(__builtin_mul_overflow(n, size, &total)))
		return fail();
	if (bhi_unlikely(!is_ready() || bhi_boot_owns(p)))
		return realloc(p, total);
	if (bhi_unlikely((!p || (n && size)) &&
			 bhi_inject(BHI_CHECK_REALLOCARRAY, total, CALLER)))
		return fail();
	return resize(p, total);
}

BHI_EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	int r;

	if (bhi_unlikely(!is_ready())) {
		*ret = bhi_boot_alloc(align, size);
		return *ret ? 0 : ENOMEM;
	}
	/* By its result alone: errno stays. */
	if (bhi_unlikely(bhi_inject(BHI_CHECK_POSIX_MEMALIGN, size, CALLER)))
		return ENOMEM;
	r = guarded(bhi_real.posix_memalign(ret, align, size));
	if (!r)
		(void)note_new(*ret);
	return r;
}

BHI_EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (bhi_unlikely(!is_ready()))
		return bhi_boot_alloc(align, size);
	if (bhi_unlikely(bhi_inject(BHI_CHECK_ALIGNED_ALLOC, size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real_lazy(aligned_alloc)(align, size)));
}

BHI_EXPORT void *memalign(size_t align, size_t size)
{
	if (bhi_unlikely(!is_ready()))
		return bhi_boot_alloc(align, size);
	if (bhi_unlikely(bhi_inject(BHI_CHECK_MEMALIGN, size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real_lazy(memalign)(align, size)));
}

BHI_EXPORT void *valloc(size_t size)
{
	if (bhi_unlikely(!is_ready()))
		return fail();
	if (bhi_unlikely(bhi_inject(BHI_CHECK_VALLOC, size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real_lazy(valloc)(size)));
}

BHI_EXPORT void *pvalloc(size_t size)
{
	if (bhi_unlikely(!is_ready()))
		return fail();
	if (bhi_unlikely(bhi_inject(BHI_CHECK_PVALLOC, size, CALLER)))
		return fail();
	return note_new(guarded(bhi_real_lazy(pvalloc)(size)));
}

BHI_EXPORT void free(void *p)
{
	if (!p || bhi_unlikely(bhi_boot_owns(p) || !is_ready()))
		return;
	if (bhi_load(&bhi_subject.is_on))
		note_gone(bhi_real.malloc_usable_size(p));
	bhi_real.free(p);
}

BHI_EXPORT size_t malloc_usable_size(void *p)
{
	if (!p || bhi_unlikely(!is_ready()))
		return 0;
	return bhi_boot_owns(p) ? bhi_boot_size(p) : bhi_real.malloc_usable_size(p);
}
