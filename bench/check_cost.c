/* SPDX-License-Identifier: MIT */
/*
 * What check's interposer costs a run in which nothing fails: check_cost RUNS program
 * [arguments ...]. Runs with it and without it take turns; medians of the CPU time. The
 * order is that of a test, so calls are counted and no stack is captured but at one call
 * that never comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/interposer.h"
#include "check/run.h"

#include "stats.h"

#define MAX_RUNS 1000

static double run(const struct bhi_check_setup *setup)
{
	const struct bhi_check_order order = {
		.action = BHI_CHECK_INJECT, .stack = 2, .call = UINT64_MAX};
	struct bhi_check_result result;
	double cpu_ns;
	int r = bhi_check_run(setup, &order, 0, &result);

	if (r)
		die(strerror(-r));
	if (result.end != BHI_CHECK_EXITED || result.status)
		die("the program failed");
	cpu_ns = (double)result.cpu_ns;
	bhi_check_result_fini(&result);
	return cpu_ns;
}

int main(int argc, char **argv)
{
	char interposer[4096], folder[] = "/tmp/check-cost-XXXXXX";
	struct bhi_check_setup with = {.max_output = 1 << 20}, without;
	static double costs[2][MAX_RUNS];
	unsigned nr = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

	if (nr < 1 || nr > MAX_RUNS) {
		fprintf(stderr, "usage: check_cost RUNS program [arguments ...]\n");
		return 2;
	}
	if (bhi_check_interposer_find(interposer, sizeof(interposer)))
		die("no interposer is built");
	if (!mkdtemp(folder))
		die("mkdtemp");
	with.command = argv + 2;
	with.interposer = interposer;
	with.work_dir = folder;
	without = with;
	without.interposer = "";
	for (unsigned i = 0; i < nr; i++) {
		costs[0][i] = run(&with);
		costs[1][i] = run(&without);
	}
	rmdir(folder);
	printf("with %.0f without %.0f\n", samples_quantile(costs[0], nr, 0.5),
		samples_quantile(costs[1], nr, 0.5));
	return 0;
}
