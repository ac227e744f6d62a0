/* SPDX-License-Identifier: MIT */
#include "oom/events.h"

#include "base/testpoint.h"
#include "oom/oom.h"

typedef uint64_t __attribute__((may_alias)) word_t;

#define EVENT_WORDS (sizeof(struct bh_oom_event) / sizeof(word_t))

_Static_assert(sizeof(struct bh_oom_event) % sizeof(word_t) == 0, "copied by the word");
_Static_assert(sizeof(struct bh_oom_event) <= 4096, "it lies on stacks of signals");

/* What is added later. */
enum later {
	LATER_BYTES,
	LATER_NS,
	LATER_NR_REAPED,
	LATER_NR_GIVEN_UP,
	LATER_WHY, /* enum bh_unreaped and the tries of the last one given up */
	LATER_NR,
};

/* 48 bits are 256 TiB, and 78 hours. */
#define VALUE_BITS 48
#define VALUE_MAX  (((uint64_t)1 << VALUE_BITS) - 1)
#define WHY_BITS   8

struct slot {
	/* atomic; protocol in events.h */
	uint64_t number; /* 0: none, or about to change */
	uint64_t words[EVENT_WORDS];
	uint64_t later[LATER_NR];
};

static struct {
	struct slot ring[BHI_OOM_EVENTS];
	/* atomic; written under the OOM lock */
	uint64_t nr;
} state;

static struct slot *slot_of(uint64_t number)
{
	return &state.ring[(number - 1) % BHI_OOM_EVENTS];
}

/* Which of the events of its slot it is. */
static uint64_t generation_of(uint64_t number)
{
	return (number - 1) / BHI_OOM_EVENTS << VALUE_BITS;
}

void bhi_oom_events_add(const struct bh_oom_event *event)
{
	struct slot *slot = slot_of(event->number);
	const word_t *words = (const word_t *)event;

	bhi_assert_held(&bhi_oom_lock);
	BUG_ON(event->number != state.nr + 1);
	bhi_store(&slot->number, 0);
	/* pairs with the fence in read_slot() */
	bhi_fence();
	for (size_t i = 0; i < EVENT_WORDS; i++)
		bhi_store(&slot->words[i], words[i]);
	for (unsigned i = 0; i < LATER_NR; i++)
		bhi_store(&slot->later[i], generation_of(event->number));
	/* pairs with the acquire in read_slot() */
	bhi_store_release(&slot->number, event->number);
	bhi_store_release(&state.nr, event->number);
}

static uint64_t later_of(const struct slot *slot, enum later which)
{
	return bhi_load_acquire(&slot->later[which]) & VALUE_MAX;
}

/* Counts before what they count, which is written first. */
static void read_later(const struct slot *slot, struct bh_oom_event *ret)
{
	uint64_t why;

	ret->nr_given_up = (uint32_t)later_of(slot, LATER_NR_GIVEN_UP);
	ret->nr_reaped = (uint32_t)later_of(slot, LATER_NR_REAPED);
	why = later_of(slot, LATER_WHY);
	ret->unreaped = (enum bh_unreaped)(why & ((1u << WHY_BITS) - 1));
	ret->nr_tries = (uint32_t)(why >> WHY_BITS);
	ret->reaped = later_of(slot, LATER_BYTES);
	ret->reaped_ns = later_of(slot, LATER_NS);
}

/* False: it is no longer there. */
static bool read_slot(uint64_t number, struct bh_oom_event *ret)
{
	const struct slot *slot = slot_of(number);
	word_t *words = (word_t *)ret;

	/* pairs with the release in bhi_oom_events_add() */
	if (bhi_load_acquire(&slot->number) != number)
		return false;
	for (size_t i = 0; i < EVENT_WORDS; i++)
		words[i] = bhi_load(&slot->words[i]);
	read_later(slot, ret);
	bhi_testpoint(BHI_TP_EVENT_COPIED);
	/* pairs with the fence in bhi_oom_events_add() */
	bhi_fence();
	return bhi_load(&slot->number) == number;
}

bool bhi_oom_events_read(unsigned index, struct bh_oom_event *ret)
{
	/* pairs with the release in bhi_oom_events_add(): the slots of so many are set */
	uint64_t nr = bhi_load_acquire(&state.nr), before;

	while (index < nr && index < BHI_OOM_EVENTS) {
		if (read_slot(nr - index, ret))
			return true;
		before = nr;
		nr = bhi_load_acquire(&state.nr);
		/* It is the oldest, and is about to go. */
		if (nr == before)
			return false;
	}
	return false;
}

uint64_t bhi_oom_events_count(void)
{
	return bhi_load(&state.nr);
}

static uint64_t add(uint64_t value, uint64_t change)
{
	return bhi_min(value + change, VALUE_MAX);
}

static uint64_t raise_to(uint64_t value, uint64_t change)
{
	return bhi_max(value, bhi_min(change, VALUE_MAX));
}

static uint64_t set(uint64_t value, uint64_t change)
{
	(void)value;
	return change;
}

static void change_later(uint64_t number, enum later which,
	uint64_t (*how)(uint64_t value, uint64_t change), uint64_t change)
{
	uint64_t *word = &slot_of(number)->later[which], old = bhi_load(word), new;

	do {
		if ((old & ~VALUE_MAX) != generation_of(number))
			return;
		new = generation_of(number) | how(old & VALUE_MAX, change);
	} while (!bhi_compare_exchange(word, &old, new));
}

void bhi_oom_events_reaped(uint64_t number, uint64_t bytes, uint64_t ns)
{
	if (!number)
		return;
	change_later(number, LATER_BYTES, add, bytes);
	change_later(number, LATER_NS, raise_to, ns);
	change_later(number, LATER_NR_REAPED, add, 1);
}

void bhi_oom_events_given_up(uint64_t number, enum bh_unreaped why, unsigned nr_tries)
{
	if (!number)
		return;
	change_later(number, LATER_WHY, set, (uint64_t)nr_tries << WHY_BITS | why);
	change_later(number, LATER_NR_GIVEN_UP, add, 1);
}

struct bh_oom_row *bhi_oom_event_row(struct bh_oom_event *event, int64_t points)
{
	uint32_t at = event->nr_rows;

	/* Of equals the later one is first: it is the one that is chosen. */
	while (at && event->rows[at - 1].points <= points)
		at--;
	if (event->nr_rows < BH_OOM_ROWS)
		event->nr_rows++;
	else
		event->nr_more++;
	if (at == BH_OOM_ROWS)
		return NULL;
	for (uint32_t i = event->nr_rows - 1; i > at; i--)
		event->rows[i] = event->rows[i - 1];
	event->rows[at] = (struct bh_oom_row){.points = points};
	return &event->rows[at];
}
