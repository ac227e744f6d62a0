/* SPDX-License-Identifier: MIT */
/* The slow path as a table: requests by situations. */
#include <errno.h>

#include "account/stock.h"
#include "account/waiters.h"
#include "oom/oom.h"
#include "reclaim/background.h"
#include "support.h"
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
	bool inside, scope;
} kinds[] = {
	{"plain", 0, PAGE, false, false},
	{"BH_NORETRY", BH_NORETRY, PAGE, false, false},
	{"BH_RETRY_MAYFAIL", BH_RETRY_MAYFAIL, PAGE, false, false},
	{"BH_NOFAIL", BH_NOFAIL, PAGE, false, false},
	{"BH_ATOMIC", BH_ATOMIC, PAGE, false, false},
	{"BH_NOWAIT", BH_NOWAIT, PAGE, false, false},
	{"BH_NORECLAIM", BH_NORECLAIM, PAGE, false, false},
	{"in a noreclaim scope", 0, PAGE, false, true},
	{"inside reclaim", 0, PAGE, true, false},
	{"BH_NORETRY inside reclaim", BH_NORETRY, PAGE, true, false},
	{"BH_NOFAIL inside reclaim", BH_NOFAIL, PAGE, true, false},
	{"costly", 0, 16 * PAGE, false, false},
	{"costly BH_RETRY_MAYFAIL", BH_RETRY_MAYFAIL, 16 * PAGE, false, false},
	{"costly BH_NOFAIL", BH_NOFAIL, 16 * PAGE, false, false},
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

/* outcome, rounds, max, oom, kills, wakes */
static const struct expected table[NR_KINDS][NR_SITUATIONS] = {
	/* plain */
	{ALWAYS_OK, {OK, 0, 0, 0, 0, 1}, {NOMEM, 0, 0, 1, 0, 1}, {NOMEM, 0, 0, 1, 0, 1},
		{NOMEM, 0, 1, 1, 0, 0}, {OK, 1, 0, 0, 0, 1}, {OK, 1, 1, 0, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 0, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 0, 0},
		{NOMEM, SHORT_ROUNDS, 0, 1, 1, 1}, {NOMEM, SHORT_ROUNDS, 1, 1, 1, 0},
		{OK, SHORT_ROUNDS, 0, 1, 1, 1}, {OK, SHORT_ROUNDS, 1, 1, 1, 0}},
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
	if (situation < ZONE_NOBODY)
		return;
	bhi_oom_killer = support_kill;
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
	r = bh_charge(cell.group, kind->size, kind->flags);
	if (kind->scope)
		bh_noreclaim_leave(previous);
	return (void *)(intptr_t)r;
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
	void *(*run)(void *) = kind->inside ? request_inside : request;
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
