/* SPDX-License-Identifier: MIT */
#include "account/counter.h"
#include "account/waiters.h"
#include "base/bug.h"

void bhi_counter_init(struct bhi_counter *counter, struct bhi_counter *parent)
{
	*counter = (struct bhi_counter){
		.parent = parent,
		.high = BHI_COUNTER_MAX,
		.max = BHI_COUNTER_MAX,
	};
}

/*
 * Keep the parent's sum of what its children use within their own protection. The sum
 * is what racing updates leave behind once they are done: each exchanges its own value in
 * and adds the difference to what it took out.
 */
static void propagate_one(int64_t *own, int64_t *sum, int64_t protection, int64_t usage)
{
	int64_t covered = bhi_min(usage, protection);
	int64_t old = bhi_load(own);

	if (covered != old) {
		old = bhi_exchange(own, covered);
		bhi_add(sum, covered - old);
	}
}

static void propagate(struct bhi_counter *counter, int64_t usage)
{
	struct bhi_counter *parent = counter->parent;
	int64_t min = bhi_load(&counter->min);
	int64_t low = bhi_load(&counter->low);

	if (!parent)
		return;
	propagate_one(&counter->min_usage, &parent->children_min_usage, min, usage);
	propagate_one(&counter->low_usage, &parent->children_low_usage, low, usage);
}

static int64_t limit_of(const struct bhi_counter *counter, enum bhi_reserve reserve)
{
	if (counter->parent)
		return bhi_load(&counter->max);
	return bhi_load(&counter->max) - bhi_zone_floor(&bhi_zone.marks, reserve);
}

static bool is_protected(const struct bhi_counter *counter)
{
	return bhi_load(&counter->min) || bhi_load(&counter->low) ||
	       bhi_load(&counter->min_usage) || bhi_load(&counter->low_usage);
}

/*
 * Returns what was really there to be taken off. Of racing underflows each gives back its
 * own part, and nobody's charge is lost.
 *
 * With its last charge gone an offline level may be freed at any moment, so it is not
 * touched after the subtraction. Offline levels protect nothing; one that protected
 * something until just now is still a counter of the pool, and the sum that it may leave
 * wrong is put right by the next charge.
 */
static int64_t uncharge_one(struct bhi_counter *counter, int64_t size)
{
	bool guarded = is_protected(counter);
	int64_t left = bhi_sub_return(&counter->usage, size);

	if (WARN_ONCE(left < 0, "more was uncharged than was charged")) {
		int64_t missing = bhi_min(-left, size);

		left = bhi_add_return(&counter->usage, missing);
		size -= missing;
	}
	if (bhi_unlikely(guarded))
		propagate(counter, left);
	return size;
}

/* Take a charge back from @counter up to but not including @end. */
static void cancel(struct bhi_counter *counter, struct bhi_counter *end, int64_t size)
{
	for (; counter != end; counter = counter->parent)
		uncharge_one(counter, size);
}

/* The charge has succeeded from @counter up to but not including @end. */
static void note_peaks(struct bhi_counter *counter, const struct bhi_counter *end)
{
	for (; counter != end; counter = counter->parent) {
		int64_t usage = bhi_load(&counter->usage);

		if (usage > bhi_load(&counter->peak))
			bhi_store(&counter->peak, usage);
	}
}

static bool refuse(struct bhi_counter *level, struct bhi_counter **ret_over)
{
	bhi_add(&level->failcnt, 1);
	*ret_over = level;
	return false;
}

/* The level that refuses a size that is larger than the zone. Such a size is never added
 * anywhere, so no sum wraps around. */
static struct bhi_counter *find_refusing(struct bhi_counter *level, int64_t size)
{
	while (level->parent && size <= bhi_load(&level->max))
		level = level->parent;
	return level;
}

/* The root: charged below it. Another level: it refuses, and nothing is charged. */
static struct bhi_counter *charge_below_root(
	struct bhi_counter *counter, int64_t size, bool force)
{
	struct bhi_counter *level;

	for (level = counter; level->parent; level = level->parent) {
		int64_t usage = bhi_add_return(&level->usage, size);

		if (usage > bhi_load(&level->max) && !force) {
			cancel(counter, level->parent, size);
			break;
		}
		if (bhi_unlikely(is_protected(level)))
			propagate(level, usage);
	}
	return level;
}

/*
 * The root tests before it adds: who waits for memory looks only there, and must not be
 * refused for the sake of bytes that are about to be taken back, which wakes nobody.
 */
static bool charge_root(struct bhi_counter *root, int64_t size, enum bhi_reserve reserve)
{
	/* in one order with a waiter's announcement, see waiters.h */
	int64_t usage = __atomic_load_n(&root->usage, __ATOMIC_SEQ_CST);

	do {
		if (usage + size > limit_of(root, reserve))
			return false;
	} while (!bhi_compare_exchange(&root->usage, &usage, usage + size));
	return true;
}

bool bhi_counter_try_charge(struct bhi_counter *counter, int64_t size,
	enum bhi_reserve reserve, bool force, struct bhi_counter **ret_over)
{
	struct bhi_counter *level;

	if (bhi_unlikely(size > (int64_t)bhi_zone.size))
		return refuse(find_refusing(counter, size), ret_over);
	level = charge_below_root(counter, size, force);
	if (level->parent)
		return refuse(level, ret_over);
	if (!charge_root(level, size, reserve)) {
		cancel(counter, level, size);
		return refuse(level, ret_over);
	}
	note_peaks(counter, NULL);
	return true;
}

/*
 * The charge pins each level until it is taken off there, so a level's parent is read
 * before and the level is not touched after.
 */
int64_t bhi_counter_uncharge(struct bhi_counter *counter, int64_t size)
{
	struct bhi_counter *parent = counter->parent;
	int64_t taken = uncharge_one(counter, size), rest = taken;

	while ((counter = parent)) {
		parent = counter->parent;
		rest = uncharge_one(counter, rest);
	}
	bhi_waiters_wake();
	return taken;
}

bool bhi_counter_try_charge_below_root(struct bhi_counter *counter, int64_t size)
{
	struct bhi_counter *level = charge_below_root(counter, size, false);

	if (level->parent)
		return false;
	note_peaks(counter, level);
	return true;
}

void bhi_counter_uncharge_below_root(struct bhi_counter *counter, int64_t size)
{
	while (counter->parent) {
		struct bhi_counter *parent = counter->parent;

		size = uncharge_one(counter, size);
		counter = parent;
	}
	bhi_waiters_wake();
}

int64_t bhi_counter_margin(const struct bhi_counter *counter, enum bhi_reserve reserve)
{
	int64_t margin = limit_of(counter, reserve) - bhi_load(&counter->usage);

	return bhi_max(margin, (int64_t)0);
}

int64_t bhi_counter_excess(const struct bhi_counter *counter)
{
	int64_t excess = bhi_load(&counter->usage) - limit_of(counter, BHI_RESERVE_NONE);

	return bhi_max(excess, (int64_t)0);
}

void bhi_counter_set_min(struct bhi_counter *counter, int64_t size)
{
	bhi_store(&counter->min, size);
	propagate(counter, bhi_load(&counter->usage));
}

void bhi_counter_set_low(struct bhi_counter *counter, int64_t size)
{
	bhi_store(&counter->low, size);
	propagate(counter, bhi_load(&counter->usage));
}

int64_t bhi_counter_free(const struct bhi_counter *root)
{
	return bhi_load(&root->max) - bhi_load(&root->usage);
}
