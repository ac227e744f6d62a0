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
#define TIMEOUT_MS        40000
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
#define BETWEEN_LOCKS_MS  1000
/* For each session: about half of what it needs. */
#define SESSION_SHARE_KIB 96

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

/* What the answer of a victim says that was killed as is meant. */
static const char *const meant[NR_DRILLS][2] = {[DRILL_WRITER] = {"blocked_in", "client"},
	[DRILL_SLEEPER] = {"blocked_in", "lock"},
	[DRILL_HOLDER] = {"victim_state", "holding"}};

/* Whether it was killed as is meant. On a busy machine somebody may press
 * too early. */
static bool is_as_meant(const struct victim *victim, const struct reply *reply)
{
	struct load *load = victim->load;
	size_t tail = reply->size > 600 ? reply->size - 600 : 0;
	bool is_killed = reply_says(reply, "reason", "oom");

	if (is_killed &&
		reply_says(reply, meant[victim->drill][0], meant[victim->drill][1])) {
		COUNT(load, nr_drilled[victim->drill]);
		return true;
	}
	/* or it got no memory, since the one before was not quite gone */
	if (is_killed || reply_says(reply, "error", "no_memory")) {
		COUNT(load, nr_early_drills);
		return false;
	}
	COUNT(load, nr_odd_drills);
	load_harm(load, victim->tenant, reply->status,
		reply->body ? reply->body + tail : "");
	return false;
}

/* Whether it was killed as is meant. Without tasks a writer may go on for ever: hang up.
 */
static bool victim_end(struct victim *victim)
{
	struct load *load = victim->load;
	struct reply reply = {0};
	bool is_well;

	if (load->has_tasks || !victim->client.is_narrow)
		load_receive(load, &victim->client, &reply);
	is_well = is_as_meant(victim, &reply);
	if (!is_well && victim->settle_ms < SETTLE_MAX_MS)
		victim->settle_ms *= 2;
	reply_fini(&reply);
	client_fini(&victim->client);
	return is_well;
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
		load_pause(arg, BETWEEN_MS);
	}
	return NULL;
}

/* A script that waits for the cache while somebody has its lock: until the victim should
 * be dead. */
static void drill_sleeper(struct victim *victim, struct client *client)
{
	static const char path[] = "/drill/cache-lock?for=10s";
	struct reply reply;

	load_call(victim->load, client, "POST", path, NULL, &reply);
	reply_fini(&reply);
	victim_begin(victim, false);
	victim_press(victim);
	load_call(victim->load, client, "DELETE", path, NULL, &reply);
	reply_fini(&reply);
	victim_end(victim);
}

/* What the holder stored is done, or it is no longer there. */
static void check_held(struct load *load, struct client *client)
{
	static const char text[] =
		"local held = cache_get('held')\n"
		"print(not held and 'gone' or held == ('h'):rep(20000) and 'whole' or "
		"'torn')\n";
	struct reply reply;

	load_call(load, client, "POST", "/run/checker?lang=lua", text, &reply);
	if (reply.body && !strcmp(reply.body, "whole\n")) {
		COUNT(load, nr_whole);
	} else if (!reply.body || strcmp(reply.body, "gone\n") != 0) {
		COUNT(load, nr_torn);
		load_harm(load, "what a victim held", reply.status, reply.body);
	}
	reply_fini(&reply);
}

/* A script that is killed while it has the lock of the cache. */
static void drill_holder(struct victim *victim, struct client *client)
{
	victim_begin(victim, false);
	victim_press(victim);
	if (victim_end(victim))
		check_held(victim->load, client);
}

/* Both want the lock for themselves, and leave it to others most of the time. */
void *locker_main(void *arg)
{
	struct victim sleeper, holder;
	struct client client;

	victim_init(&sleeper, arg, DRILL_SLEEPER, "sleeper", "sleeper.lua");
	victim_init(&holder, arg, DRILL_HOLDER, "holder", "holder.lua");
	client_init(&client, sleeper.load->port, TIMEOUT_MS);
	while (load_goes_on(arg)) {
		drill_sleeper(&sleeper, &client);
		load_pause(arg, BETWEEN_LOCKS_MS);
		drill_holder(&holder, &client);
		load_pause(arg, BETWEEN_LOCKS_MS);
	}
	client_fini(&client);
	return NULL;
}

static void session_path(char path[96], unsigned tenant, unsigned number)
{
	snprintf(path, 96, "/session/idle-%u?lang=lua&id=%u", tenant, number);
}

/* False: the one that wanted memory was the one that went, which is no harm. */
static bool session_make(
	struct load *load, struct client *client, unsigned tenant, unsigned number)
{
	struct reply reply;
	char path[96], body[128];
	bool is_made, is_killed;

	session_path(path, tenant, number);
	snprintf(body, sizeof(body), session_begin, number);
	load_call(load, client, "POST", path, body, &reply);
	is_made = reply.status == 200 && reply.body &&
		  strtoul(reply.body, NULL, 10) == number;
	is_killed = reply_says(&reply, "reason", "oom");
	if (is_made) {
		COUNT(load, nr_made);
	} else if (reply.status == 501) {
		__atomic_store_n(&load->has_none, true, __ATOMIC_RELAXED);
	} else if (!is_killed) {
		COUNT(load, nr_odd_sessions);
		load_harm(load, "new session", reply.status, reply.body);
	}
	reply_fini(&reply);
	return !is_killed;
}

/* It is as it was, or says that it was killed: a fresh state in place of the old one
 * would be a wrong answer. */
static void session_visit(
	struct load *load, struct client *client, unsigned tenant, unsigned number)
{
	struct reply reply;
	char path[96];

	session_path(path, tenant, number);
	load_call(load, client, "POST", path, session_again, &reply);
	if (reply.status == 200 && reply.body &&
		strtoul(reply.body, NULL, 10) == number + 60000) {
		COUNT(load, nr_kept);
	} else if (reply.status == 410 && reply_says(&reply, "reason", "oom")) {
		COUNT(load, nr_lost);
	} else if (!reply_says(&reply, "reason", "oom")) {
		COUNT(load, nr_odd_sessions);
		load_harm(load, "old session", reply.status, reply.body);
	}
	reply_fini(&reply);
}

/* False: the server has no sessions, or the load ends. */
static bool sessions_run(struct load *load, struct client *client, unsigned tenant)
{
	unsigned nr = load->nr_sessions / NR_SESSION_TENANTS;
	struct reply reply;
	char path[96];

	snprintf(path, sizeof(path), "/tenants/idle-%u?deadline=30s&max=%uK", tenant,
		SESSION_SHARE_KIB * nr);
	load_call(load, client, "PUT", path, NULL, &reply);
	reply_fini(&reply);
	for (unsigned i = 0; i < nr; i++) {
		while (!session_make(load, client, tenant, i) && load_goes_on(load))
			;
		if (READ(load, has_none) || !load_goes_on(load))
			return false;
	}
	for (unsigned i = 0; i < nr && load_goes_on(load); i++)
		session_visit(load, client, tenant, i);
	return load_goes_on(load);
}

/* One of several tenants with more idle sessions than its memory is for. */
void *sessions_main(void *arg)
{
	struct worker *worker = arg;
	struct load *load = worker->load;
	struct client client;

	client_init(&client, load->port, TIMEOUT_MS);
	if (sessions_run(load, &client, worker->number))
		COUNT(load, nr_visited);
	client_fini(&client);
	return NULL;
}
