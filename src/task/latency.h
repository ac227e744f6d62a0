/* SPDX-License-Identifier: MIT */
/* Histograms of how long it takes from a kill until memory is back, by what the victim
 * was doing. */
#ifndef BHI_TASK_LATENCY_H
#define BHI_TASK_LATENCY_H

#include "base/compiler.h"
#include "bulkhead.h"

enum bhi_latency_kind {
	BHI_LATENCY_FIRST_BYTE,
	BHI_LATENCY_ALL_BYTES,
	BHI_LATENCY_UNWOUND,
	BHI_LATENCY_NR,
};

#define BHI_VICTIM_STATES (BH_VICTIM_IDLE + 1)

/* A bucket for each of the first microseconds, then four to a doubling: a percentile is
 * at most a quarter, or a microsecond, too high. The last one has what is longer than two
 * hours. */
#define BHI_LATENCY_BUCKETS 128

struct bhi_latency {
	/* atomic */
	uint64_t nr;
	uint64_t max_ns;
	uint32_t buckets[BHI_LATENCY_BUCKETS];
};

/* Context: any, no allocation. */
void bhi_latency_note(
	enum bh_victim_state state, enum bhi_latency_kind kind, uint64_t ns);

/* Context: any. */
const struct bhi_latency *bhi_latency_of(
	enum bh_victim_state state, enum bhi_latency_kind kind);

/* The upper end of the bucket that the @permille smallest reach, not more than the
 * maximum, in ns; 0: none. Context: any. */
uint64_t bhi_latency_percentile(const struct bhi_latency *latency, unsigned permille);

#endif
