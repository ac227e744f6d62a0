/* SPDX-License-Identifier: MIT */
#include "shrink.h"

#include <errno.h>
#include <string.h>

#include "child.h"
#include "explore.h"

/* How many seeds a variant gets to fail with: the order of events moves with every step
 * that is taken out. */
#define SEEDS 24

struct shrinker {
	int era;
	enum bhi_lab_verdict verdict;
	struct bhi_lab_outcome *outcome;
	int nr_runs;
	int error;
	struct bhi_lab_scenario best;
};

/* Keep @variant if it still fails so. */
static bool keep_if_failing(struct shrinker *shrinker, struct bhi_lab_scenario *variant)
{
	uint64_t first = variant->seed;

	for (uint64_t i = 0; i < SEEDS && !shrinker->error; i++) {
		variant->seed = first + i;
		shrinker->nr_runs++;
		shrinker->error = bhi_lab_search_once(
			variant, shrinker->era, variant->seed, shrinker->outcome);
		if (!shrinker->error && shrinker->outcome->verdict == shrinker->verdict) {
			shrinker->best = *variant;
			return true;
		}
	}
	return false;
}

static void remove_step(struct bhi_lab_task *task, unsigned number)
{
	task->nr_steps--;
	memmove(&task->steps[number], &task->steps[number + 1],
		(task->nr_steps - number) * sizeof(task->steps[0]));
}

/* Whether the steps that are left make sense: a use of memory that nobody asks for, or a
 * section that does not end, would be another bug than the one that is looked for. */
static bool is_sound(const struct bhi_lab_task *task)
{
	uint32_t had = 0, held = 0;
	int sections = 0, dumps = 0, loops = 0;

	for (unsigned i = 0; i < task->nr_steps; i++) {
		const struct bhi_lab_step *step = &task->steps[i];
		uint32_t memory = step->memory < 0 ? 0 : 1u << step->memory;

		switch (step->op) {
		case BHI_LAB_ALLOC:
		case BHI_LAB_MALLOC:
		case BHI_LAB_MAP:
			had |= memory;
			break;
		case BHI_LAB_TOUCH:
		case BHI_LAB_USE:
		case BHI_LAB_FREE:
		case BHI_LAB_DISCARD:
		case BHI_LAB_ON_FREE:
			if (!(had & memory))
				return false;
			break;
		case BHI_LAB_LOCK:
		case BHI_LAB_RDLOCK:
		case BHI_LAB_TRYLOCK:
			held |= 1u << step->object;
			break;
		case BHI_LAB_UNLOCK:
			if (!(held >> step->object & 1))
				return false;
			held &= ~(1u << step->object);
			break;
		case BHI_LAB_HOLD:
			sections++;
			break;
		case BHI_LAB_RELEASE:
			if (!sections--)
				return false;
			break;
		case BHI_LAB_DUMP:
			dumps++;
			break;
		case BHI_LAB_DUMPED:
			if (!dumps--)
				return false;
			break;
		case BHI_LAB_LOOP:
			loops++;
			break;
		case BHI_LAB_END:
			if (!loops--)
				return false;
			break;
		default:
			break;
		}
	}
	return !held && !sections && !dumps && !loops;
}

/* Take out step @a of a task, and @b with it where that is a later one: the lock and its
 * unlock go together. */
static bool try_without(
	struct shrinker *shrinker, unsigned number, unsigned a, unsigned b)
{
	static struct bhi_lab_scenario variant;
	struct bhi_lab_task *task = &variant.tasks[number];

	variant = shrinker->best;
	if (b > a)
		remove_step(task, b);
	remove_step(task, a);
	return is_sound(task) && keep_if_failing(shrinker, &variant);
}

static bool try_without_some(struct shrinker *shrinker, unsigned number, unsigned a)
{
	unsigned nr = shrinker->best.tasks[number].nr_steps;

	for (unsigned b = a; b < nr && !shrinker->error; b++) {
		if (try_without(shrinker, number, a, b))
			return true;
	}
	return false;
}

static bool shrink_steps(struct shrinker *shrinker)
{
	bool smaller = false;

	for (unsigned t = 0; t < shrinker->best.nr_tasks; t++) {
		for (unsigned s = 0; s < shrinker->best.tasks[t].nr_steps;) {
			if (try_without_some(shrinker, t, s))
				smaller = true;
			else
				s++;
		}
	}
	return smaller;
}

/* What @task's steps would name wrongly when task @number is gone. */
static void forget_task(struct bhi_lab_task *task, int number)
{
	for (unsigned s = task->nr_steps; s-- > 0;) {
		struct bhi_lab_step *step = &task->steps[s];

		if (step->op != BHI_LAB_KILL)
			continue;
		if (step->object == number)
			remove_step(task, s);
		else if (step->object > number)
			step->object--;
	}
}

static bool shrink_tasks(struct shrinker *shrinker)
{
	static struct bhi_lab_scenario variant;
	bool smaller = false;

	for (unsigned t = 0;
		t < shrinker->best.nr_tasks && shrinker->best.nr_tasks > 1;) {
		variant = shrinker->best;
		variant.nr_points = 0;
		variant.nr_tasks--;
		memmove(&variant.tasks[t], &variant.tasks[t + 1],
			(variant.nr_tasks - t) * sizeof(variant.tasks[0]));
		for (unsigned i = 0; i < variant.nr_tasks; i++)
			forget_task(&variant.tasks[i], (int)t);
		if (keep_if_failing(shrinker, &variant))
			smaller = true;
		else
			t++;
	}
	return smaller;
}

static bool shrink_caches(struct shrinker *shrinker)
{
	static struct bhi_lab_scenario variant;

	variant = shrinker->best;
	if (!variant.nr_caches)
		return false;
	variant.nr_caches--;
	return keep_if_failing(shrinker, &variant);
}

/* Attributes that may have nothing to do with it. */
static bool shrink_attributes(struct shrinker *shrinker)
{
	static struct bhi_lab_scenario variant;
	bool smaller = false;

	for (unsigned t = 0; t < shrinker->best.nr_tasks; t++) {
		const struct bhi_lab_task *task = &shrinker->best.tasks[t];

		if (!task->adj && !task->cooperative)
			continue;
		variant = shrinker->best;
		variant.tasks[t].adj = 0;
		variant.tasks[t].cooperative = false;
		smaller |= keep_if_failing(shrinker, &variant);
	}
	return smaller;
}

int bhi_lab_shrink(struct bhi_lab_scenario *scenario, int era)
{
	static struct shrinker shrinker;
	bool smaller;

	shrinker = (struct shrinker){.era = era, .outcome = bhi_lab_outcome_new()};
	if (!shrinker.outcome)
		return -ENOMEM;
	shrinker.best = *scenario;
	shrinker.error =
		bhi_lab_search_once(scenario, era, scenario->seed, shrinker.outcome);
	shrinker.verdict = shrinker.outcome->verdict;
	do {
		smaller = shrink_tasks(&shrinker);
		smaller |= shrink_caches(&shrinker);
		smaller |= shrink_steps(&shrinker);
		smaller |= shrink_attributes(&shrinker);
	} while (smaller && !shrinker.error);
	*scenario = shrinker.best;
	scenario->has_seed = true;
	return shrinker.error ? shrinker.error : shrinker.nr_runs;
}
