/* SPDX-License-Identifier: MIT */
/*
 * Hierarchical counters of bytes, after Linux mm/page_counter.c.
 *
 * A charge adds to every level from the leaf to the root, at each level below the root
 * first adding and then testing; where it does not fit it is taken back from there and
 * from the levels below. A racing smaller charge can therefore fail spuriously, by no
 * more than what the failing one asked for. The root comes last and tests before it adds,
 * so there nobody fails but for bytes that are charged. The level that failed is the one
 * that is over its limit, often an ancestor of where the charge began.
 *
 * The root is limited by the zone less what the requester must leave free.
 */
#ifndef BHI_ACCOUNT_COUNTER_H
#define BHI_ACCOUNT_COUNTER_H

#include "account/zone.h"
#include "base/compiler.h"

#define BHI_COUNTER_MAX INT64_MAX

struct bhi_counter {
	/* immutable after init */
	struct bhi_counter *parent; /* NULL: the root */
	/* atomic; usage exact, peak and failcnt racy by design */
	int64_t usage;
	int64_t peak;
	uint64_t failcnt;
	/* atomic; written by setters, each value independent of the others */
	int64_t min, low, high, max;
	/* atomic, see propagate() */
	int64_t min_usage, low_usage;
	int64_t children_min_usage, children_low_usage;
	/* atomic, see bhi_protection_update() */
	int64_t emin, elow;
};

/* Context: any. */
void bhi_counter_init(struct bhi_counter *counter, struct bhi_counter *parent);

/*
 * Charge @size bytes from @counter up. @force: limits below the root do not count. True,
 * or false with nothing charged and the failing level in *@ret_over. Context: any, no
 * allocation.
 */
bool bhi_counter_try_charge(struct bhi_counter *counter, int64_t size,
	enum bhi_reserve reserve, bool force, struct bhi_counter **ret_over);

/*
 * Returns the bytes uncharged from @counter itself: less than @size if fewer were
 * charged, which is reported once. Context: any, no allocation. @counter may be gone when
 * this returns.
 */
int64_t bhi_counter_uncharge(struct bhi_counter *counter, int64_t size);

/*
 * The same for the levels below the root only: bytes that the root has been charged for
 * in bulk (slabs shared by several groups). Limits count. Context: any, no allocation.
 */
bool bhi_counter_try_charge_below_root(struct bhi_counter *counter, int64_t size);
void bhi_counter_uncharge_below_root(struct bhi_counter *counter, int64_t size);

/* Bytes that could be charged before this level refuses; 0 at least. Context: any. */
int64_t bhi_counter_margin(const struct bhi_counter *counter, enum bhi_reserve reserve);

/* Bytes by which this level is over what ordinary requests may take; 0 at least.
 * Context: any. */
int64_t bhi_counter_excess(const struct bhi_counter *counter);

/* Context: any. Protection of the level changes; what its parent adds up follows. */
void bhi_counter_set_min(struct bhi_counter *counter, int64_t size);
void bhi_counter_set_low(struct bhi_counter *counter, int64_t size);

/* Free bytes of the zone. Context: any. */
int64_t bhi_counter_free(const struct bhi_counter *root);

#endif
