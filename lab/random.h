/* SPDX-License-Identifier: MIT */
/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, and any seed is a good one. */
#ifndef BHI_LAB_RANDOM_H
#define BHI_LAB_RANDOM_H

#include "base/compiler.h"

static inline uint64_t bhi_lab_random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A number below @limit. */
static inline uint32_t bhi_lab_random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((bhi_lab_random_next(state) >> 32) * limit >> 32);
}

#endif
