/* SPDX-License-Identifier: MIT */
#include "account/stall.h"

/* An average is at most 100 << 24, which is below 2^31: a product with a decay below
 * 2^32 stays below 2^63. */
#define AVG_SHIFT    24
#define AVG_FULL     (100u << AVG_SHIFT)
#define DECAY_SHIFT  31
#define DECAY_ONE    (UINT64_C(1) << DECAY_SHIFT)
#define DECAY_HALF   (DECAY_ONE / 2)
#define REPORT_SCALE 100u /* of struct bh_stall: 1/100 % */

/* 2^31 * e^(-2/T) for T of 10, 60 and 300 s. */
static const uint32_t decays[BHI_STALL_NR_AVGS] = {1758210904, 2077080760, 2133214706};

/* @decay to the power of @exponent, by squaring. */
static uint64_t decay_power(uint64_t decay, uint64_t exponent)
{
	uint64_t result = DECAY_ONE;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = (result * decay + DECAY_HALF) >> DECAY_SHIFT;
		decay = (decay * decay + DECAY_HALF) >> DECAY_SHIFT;
	}
	return result;
}

/* End @nr_periods periods in each of which the stalled share was @share. */
static void average_periods(
	struct bhi_stall_track *track, uint32_t share, uint64_t nr_periods)
{
	for (int i = 0; i < BHI_STALL_NR_AVGS; i++) {
		uint64_t decay = decay_power(decays[i], nr_periods);

		track->avg[i] =
			(uint32_t)((track->avg[i] * decay + share * (DECAY_ONE - decay) +
					   DECAY_HALF) >>
				   DECAY_SHIFT);
		bh_assert(track->avg[i] <= AVG_FULL);
	}
}

/* End the open period, @left ns after the last update, and @nr_whole whole ones. */
static void track_end_periods(
	struct bhi_stall_track *track, bool running, uint32_t left, uint64_t nr_whole)
{
	uint64_t stalled = track->period_ns + (running ? left : 0);

	bh_assert(stalled <= BHI_STALL_PERIOD_NS);
	average_periods(track, (uint32_t)(stalled * AVG_FULL / BHI_STALL_PERIOD_NS), 1);
	average_periods(track, running ? AVG_FULL : 0, nr_whole);
	track->period_ns = 0;
}

/* @ns more have gone by without the end of a period. */
static void track_add(struct bhi_stall_track *track, bool running, uint32_t ns)
{
	if (running)
		track->period_ns += ns;
}

static void clock_advance(struct bhi_stall_clock *clock, uint64_t now)
	BH_REQUIRES(clock->lock)
{
	bool some = clock->nr_waiting > 0;
	bool full = some && clock->nr_waiting >= clock->nr_working;
	uint64_t elapsed, left, nr_whole;

	bhi_assert_held(&clock->lock);
	if (now <= clock->latest)
		return;
	elapsed = now - clock->latest;
	clock->latest = now;
	clock->some.total_ns += some ? elapsed : 0;
	clock->full.total_ns += full ? elapsed : 0;

	left = clock->updated + BHI_STALL_PERIOD_NS - (now - elapsed);
	if (elapsed >= left) {
		elapsed -= left;
		nr_whole = elapsed / BHI_STALL_PERIOD_NS;
		track_end_periods(&clock->some, some, (uint32_t)left, nr_whole);
		track_end_periods(&clock->full, full, (uint32_t)left, nr_whole);
		elapsed %= BHI_STALL_PERIOD_NS;
		clock->updated = now - elapsed;
	}
	track_add(&clock->some, some, (uint32_t)elapsed);
	track_add(&clock->full, full, (uint32_t)elapsed);
}

static uint32_t average_report(uint32_t avg)
{
	return (uint32_t)(((uint64_t)avg * REPORT_SCALE + (1u << (AVG_SHIFT - 1))) >>
			  AVG_SHIFT);
}

static struct bh_stall track_report(const struct bhi_stall_track *track)
{
	return (struct bh_stall){
		.total_ns = track->total_ns,
		.avg10 = average_report(track->avg[0]),
		.avg60 = average_report(track->avg[1]),
		.avg300 = average_report(track->avg[2]),
	};
}

void bhi_stall_clock_init(struct bhi_stall_clock *clock, uint64_t now)
{
	*clock = (struct bhi_stall_clock){
		.lock = BHI_LOCK_INIT(BHI_RANK_STALL),
		.updated = now,
		.latest = now,
	};
}

void bhi_stall_clock_change(
	struct bhi_stall_clock *clock, int working, int waiting, uint64_t now)
{
	bhi_lock_acquire(&clock->lock);
	clock_advance(clock, now);
	clock->nr_working += working;
	clock->nr_waiting += waiting;
	if (WARN_ONCE(clock->nr_working < 0, "more threads stopped working than began"))
		clock->nr_working = 0;
	if (WARN_ONCE(clock->nr_waiting < 0, "more threads stopped waiting than began"))
		clock->nr_waiting = 0;
	bhi_lock_release(&clock->lock);
}

void bhi_stall_clock_read(struct bhi_stall_clock *clock, uint64_t now,
	struct bh_stall *ret_some, struct bh_stall *ret_full)
{
	bhi_lock_acquire(&clock->lock);
	clock_advance(clock, now);
	*ret_some = track_report(&clock->some);
	*ret_full = track_report(&clock->full);
	bhi_lock_release(&clock->lock);
}
