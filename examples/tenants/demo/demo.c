/* SPDX-License-Identifier: MIT */
/*
 * The tenant server under a load of good and hostile scripts, and the same load with what
 * else could keep tenants apart.
 *
 * Exits 0 only if each answer to a good script was right, each drill ended as it should,
 * and the server ended when it was told to. What the two ways of comparison do is shown
 * and changes nothing.
 */
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "load.h"
#include "server.h"
#include "text.h"

#define ZONE ((uint64_t)256 << 20)

enum {
	PHASE_ALONE,
	PHASE_TASK,
	PHASE_LIMIT,
	PHASE_PROCESS,
	NR_PHASES,
};

static struct phase {
	const char *title, *contain;
	double seconds, quick_seconds;
	bool has_hogs, has_drills;

	/* results */
	bool has_run;
	struct load load;
	struct server server;
	struct reply metrics;
} phases[NR_PHASES] = {
	{.title = "tasks, no hogs", .contain = "task", .seconds = 6, .quick_seconds = 1},
	{.title = "tasks, hogs",
		.contain = "task",
		.seconds = 14,
		.quick_seconds = 4,
		.has_hogs = true,
		.has_drills = true},
	{.title = "allocator limits, hogs",
		.contain = "limit",
		.seconds = 8,
		.quick_seconds = 1,
		.has_hogs = true},
	{.title = "processes, hogs",
		.contain = "process",
		.seconds = 8,
		.quick_seconds = 1,
		.has_hogs = true},
};

static struct {
	const char *program;
	bool is_quick, is_terminal;
	double done, total; /* seconds */
	uint64_t phase_start;
	unsigned phase;
} demo;

/* Only where somebody looks: a bar that is written over. */
static void show_progress(void *arg)
{
	double at = demo.done + (double)(now_ns() - demo.phase_start) / 1e9;
	int filled = (int)(40 * at / demo.total);

	(void)arg;
	if (!demo.is_terminal)
		return;
	if (filled > 40)
		filled = 40;
	fprintf(stderr, "\r[%.*s%*s] %s\033[K", filled,
		"########################################", 40 - filled, "",
		phases[demo.phase].title);
}

static void clear_progress(void)
{
	if (demo.is_terminal)
		fprintf(stderr, "\r\033[K");
}

static double seconds_of(const struct phase *phase)
{
	return demo.is_quick ? phase->quick_seconds : phase->seconds;
}

static bool phase_run(struct phase *phase)
{
	struct client client;

	if (!server_begin(&phase->server, demo.program, phase->contain)) {
		clear_progress();
		fprintf(stderr, "tenants-demo: the server does not start\n");
		return false;
	}
	if (!demo.is_terminal)
		printf("%s: %g s\n", phase->title, seconds_of(phase));
	(void)fflush(stdout);
	phase->load.port = phase->server.port;
	phase->load.has_hogs = phase->has_hogs;
	phase->load.has_drills = phase->has_drills;
	phase->load.nr_sessions = demo.is_quick ? 200 : 1000;
	/* A person waits for less than a test does. */
	phase->load.patience = demo.is_quick ? 120 : 30;
	/* Tasks always end; of the others that is not known. */
	phase->load.hog_timeout_ms = phase->contain[0] == 't' ? 60000 : 4000;
	demo.phase_start = now_ns();
	load_run(&phase->load, seconds_of(phase), show_progress, NULL);
	demo.done += seconds_of(phase);
	client_init(&client, phase->server.port, 5000);
	client_call(&client, "GET", "/metrics", NULL, 0, &phase->metrics);
	client_fini(&client);
	clear_progress();
	server_end(&phase->server);
	phase->has_run = true;
	return true;
}

static void row(const char *name, const char *values[NR_PHASES])
{
	printf("  %-34s", name);
	for (int i = 0; i < NR_PHASES; i++)
		printf(" %16s", values[i]);
	printf("\n");
}

static void count_row(const char *name, size_t offset)
{
	char texts[NR_PHASES][24];
	const char *values[NR_PHASES];

	for (int i = 0; i < NR_PHASES; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%" PRIu64,
			*(uint64_t *)((char *)&phases[i].load + offset));
		values[i] = texts[i];
	}
	row(name, values);
}

static void time_row(const char *name, size_t offset, double quantile)
{
	char texts[NR_PHASES][16];
	const char *values[NR_PHASES];

	for (int i = 0; i < NR_PHASES; i++) {
		struct latencies *latencies =
			(struct latencies *)((char *)&phases[i].load + offset);

		values[i] = text_time(texts[i], latencies_quantile(latencies, quantile));
	}
	row(name, values);
}

static void print_table(void)
{
	const char *titles[NR_PHASES] = {"tasks", "tasks", "alloc. limits", "processes"};
	const char *hogs[NR_PHASES] = {"no hogs", "hogs", "hogs", "hogs"};
	char sizes[NR_PHASES][16];
	const char *values[NR_PHASES];

	row("", titles);
	row("", hogs);
#define COUNTER(name, field) count_row(name, offsetof(struct load, field))
#define TIME(name, field, q) time_row(name, offsetof(struct load, field), q)
	COUNTER("good requests answered right", nr_right);
	COUNTER("  answered wrong", nr_wrong);
	COUNTER("  not answered", nr_failed);
	TIME("good programs, p50", programs, 0.5);
	TIME("  p99", programs, 0.99);
	TIME("neighbour with little to do, p50", probes, 0.5);
	TIME("  p99", probes, 0.99);
	TIME("  worst", probes, 1);
	COUNTER("hostile requests", nr_hostile);
	COUNTER("  killed for memory", nr_killed);
	COUNTER("  killed at the deadline", nr_deadline);
	COUNTER("  ended with an error", nr_refused);
	COUNTER("  ended by themselves", nr_ended);
	COUNTER("  no answer in 4 s", nr_silent);
#undef COUNTER
#undef TIME
	for (int i = 0; i < NR_PHASES; i++)
		values[i] = text_size(sizes[i], phases[i].server.peak_pss);
	row("memory of all processes, peak Pss", values);
	for (int i = 0; i < NR_PHASES; i++)
		values[i] = text_size(sizes[i], phases[i].server.peak_rss);
	row("  of the largest, peak RSS", values);
	for (int i = 0; i < NR_PHASES; i++) {
		snprintf(sizes[i], sizeof(sizes[i]), "%" PRIu64,
			phases[i].server.nr_processes);
		values[i] = sizes[i];
	}
	row("  processes at a time", values);
	for (int i = 0; i < NR_PHASES; i++)
		values[i] = phases[i].server.was_killed         ? "killed"
			    : phases[i].server.exit_status == 0 ? "well"
								: "with an error";
	row("the server ended", values);
}

/* The value of a line of the metrics that begins with @name; 0 when there is none. */
static double metric(const struct reply *metrics, const char *name)
{
	const char *at = metrics->body ? strstr(metrics->body, name) : NULL;

	return at ? strtod(at + strlen(name), NULL) : 0;
}

static void print_kills(void)
{
	static const char *const states[] = {
		"running", "in_call", "in_pagefault", "holding", "blocked", "idle"};
	const struct reply *metrics = &phases[PHASE_TASK].metrics;

	printf("\nKills of the tasks above, by what the victim was doing:\n");
	printf("  %-14s %8s %14s %14s %14s %14s\n", "", "kills", "bytes back p50", "p99",
		"unwound p50", "p99");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		static const char *const names[] = {
			"kill_to_bytes_back", "kill_to_unwound"};
		static const char *const quantiles[] = {"0.5", "0.99"};
		char times[4][16], name[96];
		double nr = 0;

		for (int k = 0; k < 2; k++) {
			snprintf(name, sizeof(name),
				"tenants_kills_total{reason=\"%s\",state=\"%s\"} ",
				k ? "deadline" : "oom", states[i]);
			nr += metric(metrics, name);
		}
		if (nr == 0)
			continue;
		for (int k = 0; k < 4; k++) {
			double s;

			snprintf(name, sizeof(name),
				"tenants_%s_seconds{state=\"%s\",quantile=\"%s\"} ",
				names[k / 2], states[i], quantiles[k % 2]);
			s = metric(metrics, name);
			if (s > 0)
				text_time(times[k], (uint64_t)(s * 1e9));
			else
				strcpy(times[k], "-");
		}
		printf("  %-14s %8.0f %14s %14s %14s %14s\n", states[i], nr, times[0],
			times[1], times[2], times[3]);
	}
}

static void print_drills(void)
{
	const struct load *load = &phases[PHASE_TASK].load;

	printf("\nDrills:\n");
	printf("  killed while it wrote to a client that does not read: %" PRIu64 "\n"
	       "  killed while it waited for the lock of the cache:     %" PRIu64 "\n"
	       "  pressed too early or too late for that:               %" PRIu64 "\n"
	       "  not killed, although it should:                       %" PRIu64 "\n"
	       "  idle sessions: %" PRIu64 " made, %" PRIu64
	       " found as they were, %" PRIu64 " killed while idle, %" PRIu64
	       " neither\n",
		load->nr_writers, load->nr_sleepers, load->nr_early_drills,
		load->nr_odd_drills, load->nr_made, load->nr_kept, load->nr_lost,
		load->nr_odd_sessions);
}

/* Whether nothing good was harmed; what was is said. */
static bool judge(void)
{
	bool is_well = true;

	for (int i = PHASE_ALONE; i <= PHASE_TASK; i++) {
		const struct phase *phase = &phases[i];
		const struct load *load = &phase->load;

		if (!load->nr_right || load->nr_wrong || load->nr_failed ||
			load->nr_odd_drills || load->nr_odd_sessions || load->nr_silent ||
			phase->server.was_killed || phase->server.exit_status) {
			printf("%s: harm was done%s%s\n", phase->title,
				load->first_harm[0] ? ": " : "", load->first_harm);
			is_well = false;
		}
	}
	if (phases[PHASE_TASK].load.nr_made < phases[PHASE_TASK].load.nr_sessions) {
		printf("%s: not all sessions were made\n", phases[PHASE_TASK].title);
		is_well = false;
	}
	if (!phases[PHASE_TASK].load.nr_writers || !phases[PHASE_TASK].load.nr_sleepers ||
		!phases[PHASE_TASK].load.nr_lost) {
		printf("%s: not every kind of victim was there\n",
			phases[PHASE_TASK].title);
		is_well = false;
	}
	if (phases[PHASE_TASK].server.peak_rss > ZONE) {
		printf("%s: the server grew beyond its zone\n", phases[PHASE_TASK].title);
		is_well = false;
	}
	return is_well;
}

/* The server is where the build puts it. */
static const char *default_server(void)
{
	static char path[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 16);

	if (size < 0)
		return "tenants";
	path[size] = 0;
	dirname(path);
	strcat(path, "/../tenants");
	return path;
}

static int parse(int argc, char **argv)
{
	static const struct option options[] = {{"quick", no_argument, NULL, 'q'},
		{"server", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'q':
			demo.is_quick = true;
			break;
		case 's':
			demo.program = optarg;
			break;
		case 'h':
			printf("Usage: tenants-demo [--quick] [--server=PROGRAM]\n\n"
			       "Runs the tenant server in a zone of 256 MiB, sends it "
			       "good and"
			       " hostile\nscripts, and prints what became of them. "
			       "--quick is for"
			       " tests.\n");
			return 0;
		default:
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "tenants-demo: %s: only options are expected\n", argv[optind]);
	return 2;
}

int main(int argc, char **argv)
{
	int r;

	demo.program = default_server();
	r = parse(argc, argv);
	if (r >= 0)
		return r;
	demo.is_terminal = isatty(STDERR_FILENO);
	for (int i = 0; i < NR_PHASES; i++)
		demo.total += seconds_of(&phases[i]);
	for (int i = 0; i < NR_PHASES; i++) {
		demo.phase = (unsigned)i;
		if (!phase_run(&phases[i])) {
			clear_progress();
			return 1;
		}
	}
	clear_progress();
	printf("\n");
	print_table();
	print_kills();
	print_drills();
	printf("\n");
	r = judge() ? 0 : 1;
	printf("%s\n", r ? "FAILED" : "Nothing good was harmed.");
	return r;
}
