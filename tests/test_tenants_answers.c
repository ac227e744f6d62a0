/* SPDX-License-Identifier: MIT */
/*
 * The tenant server where its answers are about itself: drills, limits, metrics, and the
 * end of it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache.h"
#include "tenants.h"

START_TEST(a_drill_holds_the_lock_of_the_cache_until_it_is_told_to_end)
{
	static const char script[] = "print(cache_get('key'))";
	struct client other;
	struct reply reply;

	set_options();
	options.drills = true;
	start_server();
	client_init(&other, port, TIMEOUT_MS);
	expect("POST", "/drill/cache-lock?for=10s", NULL, 200, "\"held\":true");
	ck_assert(client_send(
		&other, "POST", "/run/alice?lang=lua", script, strlen(script)));
	wait_until_running("/tenants/alice");
	other.timeout_ms = 50;
	ck_assert(!client_wait(&other));
	other.timeout_ms = 8000; /* less than the drill would take */
	expect("DELETE", "/drill/cache-lock", NULL, 200, "\"held\":false");
	ck_assert(client_receive(&other, &reply));
	ck_assert_str_eq(reply.body, "nil\n");
	reply_fini(&reply);
	client_fini(&other);
	stop();
}
END_TEST

/* Sanitizers have an allocator of their own, which ends the process at a limit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

START_TEST(a_process_for_a_request_has_as_much_memory_as_its_tenant_may)
{
	/* In blocks that malloc(3) puts into its arenas: how much it got. */
	static const char take[] = "local kept = {}\n"
				   "print(pcall(function()\n"
				   "	for i = 1, 10000 do\n"
				   "		kept[i] = ('x'):rep(20000 + i)\n"
				   "	end\n"
				   "end), #kept * 20000)";
	struct reply reply;
	char *number;
	double got;

	if (SANITIZED)
		return;
	set_options();
	options.contain = CONTAIN_PROCESS;
	start_server();
	reply = call("POST", "/run/alice?lang=lua", take);
	ck_assert_int_eq(reply.status, 200);
	number = strrchr(reply.body, '\t');
	ck_assert_ptr_nonnull(number);
	got = strtod(number, NULL);
	ck_assert_msg(got > 5 << 20 && got <= 8 << 20, "%s", reply.body);
	reply_fini(&reply);
	expect("POST", "/run/alice?lang=lua", hog, 507, "not enough memory");
	expect("POST", "/run/alice?lang=js", "var s = 'x'; for (;;) s += s;", 507,
		"alloc");
	stop();
}
END_TEST

#define NR_FAMILIES 64

/* What was seen of the metrics so far: families in the order of their heads. */
struct families {
	size_t nr;
	char names[NR_FAMILIES][64], types[NR_FAMILIES][16];
};

static void read_head(struct families *families, const char *line, const char *next)
{
	size_t nr = families->nr;
	char name[64];

	ck_assert_int_eq(sscanf(line, "# HELP %63s %*c", name), 1);
	for (size_t i = 0; i < nr; i++)
		ck_assert_msg(strcmp(families->names[i], name) != 0, "%s twice", name);
	ck_assert_uint_lt(nr, NR_FAMILIES);
	ck_assert_ptr_nonnull(next);
	ck_assert_msg(sscanf(next, "# TYPE %63s %15s", families->names[nr],
			      families->types[nr]) == 2,
		"%s", next);
	ck_assert_str_eq(families->names[nr], name);
	families->nr++;
}

/* A sample is one of the family whose head was last; a summary also has two others. */
static void read_sample(const struct families *families, const char *line)
{
	const char *name, *rest;
	bool is_summary;

	ck_assert_msg(families->nr > 0, "no head: %s", line);
	name = families->names[families->nr - 1];
	is_summary = !strcmp(families->types[families->nr - 1], "summary");
	ck_assert_msg(!strncmp(line, name, strlen(name)), "not of %s: %s", name, line);
	rest = line + strlen(name);
	if (is_summary && (!strncmp(rest, "_sum", 4) || !strncmp(rest, "_count", 6)))
		rest = strpbrk(rest, "{ ");
	ck_assert_msg(rest && (*rest == '{' || *rest == ' '), "%s", line);
	rest = strrchr(rest, ' ');
	ck_assert_msg(
		rest && strspn(rest + 1, "0123456789.") == strlen(rest + 1), "%s", line);
}

static void ask_metrics(struct families *families)
{
	struct reply reply = call("GET", "/metrics", NULL);
	char *rest = reply.body, *line = strsep(&rest, "\n");

	memset(families, 0, sizeof(*families));
	while (line && *line) {
		char *next = strsep(&rest, "\n");

		if (!strncmp(line, "# HELP", 6)) {
			read_head(families, line, next);
			next = strsep(&rest, "\n");
		} else {
			read_sample(families, line);
		}
		line = next;
	}
	reply_fini(&reply);
}

START_TEST(metrics_stand_in_families_with_one_head_each)
{
	struct families families;

	start();
	expect("POST", "/run/mallory?lang=lua", hog, 507, "oom");
	expect("PUT", "/tenants/loop?deadline=50ms", NULL, 200, "50");
	expect("POST", "/run/loop?lang=lua", "while true do end", 504, "deadline");
	ask_metrics(&families);
	ck_assert_uint_gt(families.nr, 10);
	stop();
}
END_TEST

START_TEST(a_summary_has_its_sum_and_count_for_each_kind_of_kill)
{
	start();
	expect("POST", "/run/mallory?lang=lua", hog, 507, "oom");
	expect("PUT", "/tenants/loop?deadline=50ms", NULL, 200, "50");
	expect("POST", "/run/loop?lang=lua", "while true do end", 504, "deadline");
	expect("GET", "/metrics", NULL, 200,
		"tenants_kill_to_unwound_seconds_count{reason=\"oom\",");
	expect("GET", "/metrics", NULL, 200,
		"tenants_kill_to_unwound_seconds_sum{reason=\"oom\",");
	expect("GET", "/metrics", NULL, 200,
		"tenants_kill_to_unwound_seconds_count{reason=\"deadline\","
		"state=\"running\"} 1\n");
	expect("GET", "/metrics", NULL, 200,
		"tenants_kills_total{reason=\"deadline\",state=\"running\"} 1\n");
	stop();
}
END_TEST

static void *stop_main(void *unused)
{
	(void)unused;
	ck_assert_uint_eq(server_stop(), 0);
	return NULL;
}

#define LARGE "24000000"

/* More than a connection takes before its client reads, so that an answer is begun and
 * not yet sent when the script has ended. */
static void start_large(uint64_t grace_ns)
{
	set_options();
	options.grace_ns = grace_ns;
	options.zone_size = 256 << 20;
	options.tenant_max = 128 << 20;
	options.output_max = 32 << 20;
	start_server();
}

START_TEST(the_end_of_the_server_waits_for_answers_that_were_begun)
{
	static const char script[] = "cache_get('key') print(('x'):rep(" LARGE "))";
	struct client other;
	struct reply reply;
	pthread_t thread;

	start_large(UINT64_C(60000000000));
	client_init(&other, port, TIMEOUT_MS);
	cache_lock();
	ck_assert(client_send(
		&other, "POST", "/run/alice?lang=lua", script, strlen(script)));
	wait_until_running("/tenants/alice");
	ck_assert(!pthread_create(&thread, NULL, stop_main, NULL));
	cache_unlock();
	ck_assert(client_wait(&other));
	ck_assert(client_receive(&other, &reply));
	ck_assert_int_eq(reply.status, 200);
	ck_assert(reply.is_whole);
	ck_assert_uint_eq(reply.size, strtoul(LARGE, NULL, 10) + 1);
	reply_fini(&reply);
	pthread_join(thread, NULL);
	client_fini(&other);
	client_fini(&client);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

/* One that never reads is not waited for for ever. */
START_TEST(the_end_of_the_server_leaves_who_does_not_read)
{
	static const char script[] = "print(('x'):rep(" LARGE "))";
	struct client other;
	struct reply reply;

	start_large(100000000);
	client_init(&other, port, TIMEOUT_MS);
	ck_assert(client_send(
		&other, "POST", "/run/alice?lang=lua", script, strlen(script)));
	ck_assert(client_wait(&other));
	stop();
	client_receive(&other, &reply);
	ck_assert(!reply.is_whole);
	reply_fini(&reply);
	client_fini(&other);
}
END_TEST

START_TEST(a_victim_that_holds_the_lock_of_the_cache_finishes_what_it_stores)
{
	static const char text[] = "%s cache_set_slowly('key', ('h'):rep(20000))";
	struct cache_stat stat = {0};
	struct client victim;
	struct reply reply;
	char script[256];

	set_options();
	options.drills = true;
	start_server();
	client_init(&victim, port, TIMEOUT_MS);
	snprintf(script, sizeof(script), text, keep);
	ck_assert(client_send(
		&victim, "POST", "/run/holder?lang=lua", script, strlen(script)));
	/* once there is an entry, the lock is held until the kill */
	while (!stat.nr_entries)
		cache_stat(&stat);
	press_until_answered("/run/holder?lang=lua", &victim);
	ck_assert(client_receive(&victim, &reply));
	ck_assert_int_eq(reply.status, 507);
	ck_assert(reply_says(&reply, "reason", "oom"));
	ck_assert(reply_says(&reply, "victim_state", "holding"));
	reply_fini(&reply);
	expect("POST", "/run/other?lang=lua",
		"print(cache_get('key') == ('h'):rep(20000))", 200, "true\n");
	client_fini(&victim);
	stop();
}
END_TEST

START_TEST(a_script_can_dawdle_only_in_drills)
{
	start();
	expect("POST", "/run/alice?lang=lua", "print(cache_set_slowly)", 200, "nil\n");
	stop();
}
END_TEST

/* Each has had an answer, so the server knows of it. */
static void connect_two(struct client *others)
{
	struct reply reply;

	for (int i = 0; i < 2; i++) {
		client_init(&others[i], port, TIMEOUT_MS);
		ck_assert(client_call(&others[i], "GET", "/tenants", NULL, 0, &reply));
		ck_assert_int_eq(reply.status, 200);
		reply_fini(&reply);
	}
}

START_TEST(a_connection_too_many_is_told_so_and_closed)
{
	struct client others[2], surplus;
	struct reply reply;

	set_options();
	options.nr_connections = 2;
	start_server();
	client_init(&surplus, port, TIMEOUT_MS);
	connect_two(others);
	ck_assert(client_call(&surplus, "GET", "/tenants", NULL, 0, &reply));
	ck_assert_int_eq(reply.status, 503);
	ck_assert(support_contains(reply.body, "too many connections"));
	ck_assert_int_eq(surplus.fd, -1);
	reply_fini(&reply);
	/* those that were there go on, and when one has gone, another may come */
	ck_assert(client_call(&others[0], "GET", "/tenants", NULL, 0, &reply));
	ck_assert_int_eq(reply.status, 200);
	reply_fini(&reply);
	client_fini(&others[1]);
	do {
		ck_assert(client_call(&surplus, "GET", "/tenants", NULL, 0, &reply));
		ck_assert(reply.status == 503 || reply.status == 200);
		reply_fini(&reply);
	} while (surplus.fd == -1);
	client_fini(&surplus);
	client_fini(&others[0]);
	stop();
}
END_TEST

START_TEST(a_client_has_no_more_connections_than_its_share)
{
	struct client others[2], surplus;
	struct reply reply;

	set_options();
	options.nr_per_client = 2;
	start_server();
	client_init(&surplus, port, TIMEOUT_MS);
	connect_two(others);
	ck_assert(!client_call(&surplus, "GET", "/tenants", NULL, 0, &reply));
	reply_fini(&reply);
	ck_assert(client_call(&others[0], "GET", "/tenants", NULL, 0, &reply));
	ck_assert_int_eq(reply.status, 200);
	reply_fini(&reply);
	client_fini(&others[1]);
	while (!client_call(&surplus, "GET", "/tenants", NULL, 0, &reply))
		reply_fini(&reply);
	ck_assert_int_eq(reply.status, 200);
	reply_fini(&reply);
	client_fini(&surplus);
	client_fini(&others[0]);
	stop();
}
END_TEST

START_TEST(who_was_killed_at_the_deadline_is_told_the_times)
{
	static const char *const paths[] = {
		"/run/loop?lang=lua", "/session/loop?lang=lua"};

	start();
	expect("PUT", "/tenants/loop?deadline=50ms", NULL, 200, "50");
	for (int i = 0; i < 2; i++) {
		struct reply reply = call("POST", paths[i], "while true do end");

		ck_assert_int_eq(reply.status, 504);
		ck_assert(support_json_valid(reply.body));
		ck_assert(reply_number(&reply, "deadline_ns", 0) == 50e6);
		ck_assert(reply_number(&reply, "ran_ns", 0) >= 50e6);
		ck_assert(support_contains(reply.body, "loop may run for 50.00 ms"));
		reply_fini(&reply);
	}
	stop();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_connection_too_many_is_told_so_and_closed);
	tcase_add_test(tcase, a_client_has_no_more_connections_than_its_share);
	tcase_add_test(tcase, who_was_killed_at_the_deadline_is_told_the_times);
	tcase_add_test(
		tcase, a_victim_that_holds_the_lock_of_the_cache_finishes_what_it_stores);
	tcase_add_test(tcase, a_script_can_dawdle_only_in_drills);
	tcase_add_test(tcase, the_end_of_the_server_waits_for_answers_that_were_begun);
	tcase_add_test(tcase, the_end_of_the_server_leaves_who_does_not_read);
	tcase_add_test(tcase, metrics_stand_in_families_with_one_head_each);
	tcase_add_test(tcase, a_summary_has_its_sum_and_count_for_each_kind_of_kill);
	tcase_add_test(
		tcase, a_process_for_a_request_has_as_much_memory_as_its_tenant_may);
	tcase_add_test(
		tcase, a_drill_holds_the_lock_of_the_cache_until_it_is_told_to_end);
}

int main(void)
{
	return support_run("tenants_answers", add);
}
