/* SPDX-License-Identifier: MIT */
#include "task/latency.h"

#define NS_PER_US 1000

static struct bhi_latency table[BHI_VICTIM_STATES][BHI_LATENCY_NR];

/* 0, 1, 2, 3 us have a bucket each; then four to a doubling. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;
	unsigned shift, bucket;

	if (us < 4)
		return (unsigned)us;
	shift = 63u - (unsigned)__builtin_clzll(us);
	bucket = 4 + (shift - 2) * 4 + (unsigned)((us >> (shift - 2)) & 3);
	return bhi_min(bucket, (unsigned)BHI_LATENCY_BUCKETS - 1);
}

static uint64_t end_of(unsigned bucket)
{
	unsigned shift;

	if (bucket < 4)
		return (bucket + 1) * (uint64_t)NS_PER_US;
	shift = (bucket - 4) / 4;
	return ((uint64_t)(4 + (bucket - 4) % 4 + 1) << shift) * NS_PER_US;
}

void bhi_latency_note(enum bh_victim_state state, enum bhi_latency_kind kind, uint64_t ns)
{
	struct bhi_latency *latency = &table[state][kind];
	uint64_t max = bhi_load(&latency->max_ns);

	/* The reaper and threads that unwind come at the same time. */
	while (ns > max && !bhi_compare_exchange(&latency->max_ns, &max, ns))
		;
	bhi_add(&latency->buckets[bucket_of(ns)], 1);
	bhi_add(&latency->nr, 1);
}

const struct bhi_latency *bhi_latency_of(
	enum bh_victim_state state, enum bhi_latency_kind kind)
{
	return &table[state][kind];
}

uint64_t bhi_latency_percentile(const struct bhi_latency *latency, unsigned permille)
{
	uint64_t nr = bhi_load(&latency->nr), want = (nr * permille + 999) / 1000;
	uint64_t sum = 0;

	for (unsigned i = 0; nr && i < BHI_LATENCY_BUCKETS; i++) {
		sum += bhi_load(&latency->buckets[i]);
		if (sum >= want)
			return bhi_min(end_of(i), bhi_load(&latency->max_ns));
	}
	return 0;
}
