/* SPDX-License-Identifier: MIT */
/*
 * Stall time, after the kernel's pressure stall information (kernel/sched/psi.c).
 *
 * A clock counts the threads that work for a group and those of them that wait for
 * memory. "some" runs while at least one waits, "full" while all of them wait (and at
 * least one does).
 *
 * Averages over 10, 60 and 300 s decay exponentially. Time is cut into periods of 2 s;
 * when one ends, its share of stalled time s moves each average:
 *
 *	avg = avg * e^(-2/T) + s * (1 - e^(-2/T))
 *
 * They are brought up to date when somebody changes or reads the clock, however many
 * periods have gone by. Since every change does so first, whether a track runs was
 * constant from the last update to now: the share of the period then open and those of
 * the whole periods after it (all or nothing) are exact, and the averages do not depend
 * on how often anybody looks. Inside a period they do not move.
 *
 * The kernel's 11 fractional bits leave an error of up to 0.07 % in the average over
 * 300 s, more than the 0.01 % that we report, hence 24 bits of percent and 31 of decay.
 */
#ifndef BHI_ACCOUNT_STALL_H
#define BHI_ACCOUNT_STALL_H

#include "base/lock.h"
#include "bulkhead.h"

#define BHI_STALL_PERIOD_NS 2000000000u
#define BHI_STALL_NR_AVGS   3

struct bhi_stall_track {
	uint64_t total_ns;
	uint32_t period_ns;              /* of it, in the open period */
	uint32_t avg[BHI_STALL_NR_AVGS]; /* percent << 24 */
};

struct bhi_stall_clock {
	/* immutable after init */
	struct bhi_lock lock;
	/* protected by .lock */
	int32_t nr_working;
	int32_t nr_waiting;
	uint64_t updated; /* start of the open period */
	uint64_t latest;  /* the tracks hold all that was stalled up to here */
	struct bhi_stall_track some, full;
};

/*
 * Context: any. @now as of bhi_sys_now_ns() in all of these. Callers read the time before
 * they get the lock, so it may lie before .latest; it then counts as .latest.
 */
void bhi_stall_clock_init(struct bhi_stall_clock *clock, uint64_t now);

/* Add to the two counts. A waiting thread is working too. Context: any, no allocation. */
void bhi_stall_clock_change(
	struct bhi_stall_clock *clock, int working, int waiting, uint64_t now);

/* Context: any, no allocation. */
void bhi_stall_clock_read(struct bhi_stall_clock *clock, uint64_t now,
	struct bh_stall *ret_some, struct bh_stall *ret_full);

#endif
