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
/* Until it has what it wants. */
#define PATIENCE_MS       10000
#define VICTIM_SIZE       8000000
#define BETWEEN_MS        300
#define NR_TENANTS        4
/* For each of all sessions, for each of the tenants: about half of what they need. */
#define SESSION_SHARE_KIB 24

/* Each keeps 60,000 bytes and a number. */
static const char session_begin[] = "kept = ('x'):rep(60000)\nn = %u\nprint(n)\n";
static const char session_again[] = "print(n + #kept)\n";

static bool post(
	struct client *client, const char *path, const char *body, struct reply *ret)
{
	return client_call(client, "POST", path, body, strlen(body), ret);
}

/* Somebody of the same tenant who wants all of it. The one that has most goes first. */
static void press(struct load *load, const char *path)
{
	struct client client;
	struct reply reply;

	client_init(&client, load->port, TIMEOUT_MS);
	post(&client, path, program_find("bad", "table.lua")->text, &reply);
	reply_fini(&reply);
	client_fini(&client);
}

/* Whether it was killed while it was blocked, as is meant. A slow machine may press too
 * early, or so late that the sleeper has its lock and is through. */
static bool judge(struct load *load, const struct reply *reply, const char *what,
	uint64_t *nr_blocked)
{
	size_t tail = reply->size > 600 ? reply->size - 600 : 0;
	bool is_killed = reply_says(reply, "reason", "oom");

	if (is_killed && reply_says(reply, "victim_state", "blocked")) {
		__atomic_fetch_add(nr_blocked, 1, __ATOMIC_RELAXED);
		return true;
	}
	if (is_killed || (reply->body && !strcmp(reply->body, "awake\n"))) {
		COUNT(load, nr_early_drills);
	} else {
		COUNT(load, nr_odd_drills);
		load_harm(
			load, what, reply->status, reply->body ? reply->body + tail : "");
	}
	return false;
}

static int longer(int settle_ms)
{
	return 2 * settle_ms < SETTLE_MAX_MS ? 2 * settle_ms : SETTLE_MAX_MS;
}

/* Until @tenant uses as much as a victim has, then a moment longer. */
static void wait_for_victim(struct load *load, const char *tenant, int settle_ms)
{
	struct client client;
	char path[64];
	double usage = 0;

	snprintf(path, sizeof(path), "/tenants/%s", tenant);
	client_init(&client, load->port, TIMEOUT_MS);
	for (int i = 0; i < PATIENCE_MS / 10 && usage < VICTIM_SIZE; i++) {
		struct reply reply;

		client_call(&client, "GET", path, NULL, 0, &reply);
		usage = reply_number(&reply, "usage", 0);
		reply_fini(&reply);
		poll(NULL, 0, 10);
	}
	client_fini(&client);
	poll(NULL, 0, settle_ms);
}

/* A script that writes to a client that does not read, until it is killed. */
void *writer_main(void *arg)
{
	static const char path[] = "/run/writer?lang=lua";
	const char *text = program_find("bad", "writer.lua")->text;
	struct load *load = arg;
	int settle_ms = SETTLE_MS;

	while (load_goes_on(load)) {
		struct client client;
		struct reply reply = {0};

		client_init(&client, load->port, TIMEOUT_MS);
		client.is_narrow = true;
		client_send(&client, "POST", path, text, strlen(text));
		client_wait(&client);
		wait_for_victim(load, "writer", settle_ms);
		press(load, path);
		client_receive(&client, &reply);
		if (!judge(load, &reply, "writer", &load->nr_writers))
			settle_ms = longer(settle_ms);
		reply_fini(&reply);
		client_fini(&client);
		load_pause(load, BETWEEN_MS);
	}
	return NULL;
}

/* A script that waits for the cache while somebody has its lock. */
void *sleeper_main(void *arg)
{
	static const char path[] = "/run/sleeper?lang=lua";
	const char *text = program_find("bad", "sleeper.lua")->text;
	struct load *load = arg;
	int settle_ms = SETTLE_MS;

	while (load_goes_on(load)) {
		struct client holder, client;
		struct reply reply = {0};

		client_init(&holder, load->port, TIMEOUT_MS);
		client_init(&client, load->port, TIMEOUT_MS);
		post(&holder, "/drill/cache-lock?for=10s", "", &reply);
		reply_fini(&reply);
		client_send(&client, "POST", path, text, strlen(text));
		wait_for_victim(load, "sleeper", settle_ms);
		press(load, path);
		client_call(&holder, "DELETE", "/drill/cache-lock", NULL, 0, &reply);
		reply_fini(&reply);
		client_receive(&client, &reply);
		if (!judge(load, &reply, "sleeper", &load->nr_sleepers))
			settle_ms = longer(settle_ms);
		reply_fini(&reply);
		client_fini(&client);
		client_fini(&holder);
		load_pause(load, 2 * BETWEEN_MS);
	}
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
		client_call(client, "PUT", path, "", 0, &reply);
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
	post(client, path, body, &reply);
	is_made = reply.status == 200 && reply.body &&
		  strtoul(reply.body, NULL, 10) == number;
	is_killed = reply_says(&reply, "reason", "oom");
	if (is_made) {
		COUNT(load, nr_made);
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
	for (unsigned i = 0; i < load->nr_sessions && load_goes_on(load); i++) {
		while (!session_make(load, client, i) && load_goes_on(load))
			;
		ret_made[i] = true;
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
		post(client, path, session_again, &reply);
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
