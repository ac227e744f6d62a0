/* SPDX-License-Identifier: MIT */
/*
 * The tenant server under a load of good and hostile scripts, and the same load with what
 * else could keep tenants apart.
 *
 * Exits 0 only if each answer to a good script was right, each kind of victim was there
 * and was killed as it should, and the server ended when it was told to. What the two
 * ways of comparison do is shown and changes nothing.
 */
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "curl.h"
#include "phase.h"
#include "text.h"

/* Each as long as the others, and with the same load where there are hogs. */
#define SECONDS       12.0
#define QUICK_SECONDS 2.0

struct phase phases[NR_PHASES] = {
	{.title = "tasks, no hogs", .contain = "task"},
	{.title = "tasks, hogs", .contain = "task", .has_hogs = true},
	{.title = "allocator limits, hogs", .contain = "limit", .has_hogs = true},
	{.title = "processes, hogs", .contain = "process", .has_hogs = true},
};

static struct {
	const char *program;
	bool is_quick, is_terminal;
	double seconds; /* of a phase */
	uint64_t phase_start;
	unsigned phase;
} demo;

/* Only where somebody looks: a bar that is written over. */
static void show_progress(void *arg)
{
	double at = (double)(now_ns() - demo.phase_start) / 1e9 / demo.seconds;
	int filled = (int)(10 * (demo.phase + (at < 1 ? at : 1)));

	(void)arg;
	if (!demo.is_terminal)
		return;
	fprintf(stderr, "\r[%.*s%*s] %s\033[K", filled,
		"########################################", 40 - filled, "",
		phases[demo.phase].title);
}

static void clear_progress(void)
{
	if (demo.is_terminal)
		fprintf(stderr, "\r\033[K");
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
		printf("%s: %g s\n", phase->title, demo.seconds);
	(void)fflush(stdout);
	phase->load.port = phase->server.port;
	phase->load.has_hogs = phase->has_hogs;
	phase->load.has_tasks = !strcmp(phase->contain, "task");
	phase->load.nr_sessions = demo.is_quick ? 200 : 1000;
	/* A person waits for less than a test does. */
	phase->load.patience = demo.is_quick ? 120 : 40;
	/* Tasks always end; of the others that is not known. */
	phase->load.hog_timeout_ms = phase->load.has_tasks ? 60000 : 4000;
	demo.phase_start = now_ns();
	load_run(&phase->load, demo.seconds, show_progress, NULL);
	load_ask(&phase->load);
	client_init(&client, phase->server.port, 5000);
	client_call(&client, "GET", "/metrics", NULL, 0, &phase->metrics);
	client_fini(&client);
	clear_progress();
	server_end(&phase->server);
	return true;
}

static bool complain(const struct phase *phase, const char *what)
{
	printf("%s: %s\n", phase->title, what);
	return false;
}

/* Whether nothing good was harmed; what was is said. */
static bool is_harmless(const struct phase *phase)
{
	const struct load *load = &phase->load;

	if (load->nr_right && !load->nr_wrong && !load->nr_failed &&
		!load->nr_odd_drills && !load->nr_torn && !load->nr_odd_sessions &&
		!load->nr_silent && !phase->server.was_killed &&
		!phase->server.exit_status)
		return true;
	printf("%s: harm was done%s%s\n", phase->title, load->first_harm[0] ? ": " : "",
		load->first_harm);
	return false;
}

/* Whether the phase with tasks and hogs had all that it should have. */
static bool is_complete(const struct phase *phase)
{
	const struct load *load = &phase->load;
	bool is_well = true;

	for (int i = 0; i < NR_DRILLS; i++) {
		if (!load->nr_drilled[i])
			is_well = complain(phase, "not every kind of victim was there");
	}
	if (!load->nr_whole)
		is_well = complain(phase, "nothing that a victim held was found");
	if (!load->nr_lost)
		is_well = complain(phase, "no idle session was killed");
	if (load->nr_made < load->nr_sessions)
		is_well = complain(phase, "not all sessions were made");
	if (phase->server.peak_rss > ZONE)
		is_well = complain(phase, "the server grew beyond its zone");
	return is_well;
}

static bool judge(void)
{
	bool is_well = is_harmless(&phases[PHASE_ALONE]);

	is_well = is_harmless(&phases[PHASE_TASK]) && is_well;
	return is_complete(&phases[PHASE_TASK]) && is_well;
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
	/* Before there are threads. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		fprintf(stderr, "tenants-demo: libcurl does not start\n");
		return 1;
	}
	demo.is_terminal = isatty(STDERR_FILENO);
	demo.seconds = demo.is_quick ? QUICK_SECONDS : SECONDS;
	for (int i = 0; i < NR_PHASES; i++) {
		demo.phase = (unsigned)i;
		if (!phase_run(&phases[i])) {
			clear_progress();
			return 1;
		}
	}
	clear_progress();
	show_results();
	r = judge() ? 0 : 1;
	printf("%s\n", r ? "FAILED" : "Nothing good was harmed.");
	return r;
}
