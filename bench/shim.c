/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family on top of bh_alloc, for the benchmarks only: it is preloaded into
 * the workloads as the other allocators are. The static library is linked in, so a call
 * costs one direct jump.
 *
 * The first call starts the library, and what the start itself allocates (the loader
 * makes the thread-local storage of a new thread with calloc) must not come back here:
 * while the state is not READY, everybody gets pieces of a static buffer, which are never
 * reused. Only the start sets READY, so a thread-local guard is not needed, and the one
 * load that asks for it is the only one on the fast path.
 *
 * BENCH_GROUPS=N charges to the lowest of a chain of N groups below the root; 0, the
 * default, charges to the root.
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bulkhead.h"

#define EXPORT       __attribute__((visibility("default")))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
#define BUFFER_SIZE  (256 * 1024)
#define BUFFER_ALIGN 16
#define MAX_GROUPS   16

enum state {
	COLD,
	STARTING,
	READY,
};

static struct {
	/* atomic; READY is written after .group, pairs with the loads in is_ready() */
	_Atomic(enum state) state;
	struct bh_group *group;
	/* atomic: bytes of the buffer in use */
	_Atomic size_t used;
	char buffer[BUFFER_SIZE] __attribute__((aligned(BUFFER_ALIGN)));
} shim;

static void fail(const char *what)
{
	/* stdio would allocate. */
	if (write(2, "bench shim: ", 12) < 0 || write(2, what, strlen(what)) < 0 ||
		write(2, "\n", 1) < 0)
		abort();
	abort();
}

static int is_ready(void)
{
	return likely(atomic_load_explicit(&shim.state, memory_order_acquire) == READY);
}

static int is_buffer(const void *ptr)
{
	return unlikely((uintptr_t)ptr - (uintptr_t)shim.buffer < BUFFER_SIZE);
}

/* The length stands in front of each piece, for realloc. Reads as zero. */
static void *buffer_alloc(size_t align, size_t size)
{
	size_t need, at, old = atomic_load(&shim.used);

	align = align < BUFFER_ALIGN ? BUFFER_ALIGN : align;
	if (size > BUFFER_SIZE || align > BUFFER_SIZE)
		fail("too large a request while starting");
	do {
		at = (old + BUFFER_ALIGN + align - 1) & ~(align - 1);
		need = (at + size + BUFFER_ALIGN - 1) & ~(size_t)(BUFFER_ALIGN - 1);
		if (need > BUFFER_SIZE)
			fail("the start needs more than the static buffer");
	} while (!atomic_compare_exchange_weak(&shim.used, &old, need));
	memcpy(shim.buffer + at - sizeof(size), &size, sizeof(size));
	return shim.buffer + at;
}

static size_t buffer_size(const void *ptr)
{
	size_t size;

	memcpy(&size, (const char *)ptr - sizeof(size), sizeof(size));
	return size;
}

static struct bh_group *chain_new(void)
{
	const char *text = getenv("BENCH_GROUPS");
	unsigned long nr = text ? strtoul(text, NULL, 10) : 0;
	struct bh_group *group = bh_root();

	if (!group || nr > MAX_GROUPS)
		fail("no groups");
	for (unsigned long i = 0; i < nr; i++) {
		group = bh_group_new(group, "bench");
		if (!group)
			fail("no group");
	}
	return group;
}

/* True when the library can be called; false inside the start. */
static int start(void)
{
	enum state cold = COLD;

	if (!atomic_compare_exchange_strong(&shim.state, &cold, STARTING))
		return is_ready();
	if (bh_init(NULL))
		fail("the library does not start");
	shim.group = chain_new();
	atomic_store_explicit(&shim.state, READY, memory_order_release);
	return 1;
}

static __attribute__((noinline, cold)) void *slow_alloc(
	size_t align, size_t size, unsigned flags)
{
	if (!start())
		return buffer_alloc(align, size);
	return align <= BUFFER_ALIGN ? bh_alloc(shim.group, size, flags)
				     : bh_alloc_aligned(shim.group, align, size, flags);
}

EXPORT void *malloc(size_t size)
{
	if (is_ready())
		return bh_alloc(shim.group, size, 0);
	return slow_alloc(0, size, 0);
}

EXPORT void *calloc(size_t nr, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(nr, size, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	if (is_ready())
		return bh_alloc(shim.group, bytes, BH_ZERO);
	return slow_alloc(0, bytes, BH_ZERO);
}

EXPORT void free(void *ptr)
{
	if (!is_buffer(ptr))
		bh_free(ptr);
}

static __attribute__((noinline)) void *realloc_buffer(void *ptr, size_t size)
{
	size_t old = buffer_size(ptr);
	void *copy = malloc(size);

	if (copy)
		memcpy(copy, ptr, old < size ? old : size);
	return copy;
}

/* As glibc does: a size of 0 frees. */
EXPORT void *realloc(void *ptr, size_t size)
{
	if (!ptr)
		return malloc(size);
	if (is_buffer(ptr))
		return realloc_buffer(ptr, size);
	if (unlikely(size == 0)) {
		bh_free(ptr);
		return NULL;
	}
	return bh_realloc_flags(ptr, size, 0);
}

EXPORT void *reallocarray(void *ptr, size_t nr, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(ptr, bytes);
}

EXPORT void *memalign(size_t align, size_t size)
{
	if (is_ready())
		return bh_alloc_aligned(shim.group, align, size, 0);
	return slow_alloc(align, size, 0);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	int saved = errno, error;
	void *ptr;

	if (align < sizeof(void *) || (align & (align - 1)))
		return EINVAL;
	ptr = memalign(align, size);
	error = ptr ? 0 : errno;
	errno = saved;
	if (!error)
		*ret = ptr;
	return error;
}

EXPORT void *valloc(size_t size)
{
	return memalign(BH_PAGE_SIZE, size);
}

EXPORT void *pvalloc(size_t size)
{
	return memalign(
		BH_PAGE_SIZE, (size + BH_PAGE_SIZE - 1) & ~(size_t)(BH_PAGE_SIZE - 1));
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	return is_buffer(ptr) ? buffer_size(ptr) : bh_usable_size(ptr);
}
