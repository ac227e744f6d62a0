/* SPDX-License-Identifier: MIT */
/*
 * Those who wait until memory comes back: BH_NOFAIL requests that found nothing to
 * reclaim and nobody to kill, or that the kernel has refused.
 *
 * A waiter takes the sequence number, reclaims, announces itself, drains all stocks,
 * tries once more and only then sleeps on the number. An uncharge that the try did not
 * see comes after the announcement in the order of the two sequentially consistent
 * operations (the waiter's add to .nr, the uncharger's subtraction from usage), so it
 * sees .nr and changes the number: no wake-up is lost. While anybody waits, stocks take
 * nothing in.
 *
 * Whoever makes more memory reclaimable (lowers a protection, registers a shrinker)
 * changes the number in any case: the reclaim may have come before. What becomes
 * reclaimable without a word, waiters find by looking again every now and then.
 */
#ifndef BHI_ACCOUNT_WAITERS_H
#define BHI_ACCOUNT_WAITERS_H

#include "base/compiler.h"

struct bhi_waiters {
	/* atomic, see above */
	uint32_t nr;
	uint32_t sequence;
};

extern struct bhi_waiters bhi_waiters;

/* More may be had now, by a new try or by reclaim. Context: any, no allocation. */
BHI_COLD void bhi_waiters_wake_all(void);

/* Something was uncharged (by a sequentially consistent operation). Context: any. */
static inline void bhi_waiters_wake(void)
{
	if (bhi_unlikely(__atomic_load_n(&bhi_waiters.nr, __ATOMIC_SEQ_CST)))
		bhi_waiters_wake_all();
}

/* Announce and withdraw. Context: any. */
void bhi_waiters_enter(void);
void bhi_waiters_leave(void);

/* The number to sleep on. Context: any. */
uint32_t bhi_waiters_sequence(void);

/* Sleep until the number is no longer @sequence, at most @timeout_ns (0: for ever).
 * False: for so long. Context: may wait. */
bool bhi_waiters_wait(uint32_t sequence, uint64_t timeout_ns);

#endif
