/* SPDX-License-Identifier: MIT */
/*
 * Preloaded by bench/fail_loop: the exhaustive loop's part in the program. The allocation
 * call of number FAIL_NTH fails, and at the end the number of calls goes to descriptor
 * CRASH_SITE_FD. What check's interposer does beside, stacks and a tally, is not here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash_site.h"

#define EXPORT __attribute__((visibility("default")))

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void (*free)(void *);
} real;
static unsigned long nr_calls, nth;
static int is_on;
/* dlsym() may ask for memory. */
static char boot[4096];
static size_t boot_used;
static int is_resolving;

static void *boot_alloc(size_t size)
{
	void *p = boot + boot_used;

	boot_used += (size + 15) & ~(size_t)15;
	if (boot_used > sizeof(boot))
		abort();
	return p;
}

/* The constructors of other libraries come before ours. */
static int is_resolved(void)
{
	if (real.malloc)
		return 1;
	if (is_resolving)
		return 0;
	is_resolving = 1;
	*(void **)&real.free = dlsym(RTLD_NEXT, "free");
	*(void **)&real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	*(void **)&real.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
	*(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&real.malloc = dlsym(RTLD_NEXT, "malloc");
	is_resolving = 0;
	return 1;
}

static int fails(void)
{
	if (!is_on || __atomic_add_fetch(&nr_calls, 1, __ATOMIC_RELAXED) != nth)
		return 0;
	is_on = 0;
	site_say("fails");
	is_on = 1;
	errno = ENOMEM;
	return 1;
}

EXPORT void *malloc(size_t size)
{
	if (!is_resolved())
		return boot_alloc(size);
	return fails() ? NULL : real.malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	if (!is_resolved())
		return boot_alloc(n * size);
	return fails() ? NULL : real.calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	(void)is_resolved();
	if (p && !size)
		return real.realloc(p, size);
	return fails() ? NULL : real.realloc(p, size);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	if (size && n > (size_t)-1 / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n * size);
}

EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	(void)is_resolved();
	return fails() ? ENOMEM : real.posix_memalign(ret, align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	(void)is_resolved();
	return fails() ? NULL : real.aligned_alloc(align, size);
}

EXPORT void free(void *p)
{
	if ((char *)p >= boot && (char *)p < boot + sizeof(boot))
		return;
	if (is_resolved())
		real.free(p);
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("FAIL_NTH");

	(void)is_resolved();
	nth = text ? strtoul(text, NULL, 10) : 0;
	is_on = text != NULL;
}

__attribute__((destructor)) static void end(void)
{
	const char *text = getenv("CRASH_SITE_FD");
	char line[64];
	int length;

	is_on = 0;
	length = snprintf(line, sizeof(line), "calls %lu\n", nr_calls);
	if (text && write(atoi(text), line, (size_t)length) < 0)
		return;
}
