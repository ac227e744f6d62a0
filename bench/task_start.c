/* SPDX-License-Identifier: MIT */
/*
 * What it costs to run something in a task, against a thread and a process for it. All
 * take turns; nanoseconds of elapsed time for one, warm.
 *
 *	run	bh_task_new, bh_task_enter of an empty function, bh_task_put
 *	run_malloc	the same with one bh_malloc of 64 bytes inside, not freed
 *	enter	bh_task_enter of a task that exists
 *	enter_malloc	the same with one bh_malloc and bh_free inside
 *	thread	pthread_create and pthread_join of an empty function
 *	fork	fork, _exit in the child, waitpid
 *
 *	task_start [percent of the work]
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bulkhead.h"
#include "stats.h"

#define NR_ROUNDS 11

static struct bh_group *group;
static struct bh_task *idle;

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int allocate(void *arg)
{
	(void)arg;
	return !bh_malloc(64);
}

static int allocate_and_free(void *arg)
{
	void *p = bh_malloc(64);

	(void)arg;
	bh_free(p);
	return !p;
}

static void *thread_nothing(void *arg)
{
	return arg;
}

static void run_task(int (*fn)(void *arg))
{
	struct bh_task *task = must(bh_task_new(group, NULL));
	struct bh_report report;

	if (bh_task_enter(task, fn, NULL, &report) || report.value)
		die("a task did not end well");
	bh_task_put(task);
}

static void do_run(void)
{
	run_task(nothing);
}

static void do_run_malloc(void)
{
	run_task(allocate);
}

static void do_enter(void)
{
	if (bh_task_enter(idle, nothing, NULL, NULL))
		die("a task cannot be entered");
}

static void do_enter_malloc(void)
{
	if (bh_task_enter(idle, allocate_and_free, NULL, NULL))
		die("a task cannot be entered");
}

static void do_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_nothing, NULL) ||
		pthread_join(thread, NULL))
		die("no thread");
}

static void do_fork(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("no process");
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned nr;
} ways[] = {
	{"run", do_run, 20000},
	{"run_malloc", do_run_malloc, 20000},
	{"enter", do_enter, 200000},
	{"enter_malloc", do_enter_malloc, 200000},
	{"thread", do_thread, 2000},
	{"fork", do_fork, 300},
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

static double sample(void (*run)(void), unsigned nr)
{
	uint64_t start;

	for (unsigned i = 0; i < nr / 16 + 1; i++)
		run();
	start = clock_ns(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < nr; i++)
		run();
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / nr;
}

int main(int argc, char **argv)
{
	double samples[NR_WAYS][NR_ROUNDS];

	if (bh_init(NULL))
		die("the library does not start");
	group = must(bh_group_new(NULL, "tenants"));
	idle = must(bh_task_new(group, NULL));
	do_enter_malloc();
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		for (unsigned w = 0; w < NR_WAYS; w++)
			samples[w][round] =
				sample(ways[w].run, work_units(argc, argv, ways[w].nr));
	}
	for (unsigned w = 0; w < NR_WAYS; w++)
		printf("%s %.1f\n", ways[w].name,
			samples_quantile(samples[w], NR_ROUNDS, 0.5));
	bh_task_put(idle);
	return 0;
}
