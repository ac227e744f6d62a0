/* SPDX-License-Identifier: MIT */
/* What the fuzzers of the API share: how they read numbers from their input. */
#ifndef BHI_TESTS_FUZZ_H
#define BHI_TESTS_FUZZ_H

#include <stdlib.h>

#include "base/compiler.h"
#include "bulkhead.h"

/* The zone: small enough to be full often. */
#define ZONE_SIZE ((size_t)16 << 20)

#define ALL_FLAGS 0xffu

struct input {
	const uint8_t *p;
	size_t size;
};

static inline void require(bool good)
{
	if (!good)
		abort();
}

static inline unsigned take(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->p++;
}

static inline uint64_t take_bytes(struct input *in, unsigned nr)
{
	uint64_t value = 0;

	while (nr--)
		value = value << 8 | take(in);
	return value;
}

/* Mostly sizes that can be had, and some that are at the edge of what is thinkable. */
static inline uint64_t take_size(struct input *in)
{
	static const uint64_t edges[] = {0, 1, 8, 9, 128, 129, 4095, 4096, 4097, 8192,
		8193, 32768, 32769, 131072, 131073, 262144, 4194304, 4194305,
		ZONE_SIZE - 1, ZONE_SIZE, INT64_MAX, (uint64_t)INT64_MAX + 1,
		UINT64_MAX - 4095, UINT64_MAX};
	unsigned kind = take(in);

	if (kind < 128)
		return take_bytes(in, 2) % 2048;
	if (kind < 192)
		return edges[take(in) % bhi_array_size(edges)];
	if (kind < 250)
		return take_bytes(in, 3) % (256 << 10);
	return take_bytes(in, 8);
}

/* Mostly none or one. */
static inline unsigned take_flags(struct input *in)
{
	unsigned kind = take(in);

	if (kind < 128)
		return 0;
	if (kind < 224)
		return 1u << (kind & 7);
	return (unsigned)take_bytes(in, kind < 250 ? 1 : 4);
}

static inline bool flags_are_valid(unsigned flags)
{
	int nr = !!(flags & BH_NORETRY) + !!(flags & BH_RETRY_MAYFAIL) +
		 !!(flags & BH_NOFAIL);

	if (flags & ~ALL_FLAGS || nr > 1)
		return false;
	return !(flags & BH_NOFAIL) || !(flags & (BH_ATOMIC | BH_NOWAIT));
}

#endif
