/* SPDX-License-Identifier: MIT */
/*
 * Counters are atomic; the times of the last kills are kept one by one, so that quantiles
 * are exact and not those of a histogram.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "metrics.h"
#include "session.h"

#define NR_STATES  (BH_VICTIM_IDLE + 1)
#define NR_REASONS (BH_KILLED_STACK + 1)
#define NR_SAMPLES 2048u
#define NR_STATUS  600u

const char *const victim_state_names[NR_STATES] = {
	"running", "in_call", "in_pagefault", "holding", "blocked", "idle"};
const char *const kill_reason_names[NR_REASONS] = {
	"none", "oom", "deadline", "caller", "stack"};
static const char *const outcome_names[NR_OUTCOMES] = {"pending", "ok", "script_error",
	"no_memory", "killed", "session_lost", "session_busy", "failed"};

/* What a kill is measured by. */
enum time {
	TIME_FIRST_BYTE,
	TIME_BYTES,
	TIME_UNWOUND,
	NR_TIMES,
};

static const char *const time_names[NR_TIMES] = {
	"kill_to_first_byte", "kill_to_bytes_back", "kill_to_unwound"};

/* Victim states, with the blocked ones told apart by what they waited for. */
enum victim {
	VICTIM_BLOCKED_LOCK = NR_STATES,
	VICTIM_BLOCKED_CLIENT,
	NR_VICTIMS,
};

static const char *const victim_names[NR_VICTIMS] = {"running", "in_call", "in_pagefault",
	"holding", "blocked", "idle", "blocked_lock", "blocked_client"};

/* The times of one kind of kill; sums and counts are of all, samples of the last ones. */
struct times {
	uint64_t nr, sum_ns;
	uint64_t samples[NR_SAMPLES];
};

static struct {
	/* atomic */
	uint64_t outcomes[NR_OUTCOMES], run_ns, answers[NR_STATUS];
	uint64_t kills[NR_REASONS][NR_VICTIMS], reaped;
	uint64_t unfinished[NR_REASONS][NR_VICTIMS];

	pthread_mutex_t lock;

	/* protected by .lock */
	struct times times[NR_TIMES][NR_REASONS][NR_VICTIMS];
} metrics = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define ADD(field, value) __atomic_fetch_add(&metrics.field, (value), __ATOMIC_RELAXED)
#define READ(field)       __atomic_load_n(&metrics.field, __ATOMIC_RELAXED)

void metrics_outcome(enum outcome outcome, uint64_t ns)
{
	ADD(outcomes[outcome], 1);
	ADD(run_ns, ns);
}

void metrics_answer(unsigned status)
{
	if (status < NR_STATUS)
		ADD(answers[status], 1);
}

static void sample_locked(struct times *times, uint64_t ns)
{
	if (!ns)
		return;
	times->samples[times->nr++ % NR_SAMPLES] = ns;
	times->sum_ns += ns;
}

static unsigned victim_of(const struct bh_report *report, enum script_wait wait)
{
	if (report->victim_state != BH_VICTIM_BLOCKED || wait == WAIT_NONE)
		return report->victim_state;
	return wait == WAIT_LOCK ? VICTIM_BLOCKED_LOCK : VICTIM_BLOCKED_CLIENT;
}

void metrics_kill(const struct bh_report *report, enum script_wait wait)
{
	unsigned victim, reason = report->reason;

	if (reason >= NR_REASONS || report->victim_state >= NR_STATES)
		return;
	victim = victim_of(report, wait);
	ADD(kills[reason][victim], 1);
	ADD(reaped, report->reaped);
	if (!report->kill_to_bytes_ns)
		ADD(unfinished[reason][victim], 1);
	pthread_mutex_lock(&metrics.lock);
	sample_locked(&metrics.times[TIME_FIRST_BYTE][reason][victim],
		report->kill_to_first_byte_ns);
	sample_locked(
		&metrics.times[TIME_BYTES][reason][victim], report->kill_to_bytes_ns);
	sample_locked(
		&metrics.times[TIME_UNWOUND][reason][victim], report->kill_to_unwound_ns);
	pthread_mutex_unlock(&metrics.lock);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The rows of a summary for one kind of kill. @copy is room for one struct. */
static void write_times(struct text *text, enum time time, size_t reason, size_t victim,
	struct times *copy)
{
	static const double quantiles[] = {0.5, 0.99, 1};
	const char *name = time_names[time];
	char labels[96];
	size_t kept;

	pthread_mutex_lock(&metrics.lock);
	memcpy(copy, &metrics.times[time][reason][victim], sizeof(*copy));
	pthread_mutex_unlock(&metrics.lock);
	if (!copy->nr)
		return;
	snprintf(labels, sizeof(labels), "reason=\"%s\",state=\"%s\"",
		kill_reason_names[reason], victim_names[victim]);
	kept = copy->nr < NR_SAMPLES ? copy->nr : NR_SAMPLES;
	qsort(copy->samples, kept, sizeof(copy->samples[0]), compare);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		size_t at = (size_t)(quantiles[i] * (double)(kept - 1) + 0.999);

		text_add(text, "tenants_%s_seconds{%s,quantile=\"%g\"} %.9f\n", name,
			labels, quantiles[i], (double)copy->samples[at] / 1e9);
	}
	text_add(text,
		"tenants_%s_seconds_sum{%s} %.9f\n"
		"tenants_%s_seconds_count{%s} %" PRIu64 "\n",
		name, labels, (double)copy->sum_ns / 1e9, name, labels, copy->nr);
}

/* All rows of a metric stand together, below its head. */
static void head(struct text *text, const char *name, const char *type, const char *help)
{
	text_add(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One row of a counter for each kind of kill that there was. */
static void write_by_kind(struct text *text, const char *name, const char *help,
	uint64_t (*counters)[NR_VICTIMS])
{
	head(text, name, "counter", help);
	for (size_t reason = BH_KILLED_OOM; reason < NR_REASONS; reason++) {
		for (size_t victim = 0; victim < NR_VICTIMS; victim++) {
			uint64_t nr = __atomic_load_n(
				&counters[reason][victim], __ATOMIC_RELAXED);

			if (nr)
				text_add(text,
					"%s{reason=\"%s\",state=\"%s\"} %" PRIu64 "\n",
					name, kill_reason_names[reason],
					victim_names[victim], nr);
		}
	}
}

static void write_kill_times(struct text *text)
{
	struct times *copy = malloc(sizeof(*copy));

	for (enum time time = 0; copy && time < NR_TIMES; time++) {
		char name[64];

		snprintf(name, sizeof(name), "tenants_%s_seconds", time_names[time]);
		head(text, name, "summary",
			"By who asked for the kill and what the victim was doing.");
		for (size_t reason = BH_KILLED_OOM; reason < NR_REASONS; reason++) {
			for (size_t victim = 0; victim < NR_VICTIMS; victim++)
				write_times(text, time, reason, victim, copy);
		}
	}
	free(copy);
}

static void write_kills(struct text *text)
{
	write_by_kind(text, "tenants_kills_total", "Tasks killed.", metrics.kills);
	write_by_kind(text, "tenants_kills_unfinished_total",
		"Kills whose memory was not all back when the report was made.",
		metrics.unfinished);
	head(text, "tenants_reaped_bytes_total", "counter",
		"Private memory taken back from victims.");
	text_add(text, "tenants_reaped_bytes_total %" PRIu64 "\n", READ(reaped));
	write_kill_times(text);
}

static void write_requests(struct text *text)
{
	head(text, "tenants_scripts_total", "counter", "Scripts by how they ended.");
	for (size_t i = OUTCOME_OK; i < NR_OUTCOMES; i++)
		text_add(text, "tenants_scripts_total{outcome=\"%s\"} %" PRIu64 "\n",
			outcome_names[i], READ(outcomes[i]));
	head(text, "tenants_script_seconds_total", "counter", "Time spent in scripts.");
	text_add(text, "tenants_script_seconds_total %.6f\n", (double)READ(run_ns) / 1e9);
	head(text, "tenants_answers_total", "counter", "Answers by status.");
	for (size_t i = 0; i < NR_STATUS; i++) {
		if (READ(answers[i]))
			text_add(text,
				"tenants_answers_total{status=\"%zu\"} %" PRIu64 "\n", i,
				READ(answers[i]));
	}
}

static void write_cache(struct text *text)
{
	struct cache_stat stat;

	cache_stat(&stat);
	head(text, "tenants_cache_bytes", "gauge", "Keys and values in the cache.");
	text_add(text, "tenants_cache_bytes %" PRIu64 "\n", stat.bytes);
	head(text, "tenants_cache_entries", "gauge", "Entries in the cache.");
	text_add(text, "tenants_cache_entries %" PRIu64 "\n", stat.nr_entries);
	head(text, "tenants_cache_events_total", "counter",
		"What happened in the cache.");
	text_add(text,
		"tenants_cache_events_total{event=\"hit\"} %" PRIu64 "\n"
		"tenants_cache_events_total{event=\"miss\"} %" PRIu64 "\n"
		"tenants_cache_events_total{event=\"store\"} %" PRIu64 "\n"
		"tenants_cache_events_total{event=\"refused\"} %" PRIu64 "\n"
		"tenants_cache_events_total{event=\"shrunk\"} %" PRIu64 "\n",
		stat.hits, stat.misses, stat.stores, stat.refused, stat.shrunk);
}

struct tenant_metric {
	struct text *text;
	const char *name;
	size_t offset; /* in struct bh_group_stat */
};

static void write_tenant(struct tenant *tenant, void *arg)
{
	const struct tenant_metric *metric = arg;
	struct bh_group_stat stat;
	uint64_t value;

	if (bh_group_stat(tenant->group, &stat))
		return;
	memcpy(&value, (char *)&stat + metric->offset, sizeof(value));
	text_add(metric->text, "%s{tenant=\"%s\"} %" PRIu64 "\n", metric->name,
		tenant->name, value);
}

static void write_tenants(struct text *text)
{
	struct tenant_metric usage = {
		text, "tenants_usage_bytes", offsetof(struct bh_group_stat, usage)};
	struct tenant_metric peak = {
		text, "tenants_peak_bytes", offsetof(struct bh_group_stat, peak)};
	struct tenant_metric max = {
		text, "tenants_max_bytes", offsetof(struct bh_group_stat, max)};

	head(text, usage.name, "gauge", "What each tenant has.");
	tenants_each(write_tenant, &usage);
	head(text, peak.name, "gauge", "The most it had so far.");
	tenants_each(write_tenant, &peak);
	head(text, max.name, "gauge", "The most it may have.");
	tenants_each(write_tenant, &max);
}

void metrics_write(struct text *text)
{
	struct bh_group_stat zone = {0};

	bh_group_stat(bh_root(), &zone);
	head(text, "tenants_zone_bytes", "gauge", "The zone: its size, usage and peak.");
	text_add(text,
		"tenants_zone_bytes{what=\"size\"} %" PRIu64 "\n"
		"tenants_zone_bytes{what=\"usage\"} %" PRIu64 "\n"
		"tenants_zone_bytes{what=\"peak\"} %" PRIu64 "\n",
		zone.max, zone.usage, zone.peak);
	head(text, "tenants_sessions", "gauge", "Sessions that are alive.");
	text_add(text, "tenants_sessions %" PRIu64 "\n", sessions_count());
	write_requests(text);
	write_kills(text);
	write_cache(text);
	write_tenants(text);
}
