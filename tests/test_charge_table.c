/* SPDX-License-Identifier: MIT */
/* The slow path as a table: requests by situations. */
#include <errno.h>

#include "account/stock.h"
#include "account/waiters.h"
#include "charge/charge.h"
#include "charge/failures.h"
#include "oom/oom.h"
#include "reclaim/background.h"
#include "support.h"
#include "support_locks.h"
#include "support_short.h"

#define LIMIT (64 * KIB)

enum situation {
	PLENTY,
	BELOW_LOW,
	BELOW_MIN,
	EMPTY,
	AT_MAX,
	ZONE_HELPS, /* below min, and reclaim frees enough */
	GROUP_HELPS,
	ZONE_STUBBORN, /* below min, and reclaim frees nothing of what it sees */
	GROUP_STUBBORN,
	ZONE_NOBODY, /* the same with BH_KILL and nobody to kill */
	GROUP_NOBODY,
	ZONE_VICTIM, /* and with somebody to kill */
	GROUP_VICTIM,
	NR_SITUATIONS,
};

static const char *const situation_names[] = {"plenty", "below low", "below min", "empty",
	"group at max", "zone, reclaim helps", "group, reclaim helps",
	"zone, reclaim does not help", "group, reclaim does not help",
	"zone, nobody to kill", "group, nobody to kill", "zone, somebody to kill",
	"group, somebody to kill"};

static const struct kind {
	const char *name;
	unsigned flags;
	uint64_t size;
	bool inside, scope, killed, holds;
} kinds[] = {
	{.name = "plain", .flags = 0, .size = PAGE},
	{.name = "BH_NORETRY", .flags = BH_NORETRY, .size = PAGE},
	{.name = "BH_RETRY_MAYFAIL", .flags = BH_RETRY_MAYFAIL, .size = PAGE},
	{.name = "BH_NOFAIL", .flags = BH_NOFAIL, .size = PAGE},
	{.name = "BH_ATOMIC", .flags = BH_ATOMIC, .size = PAGE},
	{.name = "BH_NOWAIT", .flags = BH_NOWAIT, .size = PAGE},
	{.name = "BH_NORECLAIM", .flags = BH_NORECLAIM, .size = PAGE},
	{.name = "in a noreclaim scope", .flags = 0, .size = PAGE, .scope = true},
	{.name = "inside reclaim", .flags = 0, .size = PAGE, .inside = true},
	{.name = "BH_NORETRY inside reclaim",
		.flags = BH_NORETRY,
		.size = PAGE,
		.inside = true},
	{.name = "BH_NOFAIL inside reclaim",
		.flags = BH_NOFAIL,
		.size = PAGE,
		.inside = true},
	{.name = "costly", .flags = 0, .size = 16 * PAGE},
	{.name = "costly BH_RETRY_MAYFAIL", .flags = BH_RETRY_MAYFAIL, .size = 16 * PAGE},
	{.name = "costly BH_NOFAIL", .flags = BH_NOFAIL, .size = 16 * PAGE},
	{.name = "BH_ZERO", .flags = BH_ZERO, .size = PAGE},
	{.name = "BH_NOWARN", .flags = BH_NOWARN, .size = PAGE},
	{.name = "private", .flags = BHI_CHARGE_PRIVATE, .size = PAGE},
	{.name = "much, private", .flags = BHI_CHARGE_PRIVATE, .size = 12 * PAGE},
	{.name = "of a victim", .flags = 0, .size = PAGE, .killed = true},
	{.name = "of a victim in a hold section",
		.flags = 0,
		.size = PAGE,
		.killed = true,
		.holds = true},
	{.name = "BH_NOFAIL of a victim",
		.flags = BH_NOFAIL,
		.size = PAGE,
		.killed = true},
};

#define NR_KINDS bhi_array_size(kinds)

enum outcome {
	OK,
	NOMEM,
	WAITS,
};

struct expected {
	enum outcome outcome;
	unsigned rounds;   /* of reclaim by the requester */
	unsigned max, oom; /* events of the group that is over */
	unsigned kills;    /* calls of the killer */
	unsigned wakes;    /* of the background reclaimer: 0 or 1 */
};

#define ALWAYS_OK                 \
	{                         \
		OK, 0, 0, 0, 0, 0 \
	}

#define PLAIN                                                                           \
	ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 1, 0, 1}, {NOMEM, 0, 0, 1, 0, 1}, \
		{NOMEM, 0, 1, 1, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},       \
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 0, 0},   \
		{NOMEM, SHORT_ROUNDS, 0, 1, 1, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},   \
		{OK, SHORT_ROUNDS, 0, 1, 1, 1},                                         \
	{                                                                               \
		OK, SHORT_ROUNDS, 1, 1, 1, 0                                            \
	}

#define PRIVATE                                                                         \
	ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 1, 1, 1}, {NOMEM, 0, 0, 1, 1, 1}, \
		{NOMEM, 0, 1, 1, 1, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},       \
		{NOMEM, SHORT_ROUNDS, 0, 1, 1, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},   \
		{NOMEM, SHORT_ROUNDS, 0, 1, 1, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},   \
		{OK, SHORT_ROUNDS, 0, 1, 1, 1},                                         \
	{                                                                               \
		OK, SHORT_ROUNDS, 1, 1, 1, 0                                            \
	}

/* outcome, rounds, max, oom, kills, wakes */
static const struct expected table[NR_KINDS][NR_SITUATIONS] = {
	/* plain */
	{PLAIN},
	/* BH_NORETRY */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, 1, 0, 0, 0, 1}, {NOMEM, 1, 1, 0, 0, 0}, {NOMEM, 1, 0, 0, 0, 1},
		{NOMEM, 1, 1, 0, 0, 0}, {NOMEM, 1, 0, 0, 0, 1}, {NOMEM, 1, 1, 0, 0, 0}},
	/* BH_RETRY_MAYFAIL */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0}},
	/* BH_NOFAIL: half the reserve, past the limits of groups */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 1, 0, 1}, {WAITS, 0, 0, 1, 0, 1},
		{OK, 0, 1, 1, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{OK, SHORT_ROUNDS, 0, 1, 0, 1}, {OK, SHORT_ROUNDS, 1, 1, 0, 0},
		{OK, SHORT_ROUNDS, 0, 1, 1, 1}, {OK, SHORT_ROUNDS, 1, 1, 1, 0},
		{OK, SHORT_ROUNDS, 0, 1, 1, 1}, {OK, SHORT_ROUNDS, 1, 1, 1, 0}},
	/* BH_ATOMIC: most of the reserve, past the limits of groups */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0},
		{OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}},
	/* BH_NOWAIT: no max event, as nobody is made to do anything for it */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 0, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 0},
		{NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 0, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 0}},
	/* BH_NORECLAIM: kills nobody for the zone's sake */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 1, 0, 1}, {NOMEM, 0, 0, 1, 0, 1},
		{NOMEM, 0, 1, 1, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {OK, SHORT_ROUNDS, 1, 1, 1, 0}},
	/* in a noreclaim scope: the same */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 1, 0, 1}, {NOMEM, 0, 0, 1, 0, 1},
		{NOMEM, 0, 1, 1, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {OK, SHORT_ROUNDS, 1, 1, 1, 0}},
	/* inside reclaim: all that the zone has, no recursion */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0},
		{OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}},
	/* BH_NORETRY inside reclaim: the same */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0},
		{OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}},
	/* BH_NOFAIL inside reclaim: the same, but it waits */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {WAITS, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0},
		{OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}},
	/* costly: one round, no kill, no oom event */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, 1, 0, 0, 0, 1}, {NOMEM, 1, 1, 0, 0, 0}, {NOMEM, 1, 0, 0, 0, 1},
		{NOMEM, 1, 1, 0, 0, 0}, {NOMEM, 1, 0, 0, 0, 1}, {NOMEM, 1, 1, 0, 0, 0}},
	/* costly BH_RETRY_MAYFAIL */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 0, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 0, 0, 0}},
	/* costly BH_NOFAIL */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {WAITS, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{OK, SHORT_ROUNDS, 0, 0, 0, 1}, {OK, SHORT_ROUNDS, 1, 0, 0, 0},
		{OK, SHORT_ROUNDS, 0, 0, 0, 1}, {OK, SHORT_ROUNDS, 1, 0, 0, 0},
		{OK, SHORT_ROUNDS, 0, 0, 0, 1}, {OK, SHORT_ROUNDS, 1, 0, 0, 0}},
	/* BH_ZERO: as plain */
	{PLAIN},
	/* BH_NOWARN: as plain */
	{PLAIN},
	/* private: kills where nothing else was said */
	{PRIVATE},
	/* much, private: never costly */
	{PRIVATE},
	/* of a victim: it is reaped and about to end, nothing is done for it */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 1, 0, 0, 0},
		{NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 1, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1},
		{NOMEM, 0, 1, 0, 0, 0}, {NOMEM, 0, 0, 0, 0, 1}, {NOMEM, 0, 1, 0, 0, 0}},
	/* of a victim in a hold section: half of the reserve, past the limits of groups
	 */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1},
		{OK, 1, 1, 0, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0}},
	/* BH_NOFAIL of a victim: half of the reserve, past limits, and it waits */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {OK, 0, 0, 0, 0, 1}, {WAITS, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0},
		{OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1},
		{OK, 0, 1, 0, 0, 0}, {OK, 0, 0, 0, 0, 1}, {OK, 0, 1, 0, 0, 0}},
};

static struct {
	struct bh_group *group, *other;
	struct support_cache cache;
	struct support_stubborn stubborn;
	bool has_cache, is_stubborn;
	uint64_t filled; /* bytes in the group */
} cell;

/* The group is full, and its own cache or stubborn shrinker is all there is to reclaim.
 */
static void fill_group(uint64_t bytes)
{
	support_set(cell.group, BH_MAX, LIMIT);
	ck_assert_int_eq(bh_charge(cell.group, bytes, 0), 0);
	cell.filled = bytes;
	ck_assert_uint_eq(support_usage(cell.group), LIMIT);
}

static void add_cache(struct bh_group *group, size_t nr)
{
	support_cache_init(&cell.cache, group, 0);
	cell.cache.only_here = true;
	ck_assert_uint_eq(support_cache_fill(&cell.cache, nr, 0), nr);
	cell.has_cache = true;
}

static void add_stubborn(struct bh_group *group)
{
	support_stubborn_init(&cell.stubborn, group);
	cell.is_stubborn = true;
}

static void set_policy(enum situation situation)
{
	bhi_oom_killer = support_kill;
	if (situation < ZONE_NOBODY)
		return;
	support_killer.gives = situation >= ZONE_VICTIM ? LIMIT : 0;
	support_set(bh_root(), BH_ON_LIMIT, BH_KILL);
	support_set(cell.group, BH_ON_LIMIT, BH_KILL);
}

static void set_up_zone(enum situation situation)
{
	uint64_t free = SHORT_MIN - PAGE;

	if (situation == ZONE_HELPS)
		add_cache(cell.other, 256);
	else if (situation >= ZONE_STUBBORN)
		add_stubborn(cell.other);
	if (situation >= ZONE_VICTIM) {
		/* The killer takes from the root what it says it frees. */
		ck_assert_int_eq(bh_charge(NULL, LIMIT, 0), 0);
		bhi_stock_drain(bh_root());
	}
	if (situation == BELOW_LOW)
		free = SHORT_LOW - 16 * KIB;
	else if (situation == EMPTY)
		free = 0;
	if (situation != PLENTY)
		support_leave_free(free);
}

static void set_up(enum situation situation)
{
	support_start(SHORT_ZONE);
	cell.group = support_group(NULL, "group");
	cell.other = support_group(NULL, "other");
	set_policy(situation);
	switch (situation) {
	case AT_MAX:
		fill_group(LIMIT);
		return;
	case GROUP_HELPS:
		support_set(cell.group, BH_MAX, LIMIT);
		add_cache(cell.group, LIMIT / PAGE);
		bhi_stock_drain(bh_root());
		return;
	case GROUP_STUBBORN:
	case GROUP_NOBODY:
	case GROUP_VICTIM:
		add_stubborn(cell.group);
		fill_group(LIMIT);
		return;
	default:
		set_up_zone(situation);
	}
}

static void *request(void *arg)
{
	const struct kind *kind = arg;
	unsigned previous = 0;
	int r;

	if (kind->scope)
		previous = bh_noreclaim_enter();
	if (kind->flags & BHI_CHARGE_PRIVATE)
		r = bhi_charge(cell.group, (int64_t)kind->size, kind->flags, true);
	else
		r = bh_charge(cell.group, kind->size, kind->flags);
	if (kind->scope)
		bh_noreclaim_leave(previous);
	return (void *)(intptr_t)r;
}

static struct {
	struct bh_task *task;
	const struct kind *kind;
	void *result;
} victim;

/* From outside: a task that kills itself is not there any more. */
static void *kill_victim(void *arg)
{
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	return arg;
}

/* What it gets it gives back outside of the task, as it need not get that far here. */
static int request_killed(void *arg)
{
	(void)arg;
	if (victim.kind->holds)
		bh_hold();
	support_join(support_thread(kill_victim, NULL));
	if (!victim.kind->holds)
		support_await_reaped(victim.task);
	victim.result = request((void *)(uintptr_t)victim.kind);
	if (victim.kind->holds)
		bh_release();
	return 0;
}

static void *request_as_victim(void *arg)
{
	victim.kind = arg;
	victim.task = bh_task_new(cell.other, NULL);
	ck_assert_ptr_nonnull(victim.task);
	ck_assert_int_eq(
		bh_task_enter(victim.task, request_killed, NULL, NULL), -ECANCELED);
	bh_task_put(victim.task);
	return victim.result;
}

static struct opener {
	struct bh_shrinker shrinker;
	const struct kind *kind;
	void *result;
} opener;

static size_t opener_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return opener.kind ? 1 : 0;
}

static size_t opener_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	const struct kind *kind = opener.kind;

	(void)self;
	(void)control;
	opener.kind = NULL;
	ck_assert(bhi_reclaim_active());
	opener.result = request((void *)(uintptr_t)kind);
	return BH_SHRINK_STOP;
}

/* Reclaim in a group that has nothing but this shrinker. */
static void *request_inside(void *arg)
{
	struct bh_group *group = support_group(NULL, "opener");

	opener.kind = arg;
	opener.shrinker = (struct bh_shrinker){
		.name = "opener",
		.count = opener_count,
		.scan = opener_scan,
		.group = group,
		.seeks = 2,
	};
	ck_assert_int_eq(bh_shrinker_register(&opener.shrinker), 0);
	ck_assert_int_eq(bh_group_reclaim(group, 1, 0), -EAGAIN);
	ck_assert_int_eq(bh_shrinker_unregister(&opener.shrinker), 0);
	bh_group_put(group);
	return opener.result;
}

/* It must be seen waiting; then memory comes back. */
static void *await_request(void *(*run)(void *), void *arg)
{
	pthread_t thread = support_thread(run, arg);

	support_await(&bhi_waiters.nr, 1);
	support_leave_free(UINT64_MAX);
	return support_join(thread);
}

static void run_cell(const struct kind *kind, enum situation situation)
{
	const struct expected *expected = &table[kind - kinds][situation];
	void *(*run)(void *) = kind->inside   ? request_inside
			       : kind->killed ? request_as_victim
					      : request;
	bool may_warn = !(kind->flags & (BH_NOWARN | BH_NOWAIT));
	void *arg = (void *)(uintptr_t)kind;
	struct bh_group_stat group, root;
	uint64_t wakes;
	unsigned rounds;
	int r;

	set_up(situation);
	wakes = support_background_wakeups();
	if (expected->outcome == WAITS)
		r = (int)(intptr_t)await_request(run, arg);
	else
		r = (int)(intptr_t)run(arg);
	wakes = support_background_wakeups() - wakes;
	group = support_stat(cell.group);
	root = support_stat(bh_root());
	rounds = support_rounds(cell.cache.nr_counts + cell.stubborn.nr_counts);
	ck_assert_msg((r == 0) == (expected->outcome != NOMEM) &&
			      (r == 0 || r == -ENOMEM) && rounds == expected->rounds &&
			      root.events.max == expected->max &&
			      group.local.oom + root.local.oom == expected->oom &&
			      support_killer.nr_calls == expected->kills &&
			      !!wakes == expected->wakes,
		"%s, %s: returned %d; %u rounds, %lu max, %lu oom, %u kills, %lu wakes",
		kind->name, situation_names[situation], r, rounds,
		(unsigned long)root.events.max,
		(unsigned long)(group.local.oom + root.local.oom),
		support_killer.nr_calls, (unsigned long)wakes);
	ck_assert_uint_eq(bhi_failures_count(), r && may_warn);
	if (!r)
		bh_uncharge(cell.group, kind->size);
}

static void tear_down(enum situation situation)
{
	bool killed = support_killer.gives && support_killer.nr_calls;

	if (cell.has_cache)
		support_cache_fini(&cell.cache);
	if (cell.is_stubborn)
		support_stubborn_fini(&cell.stubborn);
	if (situation == ZONE_VICTIM && !killed)
		bh_uncharge(NULL, LIMIT);
	if (cell.filled && !killed)
		bh_uncharge(cell.group, cell.filled);
	bh_group_put(cell.group);
	bh_group_put(cell.other);
	support_end();
	ck_assert_uint_eq(support_stat(bh_root()).left_behind, 0);
}

START_TEST(each_request_ends_as_the_table_says)
{
	enum situation situation = (enum situation)(_i % NR_SITUATIONS);

	run_cell(&kinds[_i / NR_SITUATIONS], situation);
	tear_down(situation);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, each_request_ends_as_the_table_says, 0,
		(int)(NR_KINDS * NR_SITUATIONS));
}

int main(void)
{
	return support_run("charge_table", add_tests);
}
