/* SPDX-License-Identifier: MIT */
/*
 * A slot belongs to one thread at a time, which adds to it without an atomic operation;
 * its sums stay when the thread ends and the next owner goes on with them. Threads that
 * were not started through us, and those beyond the number of slots, share slot 0 with
 * atomic additions. The total is the sum over all slots at any time.
 */
#include "subject.h"

#include <unistd.h>

#include "copy.h"

#define NR_SLOTS 256

static struct {
	/* atomic: of slot i, 1 taken */
	unsigned char taken[NR_SLOTS];
	struct bhi_tally slots[NR_SLOTS];
	unsigned char is_reported; /* atomic */
} state;

void bhi_tally_claim(void)
{
	for (int i = 1; i < NR_SLOTS; i++) {
		if (!bhi_load(&state.taken[i]) && !bhi_exchange(&state.taken[i], 1)) {
			bhi_thread.is_stranger = false;
			bhi_thread.tally = &state.slots[i];
			return;
		}
	}
}

void bhi_tally_release(void)
{
	struct bhi_tally *tally = bhi_thread.tally;

	if (!tally || bhi_thread.is_stranger)
		return;
	bhi_thread.is_stranger = true;
	bhi_thread.tally = &state.slots[0];
	/* Pairs with the exchange in bhi_tally_claim(): the sums come before. */
	bhi_store_release(&state.taken[tally - state.slots], 0);
}

struct bhi_tally *bhi_tally_find(void)
{
	bhi_thread.is_stranger = true;
	bhi_thread.tally = &state.slots[0];
	return bhi_thread.tally;
}

void bhi_tally_report(void)
{
	struct bhi_check_shared *shared = bhi_subject.shared;
	struct bhi_tally sum = {.blocks = 0};

	if (!bhi_load(&bhi_subject.is_on) || getpid() != shared->first_pid)
		return;
	if (bhi_exchange(&state.is_reported, 1))
		return;
	for (int i = 0; i < NR_SLOTS; i++) {
		sum.blocks += bhi_load(&state.slots[i].blocks);
		sum.bytes += bhi_load(&state.slots[i].bytes);
		sum.locks += bhi_load(&state.slots[i].locks);
	}
	shared->live_blocks = sum.blocks;
	shared->live_bytes = sum.bytes;
	shared->locks_held = sum.locks > 0 ? (uint32_t)sum.locks : 0;
	bhi_store_release(&shared->exit_seen, 1);
	bhi_copy_end();
}
