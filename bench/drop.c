/* SPDX-License-Identifier: MIT */
/*
 * The end of a tenant: a group with 610 KiB of live objects (those of mix.h) is dropped
 * by one call, against the destruction of a mimalloc heap with the same objects. Batches
 * of eight are built and then dropped, so that what is dropped is not what was just
 * written; with both backends batches take turns.
 *
 *	drop [percent of the rounds] [bulkhead|mimalloc]
 */
#include "bulkhead.h"
#include "mix.h"
#include "peer.h"
#include "stats.h"

#define NR_BATCH  8
#define NR_ROUNDS 250
#define LIVE_SIZE (610 * 1024)

static double drop_ns[NR_ROUNDS * NR_BATCH], end_ns[NR_ROUNDS * NR_BATCH];
static double destroy_ns[NR_ROUNDS * NR_BATCH];

static void group_fill(struct bh_group *group, uint64_t seed)
{
	struct rng rng = {.state = seed};

	for (size_t live = 0; live < LIVE_SIZE;) {
		uint32_t size = mix_size(&rng, LIVE_SIZE - live);

		memset(must(bh_alloc(group, size, 0)), 1, size);
		live += size;
	}
}

static void heap_fill(void *heap, uint64_t seed)
{
	struct rng rng = {.state = seed};

	for (size_t live = 0; live < LIVE_SIZE;) {
		uint32_t size = mix_size(&rng, LIVE_SIZE - live);

		memset(must(mi.heap_malloc(heap, size)), 1, size);
		live += size;
	}
}

/* .drop_ns: bh_group_drop alone; .end_ns: with the end of the group itself. */
static void round_bulkhead(unsigned round)
{
	struct bh_group *groups[NR_BATCH];

	for (unsigned i = 0; i < NR_BATCH; i++) {
		groups[i] = must(bh_group_new(NULL, "tenant"));
		group_fill(groups[i], i);
	}
	for (unsigned i = 0; i < NR_BATCH; i++) {
		uint64_t start = clock_ns(CLOCK_MONOTONIC), dropped;

		if (bh_group_drop(groups[i]))
			die("a group was not dropped");
		dropped = clock_ns(CLOCK_MONOTONIC);
		bh_group_put(groups[i]);
		drop_ns[round * NR_BATCH + i] = (double)(dropped - start);
		end_ns[round * NR_BATCH + i] =
			(double)(clock_ns(CLOCK_MONOTONIC) - start);
	}
}

static void round_mimalloc(unsigned round)
{
	void *heaps[NR_BATCH];

	for (unsigned i = 0; i < NR_BATCH; i++) {
		heaps[i] = must(mi.heap_new());
		heap_fill(heaps[i], i);
	}
	for (unsigned i = 0; i < NR_BATCH; i++) {
		uint64_t start = clock_ns(CLOCK_MONOTONIC);

		mi.heap_destroy(heaps[i]);
		destroy_ns[round * NR_BATCH + i] =
			(double)(clock_ns(CLOCK_MONOTONIC) - start);
	}
}

static void print(const char *name, double *samples, unsigned nr)
{
	printf("%s_p50 %.0f\n", name, samples_quantile(samples, nr, 0.5));
	printf("%s_p99 %.0f\n", name, samples_quantile(samples, nr, 0.99));
}

int main(int argc, char **argv)
{
	unsigned nr_rounds = work_units(argc, argv, NR_ROUNDS);
	int bulkhead = argc < 3 || strcmp(argv[2], "bulkhead") == 0;
	int mimalloc = argc < 3 || strcmp(argv[2], "mimalloc") == 0;

	if (nr_rounds > NR_ROUNDS)
		nr_rounds = NR_ROUNDS;
	if (bulkhead && bh_init(NULL))
		die("the library does not start");
	if (mimalloc)
		peer_load();
	for (unsigned round = 0; round < nr_rounds; round++) {
		if (bulkhead)
			round_bulkhead(round);
		if (mimalloc)
			round_mimalloc(round);
	}
	if (bulkhead) {
		print("drop", drop_ns, nr_rounds * NR_BATCH);
		print("end", end_ns, nr_rounds * NR_BATCH);
	}
	if (mimalloc)
		print("destroy", destroy_ns, nr_rounds * NR_BATCH);
	return 0;
}
