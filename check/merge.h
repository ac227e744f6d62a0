/* SPDX-License-Identifier: MIT */
/*
 * Shards: a session in parts that need not know of each other, on one machine or on many,
 * and the whole again from their reports.
 */
#ifndef BHI_CHECK_MERGE_H
#define BHI_CHECK_MERGE_H

#include "arena.h"
#include "error.h"
#include "finding.h"

/* Whether the stack is shard @i's of @n, counted from 1. Each stack is in exactly one. */
bool bhi_check_in_shard(uint64_t hash, unsigned i, unsigned n);

/* "2/8" */
bool bhi_check_shard_parse(const char *text, unsigned *ret_i, unsigned *ret_n);

/*
 * The whole of which these sessions are parts; they must stay. The order in which they
 * come does not matter; a test that several have counts once. @names are for errors. All
 * that @ret points to is in @arena or in the parts. 0, or -EINVAL, -ENOMEM after an
 * error.
 */
int bhi_check_sessions_unite(const struct bhi_check_session *parts, char *const *names,
	size_t nr, struct bhi_check_session *ret, struct bhi_check_arena *arena,
	struct bhi_check_error *error);

/* The same from JSON reports, at least one. */
int bhi_check_merge(char *const *files, size_t nr, struct bhi_check_session *ret,
	struct bhi_check_arena *arena, struct bhi_check_error *error);

#endif
