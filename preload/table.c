/* SPDX-License-Identifier: MIT */
/*
 * Open addressing without removal. A place is taken by writing 1 over the hash of 0, is
 * filled, and gets its hash last; so whoever finds a hash finds all that belongs to it.
 * Who meets a 1 waits a little: the writer is another thread. When that takes long the
 * writer is dead, or is what we interrupted as a signal handler; then the next place is
 * used, and the same stack may stand there twice, which the reader of the table adds up.
 */
#include "table.h"

#include <string.h>

#include "subject.h"

#define PATIENCE 4096

enum overflow {
	OVERFLOW_STACKS = 1,
	OVERFLOW_FRAMES = 2,
	OVERFLOW_CALLS = 8,
};

static void note_overflow(enum overflow what)
{
	__atomic_fetch_or(&bhi_subject.shared->overflow, what, __ATOMIC_RELAXED);
}

static void fill(struct bhi_check_stack *place, const struct bhi_stack *stack,
	uint64_t call, size_t size)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	uint32_t first =
		__atomic_fetch_add(&shared->nr_frames, stack->nr, __ATOMIC_RELAXED);

	place->first_call = call;
	place->size = size;
	place->is_cut = stack->is_cut;
	place->thread = bhi_thread.number;
	if (first + stack->nr > BHI_CHECK_MAX_FRAMES) {
		note_overflow(OVERFLOW_FRAMES);
	} else {
		memcpy(&shared->frames[first], stack->frames,
			stack->nr * sizeof(stack->frames[0]));
		place->first_frame = first;
		place->nr_frames = stack->nr;
	}
	/* Pairs with the acquire in find(). */
	bhi_store_release(&place->hash, stack->hash);
}

static uint64_t wait_for_hash(const struct bhi_check_stack *place)
{
	uint64_t hash = 1;

	for (int i = 0; hash == 1 && i < PATIENCE; i++)
		hash = bhi_load_acquire(&place->hash);
	return hash;
}

static struct bhi_check_stack *find(
	const struct bhi_stack *stack, uint64_t call, size_t size)
{
	struct bhi_check_stack *stacks = bhi_subject.shared->stacks;

	for (uint32_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		struct bhi_check_stack *place =
			&stacks[(stack->hash + i) % BHI_CHECK_MAX_STACKS];
		uint64_t hash = bhi_load_acquire(&place->hash);

		if (!hash && bhi_compare_exchange(&place->hash, &hash, 1)) {
			fill(place, stack, call, size);
			return place;
		}
		if (hash == 1)
			hash = wait_for_hash(place);
		if (hash == stack->hash)
			return place;
	}
	note_overflow(OVERFLOW_STACKS);
	return NULL;
}

void bhi_table_record(const struct bhi_stack *stack, uint64_t call,
	enum bhi_check_function function, size_t size)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	struct bhi_check_stack *place = find(stack, call, size);

	if (!place)
		return;
	bhi_add(&place->nr_calls, 1);
	__atomic_fetch_or(&place->functions, 1u << function, __ATOMIC_RELAXED);
	if (call <= BHI_CHECK_MAX_CALLS)
		bhi_store(
			&shared->calls[call - 1], (uint32_t)(place - shared->stacks) + 1);
	else
		note_overflow(OVERFLOW_CALLS);
}
