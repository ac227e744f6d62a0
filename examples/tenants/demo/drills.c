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

#define TIMEOUT_MS  10000
/* From when a script has what it wants until it waits. */
#define SETTLE_MS   50
#define VICTIM_SIZE 8000000
#define BETWEEN_MS  300
#define NR_TENANTS  4
#define SESSION_MAX "24M"

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

/* Killed while it is blocked is what is meant. A slow machine may press too early, or so
 * late that the sleeper has its lock and is through. */
static void judge(struct load *load, const struct reply *reply, const char *what,
	uint64_t *nr_blocked)
{
	size_t tail = reply->size > 600 ? reply->size - 600 : 0;
	bool is_killed = reply_says(reply, "reason", "oom");

	if (is_killed && reply_says(reply, "victim_state", "blocked")) {
		__atomic_fetch_add(nr_blocked, 1, __ATOMIC_RELAXED);
	} else if (is_killed || (reply->body && !strcmp(reply->body, "awake\n"))) {
		COUNT(load, nr_early_drills);
	} else {
		COUNT(load, nr_odd_drills);
		load_harm(
			load, what, reply->status, reply->body ? reply->body + tail : "");
	}
}

/* Until @tenant uses as much as a victim has, then a moment longer. */
static void wait_for_victim(struct load *load, const char *tenant)
{
	struct client client;
	char path[64];
	double usage = 0;

	snprintf(path, sizeof(path), "/tenants/%s", tenant);
	client_init(&client, load->port, TIMEOUT_MS);
	for (int i = 0; i < 100 && usage < VICTIM_SIZE; i++) {
		struct reply reply;

		client_call(&client, "GET", path, NULL, 0, &reply);
		usage = reply_number(&reply, "usage", 0);
		reply_fini(&reply);
		poll(NULL, 0, 10);
	}
	client_fini(&client);
	poll(NULL, 0, SETTLE_MS);
}

/* A script that writes to a client that does not read, until it is killed. */
void *writer_main(void *arg)
{
	static const char path[] = "/run/writer?lang=lua";
	const char *text = program_find("bad", "writer.lua")->text;
	struct load *load = arg;

	while (load_goes_on(load)) {
		struct client client;
		struct reply reply = {0};

		client_init(&client, load->port, TIMEOUT_MS);
		client.is_narrow = true;
		client_send(&client, "POST", path, text, strlen(text));
		client_wait(&client);
		wait_for_victim(load, "writer");
		press(load, path);
		client_receive(&client, &reply);
		judge(load, &reply, "writer", &load->nr_writers);
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

	while (load_goes_on(load)) {
		struct client holder, client;
		struct reply reply = {0};

		client_init(&holder, load->port, TIMEOUT_MS);
		client_init(&client, load->port, TIMEOUT_MS);
		post(&holder, "/drill/cache-lock?for=500ms", "", &reply);
		reply_fini(&reply);
		client_send(&client, "POST", path, text, strlen(text));
		wait_for_victim(load, "sleeper");
		press(load, path);
		client_receive(&client, &reply);
		judge(load, &reply, "sleeper", &load->nr_sleepers);
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

static void sessions_make(struct load *load, struct client *client, bool *ret_made)
{
	struct reply reply;
	char path[96], body[128];

	for (unsigned i = 0; i < NR_TENANTS; i++) {
		snprintf(path, sizeof(path), "/tenants/idle-%u?max=" SESSION_MAX, i);
		client_call(client, "PUT", path, "", 0, &reply);
		reply_fini(&reply);
	}
	for (unsigned i = 0; i < load->nr_sessions && load_goes_on(load); i++) {
		session_path(path, i);
		snprintf(body, sizeof(body), session_begin, i);
		post(client, path, body, &reply);
		if (reply.status == 200 && reply.body &&
			strtoul(reply.body, NULL, 10) == i) {
			COUNT(load, nr_made);
			ret_made[i] = true;
		} else if (!reply_says(&reply, "reason", "oom")) {
			COUNT(load, nr_odd_sessions);
			load_harm(load, "new session", reply.status, reply.body);
		}
		reply_fini(&reply);
	}
}

/* Each is as it was, or says that it was killed: a fresh state in place of the old one
 * would be a wrong answer. */
static void sessions_visit(struct load *load, struct client *client, const bool *made)
{
	for (unsigned i = 0; i < load->nr_sessions; i++) {
		struct reply reply;
		char path[96];

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
}

/* Four tenants with more idle sessions than their memory is for. */
void *sessions_main(void *arg)
{
	struct load *load = arg;
	struct client client;
	bool *made = calloc(load->nr_sessions, sizeof(*made));

	client_init(&client, load->port, TIMEOUT_MS);
	if (made) {
		sessions_make(load, &client, made);
		sessions_visit(load, &client, made);
	}
	client_fini(&client);
	free(made);
	return NULL;
}
