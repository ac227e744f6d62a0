/* SPDX-License-Identifier: MIT */
#include "real.h"

#include <stdint.h>

#include "base/compiler.h"

/* Far more than the loader and dlsym(3) ever ask for. */
#define BOOT_SIZE (64u << 10)

/* In front of each block of the static heap. */
struct boot_header {
	size_t size;
	size_t unused;
};

struct bhi_real bhi_real;

static char boot_heap[BOOT_SIZE] BHI_ALIGNED(BHI_CACHE_LINE);
static size_t boot_used; /* atomic */

void bhi_real_resolve(void)
{
	/* .malloc stays NULL to the end: that means "not yet" to every entry point. */
	__typeof__(bhi_real.malloc) found = NULL;

#define FIND(name, version)                                                 \
	do {                                                                \
		const char *wanted = version;                               \
		void *p = wanted ? dlvsym(RTLD_NEXT, #name, wanted) : NULL; \
                                                                            \
		if (!p)                                                     \
			p = dlsym(RTLD_NEXT, #name);                        \
		if (__builtin_strcmp(#name, "malloc"))                      \
			*(void **)&bhi_real.name = p;                       \
		else                                                        \
			*(void **)&found = p;                               \
	} while (0);
	BHI_REAL_EAGER(FIND)
#undef FIND
	bhi_store_release(&bhi_real.malloc, found);
}

void bhi_real_find(void **place, const char *name)
{
	bhi_store_release(place, dlsym(RTLD_NEXT, name));
}

void *bhi_boot_alloc(size_t align, size_t size)
{
	size_t room, used;
	uintptr_t at;

	if (align < sizeof(struct boot_header))
		align = sizeof(struct boot_header);
	if (size > BOOT_SIZE || align > BOOT_SIZE)
		return NULL;
	room = size + align + sizeof(struct boot_header);
	used = __atomic_fetch_add(&boot_used, room, __ATOMIC_RELAXED);
	if (used + room > BOOT_SIZE)
		return NULL;
	at = (uintptr_t)boot_heap + used + sizeof(struct boot_header);
	at = (at + align - 1) & ~(uintptr_t)(align - 1);
	((struct boot_header *)at)[-1].size = size;
	return (void *)at;
}

bool bhi_boot_owns(const void *p)
{
	return (uintptr_t)p - (uintptr_t)boot_heap < BOOT_SIZE;
}

size_t bhi_boot_size(const void *p)
{
	return ((const struct boot_header *)p)[-1].size;
}
