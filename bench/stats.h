/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <time.h>

#include "work/common.h"

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int sample_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the samples. */
static inline double samples_quantile(double *samples, unsigned nr, double quantile)
{
	qsort(samples, nr, sizeof(*samples), sample_compare);
	return samples[(unsigned)(quantile * (nr - 1) + 0.5)];
}

#endif
