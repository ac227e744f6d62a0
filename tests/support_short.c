/* SPDX-License-Identifier: MIT */
#include <check.h>

#include "support_short.h"

struct support_killer support_killer;

bool support_kill(struct bh_group *over, int64_t size)
{
	struct support_killer *k = &support_killer;

	k->over = over;
	k->size = size;
	bhi_add(&k->nr_calls, 1);
	if (!k->gives)
		return false;
	bhi_counter_uncharge(&over->counter, (int64_t)k->gives);
	bhi_add(&over->external, -(int64_t)k->gives);
	return true;
}

static size_t stubborn_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_stubborn *s =
		bhi_container_of(self, struct support_stubborn, shrinker);

	if (!pthread_equal(pthread_self(), s->here))
		return 0;
	s->flags = control->flags;
	bhi_add(&s->nr_counts, 1);
	return s->nr_objects;
}

static size_t stubborn_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_stubborn *s =
		bhi_container_of(self, struct support_stubborn, shrinker);

	(void)control;
	bhi_add(&s->nr_scans, 1);
	return 0;
}

void support_stubborn_init(struct support_stubborn *s, struct bh_group *group)
{
	*s = (struct support_stubborn){
		.shrinker = {.name = "stubborn",
			.count = stubborn_count,
			.scan = stubborn_scan,
			.group = group,
			.seeks = 2},
		.here = pthread_self(),
		.nr_objects = 1000,
	};
	ck_assert_int_eq(bh_shrinker_register(&s->shrinker), 0);
}

void support_stubborn_fini(struct support_stubborn *s)
{
	ck_assert_int_eq(bh_shrinker_unregister(&s->shrinker), 0);
}

unsigned support_rounds(uint32_t nr_counts)
{
	return (nr_counts + SHORT_PASSES - 1) / SHORT_PASSES;
}
