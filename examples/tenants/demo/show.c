/* SPDX-License-Identifier: MIT */
/* The tables of the demonstration. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phase.h"
#include "text.h"

#define VALUE_SIZE 24

typedef void value_fn(char value[VALUE_SIZE], struct phase *phase, size_t offset);

/* A row: what @fn makes of each phase. */
static void row(const char *name, value_fn *fn, size_t offset)
{
	char value[VALUE_SIZE];

	printf("  %-38s", name);
	for (int i = 0; i < NR_PHASES; i++) {
		fn(value, &phases[i], offset);
		printf(" %14s", value);
	}
	printf("\n");
}

static uint64_t *counter_at(struct phase *phase, size_t offset)
{
	return (uint64_t *)((char *)phase + offset);
}

static void show_count(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	snprintf(value, VALUE_SIZE, "%" PRIu64, *counter_at(phase, offset));
}

static void show_rate(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	snprintf(value, VALUE_SIZE, "%.1f/s",
		(double)*counter_at(phase, offset) / phase->load.seconds);
}

static void show_size(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	text_size(value, *counter_at(phase, offset));
}

static void show_seconds(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	snprintf(value, VALUE_SIZE, "%.1f", phase->load.seconds);
}

/* The sum of all rows of the metric in phase->metrics whose name begins with @prefix;
 * what the server says, and not what clients saw. */
static double metric_sum(const struct phase *phase, const char *prefix)
{
	const char *at = phase->metrics.body;
	double sum = 0;

	while (at && (at = strstr(at, prefix))) {
		at = strpbrk(at + strlen(prefix), " \n");
		if (at && *at == ' ')
			sum += strtod(at, NULL);
	}
	return sum;
}

static void show_kill_sum(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	snprintf(value, VALUE_SIZE, "%.0f", metric_sum(phase, "\ntenants_kills_total{"));
}

static void show_cache(char value[VALUE_SIZE], struct phase *phase, const char *event)
{
	char name[64];

	snprintf(name, sizeof(name), "\ntenants_cache_events_total{event=\"%s\"}", event);
	snprintf(value, VALUE_SIZE, "%.0f", metric_sum(phase, name));
}

static void show_stored(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	show_cache(value, phase, "store");
}

static void show_found(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	show_cache(value, phase, "hit");
}

static void show_shrunk(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	show_cache(value, phase, "shrunk");
}

static void show_refused(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	show_cache(value, phase, "refused");
}

/* Where the server does not know it, it is not 0 %. */
static void show_fullest(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	if (phase->load.has_tasks)
		snprintf(value, VALUE_SIZE, "%.0f %%", 100 * phase->load.fullest);
	else
		strcpy(value, "-");
}

static void show_made(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	if (phase->load.has_none)
		strcpy(value, "501");
	else
		show_count(value, phase, offset);
}

static void show_end(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	(void)offset;
	strcpy(value, phase->server.was_killed         ? "killed"
		      : phase->server.exit_status == 0 ? "well"
						       : "with an error");
}

static void show_time(
	char value[VALUE_SIZE], struct phase *phase, size_t offset, double quantile)
{
	text_time(value, latencies_quantile(
				 (struct latencies *)((char *)phase + offset), quantile));
}

static void show_p50(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	show_time(value, phase, offset, 0.5);
}

static void show_p99(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	show_time(value, phase, offset, 0.99);
}

static void show_worst(char value[VALUE_SIZE], struct phase *phase, size_t offset)
{
	show_time(value, phase, offset, 1);
}

#define AT(field) offsetof(struct phase, field)

static void show_requests(void)
{
	row("seconds", show_seconds, 0);
	row("all requests", show_count, AT(load.nr_requests));
	row("  answered", show_count, AT(load.nr_answers));
	row("  killed, as the server counts", show_kill_sum, 0);
	row("good requests answered right", show_count, AT(load.nr_right));
	row("  a second", show_rate, AT(load.nr_right));
	row("  answered wrong", show_count, AT(load.nr_wrong));
	row("  not answered", show_count, AT(load.nr_failed));
	row("fullest good tenant, of its limit", show_fullest, 0);
	row("good programs, p50", show_p50, AT(load.programs));
	row("  p99", show_p99, AT(load.programs));
	row("neighbour with little to do, p50", show_p50, AT(load.probes));
	row("  p99", show_p99, AT(load.probes));
	row("  worst", show_worst, AT(load.probes));
	row("hostile requests", show_count, AT(load.nr_hostile));
	row("  a second", show_rate, AT(load.nr_hostile));
	row("  killed for memory", show_count, AT(load.nr_killed));
	row("  killed at the deadline", show_count, AT(load.nr_deadline));
	row("  ended with an error", show_count, AT(load.nr_refused));
	row("  ended by themselves", show_count, AT(load.nr_ended));
	row("  no answer in 4 s", show_count, AT(load.nr_silent));
}

static void show_drills(void)
{
	row("killed writing to who does not read", show_count,
		AT(load.nr_drilled[DRILL_WRITER]));
	row("killed waiting for the cache's lock", show_count,
		AT(load.nr_drilled[DRILL_SLEEPER]));
	row("killed with the cache's lock", show_count,
		AT(load.nr_drilled[DRILL_HOLDER]));
	row("  what it had half done: done", show_count, AT(load.nr_whole));
	row("  torn", show_count, AT(load.nr_torn));
	row("victims killed too early", show_count, AT(load.nr_early_drills));
	row("  not killed", show_count, AT(load.nr_odd_drills));
	row("idle sessions made", show_made, AT(load.nr_made));
	row("  found as they were", show_count, AT(load.nr_kept));
	row("  killed while idle", show_count, AT(load.nr_lost));
	row("  neither", show_count, AT(load.nr_odd_sessions));
}

static void show_server(void)
{
	row("values stored in the cache", show_stored, 0);
	row("  found", show_found, 0);
	row("  shrunk away again", show_shrunk, 0);
	row("  refused", show_refused, 0);
	row("memory of all processes, peak Pss", show_size, AT(server.peak_pss));
	row("  of the largest, peak RSS", show_size, AT(server.peak_rss));
	row("  processes at a time", show_count, AT(server.nr_processes));
	row("the server ended", show_end, 0);
}

/* The value of a line of the metrics that begins with @name; 0 when there is none. */
static double metric(const struct reply *metrics, const char *name)
{
	const char *at = metrics->body ? strstr(metrics->body, name) : NULL;

	return at ? strtod(at + strlen(name), NULL) : 0;
}

/* The value of the row of @family for kills of that kind. */
static double kill_metric(
	const char *family, const char *reason, const char *state, const char *quantile)
{
	char name[128];

	snprintf(name, sizeof(name), "\n%s{reason=\"%s\",state=\"%s\"%s%s%s} ", family,
		reason, state, quantile ? ",quantile=\"" : "", quantile ? quantile : "",
		quantile ? "\"" : "");
	return metric(&phases[PHASE_TASK].metrics, name);
}

static void show_kill_row(const char *reason, const char *state, const char *text)
{
	static const char *const columns[][2] = {
		{"tenants_kill_to_bytes_back_seconds", "0.5"},
		{"tenants_kill_to_bytes_back_seconds", "0.99"},
		{"tenants_kill_to_unwound_seconds", "0.5"},
		{"tenants_kill_to_unwound_seconds", "0.99"}};
	double nr = kill_metric("tenants_kills_total", reason, state, NULL);
	char value[16];

	if (nr == 0)
		return;
	printf("  %-38s %8.0f", text, nr);
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		double s = kill_metric(columns[i][0], reason, state, columns[i][1]);

		printf(" %14s", s > 0 ? text_time(value, (uint64_t)(s * 1e9)) : "-");
	}
	printf("\n");
}

/* Each row counts the kills that its times are of. */
static void show_kills(void)
{
	static const char *const states[][2] = {{"running", "running"},
		{"in_call", "asking for memory"}, {"in_pagefault", "in a pagefault"},
		{"holding", "in a hold section"},
		{"blocked_lock", "blocked: waiting for a lock"},
		{"blocked_client", "blocked: in read(2), client not reading"},
		{"blocked", "blocked elsewhere"}, {"idle", "idle: a session"}};

	printf("\n  %-38s %8s %14s %14s %14s %14s\n",
		"Tasks killed for memory, by what they did", "kills", "bytes back p50",
		"p99", "unwound p50", "p99");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		show_kill_row("oom", states[i][0], states[i][1]);
	printf("  Killed at their deadline\n");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		show_kill_row("deadline", states[i][0], states[i][1]);
}

void show_results(void)
{
	printf("\n  %-38s %14s %14s %14s %14s\n", "The same load, zone of 256M", "tasks",
		"tasks", "alloc. limits", "processes");
	printf("  %-38s %14s %14s %14s %14s\n", "", "no hogs", "hogs", "hogs", "hogs");
	show_requests();
	show_drills();
	show_server();
	printf("  (501: only tasks can keep sessions. A process has no cache to wait for "
	       "either.)\n");
	show_kills();
	printf("\n");
}
