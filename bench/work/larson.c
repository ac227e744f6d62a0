/* SPDX-License-Identifier: MIT */
/*
 * A server whose workers come and go. Each line of workers owns 5000 blocks of 8 to 1000
 * bytes. A worker replaces random ones, half a million in all, then starts its successor
 * and exits: the successor frees what its predecessors allocated. The main thread makes
 * the first blocks of both lines.
 */
#include <pthread.h>
#include <semaphore.h>

#include "common.h"

#define NR_LINES        2
#define NR_BLOCKS       5000
#define NR_REPLACEMENTS 500000
#define SIZE_MIN        8
#define SIZE_MAX_       1000

struct line {
	char *blocks[NR_BLOCKS];
	struct rng rng;
	unsigned generations;
	uint64_t sum;
	sem_t *done;
};

static char *block_new(struct line *line)
{
	uint32_t size = SIZE_MIN + rng_below(&line->rng, SIZE_MAX_ - SIZE_MIN + 1);
	char *block = must(malloc(size));

	block[0] = (char)size;
	block[size - 1] = (char)size;
	line->sum += size;
	return block;
}

static void line_replace(struct line *line, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		uint32_t victim = rng_below(&line->rng, NR_BLOCKS);

		line->sum += (unsigned char)line->blocks[victim][0];
		free(line->blocks[victim]);
		line->blocks[victim] = block_new(line);
	}
}

static void *worker(void *arg)
{
	struct line *line = arg;
	pthread_t successor;

	line_replace(line, NR_REPLACEMENTS);
	if (--line->generations == 0) {
		sem_post(line->done);
		return NULL;
	}
	if (pthread_create(&successor, NULL, worker, line) || pthread_detach(successor))
		die("no thread");
	return NULL;
}

static void line_start(struct line *line, unsigned generations, sem_t *done)
{
	pthread_t thread;

	line->generations = generations;
	line->done = done;
	if (pthread_create(&thread, NULL, worker, line) || pthread_detach(thread))
		die("no thread");
}

int main(int argc, char **argv)
{
	static struct line lines[NR_LINES];
	unsigned generations = work_units(argc, argv, 50);
	uint64_t sum = 0;
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned l = 0; l < NR_LINES; l++) {
		lines[l].rng.state = 4141 + l;
		for (unsigned i = 0; i < NR_BLOCKS; i++)
			lines[l].blocks[i] = block_new(&lines[l]);
		line_replace(&lines[l], NR_BLOCKS);
	}
	for (unsigned l = 0; l < NR_LINES; l++)
		line_start(&lines[l], generations, &done);
	for (unsigned l = 0; l < NR_LINES; l++) {
		while (sem_wait(&done))
			;
	}
	for (unsigned l = 0; l < NR_LINES; l++) {
		sum += lines[l].sum;
		for (unsigned i = 0; i < NR_BLOCKS; i++)
			free(lines[l].blocks[i]);
	}
	return finish(sum);
}
