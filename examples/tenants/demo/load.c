/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "curl.h"
#include "load.h"

#define NR_GOOD          4
#define GOOD_PAUSE_MS    25
#define NR_PROBES        4
/* Of each of them. */
#define PROBE_NS         UINT64_C(100000000)
#define HOG_PAUSE_MS     300
/* After one that takes all the time it may: processors are not what is shared out here.
 */
#define LOOP_PAUSE_MS    3000
/* Who is not hostile has the time that a machine with other work needs; it is memory that
 * is drilled, and nobody good may be ended for want of a processor. */
#define PATIENT_DEADLINE "30s"
#define HOG_MAX          "10M"
/* Longer than any deadline; where there are no tasks, as long as anybody would wait. */
#define GOOD_TIMEOUT_MS  40000
#define IMPATIENCE_MS    10000
#define NR_THREADS_MAX   32

static const char *const hogs[] = {"table.lua", "string.lua", "closures.lua", "retry.lua",
	"array.js", "string.js", "closures.js", "retry.js", "loop.js", "cache.lua",
	"setter.lua", "setter.js"};

#define NR_HOGS (sizeof(hogs) / sizeof(hogs[0]))

bool load_goes_on(struct load *load)
{
	return !__atomic_load_n(&load->is_ending, __ATOMIC_RELAXED);
}

void load_pause(struct load *load, int ms)
{
	for (; ms > 0 && load_goes_on(load); ms -= 100)
		poll(NULL, 0, ms < 100 ? ms : 100);
}

void load_harm(struct load *load, const char *what, int status, const char *body)
{
	pthread_mutex_lock(&load->lock);
	if (!load->first_harm[0])
		snprintf(load->first_harm, sizeof(load->first_harm),
			"%s: status %d: %.200s", what, status, body ? body : "");
	pthread_mutex_unlock(&load->lock);
}

bool load_send(
	struct load *load, struct client *client, const char *path, const char *body)
{
	COUNT(load, nr_requests);
	return client_send(client, "POST", path, body, strlen(body));
}

bool load_receive(struct load *load, struct client *client, struct reply *ret)
{
	bool is_answered = client_receive(client, ret);

	if (is_answered)
		COUNT(load, nr_answers);
	return is_answered;
}

bool load_call(struct load *load, struct client *client, const char *method,
	const char *path, const char *body, struct reply *ret)
{
	bool is_answered;

	COUNT(load, nr_requests);
	is_answered =
		client_call(client, method, path, body, body ? strlen(body) : 0, ret);
	if (is_answered)
		COUNT(load, nr_answers);
	return is_answered;
}

static void latencies_add(struct latencies *latencies, uint64_t ns)
{
	pthread_mutex_lock(&latencies->lock);
	if (latencies->nr < NR_LATENCIES)
		latencies->ns[latencies->nr] = ns;
	latencies->nr++;
	pthread_mutex_unlock(&latencies->lock);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint64_t latencies_quantile(struct latencies *latencies, double quantile)
{
	uint64_t nr = latencies->nr < NR_LATENCIES ? latencies->nr : NR_LATENCIES;

	if (!nr)
		return 0;
	qsort(latencies->ns, nr, sizeof(latencies->ns[0]), compare);
	return latencies->ns[(uint64_t)(quantile * (double)(nr - 1) + 0.999)];
}

/* One good request that was due at @due_ns: right is what prints each byte that is
 * expected. */
static void run_good(struct load *load, CURL *curl, const char *tenant,
	const struct program *program, uint64_t due_ns, struct latencies *latencies)
{
	struct reply reply;
	char path[96];

	snprintf(path, sizeof(path), "/run/%s?lang=%s", tenant, program_lang(program));
	COUNT(load, nr_requests);
	if (curl_post(curl, load->port, path, program->text, &reply))
		COUNT(load, nr_answers);
	latencies_add(latencies, now_ns() - due_ns);
	if (reply.status == 200 && reply.is_whole &&
		!strcmp(reply.body, program->expected)) {
		COUNT(load, nr_right);
	} else {
		if (reply.status == 200)
			COUNT(load, nr_wrong);
		else
			COUNT(load, nr_failed);
		load_harm(load, program->name, reply.status, reply.body);
	}
	reply_fini(&reply);
}

static int good_timeout_ms(const struct load *load)
{
	return load->has_tasks ? GOOD_TIMEOUT_MS : IMPATIENCE_MS;
}

/* All good programs in turn, each client from another one on. */
static void *good_main(void *arg)
{
	struct worker *worker = arg;
	struct load *load = worker->load;
	CURL *curl = curl_open(good_timeout_ms(load));
	char tenant[32];

	snprintf(tenant, sizeof(tenant), "good-%u", worker->number);
	for (size_t i = worker->number * 3; load_goes_on(load); i++) {
		const struct program *program = &programs[i % nr_programs];

		if (!program->expected || !strncmp(program->name, "probe", 5))
			continue;
		run_good(load, curl, tenant, program, now_ns(), &load->programs);
		load_pause(load, GOOD_PAUSE_MS);
	}
	curl_easy_cleanup(curl);
	return NULL;
}

/*
 * A neighbour with next to nothing to do: what it waits for is the others. Its requests
 * are due at fixed times, and late from then on, also while the one before is not yet
 * answered: a server that stands still is seen by all that were due meanwhile.
 */
static void *probe_main(void *arg)
{
	static const char *const names[] = {"probe.lua", "probe.js"};
	struct worker *worker = arg;
	struct load *load = worker->load;
	CURL *curl = curl_open(good_timeout_ms(load));
	uint64_t due_ns = now_ns() + worker->number * (PROBE_NS / NR_PROBES);

	for (unsigned i = 0; load_goes_on(load); i++) {
		uint64_t now = now_ns();

		if (now < due_ns)
			poll(NULL, 0, (int)((due_ns - now + 999999) / 1000000));
		run_good(load, curl, "probe", program_find("good", names[i % 2]), due_ns,
			&load->probes);
		due_ns += PROBE_NS;
	}
	curl_easy_cleanup(curl);
	return NULL;
}

static void count_hostile(struct load *load, const struct reply *reply)
{
	COUNT(load, nr_hostile);
	if (!reply->status)
		COUNT(load, nr_silent);
	else if (reply_says(reply, "reason", "oom"))
		COUNT(load, nr_killed);
	else if (reply_says(reply, "reason", "deadline"))
		COUNT(load, nr_deadline);
	else if (reply->status == 200)
		COUNT(load, nr_ended);
	else
		COUNT(load, nr_refused);
}

static void *hog_main(void *arg)
{
	struct worker *worker = arg;
	const struct program *program = worker->program;
	int pause_ms = !strcmp(program->name, "loop.js") ? LOOP_PAUSE_MS : HOG_PAUSE_MS;
	struct client client;
	char path[96];

	snprintf(path, sizeof(path), "/run/hog-%u?lang=%s", worker->number,
		program_lang(program));
	client_init(&client, worker->load->port, worker->load->hog_timeout_ms);
	while (load_goes_on(worker->load)) {
		struct reply reply;

		load_call(worker->load, &client, "POST", path, program->text, &reply);
		/* Who gives up also hangs up. */
		if (!reply.status)
			client_fini(&client);
		count_hostile(worker->load, &reply);
		reply_fini(&reply);
		load_pause(worker->load, pause_ms);
	}
	client_fini(&client);
	return NULL;
}

struct crew {
	struct load *load;
	struct worker workers[NR_THREADS_MAX];
	pthread_t threads[NR_THREADS_MAX];
	unsigned nr;
};

static void hire(struct crew *crew, void *(*fn)(void *), unsigned number, const char *bad)
{
	struct worker *worker = &crew->workers[crew->nr];

	worker->load = crew->load;
	worker->number = number;
	worker->program = bad ? program_find("bad", bad) : NULL;
	if (!pthread_create(&crew->threads[crew->nr], NULL, fn, worker))
		crew->nr++;
}

static void hire_alone(struct crew *crew, void *(*fn)(void *))
{
	if (!pthread_create(&crew->threads[crew->nr], NULL, fn, crew->load))
		crew->nr++;
}

static void set_limits(
	struct load *load, struct client *client, const char *tenant, const char *limits)
{
	struct reply reply;
	char path[96];

	snprintf(path, sizeof(path), "/tenants/%s?%s", tenant, limits);
	load_call(load, client, "PUT", path, NULL, &reply);
	if (reply.status != 200) {
		COUNT(load, nr_failed);
		load_harm(load, path, reply.status, reply.body);
	}
	reply_fini(&reply);
}

/*
 * The deadline that new tenants have is for hostile ones. Those have limits that let all
 * tenants be at theirs, and the cache, without the zone being short: four good ones,
 * three of victims and twelve hostile ones. What comes on top is sessions, which go
 * first.
 */
static void set_all_limits(struct load *load)
{
	static const char *const patient[] = {"good-0", "good-1", "good-2", "good-3",
		"probe", "writer", "sleeper", "holder", "checker"};
	struct client client;
	char tenant[32];

	client_init(&client, load->port, GOOD_TIMEOUT_MS);
	for (size_t i = 0; i < sizeof(patient) / sizeof(patient[0]); i++)
		set_limits(load, &client, patient[i], "deadline=" PATIENT_DEADLINE);
	for (size_t i = 0; i < NR_HOGS; i++) {
		snprintf(tenant, sizeof(tenant), "hog-%zu", i);
		set_limits(load, &client, tenant, "max=" HOG_MAX);
	}
	client_fini(&client);
}

/* Whether each kind of victim was there, which takes longer on a busy machine. */
static bool has_shown_all(struct load *load)
{
	bool has_all =
		READ(load, nr_visited) == NR_SESSION_TENANTS && READ(load, nr_whole);

	if (!load->has_hogs || !load->has_tasks)
		return true;
	for (int i = 0; i < NR_DRILLS; i++)
		has_all = has_all && READ(load, nr_drilled[i]);
	return has_all;
}

void load_run(struct load *load, double seconds, void (*tick)(void *arg), void *arg)
{
	struct crew crew = {.load = load};
	uint64_t start, end, last;

	set_all_limits(load);
	start = now_ns();
	end = start + (uint64_t)(seconds * 1e9);
	last = end + (uint64_t)(load->patience * 1e9);
	for (unsigned i = 0; i < NR_GOOD; i++)
		hire(&crew, good_main, i, NULL);
	for (unsigned i = 0; i < NR_PROBES; i++)
		hire(&crew, probe_main, i, NULL);
	for (unsigned i = 0; load->has_hogs && i < NR_HOGS; i++)
		hire(&crew, hog_main, i, hogs[i]);
	if (load->has_hogs) {
		hire_alone(&crew, writer_main);
		hire_alone(&crew, locker_main);
		for (unsigned i = 0; i < NR_SESSION_TENANTS; i++)
			hire(&crew, sessions_main, i, NULL);
	}
	while (now_ns() < end || (!has_shown_all(load) && now_ns() < last)) {
		tick(arg);
		poll(NULL, 0, 100);
	}
	load->seconds = (double)(now_ns() - start) / 1e9;
	__atomic_store_n(&load->is_ending, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < crew.nr; i++)
		pthread_join(crew.threads[i], NULL);
}

void load_ask(struct load *load)
{
	struct client client;

	client_init(&client, load->port, GOOD_TIMEOUT_MS);
	for (unsigned i = 0; i < NR_GOOD; i++) {
		struct reply reply;
		char path[64];
		double part;

		snprintf(path, sizeof(path), "/tenants/good-%u", i);
		client_call(&client, "GET", path, NULL, 0, &reply);
		part = reply_number(&reply, "peak", 0) / reply_number(&reply, "max", 1);
		if (part > load->fullest)
			load->fullest = part;
		reply_fini(&reply);
	}
	client_fini(&client);
}
