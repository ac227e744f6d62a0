/* SPDX-License-Identifier: MIT */
/*
 * The plainest pattern: allocate a number of blocks of one size and write them, then free
 * them all in the same order, again and again. Sizes 16, 32 and 64 bytes; 25, 100, 400
 * and 1600 blocks; in the main thread, in a second thread, and in the main thread again
 * now that the process has had two.
 */
#include <pthread.h>

#include "common.h"

#define MAX_BLOCKS 1600
#define NR_PAIRS   3000000

struct run {
	unsigned nr_pairs;
	uint64_t sum;
};

static uint64_t pattern_run(size_t size, unsigned nr_blocks, unsigned nr_pairs)
{
	static unsigned *blocks[MAX_BLOCKS];
	uint64_t sum = 0;

	for (unsigned round = 0; round < nr_pairs / nr_blocks; round++) {
		for (unsigned i = 0; i < nr_blocks; i++) {
			blocks[i] = must(malloc(size));
			for (unsigned w = 0; w < size / sizeof(unsigned); w++)
				blocks[i][w] = round + i + w;
		}
		for (unsigned i = 0; i < nr_blocks; i++) {
			sum += blocks[i][size / sizeof(unsigned) - 1];
			free(blocks[i]);
		}
	}
	return sum;
}

static void *run_all(void *arg)
{
	static const unsigned counts[] = {25, 100, 400, MAX_BLOCKS};
	struct run *run = arg;

	for (size_t size = 16; size <= 64; size *= 2) {
		for (unsigned c = 0; c < 4; c++)
			run->sum = sum_mix(
				run->sum, pattern_run(size, counts[c], run->nr_pairs));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct run run = {.nr_pairs = work_units(argc, argv, NR_PAIRS)};
	pthread_t thread;

	run_all(&run);
	if (pthread_create(&thread, NULL, run_all, &run))
		die("no thread");
	pthread_join(thread, NULL);
	run_all(&run);
	return finish(run.sum);
}
