/* SPDX-License-Identifier: MIT */
/*
 * Every object is freed by another thread: two threads fill batches of 4096 objects of 64
 * bytes, two others empty them, newest batch first. At most 100 full batches wait.
 */
#include <pthread.h>

#include "common.h"

#define NR_PAIRS    2
#define NR_OBJECTS  4096
#define OBJECT_SIZE 64
#define MAX_WAITING 100

struct batch {
	struct batch *next;
	unsigned char *objects[NR_OBJECTS];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_full, not_empty;
	/* protected by .lock */
	struct batch *first;
	unsigned nr_waiting;
	unsigned nr_to_come;
} stock = {.lock = PTHREAD_MUTEX_INITIALIZER,
	.not_full = PTHREAD_COND_INITIALIZER,
	.not_empty = PTHREAD_COND_INITIALIZER};

struct worker {
	pthread_t thread;
	unsigned nr_batches;
	uint64_t sum;
};

static void batch_push(struct batch *batch)
{
	pthread_mutex_lock(&stock.lock);
	while (stock.nr_waiting >= MAX_WAITING)
		pthread_cond_wait(&stock.not_full, &stock.lock);
	batch->next = stock.first;
	stock.first = batch;
	stock.nr_waiting++;
	pthread_cond_signal(&stock.not_empty);
	pthread_mutex_unlock(&stock.lock);
}

/* NULL when all batches have been taken. */
static struct batch *batch_pop(void)
{
	struct batch *batch;

	pthread_mutex_lock(&stock.lock);
	while (!stock.first && stock.nr_to_come)
		pthread_cond_wait(&stock.not_empty, &stock.lock);
	batch = stock.first;
	if (batch) {
		stock.first = batch->next;
		stock.nr_waiting--;
		if (--stock.nr_to_come == 0)
			pthread_cond_broadcast(&stock.not_empty);
		pthread_cond_signal(&stock.not_full);
	}
	pthread_mutex_unlock(&stock.lock);
	return batch;
}

static void *producer(void *arg)
{
	struct worker *worker = arg;

	for (unsigned b = 0; b < worker->nr_batches; b++) {
		struct batch *batch = must(malloc(sizeof(*batch)));

		for (unsigned i = 0; i < NR_OBJECTS; i++) {
			batch->objects[i] = must(malloc(OBJECT_SIZE));
			memset(batch->objects[i], (int)(i + b), OBJECT_SIZE);
		}
		batch_push(batch);
	}
	return NULL;
}

static void *consumer(void *arg)
{
	struct worker *worker = arg;
	struct batch *batch;

	while ((batch = batch_pop())) {
		for (unsigned i = 0; i < NR_OBJECTS; i++) {
			worker->sum += batch->objects[i][0];
			free(batch->objects[i]);
		}
		free(batch);
	}
	return NULL;
}

static void worker_start(struct worker *worker, void *(*fn)(void *))
{
	if (pthread_create(&worker->thread, NULL, fn, worker))
		die("no thread");
}

int main(int argc, char **argv)
{
	struct worker producers[NR_PAIRS] = {0}, consumers[NR_PAIRS] = {0};
	unsigned nr_batches = work_units(argc, argv, 1500);
	uint64_t sum = 0;

	stock.nr_to_come = nr_batches * NR_PAIRS;
	for (unsigned t = 0; t < NR_PAIRS; t++) {
		producers[t].nr_batches = nr_batches;
		worker_start(&producers[t], producer);
		worker_start(&consumers[t], consumer);
	}
	for (unsigned t = 0; t < NR_PAIRS; t++) {
		pthread_join(producers[t].thread, NULL);
		pthread_join(consumers[t].thread, NULL);
		sum += consumers[t].sum;
	}
	return finish(sum);
}
