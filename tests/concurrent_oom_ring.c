/* SPDX-License-Identifier: MIT */
/* The ring of OOM events with a killer, readers, and reapers that come early or late. */
#include <sched.h>

#include "support.h"
#include "support_oom.h"

#define NR_EVENTS  5000
#define NR_READERS 2
#define NR_REAPERS 2

/* atomic; how much was read and added while events came */
static struct {
	uint32_t done, nr_ready;
	uint64_t nr_read, nr_reaped;
} run;

static void begin(void)
{
	(void)bhi_add_return(&run.nr_ready, 1);
	support_await(&run.nr_ready, 1 + NR_READERS + NR_REAPERS);
}

static void *add_all(void *arg)
{
	(void)arg;
	begin();
	/* Each of the others has had its turn in between. */
	for (uint64_t i = 0;
		i < NR_EVENTS || !bhi_load(&run.nr_read) || !bhi_load(&run.nr_reaped);
		i++)
		support_add_events(1);
	bhi_store_release(&run.done, 1);
	return NULL;
}

/* What is added to an event is a multiple of its number, of bytes and of pages. */
static void check(const struct bh_oom_event *event)
{
	ck_assert(support_is_whole(event));
	ck_assert_uint_eq(event->reaped % event->number, 0);
	ck_assert(!event->reaped_ns || event->reaped_ns == event->number);
	ck_assert(!event->nr_tries || event->nr_tries == event->number % 1000 + 1);
	ck_assert_uint_ge(event->reaped / event->number, event->nr_reaped);
}

static void *read_all(void *arg)
{
	struct bh_oom_event event;
	uint64_t newest = 0;

	(void)arg;
	begin();
	do {
		for (unsigned i = 0; i < BHI_OOM_EVENTS; i++) {
			if (!bhi_oom_events_read(i, &event))
				continue;
			check(&event);
			if (!i)
				ck_assert_uint_ge(event.number, newest);
			newest = bhi_max(newest, event.number);
			bhi_add(&run.nr_read, 1);
		}
		sched_yield();
	} while (!bhi_load_acquire(&run.done));
	return NULL;
}

/* Of the last 32, so that half of them are no longer there. */
static void *reap_all(void *arg)
{
	(void)arg;
	begin();
	do {
		uint64_t newest = bhi_oom_events_count();

		for (uint64_t i = 0; i < 2 * BHI_OOM_EVENTS && i < newest; i++) {
			uint64_t number = newest - i;

			bhi_oom_events_reaped(number, number, number);
			bhi_oom_events_given_up(
				number, BH_UNREAPED_HOLDING, number % 1000 + 1);
			bhi_add(&run.nr_reaped, 1);
		}
	} while (!bhi_load_acquire(&run.done));
	return NULL;
}

START_TEST(no_event_is_torn_and_none_gets_what_is_another_s)
{
	pthread_t threads[1 + NR_READERS + NR_REAPERS];

	support_start(64 * MIB);
	threads[0] = support_thread(add_all, NULL);
	for (int i = 0; i < NR_READERS; i++)
		threads[1 + i] = support_thread(read_all, NULL);
	for (int i = 0; i < NR_REAPERS; i++)
		threads[1 + NR_READERS + i] = support_thread(reap_all, NULL);
	for (size_t i = 0; i < bhi_array_size(threads); i++)
		support_join(threads[i]);
	ck_assert_uint_ge(bhi_oom_events_count(), NR_EVENTS);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, no_event_is_torn_and_none_gets_what_is_another_s);
}

int main(void)
{
	return support_run("concurrent_oom_ring", add);
}
