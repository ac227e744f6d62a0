/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "allocate.h"
#include "merge.h"
#include "plan.h"

/* The module whose turn it is, and its stacks in the order of their first calls. */
struct turn {
	const char *module;
	size_t *stacks;
	size_t nr, capacity;
	size_t at;
};

/*
 * The first call, then the last one, then what lies between them in equal steps: a
 * program that dies of a later call mostly does so because of what it has built up since
 * the first.
 */
uint64_t bhi_check_occurrence(uint64_t nr_calls, unsigned nr_samples, unsigned sample)
{
	if (sample >= nr_samples || sample >= nr_calls)
		return 0;
	if (nr_samples >= nr_calls || !sample)
		return sample + 1;
	if (sample == 1)
		return nr_calls;
	return 1 + (sample - 1) * (nr_calls - 1) / (nr_samples - 1);
}

static bool in_shard(const struct bhi_check_plan_options *options,
	const struct bhi_check_point_stack *stack)
{
	/* By the stack, so that it is the same one on every machine. */
	return !options->nr_shards ||
	       bhi_check_in_shard(stack->hash, options->shard, options->nr_shards);
}

static struct turn *find_turn(
	struct turn **turns, size_t *nr, size_t *capacity, const char *module)
{
	for (size_t i = 0; i < *nr; i++) {
		if (!strcmp((*turns)[i].module, module))
			return &(*turns)[i];
	}
	*turns = bhi_check_grow(*turns, capacity, *nr + 1, sizeof(**turns));
	(*turns)[*nr] = (struct turn){.module = module};
	return &(*turns)[(*nr)++];
}

static size_t make_turns(const struct bhi_check_session *session,
	const struct bhi_check_plan_options *options, struct turn **ret)
{
	struct turn *turns = NULL;
	size_t nr = 0, capacity = 0;

	for (size_t i = 0; i < session->nr_stacks; i++) {
		const struct bhi_check_backtrace *trace = &session->stacks[i].trace;
		size_t site = bhi_check_injection_site(trace);
		struct turn *turn;

		if (!in_shard(options, &session->stacks[i]))
			continue;
		turn = find_turn(&turns, &nr, &capacity,
			site < trace->nr ? trace->places[site].module : "");
		turn->stacks = bhi_check_grow(turn->stacks, &turn->capacity, turn->nr + 1,
			sizeof(*turn->stacks));
		turn->stacks[turn->nr++] = i;
	}
	*ret = turns;
	return nr;
}

static uint64_t find_site(const struct bhi_check_backtrace *trace)
{
	struct bhi_check_test hung = {.class = BHI_CHECK_BUSY_HANG, .injected = *trace};

	return bhi_check_test_key(&hung);
}

/* One round: sample number @sample of each stack that has it. Returns how many. */
static size_t plan_sample(const struct bhi_check_session *session,
	const struct bhi_check_plan_options *options, struct turn *turns, size_t nr_turns,
	unsigned sample, struct bhi_check_point *ret)
{
	size_t nr = 0;
	bool found = true;

	for (size_t i = 0; i < nr_turns; i++)
		turns[i].at = 0;
	while (found) {
		found = false;
		for (size_t i = 0; i < nr_turns; i++) {
			const struct bhi_check_point_stack *stack;
			unsigned samples;
			uint64_t occurrence = 0;

			while (turns[i].at < turns[i].nr && !occurrence) {
				size_t index = turns[i].stacks[turns[i].at++];

				stack = &session->stacks[index];
				samples = options->exhaustive ? (unsigned)stack->nr_calls
							      : options->samples;
				occurrence = bhi_check_occurrence(
					stack->nr_calls, samples, sample);
				if (!occurrence)
					continue;
				ret[nr++] = (struct bhi_check_point){
					index, occurrence, find_site(&stack->trace)};
				found = true;
			}
		}
	}
	return nr;
}

size_t bhi_check_plan(const struct bhi_check_session *session,
	const struct bhi_check_plan_options *options, struct bhi_check_point **ret)
{
	struct turn *turns;
	size_t nr_turns = make_turns(session, options, &turns), most = 0, nr = 0, round;
	uint64_t rounds = 0;

	for (size_t i = 0; i < session->nr_stacks; i++) {
		uint64_t nr_calls = session->stacks[i].nr_calls;

		if (!options->exhaustive)
			nr_calls = bhi_min(nr_calls, (uint64_t)options->samples);
		most += nr_calls;
		rounds = bhi_max(rounds, nr_calls);
	}
	*ret = bhi_check_alloc(most, sizeof(**ret));
	for (uint64_t sample = 0; sample < rounds; sample++) {
		round = plan_sample(
			session, options, turns, nr_turns, (unsigned)sample, *ret + nr);
		if (!round)
			break;
		nr += round;
	}
	for (size_t i = 0; i < nr_turns; i++)
		free(turns[i].stacks);
	free(turns);
	return nr;
}
