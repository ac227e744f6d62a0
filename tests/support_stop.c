/* SPDX-License-Identifier: MIT */
#include "support_stop.h"

#include <check.h>

#include "support_memory.h"
#include "task/task.h"

#define MAX_STOPS 8

/* atomic; written by the test's thread */
static struct support_stop *stops[MAX_STOPS];

static void look_at(struct support_stop *stop, enum bhi_testpoint point)
{
	enum support_who who = bhi_task_current ? SUPPORT_INSIDE : SUPPORT_OUTSIDE;

	if (point != stop->point || who != stop->who || !bhi_exchange(&stop->armed, 0))
		return;
	bhi_store_release(&stop->reached, 1);
	support_await(&stop->go_on, 1);
}

static void look_at_all(enum bhi_testpoint point)
{
	for (unsigned i = 0; i < MAX_STOPS; i++) {
		struct support_stop *stop = bhi_load_acquire(&stops[i]);

		if (stop)
			look_at(stop, point);
	}
}

static void set(struct support_stop *stop, enum bhi_testpoint point, enum support_who who,
	uint32_t go_on)
{
	unsigned i = 0;

	*stop = (struct support_stop){
		.point = point, .who = who, .armed = 1, .go_on = go_on};
	while (i < MAX_STOPS && stops[i])
		i++;
	ck_assert_uint_lt(i, MAX_STOPS);
	bhi_store_release(&stops[i], stop);
	bhi_store_release(&bhi_testpoint_hook, look_at_all);
}

void support_stop_at(
	struct support_stop *stop, enum bhi_testpoint point, enum support_who who)
{
	set(stop, point, who, 0);
}

void support_watch(
	struct support_stop *stop, enum bhi_testpoint point, enum support_who who)
{
	set(stop, point, who, 1);
}

void support_stop_await(const struct support_stop *stop)
{
	support_await(&stop->reached, 1);
}

void support_stop_go_on(struct support_stop *stop)
{
	bhi_store_release(&stop->go_on, 1);
}

void support_stops_clear(void)
{
	bhi_store_release(&bhi_testpoint_hook, NULL);
	for (unsigned i = 0; i < MAX_STOPS; i++)
		bhi_store(&stops[i], NULL);
}
