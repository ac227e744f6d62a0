/* SPDX-License-Identifier: MIT */
/* What tests of the tenant server share: one server and one client, in this process. */
#ifndef BHI_TESTS_TENANTS_H
#define BHI_TESTS_TENANTS_H

#include <string.h>

#include <bulkhead.h>

#include "demo/client.h"
#include "http.h"
#include "options.h"
#include "support.h"

#define TIMEOUT_MS 30000

static struct options options;
static unsigned port;
static struct client client;

static inline void set_options(void)
{
	options_default(&options);
	options.port = 0;
	options.zone_size = 64 << 20;
	options.tenant_max = 8 << 20;
	options.cache_max = 8 << 20;
	/* nothing here takes that long, unless it is killed */
	options.deadline_ns = UINT64_C(120000000000);
}

static inline void start_server(void)
{
	ck_assert_int_eq(server_start(&options, &port), 0);
	client_init(&client, port, TIMEOUT_MS);
}

static inline void start(void)
{
	set_options();
	start_server();
}

static inline void stop(void)
{
	client_fini(&client);
	ck_assert_uint_eq(server_stop(), 0);
	ck_assert_int_eq(bh_audit(), 0);
}

static inline struct reply call(const char *method, const char *path, const char *body)
{
	struct reply reply;

	ck_assert_msg(
		client_call(&client, method, path, body, body ? strlen(body) : 0, &reply),
		"no answer to %s %s", method, path);
	return reply;
}

/* One request whose answer is known. */
static inline void expect(const char *method, const char *path, const char *body,
	int status, const char *part)
{
	struct reply reply = call(method, path, body);

	ck_assert_msg(reply.status == status && support_contains(reply.body, part),
		"%s %s: status %d, not %d with %s in it: %s", method, path, reply.status,
		status, part, reply.body);
	reply_fini(&reply);
}

static inline void expect_json(
	const char *method, const char *path, const char *body, int status)
{
	struct reply reply = call(method, path, body);

	ck_assert_int_eq(reply.status, status);
	ck_assert_msg(support_json_valid(reply.body), "%s", reply.body);
	reply_fini(&reply);
}

static const char hog[] = "local t = {1} while true do table.move(t, 1, #t, #t + 1) end";
/* Has more than the hog has when it asks for too much. */
static const char keep[] =
	"kept = {} for i = 1, 60 do kept[i] = ('x'):rep(100000 + i) end ";

/* Until somebody runs a script of @path's tenant. */
static inline void wait_until_running(const char *path)
{
	bool is_running = false;

	while (!is_running) {
		struct reply reply = call("GET", path, NULL);

		is_running = reply_number(&reply, "running", 0) > 0;
		reply_fini(&reply);
	}
}

/* Make the tenant of @path run out of memory until something comes for @victim. */
static inline void press_until_answered(const char *path, struct client *victim)
{
	int timeout_ms = victim->timeout_ms;

	victim->timeout_ms = 20;
	do {
		struct reply reply = call("POST", path, hog);

		ck_assert_int_eq(reply.status, 507);
		reply_fini(&reply);
	} while (!client_wait(victim));
	victim->timeout_ms = timeout_ms;
}

#endif
