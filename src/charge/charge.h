/* SPDX-License-Identifier: MIT */
/*
 * The slow path: what happens when somebody asks for memory. One file, one set of rules
 * for every kind of request, whichever allocator it came through.
 */
#ifndef BHI_CHARGE_CHARGE_H
#define BHI_CHARGE_CHARGE_H

#include "task/task.h"

/* Requests of more than 2^3 pages are costly: they fail after one round of reclaim. */
#define BHI_COSTLY_ORDER 3

/* Among the flags of a request: for the private memory of the current task. */
#define BHI_CHARGE_PRIVATE (1u << 30)

/* Linux MAX_RECLAIM_RETRIES: retries after a round that reclaimed nothing. */
#define BHI_MAX_RECLAIM_RETRIES 16

/* Whether @flags contradict each other or are unknown. Context: signal-safe. */
bool bhi_flags_are_valid(unsigned flags);

/*
 * Charge @size bytes (more than 0) to @group by the rules. @external: the bytes are
 * bh_charge's. 0 or -ENOMEM. Context: may wait, unless @flags say otherwise; in no
 * section.
 */
int bhi_charge(struct bh_group *group, int64_t size, unsigned flags, bool external);

/*
 * For a first touch: charge without waiting and without code of the host. 0, or -ENOMEM
 * and the group that is over its limit. Context: any, no allocation; in no section.
 */
int bhi_charge_pagefault(
	struct bh_group *group, int64_t size, struct bh_group **ret_over);

/*
 * What to do about it, outside of everything. True: the touch may be tried again, or the
 * task is killed, itself when nobody else can be and @ends_self. False: nobody can be
 * killed. Context: may wait, no allocation; no code of the host runs on this thread, but
 * for on_kill and on_oom.
 */
bool bhi_charge_pagefault_oom(struct bh_group *over, int64_t size, bool ends_self);

/* Context: any, no allocation; in no section. @group may be gone when this returns. */
void bhi_uncharge(struct bh_group *group, int64_t size, bool external);

/*
 * @group's max was lowered: reclaim what is above it, then apply the OOM policy, until
 * it fits, nothing helps, somebody set another max, or the current task is killed and may
 * be unwound. Context: may wait.
 */
void bhi_charge_enforce_max(struct bh_group *group);

/* @group's BH_HIGH was lowered: reclaim what is above it, as far as that helps. Context:
 * may wait. */
void bhi_charge_enforce_high(struct bh_group *group);

/*
 * How long a thread that charged @debt bytes above @high must sleep: pure. Nanoseconds,
 * at most 2 s; 0 for 10 ms and less. Linux mm/memcontrol.c, calculate_high_delay().
 * Context: signal-safe.
 */
uint64_t bhi_charge_high_delay(int64_t usage, int64_t high, int64_t debt);

#endif
