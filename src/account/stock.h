/* SPDX-License-Identifier: MIT */
/*
 * A thread's stock: bytes it has charged in advance, for up to four groups, in one cache
 * line. Charging from the stock touches nothing that others write. The price: usage may
 * read up to BHI_STOCK_BATCH too high for each group and thread, so a limit that seems
 * reached is looked at again with the exact size, and once more after draining all
 * stocks.
 */
#ifndef BHI_ACCOUNT_STOCK_H
#define BHI_ACCOUNT_STOCK_H

#include "account/group.h"

/* Linux MEMCG_CHARGE_BATCH: 64 pages. */
#define BHI_STOCK_BATCH ((int64_t)64 * 4096)

/* Context: any; once. */
void bhi_stock_init(void);

/*
 * Take @size bytes from this thread's stock of @group, @external of them (all or none)
 * for bh_charge. False: it holds less. Context: any, no allocation; in no section.
 */
bool bhi_stock_consume(struct bh_group *group, int64_t size, int64_t external);

/*
 * Put @size charged bytes of @group into this thread's stock; what does not fit, or all
 * while somebody waits for memory or this thread reclaims, is uncharged. False: all was
 * uncharged, and the group may be gone. Context: any, no allocation; in no section.
 */
bool bhi_stock_refill(struct bh_group *group, int64_t size);

/*
 * The usual end of bytes of bh_charge: they came through this thread's stock, and it
 * takes them back. False: nothing was done. Context: any, no allocation; in no section.
 */
bool bhi_stock_return(struct bh_group *group, int64_t size);

/*
 * Take @size bytes off those of bh_charge in @group; the caller then refills or uncharges
 * them. False: this thread and the group know of fewer, and nothing was done; the rest
 * may be in stocks of others. Context: any, no allocation; in no section.
 */
bool bhi_stock_take_external(struct bh_group *group, int64_t size);

/* Let the group know of all its bytes of bh_charge that threads count. Context: may wait.
 */
void bhi_stock_add_external(struct bh_group *group);

/* Uncharge what all threads hold for @group and its descendants. Context: may wait. */
void bhi_stock_drain(struct bh_group *group);

/*
 * The same for a group that no other thread uses meanwhile: they are stopped only if one
 * of them may hold something. Context: may wait.
 */
void bhi_stock_drain_unused(struct bh_group *group);

/* What all threads hold for exactly @group; *@ret_external likewise. Context: may wait.
 */
int64_t bhi_stock_held(const struct bh_group *group, int64_t *ret_external);

/* Call fn for each slot that holds something, all threads claimed: fn takes no lock and
 * does not wait. Context: may wait. */
void bhi_stock_for_each(
	void (*fn)(struct bh_group *group, int64_t size, int64_t external, void *arg),
	void *arg);

#endif
