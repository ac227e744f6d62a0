/* SPDX-License-Identifier: MIT */
#include "generate.h"

#include <string.h>

#include <bulkhead.h>

#include "base/fmt.h"

#include "random.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

/* Small, so that a run is short and a limit is met within a few steps. */
#define ZONE        (3 * MIB)
#define TASKS_MAX   6
#define LOCKS_MAX   2
#define GROUPS_MAX  2
#define ACTIONS_MAX 10

struct generator {
	uint64_t random;
	struct bhi_lab_scenario *scenario;
	struct bhi_lab_task *task;
	unsigned held;        /* locks: a mask */
	unsigned nr_sections; /* hold sections that are open */
	bool dumps;
};

static uint32_t below(struct generator *gen, uint32_t limit)
{
	return bhi_lab_random_below(&gen->random, limit);
}

static bool one_in(struct generator *gen, uint32_t n)
{
	return below(gen, n) == 0;
}

static struct bhi_lab_step *add_step(struct generator *gen, enum bhi_lab_op op)
{
	struct bhi_lab_step *step = &gen->task->steps[gen->task->nr_steps++];

	*step = (struct bhi_lab_step){
		.op = op, .object = BHI_LAB_NONE, .memory = BHI_LAB_NONE};
	return step;
}

static int add_memory(struct generator *gen)
{
	int number = (int)gen->task->nr_memories++;

	bhi_format(gen->task->memories[number], BHI_LAB_NAME_SIZE, "m%d", number);
	return number;
}

static bool has_room(const struct generator *gen)
{
	return gen->task->nr_memories < BHI_LAB_MEMORIES;
}

/*
 * Where the task cannot be unwound it lives on its reserve once it is killed, 512 KiB,
 * and a first touch past that ends the process (docs/tasks.md). So requests are small
 * there.
 */
static bool lives_on_reserve(const struct generator *gen)
{
	return gen->held || gen->nr_sections || gen->dumps || gen->task->cooperative;
}

/* Above all that are held, so that locks alone make no cycle. */
static void take_lock(struct generator *gen)
{
	unsigned lowest = gen->held ? 32 - (unsigned)__builtin_clz(gen->held) : 0;
	unsigned number;
	bool is_rwlock;

	if (lowest >= gen->scenario->nr_locks)
		return;
	number = lowest + below(gen, gen->scenario->nr_locks - lowest);
	is_rwlock = gen->scenario->locks[number].is_rwlock;
	add_step(gen, is_rwlock && one_in(gen, 2) ? BHI_LAB_RDLOCK : BHI_LAB_LOCK)
		->object = (int)number;
	gen->held |= 1u << number;
}

static void drop_lock(struct generator *gen)
{
	unsigned number;

	if (!gen->held)
		return;
	number = 31 - (unsigned)__builtin_clz(gen->held);
	add_step(gen, BHI_LAB_UNLOCK)->object = (int)number;
	gen->held &= ~(1u << number);
}

static void ask(struct generator *gen)
{
	static const unsigned flags[] = {0, 0, 0, BH_NORETRY, BH_RETRY_MAYFAIL, BH_ATOMIC,
		BH_NOWAIT, BH_NORECLAIM};
	struct bhi_lab_step *step;

	if (!has_room(gen))
		return;
	step = add_step(gen, BHI_LAB_ALLOC);
	step->size = (uint64_t)(1 + below(gen, 8)) * 4 * KIB;
	if (one_in(gen, 4) && !lives_on_reserve(gen))
		step->size = (1 + below(gen, 8)) * 64 * KIB;
	step->flags = flags[below(gen, bhi_array_size(flags))];
	step->memory = add_memory(gen);
	step->on_error = one_in(gen, 3) ? BHI_LAB_RETURN : BHI_LAB_IGNORE;
}

/* Page cache, say: what a call leaves behind. */
static void fill(struct generator *gen)
{
	struct bhi_lab_step *step;

	add_step(gen, BHI_LAB_LOOP)->count = 4 + below(gen, 20);
	step = add_step(gen, BHI_LAB_ALLOC);
	step->size = (uint64_t)(1 + below(gen, 8)) * 4 * KIB;
	step->on_error = one_in(gen, 2) ? BHI_LAB_RETURN : BHI_LAB_IGNORE;
	add_step(gen, BHI_LAB_END);
}

static void ask_private(struct generator *gen)
{
	struct bhi_lab_step *step;

	if (!has_room(gen))
		return;
	step = add_step(gen, BHI_LAB_MALLOC);
	step->size = (1 + below(gen, lives_on_reserve(gen) ? 2 : 16)) * 32 * KIB;
	step->memory = add_memory(gen);
	/* In a hold section it may fail. */
	step->on_error = BHI_LAB_IGNORE;
}

static void map_and_touch(struct generator *gen)
{
	struct bhi_lab_step *step;
	int memory;

	if (!has_room(gen) || lives_on_reserve(gen))
		return;
	memory = add_memory(gen);
	step = add_step(gen, BHI_LAB_MAP);
	step->memory = memory;
	step->size = (1 + below(gen, 16)) * 128 * KIB;
	add_step(gen, BHI_LAB_TOUCH)->memory = memory;
}

static void give_back(struct generator *gen)
{
	if (gen->task->nr_memories)
		add_step(gen, BHI_LAB_FREE)->memory =
			(int)below(gen, gen->task->nr_memories);
}

static void open_section(struct generator *gen)
{
	if (gen->nr_sections)
		return;
	add_step(gen, BHI_LAB_HOLD);
	gen->nr_sections = 1;
}

static void close_section(struct generator *gen)
{
	if (!gen->nr_sections)
		return;
	add_step(gen, BHI_LAB_RELEASE);
	gen->nr_sections = 0;
}

static void dump(struct generator *gen)
{
	add_step(gen, gen->dumps ? BHI_LAB_DUMPED : BHI_LAB_DUMP);
	gen->dumps = !gen->dumps;
}

static void kill_somebody(struct generator *gen)
{
	add_step(gen, BHI_LAB_KILL)->object = (int)below(gen, gen->scenario->nr_tasks);
}

static void act(struct generator *gen)
{
	switch (below(gen, 20)) {
	case 0 ... 3:
		take_lock(gen);
		break;
	case 4 ... 5:
		drop_lock(gen);
		break;
	case 6 ... 7:
		ask(gen);
		break;
	case 8:
		fill(gen);
		break;
	case 9 ... 10:
		ask_private(gen);
		break;
	case 11 ... 13:
		map_and_touch(gen);
		break;
	case 14 ... 15:
		give_back(gen);
		break;
	case 16:
		open_section(gen);
		break;
	case 17:
		close_section(gen);
		break;
	case 18:
		dump(gen);
		break;
	default:
		if (one_in(gen, 4))
			kill_somebody(gen);
		break;
	}
}

static void add_task(struct generator *gen, unsigned number)
{
	struct bhi_lab_scenario *scenario = gen->scenario;
	unsigned nr = 2 + below(gen, ACTIONS_MAX - 1);

	gen->task = &scenario->tasks[number];
	gen->held = gen->nr_sections = 0;
	gen->dumps = false;
	bhi_format(gen->task->name, BHI_LAB_NAME_SIZE, "t%u", number);
	gen->task->group = (int)below(gen, scenario->nr_groups + 1) - 1;
	if (one_in(gen, 4))
		gen->task->adj = (int)below(gen, 2001) - 1000;
	gen->task->cooperative = one_in(gen, 12);
	while (nr--)
		act(gen);
	if (gen->dumps)
		dump(gen);
	close_section(gen);
	while (gen->held)
		drop_lock(gen);
}

static void add_group(struct generator *gen, unsigned number)
{
	struct bhi_lab_group *group = &gen->scenario->groups[number];

	*group = (struct bhi_lab_group){
		.parent = (int)below(gen, number + 1) - 1,
		.high = BH_UNLIMITED,
		.max = (2 + below(gen, 8)) * 256 * KIB,
		.has_on_limit = one_in(gen, 2),
		.on_limit = below(gen, 2),
		.oom_group = one_in(gen, 6),
	};
	bhi_format(group->name, BHI_LAB_NAME_SIZE, "g%u", number);
}

void bhi_lab_generate(uint64_t seed, struct bhi_lab_scenario *ret)
{
	struct generator gen = {.random = seed, .scenario = ret};

	memset(ret, 0, sizeof(*ret));
	bhi_format(ret->name, sizeof(ret->name), "random-%lu", seed);
	bhi_format(ret->title, sizeof(ret->title), "Random program %lu", seed);
	ret->zone = ZONE;
	ret->has_seed = true;
	ret->seed = seed;
	ret->nr_groups = below(&gen, GROUPS_MAX + 1);
	ret->nr_locks = 1 + below(&gen, LOCKS_MAX);
	ret->nr_tasks = 2 + below(&gen, TASKS_MAX - 1);
	for (unsigned i = 0; i < ret->nr_groups; i++)
		add_group(&gen, i);
	for (unsigned i = 0; i < ret->nr_locks; i++) {
		bhi_format(ret->locks[i].name, BHI_LAB_NAME_SIZE, "l%u", i);
		ret->locks[i].is_rwlock = one_in(&gen, 3);
	}
	if (one_in(&gen, 4)) {
		ret->nr_caches = 1;
		ret->caches[0] = (struct bhi_lab_cache){
			.name = "c0",
			.group = (int)below(&gen, ret->nr_groups + 1) - 1,
			.size = 256 * KIB,
			.lock = one_in(&gen, 2) && !ret->locks[0].is_rwlock
					? 0
					: BHI_LAB_NONE,
		};
	}
	for (unsigned i = 0; i < ret->nr_tasks; i++)
		add_task(&gen, i);
}
