/* SPDX-License-Identifier: MIT */
/*
 * Threads that come and go, each with short-lived blocks (up to 1 KiB), blocks it retains
 * to its end (80 bytes to 100 KiB), one in a hundred a hundred times as large, and blocks
 * it exchanges with the other thread through shared slots. Blocks are arrays of words
 * derived from their own length, verified when freed. Which block a thread finds in a
 * slot depends on timing, so the checksum counts only what each thread asked for.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "common.h"

#define NR_THREADS 2
#define NR_SLOTS   1000
#define NR_ALLOCS  1000
#define COOKIE     UINT64_C(0xbf58476d1ce4e5b9)

static _Atomic(uint64_t *) slots[NR_SLOTS];

struct worker {
	pthread_t thread;
	struct rng rng;
	unsigned nr_allocs;
	uint64_t sum;
};

static uint64_t *block_new(struct worker *worker, size_t nr)
{
	uint64_t *block;

	if (rng_percent(&worker->rng, 1))
		nr *= 100;
	block = must(malloc(nr * sizeof(*block)));
	for (size_t i = 0; i < nr; i++)
		block[i] = (nr - i) ^ COOKIE;
	worker->sum = sum_mix(worker->sum, nr);
	return block;
}

static void block_free(uint64_t *block)
{
	size_t nr;

	if (!block)
		return;
	nr = block[0] ^ COOKIE;
	for (size_t i = 0; i < nr; i++) {
		if ((block[i] ^ COOKIE) != nr - i)
			die("a block was overwritten");
	}
	free(block);
}

static uint64_t *slot_exchange(uint32_t slot, uint64_t *block)
{
	return atomic_exchange_explicit(&slots[slot], block, memory_order_acq_rel);
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	unsigned allocs = worker->nr_allocs, retain = allocs / 2, nr = 0, nr_retained = 0;
	uint64_t **blocks = must(calloc(allocs, sizeof(*blocks)));
	uint64_t **retained = must(calloc(retain, sizeof(*retained)));
	struct rng *rng = &worker->rng;

	while (allocs > 0 || retain > 0) {
		if (retain == 0 || (allocs > 0 && rng_percent(rng, 50))) {
			allocs--;
			blocks[nr++] = block_new(worker, 1 + rng_below(rng, 128));
		} else {
			retain--;
			retained[nr_retained++] =
				block_new(worker, 10 * (1 + rng_below(rng, 1280)));
		}
		if (nr && rng_percent(rng, 66)) {
			uint32_t victim = rng_below(rng, nr);

			block_free(blocks[victim]);
			blocks[victim] = NULL;
		}
		if (nr && rng_percent(rng, 25)) {
			uint32_t i = rng_below(rng, nr);

			blocks[i] = slot_exchange(rng_below(rng, NR_SLOTS), blocks[i]);
		}
	}
	while (nr_retained)
		block_free(retained[--nr_retained]);
	while (nr)
		block_free(blocks[--nr]);
	free(retained);
	free(blocks);
	return NULL;
}

static uint64_t round_run(unsigned round)
{
	struct worker workers[NR_THREADS];
	uint64_t sum = 0;

	for (unsigned t = 0; t < NR_THREADS; t++) {
		workers[t] = (struct worker){
			.rng.state = round * 97 + t, .nr_allocs = NR_ALLOCS * (t + 1)};
		if (pthread_create(&workers[t].thread, NULL, worker_run, &workers[t]))
			die("no thread");
	}
	for (unsigned t = 0; t < NR_THREADS; t++) {
		pthread_join(workers[t].thread, NULL);
		sum += workers[t].sum;
	}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned nr_rounds = work_units(argc, argv, 50);
	uint64_t sum = 0;

	for (unsigned round = 0; round < nr_rounds; round++)
		sum = sum_mix(sum, round_run(round));
	for (unsigned i = 0; i < NR_SLOTS; i++)
		block_free(slot_exchange(i, NULL));
	return finish(sum);
}
