/* SPDX-License-Identifier: MIT */
#include "account/protection.h"

static int64_t scale(int64_t value, int64_t numerator, int64_t denominator)
{
	return (int64_t)((__int128)value * numerator / denominator);
}

int64_t bhi_protection_effective(int64_t usage, int64_t parent_usage, int64_t setting,
	int64_t parent_effective, int64_t siblings)
{
	int64_t claimed = bhi_min(usage, setting);
	int64_t effective = claimed;

	if (siblings > parent_effective)
		return scale(claimed, parent_effective, siblings);
	/* What nobody claims goes to those who use more than they claimed. */
	if (parent_effective > siblings && parent_usage > siblings && usage > claimed)
		effective += scale(parent_effective - siblings, usage - claimed,
			parent_usage - siblings);
	return effective;
}

struct effective {
	int64_t min, low;
};

/* @first: the parent is what memory is reclaimed from. */
static struct effective effective_of(
	const struct bhi_counter *counter, bool first, struct effective of_parent)
{
	const struct bhi_counter *parent = counter->parent;
	int64_t usage = bhi_load(&counter->usage), parent_usage;
	struct effective e = {bhi_load(&counter->min), bhi_load(&counter->low)};

	if (first || !usage)
		return e;
	parent_usage = bhi_load(&parent->usage);
	e.min = bhi_protection_effective(usage, parent_usage, e.min, of_parent.min,
		bhi_load(&parent->children_min_usage));
	e.low = bhi_protection_effective(usage, parent_usage, e.low, of_parent.low,
		bhi_load(&parent->children_low_usage));
	return e;
}

void bhi_protection_update(struct bhi_counter *target, struct bhi_counter *counter)
{
	const struct bhi_counter *parent = counter->parent;
	struct effective e = {0};

	if (counter != target)
		e = effective_of(counter, parent == target,
			(struct effective){
				bhi_load(&parent->emin), bhi_load(&parent->elow)});
	bhi_store(&counter->emin, e.min);
	bhi_store(&counter->elow, e.low);
}

static unsigned depth_of(const struct bhi_counter *counter)
{
	unsigned depth = 0;

	while ((counter = counter->parent))
		depth++;
	return depth;
}

/* From the top down, without a trace: a reclaim from another target may be using .emin.
 */
void bhi_protection_read(
	const struct bhi_counter *counter, int64_t *ret_emin, int64_t *ret_elow)
{
	struct effective e = {0};

	for (unsigned up = depth_of(counter); up--;) {
		const struct bhi_counter *level = counter;

		for (unsigned i = 0; i < up; i++)
			level = level->parent;
		e = effective_of(level, !level->parent->parent, e);
	}
	*ret_emin = e.min;
	*ret_elow = e.low;
}
