/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients that need more than a script: each sets a victim up, and then makes its
 * tenant run out of memory.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "load.h"

/* Longer than any deadline. */
#define TIMEOUT_MS        30000
/* From when a script has what it wants until it waits; longer after each time that it
 * did not. */
#define SETTLE_MS         50
#define SETTLE_MAX_MS     2000
/* The same where nobody can look at what it has. */
#define SETTLE_BLIND_MS   300
/* Until it has what it wants. */
#define PATIENCE_MS       10000
#define VICTIM_SIZE       8000000
/* The one that presses may be the larger one for once. */
#define NR_PRESSES        5
#define BETWEEN_MS        400
#define NR_TENANTS        4
/* For each of all sessions, for each of the tenants: about half of what they need. */
#define SESSION_SHARE_KIB 24

/* Each keeps 60,000 bytes and a number. */
static const char session_begin[] = "kept = ('x'):rep(60000)\nn = %u\nprint(n)\n";
static const char session_again[] = "print(n + #kept)\n";

struct victim {
	struct load *load;
	enum drill drill;
	const char *tenant, *script;
	struct client client;
	int settle_ms;
};

static void victim_init(struct victim *victim, struct load *load, enum drill drill,
	const char *tenant, const char *script)
{
	victim->load = load;
	victim->drill = drill;
	victim->tenant = tenant;
	victim->script = program_find("bad", script)->text;
	victim->settle_ms = SETTLE_MS;
}

/* What its tenant uses; without tasks that is not known. */
static double usage_of(struct victim *victim)
{
	struct client client;
	struct reply reply;
	char path[64];
	double usage;

	snprintf(path, sizeof(path), "/tenants/%s", victim->tenant);
	client_init(&client, victim->load->port, TIMEOUT_MS);
	load_call(victim->load, &client, "GET", path, NULL, &reply);
	usage = reply_number(&reply, "usage", 0);
	reply_fini(&reply);
	client_fini(&client);
	return usage;
}

/* Begin its script, and give it time to get its memory and fall asleep. */
static void victim_begin(struct victim *victim, bool is_narrow)
{
	struct load *load = victim->load;
	char path[64];

	snprintf(path, sizeof(path), "/run/%s?lang=lua", victim->tenant);
	client_init(&victim->client, load->port, TIMEOUT_MS);
	victim->client.is_narrow = is_narrow;
	load_send(load, &victim->client, path, victim->script);
	for (int ms = 0; load->has_tasks && ms < PATIENCE_MS; ms += 10) {
		if (usage_of(victim) >= VICTIM_SIZE)
			break;
		poll(NULL, 0, 10);
	}
	poll(NULL, 0, load->has_tasks ? victim->settle_ms : SETTLE_BLIND_MS);
}

/* Somebody of the same tenant who wants all of it. The one that has most goes first. */
static void victim_press(struct victim *victim)
{
	struct load *load = victim->load;
	struct client client;
	char path[64];

	snprintf(path, sizeof(path), "/run/%s?lang=lua", victim->tenant);
	client_init(&client, load->port, load->hog_timeout_ms);
	for (int i = 0; i < NR_PRESSES; i++) {
		struct reply reply;

		load_call(load, &client, "POST", path,
			program_find("bad", "table.lua")->text, &reply);
		reply_fini(&reply);
		if (!load->has_tasks || usage_of(victim) < VICTIM_SIZE)
			break;
	}
	client_fini(&client);
}

/* Whether it was killed as is meant, while it slept. On a busy machine somebody may press
 * too early. */
static bool is_as_meant(const struct victim *victim, const struct reply *reply)
{
	struct load *load = victim->load;
	size_t tail = reply->size > 600 ? reply->size - 600 : 0;
	bool is_killed = reply_says(reply, "reason", "oom");

	if (is_killed && reply_says(reply, "victim_state", "blocked")) {
		COUNT(load, nr_drilled[victim->drill]);
		return true;
	}
	if (is_killed) {
		COUNT(load, nr_early_drills);
		return false;
	}
	COUNT(load, nr_odd_drills);
	load_harm(load, victim->tenant, reply->status,
		reply->body ? reply->body + tail : "");
	return false;
}

/* What became of it. Without tasks a writer may go on for ever: hang up. */
static void victim_end(struct victim *victim)
{
	struct load *load = victim->load;
	struct reply reply = {0};

	if (load->has_tasks || !victim->client.is_narrow)
		load_receive(load, &victim->client, &reply);
	if (!is_as_meant(victim, &reply) && victim->settle_ms < SETTLE_MAX_MS)
		victim->settle_ms *= 2;
	reply_fini(&reply);
	client_fini(&victim->client);
	load_pause(load, BETWEEN_MS);
}

/* A script that writes to a client that does not read, until it is killed. */
void *writer_main(void *arg)
{
	struct victim victim;

	victim_init(&victim, arg, DRILL_WRITER, "writer", "writer.lua");
	while (load_goes_on(arg)) {
		victim_begin(&victim, true);
		victim_press(&victim);
		victim_end(&victim);
	}
	return NULL;
}

/* A script that waits for the cache while somebody has its lock: until the victim should
 * be dead. */
void *sleeper_main(void *arg)
{
	static const char path[] = "/drill/cache-lock?for=10s";
	struct load *load = arg;
	struct victim victim;
	struct client holder;

	victim_init(&victim, load, DRILL_SLEEPER, "sleeper", "sleeper.lua");
	client_init(&holder, load->port, TIMEOUT_MS);
	while (load_goes_on(load)) {
		struct reply reply;

		load_call(load, &holder, "POST", path, NULL, &reply);
		reply_fini(&reply);
		victim_begin(&victim, false);
		victim_press(&victim);
		load_call(load, &holder, "DELETE", path, NULL, &reply);
		reply_fini(&reply);
		victim_end(&victim);
	}
	client_fini(&holder);
	return NULL;
}

static void session_path(char path[96], unsigned number)
{
	snprintf(
		path, 96, "/session/idle-%u?lang=lua&id=%u", number % NR_TENANTS, number);
}

/* Four tenants with more idle sessions than their memory is for. */
static void session_tenants_make(struct load *load, struct client *client)
{
	for (unsigned i = 0; i < NR_TENANTS; i++) {
		struct reply reply;
		char path[96];

		snprintf(path, sizeof(path), "/tenants/idle-%u?deadline=20s&max=%uK", i,
			SESSION_SHARE_KIB * load->nr_sessions);
		load_call(load, client, "PUT", path, NULL, &reply);
		reply_fini(&reply);
	}
}

/* False: the one that wanted memory was the one that went, which is no harm. */
static bool session_make(struct load *load, struct client *client, unsigned number)
{
	struct reply reply;
	char path[96], body[128];
	bool is_made, is_killed;

	session_path(path, number);
	snprintf(body, sizeof(body), session_begin, number);
	load_call(load, client, "POST", path, body, &reply);
	is_made = reply.status == 200 && reply.body &&
		  strtoul(reply.body, NULL, 10) == number;
	is_killed = reply_says(&reply, "reason", "oom");
	if (is_made) {
		COUNT(load, nr_made);
	} else if (reply.status == 501) {
		load->has_none = true;
	} else if (!is_killed) {
		COUNT(load, nr_odd_sessions);
		load_harm(load, "new session", reply.status, reply.body);
	}
	reply_fini(&reply);
	return !is_killed;
}

static void sessions_make(struct load *load, struct client *client, bool *ret_made)
{
	session_tenants_make(load, client);
	for (unsigned i = 0; i < load->nr_sessions && !load->has_none; i++) {
		if (!load_goes_on(load))
			return;
		while (!session_make(load, client, i) && load_goes_on(load))
			;
		ret_made[i] = !load->has_none;
	}
}

/* Each is as it was, or says that it was killed: a fresh state in place of the old one
 * would be a wrong answer. */
static bool sessions_visit(struct load *load, struct client *client, const bool *made)
{
	for (unsigned i = 0; i < load->nr_sessions; i++) {
		struct reply reply;
		char path[96];

		if (!load_goes_on(load))
			return false;
		if (!made[i])
			continue;
		session_path(path, i);
		load_call(load, client, "POST", path, session_again, &reply);
		if (reply.status == 200 && reply.body &&
			strtoul(reply.body, NULL, 10) == i + 60000) {
			COUNT(load, nr_kept);
		} else if (reply.status == 410 && reply_says(&reply, "reason", "oom")) {
			COUNT(load, nr_lost);
		} else if (!reply_says(&reply, "reason", "oom")) {
			COUNT(load, nr_odd_sessions);
			load_harm(load, "old session", reply.status, reply.body);
		}
		reply_fini(&reply);
	}
	return true;
}

void *sessions_main(void *arg)
{
	struct load *load = arg;
	struct client client;
	bool *made = calloc(load->nr_sessions, sizeof(*made));

	client_init(&client, load->port, TIMEOUT_MS);
	if (made) {
		sessions_make(load, &client, made);
		__atomic_store_n(&load->has_visited, sessions_visit(load, &client, made),
			__ATOMIC_RELAXED);
	}
	client_fini(&client);
	free(made);
	return NULL;
}
