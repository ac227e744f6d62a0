/* SPDX-License-Identifier: MIT */
/*
 * Two threads with nothing in common but the allocator: each keeps 1000 blocks and
 * replaces random ones. Sizes are 4 bytes to 32 KiB with a density that falls with the
 * square of the size. Blocks are written whole.
 */
#include <math.h>
#include <pthread.h>

#include "common.h"

#define NR_THREADS 2
#define NR_BLOCKS  1024
#define NR_SIZES   8192
#define SIZE_MIN   4.0
#define SIZE_MAX_  32768.0

struct worker {
	pthread_t thread;
	struct rng rng;
	unsigned nr_steps;
	uint64_t sum;
};

static uint32_t sizes[NR_SIZES];

/* Inverts the distribution function of a density ~ 1/size^2. */
static void sizes_init(void)
{
	struct rng rng = {.state = 0x1234};

	for (unsigned i = 0; i < NR_SIZES; i++) {
		double u = (double)(rng_next(&rng) >> 11) * 0x1p-53;

		sizes[i] =
			(uint32_t)(1.0 / (1.0 / SIZE_MIN -
						 u * (1.0 / SIZE_MIN - 1.0 / SIZE_MAX_)));
	}
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	unsigned char **blocks = must(calloc(NR_BLOCKS, sizeof(*blocks)));

	for (unsigned step = 0; step < worker->nr_steps; step++) {
		uint64_t bits = rng_next(&worker->rng);
		uint32_t size = sizes[bits % NR_SIZES];
		unsigned char **block = &blocks[(bits >> 32) % NR_BLOCKS];

		if (*block)
			worker->sum += **block;
		free(*block);
		*block = must(malloc(size));
		memset(*block, (int)size, size);
	}
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		free(blocks[i]);
	free(blocks);
	return NULL;
}

int main(int argc, char **argv)
{
	struct worker workers[NR_THREADS];
	unsigned nr_steps = work_units(argc, argv, 20000000);
	uint64_t sum = 0;

	sizes_init();
	for (unsigned t = 0; t < NR_THREADS; t++) {
		workers[t] = (struct worker){.rng.state = t + 1, .nr_steps = nr_steps};
		if (pthread_create(&workers[t].thread, NULL, worker_run, &workers[t]))
			die("no thread");
	}
	for (unsigned t = 0; t < NR_THREADS; t++) {
		pthread_join(workers[t].thread, NULL);
		sum += workers[t].sum;
	}
	return finish(sum);
}
