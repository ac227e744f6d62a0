/* SPDX-License-Identifier: MIT */
/*
 * The first touch of every page of a map of 64 MiB, against the kernel's own of an
 * anonymous mapping without huge pages. They take turns; one byte a page is written.
 *
 *	order	from the first page to the last
 *	random	in random order
 *
 *	task_touch [percent of the rounds]
 *
 * Prints nanoseconds a page: ORDER_map and ORDER_kernel.
 */
#include <sys/mman.h>

#include "bulkhead.h"
#include "stats.h"

#define NR_ROUNDS  20
#define SIZE       ((size_t)64 << 20)
#define PAGE_BYTES ((size_t)4096)
#define NR_PAGES   (SIZE / PAGE_BYTES)

enum order {
	ORDER_RISING,
	ORDER_RANDOM,
	NR_ORDERS,
};

static const char *const order_names[] = {"order", "random"};
static uint32_t orders[NR_ORDERS][NR_PAGES];

struct job {
	enum order order;
	double ns;
};

static void draw_orders(void)
{
	struct rng rng = {.state = 1};

	for (uint32_t i = 0; i < NR_PAGES; i++) {
		uint32_t k = rng_below(&rng, i + 1);

		orders[ORDER_RISING][i] = i;
		orders[ORDER_RANDOM][i] = orders[ORDER_RANDOM][k];
		orders[ORDER_RANDOM][k] = i;
	}
}

static double touch(char *memory, enum order order)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < NR_PAGES; i++)
		((volatile char *)memory)[orders[order][i] * PAGE_BYTES] = 1;
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / NR_PAGES;
}

static int touch_map(void *arg)
{
	struct job *job = arg;
	char *map = must(bh_map(SIZE, 0));

	job->ns = touch(map, job->order);
	return bh_unmap(map, SIZE);
}

static double sample_map(enum order order)
{
	struct job job = {.order = order};
	struct bh_report report;

	if (bh_task_run(NULL, NULL, touch_map, &job, &report) || report.value)
		die("a task did not end well");
	return job.ns;
}

static double sample_kernel(enum order order)
{
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	double ns;

	if (memory == MAP_FAILED)
		die("no mapping");
	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	ns = touch(memory, order);
	munmap(memory, SIZE);
	return ns;
}

int main(int argc, char **argv)
{
	unsigned nr_rounds = work_units(argc, argv, NR_ROUNDS);
	double map[NR_ROUNDS], kernel[NR_ROUNDS];

	if (nr_rounds > NR_ROUNDS)
		nr_rounds = NR_ROUNDS;
	if (bh_init(NULL))
		die("the library does not start");
	draw_orders();
	for (unsigned o = 0; o < NR_ORDERS; o++) {
		for (unsigned round = 0; round < nr_rounds; round++) {
			map[round] = sample_map((enum order)o);
			kernel[round] = sample_kernel((enum order)o);
		}
		printf("%s_map %.1f\n", order_names[o],
			samples_quantile(map, nr_rounds, 0.5));
		printf("%s_kernel %.1f\n", order_names[o],
			samples_quantile(kernel, nr_rounds, 0.5));
	}
	printf("uffd %d\n", !!(bh_features() & BH_FEATURE_UFFD));
	return 0;
}
