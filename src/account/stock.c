/* SPDX-License-Identifier: MIT */
/*
 * Slots are written by their thread inside its section and by claimers; see
 * base/thread.h. A slot with bytes pins its group, and every slot is drained when its
 * group goes offline; an empty slot may name a group that is gone, which is compared and
 * never followed.
 */
#include "account/stock.h"
#include "account/waiters.h"

#define NR_SLOTS 4

/* Values of group->stocked_by beside the ids of threads. */
#define STOCKED_BY_NONE 0u
#define STOCKED_BY_MANY UINT32_MAX

struct slot {
	struct bh_group *group;
	int64_t size;
};

struct stock {
	struct slot slots[NR_SLOTS];
	/* bytes of bh_charge not yet added to those of the group; not negative */
	int64_t external[NR_SLOTS];
};

_Static_assert(offsetof(struct stock, external) == BHI_CACHE_LINE,
	"the slots are one cache line");

static BHI_TLS struct stock BHI_ALIGNED(BHI_CACHE_LINE) stock;
static BHI_TLS unsigned next_victim;

static void drain_slot(struct stock *s, unsigned i)
{
	struct bh_group *group = s->slots[i].group;
	int64_t size = s->slots[i].size, external = s->external[i];

	s->slots[i].size = 0;
	s->external[i] = 0;
	if (external)
		bhi_add(&group->external, external);
	if (size)
		bhi_counter_uncharge(&group->counter, size);
}

static bool is_empty(const struct stock *s, unsigned i)
{
	return !s->slots[i].size && !s->external[i];
}

static void drain_thread(struct bhi_thread *thread)
{
	struct stock *s = thread->data[BHI_SLOT_STOCK];

	for (unsigned i = 0; s && i < NR_SLOTS; i++)
		drain_slot(s, i);
}

static void thread_exit(struct bhi_thread *self)
{
	if (!bhi_thread_enter(self))
		return;
	drain_thread(self);
	self->data[BHI_SLOT_STOCK] = NULL;
	bhi_thread_leave(self);
}

static struct bhi_thread_hook hook = {.exit = thread_exit};

void bhi_stock_init(void)
{
	bhi_thread_hook_register(&hook);
}

/* NR_SLOTS: there is none. */
static unsigned find_slot(const struct bh_group *group)
{
	unsigned i = 0;

	while (i < NR_SLOTS && stock.slots[i].group != group)
		i++;
	return i;
}

static unsigned claim_slot(struct bh_group *group)
{
	unsigned i = find_slot(group);

	if (i < NR_SLOTS)
		return i;
	i = next_victim++ % NR_SLOTS;
	drain_slot(&stock, i);
	stock.slots[i].group = group;
	return i;
}

bool bhi_stock_consume(struct bh_group *group, int64_t size, int64_t external)
{
	struct bhi_thread *self = bhi_thread_current;
	bool enough;
	unsigned i;

	if (bhi_unlikely(!self) || !bhi_thread_enter(self))
		return false;
	i = find_slot(group);
	enough = i < NR_SLOTS && stock.slots[i].size >= size;
	if (enough) {
		stock.slots[i].size -= size;
		stock.external[i] += external;
	}
	bhi_thread_leave(self);
	return enough;
}

/*
 * Whether this thread's stock takes something in; then this thread is in its section. The
 * group's flag is read inside: one that goes offline later drains later. Inside reclaim
 * nothing is taken: limits and protection must see at once what is left of a group.
 */
static bool enter_to_refill(
	struct bhi_thread *self, const struct bh_group *group, int64_t size)
{
	if (!self || self->nesting || size > BHI_STOCK_BATCH || !bhi_thread_enter(self))
		return false;
	if (!bhi_load(&bhi_waiters.nr) && !bhi_load_acquire(&group->offline))
		return true;
	bhi_thread_leave(self);
	return false;
}

/*
 * Before bytes come into a slot, which bhi_stock_refill() gave to the group: if
 * group->stocked_by is the id of a thread, no other thread's stock holds anything for the
 * group. That another thread may get the id of one that ended does no harm: stocks are
 * drained at the end.
 */
static void note_holder(struct bh_group *group, uint32_t id)
{
	uint32_t seen = bhi_load(&group->stocked_by);

	if (bhi_likely(seen == id || seen == STOCKED_BY_MANY))
		return;
	if (seen != STOCKED_BY_NONE ||
		!bhi_compare_exchange(&group->stocked_by, &seen, id))
		bhi_store(&group->stocked_by, STOCKED_BY_MANY);
}

static void fill_slot(unsigned i, int64_t size)
{
	stock.slots[i].size += size;
	if (stock.slots[i].size > BHI_STOCK_BATCH)
		drain_slot(&stock, i);
}

bool bhi_stock_refill(struct bh_group *group, int64_t size)
{
	struct bhi_thread *self = bhi_thread_self();

	if (!enter_to_refill(self, group, size)) {
		bhi_counter_uncharge(&group->counter, size);
		return false;
	}
	self->data[BHI_SLOT_STOCK] = &stock;
	note_holder(group, self->id);
	fill_slot(claim_slot(group), size);
	bhi_thread_leave(self);
	return true;
}

bool bhi_stock_return(struct bh_group *group, int64_t size)
{
	struct bhi_thread *self = bhi_thread_current;
	bool known;
	unsigned i;

	if (!enter_to_refill(self, group, size))
		return false;
	i = find_slot(group);
	known = i < NR_SLOTS && stock.external[i] >= size;
	if (known) {
		stock.external[i] -= size;
		fill_slot(i, size);
	}
	bhi_thread_leave(self);
	return known;
}

static bool take_from_group(struct bh_group *group, int64_t size)
{
	int64_t have = bhi_load(&group->external);

	do {
		/* Below 0 only by somebody's mistake: then there is nothing to take. */
		if (bhi_max(have, (int64_t)0) < size)
			return false;
	} while (size && !bhi_compare_exchange(&group->external, &have, have - size));
	return true;
}

bool bhi_stock_take_external(struct bh_group *group, int64_t size)
{
	struct bhi_thread *self = bhi_thread_current;
	int64_t own = 0;
	unsigned i;
	bool taken;

	if (!self || !bhi_thread_enter(self))
		return take_from_group(group, size);
	i = find_slot(group);
	if (i < NR_SLOTS)
		own = bhi_min(stock.external[i], size);
	taken = take_from_group(group, size - own);
	if (taken && own)
		stock.external[i] -= own;
	bhi_thread_leave(self);
	return taken;
}

static void add_external(struct bhi_thread *thread, void *arg)
{
	struct stock *s = thread->data[BHI_SLOT_STOCK];
	struct bh_group *group = arg;

	for (unsigned i = 0; s && i < NR_SLOTS; i++) {
		if (s->slots[i].group == group && s->external[i]) {
			bhi_add(&group->external, s->external[i]);
			s->external[i] = 0;
		}
	}
}

void bhi_stock_add_external(struct bh_group *group)
{
	bhi_threads_claim(add_external, group);
}

static void drain_within(struct bhi_thread *thread, void *arg)
{
	struct stock *s = thread->data[BHI_SLOT_STOCK];

	for (unsigned i = 0; s && i < NR_SLOTS; i++) {
		if (!is_empty(s, i) && bhi_group_is_within(s->slots[i].group, arg))
			drain_slot(s, i);
	}
}

void bhi_stock_drain(struct bh_group *group)
{
	bhi_threads_claim(drain_within, group);
}

/* Whether a stock of another thread than @self may hold something for the group or one
 * below it. */
static bool is_held_by_others(const struct bh_group *group, const struct bhi_thread *self)
{
	uint32_t by = bhi_load(&group->stocked_by);

	return bhi_load(&group->nr_children) ||
	       (by != STOCKED_BY_NONE && (!self || by != self->id));
}

void bhi_stock_drain_unused(struct bh_group *group)
{
	struct bhi_thread *self = bhi_thread_current;
	unsigned i;

	if (is_held_by_others(group, self)) {
		bhi_stock_drain(group);
		return;
	}
	if (!self || !bhi_thread_enter(self))
		return;
	i = find_slot(group);
	if (i < NR_SLOTS)
		drain_slot(&stock, i);
	bhi_thread_leave(self);
}

struct held {
	const struct bh_group *group;
	int64_t size, external;
};

static void add_held(struct bhi_thread *thread, void *arg)
{
	const struct stock *s = thread->data[BHI_SLOT_STOCK];
	struct held *held = arg;

	for (unsigned i = 0; s && i < NR_SLOTS; i++) {
		if (s->slots[i].group == held->group) {
			held->size += s->slots[i].size;
			held->external += s->external[i];
		}
	}
}

int64_t bhi_stock_held(const struct bh_group *group, int64_t *ret_external)
{
	struct held held = {.group = group};

	bhi_threads_claim(add_held, &held);
	*ret_external = held.external;
	return held.size;
}

struct visit {
	void (*fn)(struct bh_group *group, int64_t size, int64_t external, void *arg);
	void *arg;
};

static void visit_slots(struct bhi_thread *thread, void *arg)
{
	const struct stock *s = thread->data[BHI_SLOT_STOCK];
	const struct visit *visit = arg;

	for (unsigned i = 0; s && i < NR_SLOTS; i++) {
		if (!is_empty(s, i))
			visit->fn(s->slots[i].group, s->slots[i].size, s->external[i],
				visit->arg);
	}
}

void bhi_stock_for_each(
	void (*fn)(struct bh_group *group, int64_t size, int64_t external, void *arg),
	void *arg)
{
	struct visit visit = {.fn = fn, .arg = arg};

	bhi_threads_claim(visit_slots, &visit);
}
