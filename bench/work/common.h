/* SPDX-License-Identifier: MIT */
/*
 * What every workload shares. A workload does a fixed amount of work from a fixed seed
 * and prints one checksum, so that runs under different allocators can be compared: the
 * checksum must not depend on addresses nor on how threads interleave.
 */
#ifndef BENCH_WORK_COMMON_H
#define BENCH_WORK_COMMON_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rng {
	uint64_t state;
};

/* splitmix64: any seed will do, and one addition a step keeps it off the profile. */
static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline uint32_t rng_below(struct rng *rng, uint32_t bound)
{
	return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

static inline int rng_percent(struct rng *rng, uint32_t percent)
{
	return rng_below(rng, 100) < percent;
}

/* Order matters; for sums over threads add the results of the threads instead. */
static inline uint64_t sum_mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * UINT64_C(0x100000001b3) + (sum >> 29);
}

static inline void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static inline void *must(void *ptr)
{
	if (!ptr)
		die("out of memory");
	return ptr;
}

/* The work is @full units, or argv[1] percent of them. */
static inline unsigned work_units(int argc, char **argv, unsigned full)
{
	unsigned long percent = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
	unsigned units = (unsigned)(full * percent / 100);

	return units ? units : 1;
}

static inline int finish(uint64_t sum)
{
	printf("checksum %016" PRIx64 "\n", sum);
	return 0;
}

#endif
