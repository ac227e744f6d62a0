/* SPDX-License-Identifier: MIT */
/*
 * bh_malloc and bh_free inside a task, charged three groups deep with a limit on each,
 * against mimalloc and glibc: one thread, shapes that take turns.
 *
 *	pair	one object of 16 to 256 bytes, freed at once
 *	lifo	64 objects of 16 to 256 bytes, freed in reverse order
 *	fifo	4096 objects of 64 bytes, freed in order
 *	random	10,000 slots replaced at random, most objects small, up to 1 KiB
 *	larson	1,000 slots replaced at random, 8 to 1000 bytes
 *	medium	256 slots replaced at random, 1 to 32 KiB
 *	large	32 slots replaced at random, 32 to 256 KiB
 *
 *	task_alloc [percent of the work] [allocator [shape]]
 *
 * Prints CPU nanoseconds for an allocation and its free: SHAPE_ALLOCATOR.
 */
#include <errno.h>

#include "bulkhead.h"
#include "peer.h"
#include "stats.h"

#define NR_OPS    1000000
#define NR_ROUNDS 5
#define NR_STEPS  16384
#define MAX_SLOTS 10000
#define NR_LEVELS 3
#define LIMIT     ((uint64_t)1 << 30)

struct allocator {
	const char *name;
	void *(*alloc)(size_t size);
	void (*free)(void *ptr);
};

/* The random numbers are drawn before the clock runs. */
struct step {
	uint32_t slot, size;
};

struct shape {
	const char *name;
	void (*run)(const struct allocator *allocator, unsigned nr_ops, unsigned nr);
	unsigned nr; /* slots, or objects of a batch */
	uint32_t min, max;
	int skewed;       /* most sizes are small */
	unsigned divisor; /* of the number of operations */
};

struct job {
	const struct allocator *allocator;
	const struct shape *shape;
	unsigned nr_ops;
	double ns;
};

static struct step steps[NR_STEPS];
static void *slots[MAX_SLOTS];

static void *take(const struct allocator *allocator, uint32_t size)
{
	uint64_t *object = allocator->alloc(size);

	if (!object)
		die("out of memory");
	*object = size;
	return object;
}

static void run_pair(const struct allocator *allocator, unsigned nr_ops, unsigned nr)
{
	(void)nr;
	for (unsigned i = 0; i < nr_ops; i++)
		allocator->free(take(allocator, steps[i % NR_STEPS].size));
}

static void run_lifo(const struct allocator *allocator, unsigned nr_ops, unsigned nr)
{
	for (unsigned i = 0; i < nr_ops; i += nr) {
		for (unsigned k = 0; k < nr; k++)
			slots[k] = take(allocator, steps[(i + k) % NR_STEPS].size);
		for (unsigned k = nr; k > 0; k--)
			allocator->free(slots[k - 1]);
	}
}

static void run_fifo(const struct allocator *allocator, unsigned nr_ops, unsigned nr)
{
	for (unsigned i = 0; i < nr_ops; i += nr) {
		for (unsigned k = 0; k < nr; k++)
			slots[k] = take(allocator, steps[k % NR_STEPS].size);
		for (unsigned k = 0; k < nr; k++)
			allocator->free(slots[k]);
	}
}

static void run_slots(const struct allocator *allocator, unsigned nr_ops, unsigned nr)
{
	memset(slots, 0, sizeof(slots));
	for (unsigned i = 0; i < nr_ops; i++) {
		const struct step *step = &steps[i % NR_STEPS];

		if (slots[step->slot])
			allocator->free(slots[step->slot]);
		slots[step->slot] = take(allocator, step->size);
	}
	for (unsigned i = 0; i < nr; i++) {
		if (slots[i])
			allocator->free(slots[i]);
	}
}

static const struct shape shapes[] = {
	{"pair", run_pair, 1, 16, 256, 0, 1},
	{"lifo", run_lifo, 64, 16, 256, 0, 1},
	{"fifo", run_fifo, 4096, 64, 64, 0, 1},
	{"random", run_slots, 10000, 16, 1024, 1, 1},
	{"larson", run_slots, 1000, 8, 1000, 0, 1},
	{"medium", run_slots, 256, 1024, 32768, 0, 4},
	{"large", run_slots, 32, 32769, 262144, 0, 40},
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void draw_steps(const struct shape *shape)
{
	struct rng rng = {.state = 1};

	for (unsigned i = 0; i < NR_STEPS; i++) {
		uint32_t range = shape->max - shape->min + 1;

		/* The smallest of three. */
		for (int k = shape->skewed ? 2 : 0; k > 0; k--)
			range = rng_below(&rng, range) + 1;
		steps[i].slot = rng_below(&rng, shape->nr);
		steps[i].size = shape->min + rng_below(&rng, range);
	}
}

static int measure(void *arg)
{
	struct job *job = arg;
	const struct shape *shape = job->shape;
	uint64_t start;

	/* What is asked of the kernel but once is not the matter here. */
	shape->run(job->allocator, job->nr_ops / 8 + 1, shape->nr);
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	shape->run(job->allocator, job->nr_ops, shape->nr);
	job->ns = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / job->nr_ops;
	return 0;
}

static double sample(struct job *job, struct bh_group *group)
{
	if (job->allocator->alloc != bh_malloc)
		measure(job);
	else if (bh_task_run(group, NULL, measure, job, NULL))
		die("a task did not end well");
	return job->ns;
}

static struct bh_group *new_groups(void)
{
	struct bh_group *group = NULL;

	for (unsigned i = 0; i < NR_LEVELS; i++) {
		group = must(bh_group_new(group, "level"));
		if (bh_group_set(group, BH_MAX, LIMIT))
			die("no limit");
	}
	return group;
}

int main(int argc, char **argv)
{
	unsigned nr_ops = work_units(argc, argv, NR_OPS);
	const char *only = argc > 2 ? argv[2] : NULL, *shape = argc > 3 ? argv[3] : NULL;
	struct bh_group *group;

	if (bh_init(NULL))
		die("the library does not start");
	peer_load();
	group = new_groups();
	const struct allocator allocators[] = {
		{"bulkhead", bh_malloc, bh_free},
		{"mimalloc", mi.malloc, mi.free},
		{"glibc", malloc, free},
	};
	for (unsigned s = 0; s < NR_SHAPES; s++) {
		double samples[3][NR_ROUNDS];

		if (shape && strcmp(shape, shapes[s].name))
			continue;
		draw_steps(&shapes[s]);
		for (unsigned round = 0; round < NR_ROUNDS * 3; round++) {
			unsigned a = (round + round / 3) % 3;
			struct job job = {.allocator = &allocators[a],
				.shape = &shapes[s],
				.nr_ops = nr_ops / shapes[s].divisor + 1};

			if (!only || !strcmp(only, allocators[a].name))
				samples[a][round / 3] = sample(&job, group);
		}
		for (unsigned a = 0; a < 3; a++) {
			if (!only || !strcmp(only, allocators[a].name))
				printf("%s_%s %.2f\n", shapes[s].name, allocators[a].name,
					samples_quantile(samples[a], NR_ROUNDS, 0.5));
		}
	}
	return 0;
}
