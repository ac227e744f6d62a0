/* SPDX-License-Identifier: MIT */
/* Which points are tried, in which order. Pure. */
#ifndef BHI_CHECK_PLAN_H
#define BHI_CHECK_PLAN_H

#include <stddef.h>

#include "finding.h"

struct bhi_check_point {
	size_t stack; /* index in the session */
	uint64_t occurrence;
	/* Before the point is run: its place among the hangs of its site. */
	uint64_t site; /* hash of what makes one site of hangs */
};

struct bhi_check_plan_options {
	unsigned samples; /* occurrences of each stack, at least 1 */
	bool exhaustive;
	unsigned shard, nr_shards; /* from 1; 0 of 0: all */
};

/*
 * All stacks once before any of them twice, in turn by the module that asks for memory,
 * so that a budget that ends early has seen something of everything. *@ret is from
 * bhi_check_alloc(). Context: may wait.
 */
size_t bhi_check_plan(const struct bhi_check_session *session,
	const struct bhi_check_plan_options *options, struct bhi_check_point **ret);

/* The occurrence that sample number @sample, from 0, of @nr_calls calls takes; 0: there
 * are no more. Context: any. */
uint64_t bhi_check_occurrence(uint64_t nr_calls, unsigned nr_samples, unsigned sample);

#endif
