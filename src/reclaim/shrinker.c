/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "account/waiters.h"
#include "base/bug.h"
#include "base/sys.h"
#include "reclaim/shrinker.h"

#define DEFAULT_BATCH 128

/* Lives in bh_shrinker.private_. */
struct shrinker_state {
	/* protected by the list's lock */
	struct bhi_list node;
	struct bhi_list of_group;
	uint32_t dying;
	/* atomic; written under the lock, waited for by unregister */
	uint32_t nr_users;
	/* atomic */
	uint64_t nr_deferred;
	uint64_t nr_calls;
	uint64_t nr_freed;
};

_Static_assert(
	sizeof(struct shrinker_state) <= sizeof(((struct bh_shrinker *)0)->private_),
	"the state fits into what the public struct leaves for it");

/* The shrinkers whose code this thread is in, innermost first. */
struct frame {
	const struct bh_shrinker *shrinker;
	struct frame *outer;
};

static BHI_TLS struct frame *frames;

static struct bhi_lock list_lock = BHI_LOCK_INIT(BHI_RANK_SHRINKER);
static struct bhi_list list = {&list, &list};
/* Those of no group; the others are on the lists of their groups. */
static struct bhi_list globals = {&globals, &globals};

static struct shrinker_state *state_of(struct bh_shrinker *shrinker)
{
	return (struct shrinker_state *)(void *)shrinker->private_;
}

static struct bh_shrinker *shrinker_of(struct shrinker_state *s)
{
	return bhi_container_of((void *)s, struct bh_shrinker, private_);
}

static bool is_running_here(const struct bh_shrinker *shrinker)
{
	for (const struct frame *f = frames; f; f = f->outer) {
		if (f->shrinker == shrinker)
			return true;
	}
	return false;
}

static bool is_registered(const struct bh_shrinker *shrinker) BH_REQUIRES(list_lock)
{
	bhi_assert_held(&list_lock);
	bhi_list_for_each (node, &list) {
		struct shrinker_state *s =
			bhi_list_entry(node, struct shrinker_state, node);

		if (shrinker_of(s) == shrinker)
			return true;
	}
	return false;
}

int bhi_shrinker_register(struct bh_shrinker *shrinker)
{
	struct shrinker_state *s = state_of(shrinker);
	int r = 0;

	bhi_lock_acquire(&list_lock);
	if (is_registered(shrinker)) {
		r = -EBUSY;
	} else {
		*s = (struct shrinker_state){0};
		bhi_list_append(&list, &s->node);
		bhi_list_append(shrinker->group ? &shrinker->group->shrinkers : &globals,
			&s->of_group);
	}
	bhi_lock_release(&list_lock);
	if (r)
		return r;
	if (shrinker->group)
		bhi_group_get(shrinker->group);
	bhi_waiters_wake_all();
	return 0;
}

int bhi_shrinker_unregister(struct bh_shrinker *shrinker)
{
	struct shrinker_state *s = state_of(shrinker);
	uint32_t users;

	bhi_lock_acquire(&list_lock);
	if (!is_registered(shrinker) || s->dying || is_running_here(shrinker)) {
		int r = is_running_here(shrinker) ? -EDEADLK : -EINVAL;

		bhi_lock_release(&list_lock);
		return r;
	}
	s->dying = 1;
	while ((users = bhi_load(&s->nr_users))) {
		bhi_lock_release(&list_lock);
		bhi_sys_futex_wait(&s->nr_users, users, 0);
		bhi_lock_acquire(&list_lock);
	}
	bhi_list_unlink(&s->node);
	bhi_list_unlink(&s->of_group);
	bhi_lock_release(&list_lock);
	bhi_group_put(shrinker->group);
	return 0;
}

uint64_t bhi_shrink_target(
	uint64_t freeable, uint64_t deferred, int priority, unsigned seeks)
{
	uint64_t delta = freeable / 2;

	if (seeks)
		delta = (freeable >> priority) * 4 / seeks;
	return bhi_min((deferred >> priority) + delta, 2 * freeable);
}

/*
 * Work that was due but not done (too little for a batch, or the shrinker said stop) is
 * remembered for the next call, so that small caches are not spared for ever.
 */
static void scan_one(
	struct bh_shrinker *shrinker, struct bhi_shrink_pass *pass, uint64_t freeable)
{
	struct shrinker_state *s = state_of(shrinker);
	uint64_t deferred = bhi_exchange(&s->nr_deferred, 0);
	uint64_t due =
		bhi_shrink_target(freeable, deferred, pass->priority, shrinker->seeks);
	uint64_t delta = bhi_shrink_target(freeable, 0, pass->priority, shrinker->seeks);
	uint64_t batch = shrinker->batch ? shrinker->batch : DEFAULT_BATCH;
	uint64_t left, scanned = 0, rest;

	/* Never more of a protected group than what is above its protection. */
	if (pass->share < BHI_SHRINK_ALL)
		due = bhi_min(due, freeable);
	/* Before giving up, the last objects too, which the formula rounds away. */
	if (!due && !pass->priority)
		due = freeable;
	left = due;
	while (left && (left >= batch || left >= freeable)) {
		struct bh_shrink_control control = {
			.group = pass->group,
			.flags = pass->flags,
			.nr_to_scan = bhi_min(batch, left),
		};
		size_t freed;

		control.nr_scanned = control.nr_to_scan;
		freed = shrinker->scan(shrinker, &control);
		if (freed == BH_SHRINK_STOP) {
			pass->was_stopped = true;
			break;
		}
		pass->freed += freed;
		bhi_add(&s->nr_freed, freed);
		/* One that claims to have looked at nothing must not hold us for ever. */
		control.nr_scanned = bhi_max(control.nr_scanned, (size_t)1);
		scanned += control.nr_scanned;
		left -= bhi_min((uint64_t)control.nr_scanned, left);
	}
	rest = deferred + delta > scanned ? deferred + delta - scanned : 0;
	bhi_add(&s->nr_deferred, bhi_min(rest, 2 * freeable));
}

/* Rounded up: of few large objects too, one may go. */
static size_t unprotected(size_t freeable, unsigned share)
{
	return (size_t)(((unsigned __int128)freeable * share + BHI_SHRINK_ALL - 1) /
			BHI_SHRINK_ALL);
}

static void shrink_one(struct bh_shrinker *shrinker, struct bhi_shrink_pass *pass)
{
	struct bh_shrink_control control = {.group = pass->group, .flags = pass->flags};
	struct frame frame = {.shrinker = shrinker, .outer = frames};
	size_t freeable;

	frames = &frame;
	bhi_add(&state_of(shrinker)->nr_calls, 1);
	freeable = shrinker->count(shrinker, &control);
	if (freeable && freeable < BH_SHRINK_EMPTY) {
		freeable = unprotected(freeable, pass->share);
		pass->reclaimable += freeable;
		scan_one(shrinker, pass, freeable);
	}
	frames = frame.outer;
}

void bhi_shrink(struct bhi_shrink_pass *pass, bool global)
{
	struct bhi_list *head = global ? &globals : &pass->group->shrinkers;

	bhi_lock_acquire(&list_lock);
	for (struct bhi_list *node = head->next; node != head; node = node->next) {
		struct shrinker_state *s =
			bhi_list_entry(node, struct shrinker_state, of_group);
		struct bh_shrinker *shrinker = shrinker_of(s);
		bool last_resort = shrinker->flags & BH_SHRINKER_LAST_RESORT;

		/* A shrinker whose own code allocates is not asked again by that. */
		if (s->dying || last_resort != pass->last_resort ||
			is_running_here(shrinker))
			continue;
		bhi_add(&s->nr_users, 1);
		bhi_lock_release(&list_lock);
		bhi_assert_none_held();
		shrink_one(shrinker, pass);
		bhi_lock_acquire(&list_lock);
		if (!bhi_sub_return(&s->nr_users, 1) && s->dying)
			bhi_sys_futex_wake(&s->nr_users, 1);
	}
	bhi_lock_release(&list_lock);
}

bool bhi_shrinker_info(unsigned index, struct bhi_shrinker_info *ret)
{
	bool found = false;

	bhi_lock_acquire(&list_lock);
	bhi_list_for_each (node, &list) {
		struct shrinker_state *s =
			bhi_list_entry(node, struct shrinker_state, node);
		const struct bh_shrinker *shrinker = shrinker_of(s);

		if (index--)
			continue;
		*ret = (struct bhi_shrinker_info){
			.group_id = shrinker->group ? shrinker->group->id : 0,
			.global = !shrinker->group,
			.nr_calls = bhi_load(&s->nr_calls),
			.nr_freed = bhi_load(&s->nr_freed),
			.nr_deferred = bhi_load(&s->nr_deferred),
		};
		strncpy(ret->name, shrinker->name, sizeof(ret->name) - 1);
		found = true;
		break;
	}
	bhi_lock_release(&list_lock);
	return found;
}
