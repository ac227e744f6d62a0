/* SPDX-License-Identifier: MIT */
/*
 * Finding things of a session: a stack by its hash, and the number of a place among all
 * distinct places.
 */
#ifndef BHI_CHECK_INDEX_H
#define BHI_CHECK_INDEX_H

#include "finding.h"

/* Stacks by hash; it sees those that the session had when it was made. */
struct bhi_check_stack_index {
	const struct bhi_check_session *session;
	size_t *sorted; /* by hash: indices in the session */
};

/* 0 or -ENOMEM. */
int bhi_check_stack_index_init(
	struct bhi_check_stack_index *index, const struct bhi_check_session *session);
/* SIZE_MAX: none has this hash. */
size_t bhi_check_stack_index_find(
	const struct bhi_check_stack_index *index, uint64_t hash);
void bhi_check_stack_index_fini(struct bhi_check_stack_index *index);

/* Distinct places, numbered in the order in which they were added. They are borrowed. */
struct bhi_check_place_index {
	const struct bhi_check_place **places;
	size_t nr;
	uint32_t *slots; /* open addressing: number + 1; 0 free */
	size_t nr_slots; /* a power of two, at least twice .nr */
};

bool bhi_check_place_same(
	const struct bhi_check_place *a, const struct bhi_check_place *b);

/* Where the like of @place is in the test's backtraces; NULL: nowhere. */
const struct bhi_check_place *bhi_check_test_place(
	const struct bhi_check_test *test, const struct bhi_check_place *place);

/* The number of @place, which is added if it is not there; -ENOMEM. */
int64_t bhi_check_place_index_add(
	struct bhi_check_place_index *index, const struct bhi_check_place *place);

/* All places of a session, stacks first. 0 or -ENOMEM. */
int bhi_check_place_index_init(
	struct bhi_check_place_index *index, const struct bhi_check_session *session);
void bhi_check_place_index_fini(struct bhi_check_place_index *index);

#endif
