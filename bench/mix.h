/* SPDX-License-Identifier: MIT */
/*
 * What a small tenant holds: the live objects of a Lua 5.4 state with its standard
 * libraries, a few functions, twenty small tables of records and a cache of thirty
 * strings, as counted through its allocator callback: 511 objects, 35,240 bytes, grouped
 * here into 16 sizes. Nine of ten objects are below 64 bytes; a quarter of the bytes is
 * in the eight that are larger than 512.
 */
#ifndef BENCH_MIX_H
#define BENCH_MIX_H

#include "work/common.h"

static const struct {
	uint32_t size, count;
} mix_sizes[] = {
	{16, 5},
	{28, 41},
	{31, 228},
	{36, 101},
	{48, 12},
	{56, 65},
	{64, 3},
	{84, 2},
	{96, 22},
	{120, 6},
	{190, 10},
	{384, 4},
	{512, 1},
	{772, 4},
	{1566, 3},
	{4096, 1},
};

#define MIX_OBJECTS 508

/* The next object of a tenant that may still take @left bytes. */
static inline uint32_t mix_size(struct rng *rng, size_t left)
{
	uint32_t pick = rng_below(rng, MIX_OBJECTS), i = 0, size;

	while (pick >= mix_sizes[i].count)
		pick -= mix_sizes[i++].count;
	size = mix_sizes[i].size;
	return size < left ? size : (uint32_t)left;
}

#endif
