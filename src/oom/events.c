/* SPDX-License-Identifier: MIT */
#include "oom/events.h"

#include "oom/oom.h"

static struct {
	/* protected by the OOM lock */
	struct bhi_oom_event ring[BHI_OOM_EVENTS];
	/* atomic; written under the lock */
	uint64_t nr;
} state;

void bhi_oom_events_add(struct bhi_oom_event *event)
{
	bhi_assert_held(&bhi_oom_lock);
	event->number = state.nr + 1;
	state.ring[state.nr % BHI_OOM_EVENTS] = *event;
	bhi_store(&state.nr, state.nr + 1);
}

bool bhi_oom_events_read(unsigned index, struct bhi_oom_event *ret)
{
	bool found;

	bhi_lock_acquire(&bhi_oom_lock);
	found = index < state.nr && index < BHI_OOM_EVENTS;
	if (found)
		*ret = state.ring[(state.nr - 1 - index) % BHI_OOM_EVENTS];
	bhi_lock_release(&bhi_oom_lock);
	return found;
}

uint64_t bhi_oom_events_count(void)
{
	return bhi_load(&state.nr);
}

void bhi_oom_event_row(struct bhi_oom_event *event, const struct bhi_oom_row *row)
{
	uint32_t at = event->nr_rows;

	/* Of equals the later one is first: it is the one that is chosen. */
	while (at && event->rows[at - 1].points <= row->points)
		at--;
	if (at == BHI_OOM_EVENT_TASKS)
		return;
	if (event->nr_rows < BHI_OOM_EVENT_TASKS)
		event->nr_rows++;
	for (uint32_t i = event->nr_rows - 1; i > at; i--)
		event->rows[i] = event->rows[i - 1];
	event->rows[at] = *row;
}
