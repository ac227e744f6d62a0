/* SPDX-License-Identifier: MIT */
/*
 * One thread, a table of 2^18 slots, half of them full at the start, and at each step a
 * random slot: an empty one gets a block, a full one is freed. Sizes follow a power law
 * (each doubling is half as likely, up to 1 KiB). Slots follow the 80/20 rule, and so
 * does the popular fifth in itself, six levels deep. Blocks are written whole when made
 * and read whole before they are freed.
 */
#include "common.h"

#define NR_SLOTS      (1u << 18)
#define NR_LEVELS     6
#define MAX_DOUBLINGS 7

struct slot {
	unsigned char *block;
	uint32_t size;
};

/* 5 to 8 bytes with probability 1/2, 9 to 16 with 1/4, and so on. */
static uint32_t size_random(struct rng *rng)
{
	uint64_t bits = rng_next(rng);
	uint32_t base = 4u << __builtin_ctzll(bits | (1u << MAX_DOUBLINGS));

	return base + 1 + ((uint32_t)(bits >> 32) & (base - 1));
}

static uint32_t slot_random(struct rng *rng)
{
	uint32_t end = NR_SLOTS;

	for (unsigned level = 0; level < NR_LEVELS; level++) {
		if (!rng_percent(rng, 80))
			return end / 5 + rng_below(rng, end - end / 5);
		end /= 5;
	}
	return rng_below(rng, end);
}

static void slot_fill(struct slot *slot, struct rng *rng)
{
	slot->size = size_random(rng);
	slot->block = must(malloc(slot->size));
	memset(slot->block, (int)slot->size, slot->size);
}

static uint64_t slot_free(struct slot *slot)
{
	uint64_t sum = slot->size;

	for (uint32_t i = 0; i < slot->size; i++)
		sum += slot->block[i];
	free(slot->block);
	slot->block = NULL;
	return sum;
}

int main(int argc, char **argv)
{
	unsigned nr_steps = work_units(argc, argv, 24000000);
	struct slot *slots = must(calloc(NR_SLOTS, sizeof(*slots)));
	struct rng rng = {.state = 41};
	uint64_t sum = 0;

	for (unsigned i = 0; i < NR_SLOTS; i++) {
		if (rng_percent(&rng, 50))
			slot_fill(&slots[i], &rng);
	}
	for (unsigned step = 0; step < nr_steps; step++) {
		struct slot *slot = &slots[slot_random(&rng)];

		if (slot->block)
			sum += slot_free(slot);
		else
			slot_fill(slot, &rng);
	}
	for (unsigned i = 0; i < NR_SLOTS; i++) {
		if (slots[i].block)
			sum += slot_free(&slots[i]);
	}
	free(slots);
	return finish(sum);
}
