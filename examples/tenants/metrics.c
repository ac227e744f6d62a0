/* SPDX-License-Identifier: MIT */
/*
 * Counters are atomic; the times of the last kills are kept one by one, so that quantiles
 * are exact and not those of a histogram.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "metrics.h"
#include "session.h"

#define NR_STATES  (BH_VICTIM_IDLE + 1)
#define NR_REASONS (BH_KILLED_STACK + 1)
#define NR_SAMPLES 4096u
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

static struct {
	/* atomic */
	uint64_t outcomes[NR_OUTCOMES], run_ns, answers[NR_STATUS];
	uint64_t kills[NR_REASONS][NR_STATES], reaped, unfinished[NR_STATES];

	pthread_mutex_t lock;

	/* protected by .lock */
	uint64_t nr_samples[NR_TIMES][NR_STATES];
	uint64_t samples[NR_TIMES][NR_STATES][NR_SAMPLES];
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

static void sample_locked(enum time time, enum bh_victim_state state, uint64_t ns)
{
	uint64_t at = metrics.nr_samples[time][state]++ % NR_SAMPLES;

	metrics.samples[time][state][at] = ns;
}

void metrics_kill(const struct bh_report *report)
{
	enum bh_victim_state state = report->victim_state;

	if (report->reason >= NR_REASONS || state >= NR_STATES)
		return;
	ADD(kills[report->reason][state], 1);
	ADD(reaped, report->reaped);
	if (!report->kill_to_bytes_ns)
		ADD(unfinished[state], 1);
	pthread_mutex_lock(&metrics.lock);
	if (report->kill_to_first_byte_ns)
		sample_locked(TIME_FIRST_BYTE, state, report->kill_to_first_byte_ns);
	if (report->kill_to_bytes_ns)
		sample_locked(TIME_BYTES, state, report->kill_to_bytes_ns);
	if (report->kill_to_unwound_ns)
		sample_locked(TIME_UNWOUND, state, report->kill_to_unwound_ns);
	pthread_mutex_unlock(&metrics.lock);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A Prometheus summary; of samples that were dropped only the count remains. */
static void write_times(struct text *text, enum time time, enum bh_victim_state state)
{
	static const double quantiles[] = {0.5, 0.99, 1};
	const char *name = time_names[time], *state_name = victim_state_names[state];
	uint64_t *sorted = malloc(sizeof(metrics.samples[time][state]));
	uint64_t nr;

	if (!sorted)
		return;
	pthread_mutex_lock(&metrics.lock);
	nr = metrics.nr_samples[time][state];
	memcpy(sorted, metrics.samples[time][state],
		sizeof(metrics.samples[time][state]));
	pthread_mutex_unlock(&metrics.lock);
	if (nr) {
		size_t kept = nr < NR_SAMPLES ? nr : NR_SAMPLES;

		qsort(sorted, kept, sizeof(*sorted), compare);
		for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
			size_t at = (size_t)(quantiles[i] * (double)(kept - 1) + 0.999);

			text_add(text,
				"tenants_%s_seconds{state=\"%s\",quantile=\"%g\"} %.9f\n",
				name, state_name, quantiles[i], (double)sorted[at] / 1e9);
		}
		text_add(text, "tenants_%s_seconds_count{state=\"%s\"} %" PRIu64 "\n",
			name, state_name, nr);
	}
	free(sorted);
}

static void head(struct text *text, const char *name, const char *type, const char *help)
{
	text_add(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_kills(struct text *text)
{
	head(text, "tenants_kills_total", "counter", "Tasks killed.");
	for (size_t reason = BH_KILLED_OOM; reason < NR_REASONS; reason++) {
		for (size_t state = 0; state < NR_STATES; state++) {
			uint64_t nr = READ(kills[reason][state]);

			if (nr)
				text_add(text,
					"tenants_kills_total{reason=\"%s\",state=\"%s\"} "
					"%" PRIu64 "\n",
					kill_reason_names[reason],
					victim_state_names[state], nr);
		}
	}
	head(text, "tenants_reaped_bytes_total", "counter",
		"Private memory taken back from victims.");
	text_add(text, "tenants_reaped_bytes_total %" PRIu64 "\n", READ(reaped));
	head(text, "tenants_kills_unfinished_total", "counter",
		"Kills whose memory was not all back when the report was made.");
	for (size_t state = 0; state < NR_STATES; state++)
		text_add(text,
			"tenants_kills_unfinished_total{state=\"%s\"} %" PRIu64 "\n",
			victim_state_names[state], READ(unfinished[state]));
	for (enum time time = 0; time < NR_TIMES; time++) {
		text_add(text,
			"# HELP tenants_%s_seconds By what the victim was doing.\n"
			"# TYPE tenants_%s_seconds summary\n",
			time_names[time], time_names[time]);
		for (size_t state = 0; state < NR_STATES; state++)
			write_times(text, time, (enum bh_victim_state)state);
	}
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

static void write_tenant(struct tenant *tenant, void *arg)
{
	struct bh_group_stat stat;

	if (!bh_group_stat(tenant->group, &stat))
		text_add(arg,
			"tenants_usage_bytes{tenant=\"%s\"} %" PRIu64 "\n"
			"tenants_peak_bytes{tenant=\"%s\"} %" PRIu64 "\n"
			"tenants_max_bytes{tenant=\"%s\"} %" PRIu64 "\n",
			tenant->name, stat.usage, tenant->name, stat.peak, tenant->name,
			stat.max);
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
	tenants_each(write_tenant, text);
}
