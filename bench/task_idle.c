/* SPDX-License-Identifier: MIT */
/*
 * Many idle tasks: the memory that each costs beyond what it allocated, and the cost of
 * entering one at random. Page tables are the kernel's memory and not part of a resident
 * set; they are counted by themselves.
 *
 *	task_idle BYTES [percent of 100,000 tasks]
 *
 * BYTES is what each task has allocated with bh_malloc, in objects of at most 1 KiB; 0:
 * it was entered and allocated nothing. Prints .resident and .tables, in bytes a task
 * beyond those, .enter: nanoseconds to enter one that allocated nothing more and reads a
 * word of its memory, .again: the same for one task over and over, and .tasks.
 */
#include <unistd.h>

#include "bulkhead.h"
#include "stats.h"

#define NR_TASKS    100000
#define NR_ENTERS   200000
#define NR_ROUNDS   5
#define OBJECT_SIZE ((size_t)1024)

struct session {
	struct bh_task *task;
	const volatile char *memory;
	size_t size;
};

static struct session sessions[NR_TASKS];

static int allocate(void *arg)
{
	struct session *session = arg;

	for (size_t left = session->size; left;) {
		size_t size = left < OBJECT_SIZE ? left : OBJECT_SIZE;
		char *object = must(bh_malloc(size));

		memset(object, 1, size);
		session->memory = object;
		left -= size;
	}
	return 0;
}

static int look(void *arg)
{
	const struct session *session = arg;

	return session->memory ? *session->memory : 1;
}

static void enter(struct session *session, int (*fn)(void *arg), int value)
{
	struct bh_report report;

	if (bh_task_enter(session->task, fn, session, &report) || report.value != value)
		die("a task cannot be entered");
}

/* A value in kB of /proc/self/status, in bytes. */
static double status_bytes(const char *field)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t length = strlen(field);
	char line[128];
	double bytes = -1;

	if (!file)
		die("no /proc");
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, field, length) && line[length] == ':')
			bytes = strtod(line + length + 1, NULL) * 1024;
	}
	fclose(file);
	if (bytes < 0)
		die("a field is not in /proc/self/status");
	return bytes;
}

static double sample_enters(unsigned nr_tasks, unsigned nr_enters, uint64_t seed)
{
	struct rng rng = {.state = seed};
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	for (unsigned i = 0; i < nr_enters; i++)
		enter(&sessions[rng_below(&rng, nr_tasks)], look, 1);
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / nr_enters;
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned nr_tasks = work_units(argc - 1, argv + 1, NR_TASKS);
	unsigned nr_enters = work_units(argc - 1, argv + 1, NR_ENTERS);
	double resident, tables, random[NR_ROUNDS], again[NR_ROUNDS];
	struct bh_group *group;

	if (nr_tasks > NR_TASKS)
		nr_tasks = NR_TASKS;
	if (bh_init(NULL))
		die("the library does not start");
	group = must(bh_group_new(NULL, "sessions"));
	/* The table itself is resident before, too. */
	memset(sessions, 1, sizeof(sessions));
	memset(sessions, 0, sizeof(sessions));
	resident = status_bytes("VmRSS");
	tables = status_bytes("VmPTE");
	for (unsigned i = 0; i < nr_tasks; i++) {
		sessions[i].task = must(bh_task_new(group, NULL));
		sessions[i].size = size;
		enter(&sessions[i], allocate, 0);
	}
	resident = status_bytes("VmRSS") - resident;
	tables = status_bytes("VmPTE") - tables;
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		random[round] = sample_enters(nr_tasks, nr_enters, round);
		again[round] = sample_enters(1, nr_enters, round);
	}
	printf("resident %.0f\n", resident / nr_tasks - (double)size);
	printf("tables %.0f\n", tables / nr_tasks);
	printf("enter %.1f\n", samples_quantile(random, NR_ROUNDS, 0.5));
	printf("again %.1f\n", samples_quantile(again, NR_ROUNDS, 0.5));
	printf("tasks %u\n", nr_tasks);
	for (unsigned i = 0; i < nr_tasks; i++)
		bh_task_put(sessions[i].task);
	return 0;
}
