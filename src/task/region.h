/* SPDX-License-Identifier: MIT */
/*
 * The region of a task: its spans of the private window and which of their pages are
 * populated.
 *
 * Two threads may change that: the one inside the task, and the reaper, which comes at
 * any time and must wait for nobody. Protocol (asymmetric Dekker, as base/thread.h):
 *
 *	owner					reaper
 *	guard += 1				unstable = 1
 *	compiler fence				membarrier on all threads
 *	unstable? -> guard -= 1, unwind		guard != 0? -> unstable = 0, try later
 *	... populate, zap, hold section ...	... zap everything ...
 *	guard -= 1 (release)
 *
 * There are two guards, .busy around changes of pages and .hold, a count, around hold
 * sections; the reaper looks at both. Not both get in: the membarrier falls, in the
 * owner's instruction order, either after its store to the guard, which the reaper then
 * sees, or before it, and then the owner's later load sees unstable. Where the kernel has
 * no membarrier the owner runs a full fence in its place. The release of a guard pairs
 * with the reaper's acquiring load.
 *
 * Once the reaper got in, unstable stays set for the life of the task: no page is ever
 * populated again, so one that was reaped faults and never reads as zero. An owner that
 * sees unstable while the reaper is about to back off is refused as well; it belongs to a
 * task that is killed, and unwinds. Only inside a hold section must it wait for the back
 * off, which its own hold makes certain.
 *
 * A busy section is short: it populates BHI_STEP_PAGES at most, or zaps BHI_ZAP_PAGES.
 * Who changes more does it in steps, a section each, and looks between two of them
 * whether the task is killed: then it unwinds, or goes on where it may not. So the reaper
 * is kept off by .busy for a step and by .hold for as long as the host likes, and treats
 * the two differently: after .busy it comes back soon, and that counts as a try only when
 * it was nothing but .busy for as long as there is between two tries. It ends, for the
 * owner unwinds at the end of its step, or is met in a hold section. Where its thread
 * does not run, or the kernel lets it wait for a page, the tries run out.
 *
 * Pages that are populated and not in use are taken by others too, who need them more:
 * keep.h. They claim as the reaper does, but say trimming in .unstable, and look at .busy
 * alone: what is not in use is of no interest to a hold section. They wait for .busy to
 * be taken back, for a section waits for nothing but them. An owner that sees trimming
 * takes its guard back as above, and waits until it is over instead of unwinding. Who
 * claims, for whatever end, has region.end at ASKED first, so there is one at a time.
 *
 * What was charged for steps to come is in .pending. The owner takes off what it
 * populates, inside of the section. Who gives up, the owner on its way out or the reaper
 * that got in, takes the rest by exchange and uncharges it: one of them does, once.
 */
#ifndef BHI_TASK_REGION_H
#define BHI_TASK_REGION_H

#include "base/thread.h"
#include "task/window.h"

/* How much is populated in one busy section: a quarter of a millisecond's work, so that
 * the reaper waits no longer than that, and enough that two system calls more do not show
 * in it. */
#define BHI_STEP_PAGES BHI_AREA_PAGES

/* How much is zapped before it is uncharged: small enough that others go on soon, large
 * enough that the system call's own cost does not show. */
#define BHI_ZAP_PAGES (4 * BHI_AREA_PAGES)

struct bhi_region {
	/* owner thread only, read by the reaper; protocol above */
	uint32_t hold;
	uint32_t busy;
	/* the claimer's, read by the owner; enum bhi_region_unstable */
	uint32_t unstable;
	/* atomic: who takes everything back, enum bhi_region_end */
	uint32_t end;
	/* whoever may change pages */
	uint32_t spans; /* first area of the newest span, or BHI_NO_AREA */
	uint32_t nr_areas;
	/* atomic; written by whoever may change pages */
	uint32_t nr_idle; /* pages populated and not in use */
	/* atomic; debug builds: enum bhi_access, access.h */
	uint32_t access;
	/* atomic; written by whoever may change pages */
	uint64_t bytes; /* populated */
	uint64_t peak;
	/* atomic; protocol above */
	uint64_t pending; /* charged and not populated yet */
};

enum bhi_region_unstable {
	BHI_STABLE,
	BHI_UNSTABLE, /* being reaped, or about to be */
	BHI_TRIMMING, /* idle pages are being taken, or about to be */
};

/* What became of the reaper's try. */
enum bhi_region_claim {
	BHI_CLAIMED,
	BHI_MET_BUSY,
	BHI_MET_HOLD,
};

enum bhi_region_end {
	BHI_REGION_LIVE,
	BHI_REGION_ASKED,  /* somebody looks whether he may zap all of it, end.h */
	BHI_REGION_ENDING, /* somebody will, after those who look at it */
	BHI_REGION_TAKEN,  /* somebody zaps all of it */
	BHI_REGION_GONE,   /* nothing is, but what the kernel refused, for ever */
};

/* Context: any. */
void bhi_region_init(struct bhi_region *region);

/* Where there is no membarrier. Context: signal-safe. */
BHI_COLD void bhi_region_full_fence(void);

/* Between a guard and the look at unstable. Context: signal-safe. */
static inline void bhi_region_fence(void)
{
	if (bhi_unlikely(bhi_thread_fenced))
		bhi_region_full_fence();
	else
		bhi_compiler_fence();
}

/* Begin to change pages; not nested. False: the region is being reaped. Context: owner
 * thread only, signal-safe. */
bool bhi_region_enter(struct bhi_region *region);

/* Context: owner thread only, signal-safe. */
static inline void bhi_region_leave(struct bhi_region *region)
{
	/* pairs with the acquiring load in bhi_region_try_claim() */
	bhi_store_release(&region->busy, 0);
}

/* The reaper's side. If it met a guard, nothing has happened. Context: any, no
 * allocation. */
enum bhi_region_claim bhi_region_try_claim(struct bhi_region *region);

/*
 * Who takes idle pages: keep the owner from changing pages, if it is not just at it.
 * is_quiet: no longer is; what it did is seen. Unclaim either way. Context: any, no
 * allocation.
 */
void bhi_region_claim_idle(struct bhi_region *region);
static inline bool bhi_region_is_quiet(const struct bhi_region *region)
{
	/* pairs with the release in bhi_region_leave() */
	return !bhi_load_acquire(&region->busy);
}
static inline void bhi_region_unclaim_idle(struct bhi_region *region)
{
	/* pairs with the acquiring load in bhi_region_enter() */
	bhi_store_release(&region->unstable, BHI_STABLE);
}

/* Take over what is charged and not populated; bytes to uncharge. By the owner outside of
 * enter and leave, or claimed. Context: any, no allocation. */
static inline uint64_t bhi_region_take_pending(struct bhi_region *region)
{
	return bhi_load(&region->pending) ? bhi_exchange(&region->pending, 0) : 0;
}

/*
 * A span of @nr_pages usable pages, none of them populated. Its first area, or
 * BHI_NO_AREA. Between enter and leave. Context: owner thread only.
 */
uint32_t bhi_region_take(struct bhi_region *region, struct bh_task *task,
	enum bhi_area_kind kind, uint32_t nr_pages);

/* Make an area of a heap, @bytes of which are populated and charged, part of the region.
 * Between enter and leave. Context: owner thread only. */
void bhi_region_adopt(struct bhi_region *region, uint32_t number, uint64_t bytes);

/* Give a span back of which no page is populated. Between enter and leave. Context: owner
 * thread only. */
void bhi_region_give(struct bhi_region *region, uint32_t first);

/* Populate those of @nr pages of a span that are not; they are charged. 0 or -ENOMEM:
 * some still are not. Between enter and leave. Context: owner thread only, signal-safe.
 */
int bhi_region_populate(
	struct bhi_region *region, uint32_t first, uint32_t page, uint32_t nr);

/* Zap those of @nr pages of a span that are populated; bytes to uncharge. What the kernel
 * refuses to zap stays populated. Between enter and leave, or claimed. Context:
 * signal-safe. */
uint64_t bhi_region_zap(
	struct bhi_region *region, uint32_t first, uint32_t page, uint32_t nr);

/* What a zap left of @nr pages reads as zero, and stays populated. Between enter and
 * leave. Context: signal-safe. */
void bhi_region_clear(uint32_t first, uint32_t page, uint32_t nr);

/* Give up a span of which the kernel refuses to zap a page; bytes to uncharge. Nobody
 * else looks at the task any more. Context: any, no allocation. */
uint64_t bhi_region_retire(struct bhi_region *region, uint32_t first);

/* How many of @nr pages of a span are not populated; outside of enter and leave the
 * reaper may be changing that. Context: owner thread only. */
uint32_t bhi_region_missing(uint32_t first, uint32_t page, uint32_t nr);

/* Of the pages of a span from @page on, the end (at most @end) of those that are
 * populated, or not, as it is. Context: owner thread only. */
uint32_t bhi_region_same_until(uint32_t first, uint32_t page, uint32_t end);

/* Whether a page of a span is populated. Context: owner thread only. */
static inline bool bhi_region_has(uint32_t first, uint32_t page)
{
	const struct bhi_area *area = &bhi_private.areas[first + page / BHI_AREA_PAGES];

	page %= BHI_AREA_PAGES;
	return bhi_load(&area->populated[page / 64]) >> (page % 64) & 1;
}

/* The first area of the span that area @number belongs to. Context: signal-safe. */
uint32_t bhi_span_of(uint32_t number);

/* Whether all spans were given back. Context: any. */
static inline bool bhi_region_is_empty(const struct bhi_region *region)
{
	return region->spans == BHI_NO_AREA;
}

#endif
