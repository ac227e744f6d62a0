/* SPDX-License-Identifier: MIT */
/*
 * The tenant server, from its socket: what is asked over HTTP and what is answered. It
 * runs in the process of the test, so that a test can hold its locks and audit the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "tenants.h"

START_TEST(a_script_is_answered_with_what_it_prints)
{
	start();
	expect("POST", "/run/alice?lang=lua", "print(6 * 7, nil)", 200, "42\tnil\n");
	expect("POST", "/run/alice?lang=js", "print(6 * 7, null)", 200, "42 null\n");
	expect("POST", "/run/alice?lang=lua", "", 200, "");
	expect("POST", "/run/alice?lang=js", "", 200, "");
	stop();
}
END_TEST

START_TEST(a_script_error_is_its_message)
{
	start();
	expect("POST", "/run/alice?lang=lua", "error('no \"way\"')", 422,
		"script:1: no \\\"way\\\"");
	expect("POST", "/run/alice?lang=js", "throw new Error('no way')", 422, "no way");
	expect("POST", "/run/alice?lang=lua", "error({})", 422, "no string");
	expect("POST", "/run/alice?lang=js", "syntax error", 422, "SyntaxError");
	expect_json("POST", "/run/alice?lang=lua", "error('\\1\\255')", 422);
	stop();
}
END_TEST

START_TEST(a_script_has_no_way_out)
{
	start();
	expect("POST", "/run/alice?lang=lua",
		"print(io, os, require, debug, dofile, loadfile, package)", 200,
		"nil\tnil\tnil\tnil\tnil\tnil\tnil");
	expect("POST", "/run/alice?lang=lua",
		"print(load(string.dump(function() end)), load('return 7')())", 200,
		"nil");
	expect("POST", "/run/alice?lang=js", "print(typeof Duktape, typeof require)", 200,
		"undefined undefined");
	stop();
}
END_TEST

START_TEST(a_hog_is_told_why_it_was_killed)
{
	struct reply reply;

	start();
	reply = call("POST", "/run/mallory?lang=lua", hog);
	ck_assert_int_eq(reply.status, 507);
	ck_assert(support_json_valid(reply.body));
	ck_assert(reply_says(&reply, "error", "killed"));
	ck_assert(reply_says(&reply, "reason", "oom"));
	ck_assert(reply_says(&reply, "over", "/tenants/mallory"));
	ck_assert(reply_says(&reply, "asker", "mallory"));
	ck_assert(reply_number(&reply, "limit", 0) == 8 << 20);
	ck_assert(reply_number(&reply, "asked", 0) > 0);
	ck_assert(reply_number(&reply, "bytes", 0) > 0);
	reply_fini(&reply);
	expect("POST", "/run/mallory?lang=js", "var s = 'x'; for (;;) s += s;", 507,
		"oom");
	expect("POST", "/run/mallory?lang=lua", "print('again')", 200, "again");
	stop();
}
END_TEST

START_TEST(a_loop_ends_at_the_deadline)
{
	start();
	expect("PUT", "/tenants/loop?deadline=50ms", NULL, 200, "\"deadline_ms\":50");
	expect("POST", "/run/loop?lang=lua", "while true do end", 504, "deadline");
	expect("POST", "/run/loop?lang=js", "for (;;) ;", 504, "deadline");
	expect("POST", "/run/loop?lang=lua",
		"while true do pcall(function() while true do end end) end", 504,
		"deadline");
	stop();
}
END_TEST

START_TEST(limits_are_set_by_query_and_by_json)
{
	start();
	expect("PUT", "/tenants/bob?max=4M&deadline=3s", NULL, 200, "\"max\":4194304");
	expect("PUT", "/tenants/bob", "{\"max\": \"5M\"}", 200, "\"max\":5242880");
	expect("PUT", "/tenants/bob", "{\"max\": 6291456, \"deadline\": \"1s\"}", 200,
		"\"deadline_ms\":1000");
	expect("GET", "/tenants/bob", NULL, 200, "\"max\":6291456");
	expect("PUT", "/tenants/bob", "{\"mux\": 1}", 400, "only max");
	expect("PUT", "/tenants/bob", "[]", 400, "JSON object");
	expect("PUT", "/tenants/bob?max=many", NULL, 400, "16M");
	expect("PUT", "/tenants/bob?deadline=-1s", NULL, 400, "2s");
	expect("GET", "/tenants/bob", NULL, 200, "\"max\":6291456");
	expect("GET", "/tenants/nobody", NULL, 404, "no such tenant");
	stop();
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	char *large = malloc((256 << 10) + 2);

	memset(large, ' ', (256 << 10) + 1);
	large[(256 << 10) + 1] = 0;
	start();
	expect("POST", "/run/alice?lang=lua", large, 413, "too large");
	expect("GET", "/nowhere", NULL, 404, "nothing here");
	expect("GET", "/run/alice", NULL, 405, "POST");
	expect("DELETE", "/tenants/alice", NULL, 405, "GET, PUT");
	expect("POST", "/run/alice", "", 400, "lua or js");
	expect("POST", "/run/alice?lang=perl", "", 400, "lua or js");
	expect("POST", "/run/a%2Fb?lang=lua", "", 400, "a name is");
	expect("POST", "/run/?lang=lua", "", 400, "a name is");
	expect("POST", "/session/alice?lang=lua&id=%20", "", 400, "a name");
	expect("GET", "/report?format=xml", NULL, 400, "json or text");
	expect("POST", "/drill/cache-lock?for=1s", "", 403, "--drills");
	expect("DELETE", "/drill/cache-lock", NULL, 403, "--drills");
	stop();
	free(large);
}
END_TEST

START_TEST(one_tenant_has_so_many_requests_at_a_time)
{
	static const char script[] = "print(cache_get('key'))";
	struct client other;
	struct reply reply;

	set_options();
	options.nr_at_once = 1;
	start_server();
	client_init(&other, port, TIMEOUT_MS);
	cache_lock();
	expect("PUT", "/tenants/alice", "{}", 200, "alice");
	ck_assert(client_send(
		&other, "POST", "/run/alice?lang=lua", script, strlen(script)));
	wait_until_running("/tenants/alice");
	expect("POST", "/run/alice?lang=lua", "", 429, "too many requests");
	expect("POST", "/run/bob?lang=lua", "print(1)", 200, "1");
	cache_unlock();
	ck_assert(client_receive(&other, &reply));
	ck_assert_str_eq(reply.body, "nil\n");
	reply_fini(&reply);
	expect("POST", "/run/alice?lang=lua", "print(2)", 200, "2");
	client_fini(&other);
	stop();
}
END_TEST

START_TEST(too_many_are_refused)
{
	set_options();
	options.nr_tenants = 1;
	options.nr_sessions = 1;
	start_server();
	expect("POST", "/run/first?lang=lua", "", 200, "");
	expect("POST", "/run/second?lang=lua", "", 429, "too many tenants");
	expect("POST", "/session/first?lang=lua&id=1", "", 200, "");
	expect("POST", "/session/first?lang=lua&id=2", "", 429, "too many sessions");
	expect("DELETE", "/session/first?id=1", NULL, 200, "deleted");
	expect("POST", "/session/first?lang=lua&id=2", "", 200, "");
	stop();
}
END_TEST

START_TEST(a_session_keeps_its_state)
{
	start();
	expect("POST", "/session/alice?lang=lua", "n = 1 print(n)", 200, "1\n");
	expect("POST", "/session/alice?lang=lua", "n = n + 1 print(n)", 200, "2\n");
	expect("POST", "/session/alice?lang=js&id=other", "var n = 5; print(n)", 200,
		"5\n");
	expect("POST", "/session/alice?lang=js&id=other", "print(++n)", 200, "6\n");
	expect("POST", "/session/alice?lang=lua", "error('as if')", 422, "as if");
	expect("POST", "/session/alice?lang=lua", "print(n)", 200, "2\n");
	expect("POST", "/session/alice?lang=js", "", 409, "other language");
	expect("DELETE", "/session/alice", NULL, 200, "deleted");
	expect("DELETE", "/session/alice", NULL, 404, "no such session");
	expect("POST", "/session/alice?lang=lua", "print(n)", 200, "nil\n");
	stop();
}
END_TEST

START_TEST(an_idle_session_that_was_killed_says_so_once)
{
	start();
	expect("POST", "/session/alice?lang=lua", keep, 200, "");
	expect("POST", "/run/alice?lang=lua", hog, 507, "oom");
	expect("POST", "/session/alice?lang=lua", "print(#kept)", 410,
		"\"victim_state\":\"idle\"");
	expect("POST", "/session/alice?lang=lua", "print(kept)", 200, "nil\n");
	stop();
}
END_TEST

START_TEST(a_limit_below_the_usage_kills_at_once)
{
	start();
	expect("POST", "/session/alice?lang=lua", keep, 200, "");
	expect("PUT", "/tenants/alice?max=1M", NULL, 200, "\"max\":1048576");
	expect("POST", "/session/alice?lang=lua", "print(#kept)", 410, "oom");
	stop();
}
END_TEST

START_TEST(a_session_that_is_killed_begins_anew)
{
	start();
	expect("POST", "/session/alice?lang=lua", "n = 1", 200, "");
	expect("POST", "/session/alice?lang=lua", hog, 507, "oom");
	expect("POST", "/session/alice?lang=lua", "print(n)", 200, "nil\n");
	stop();
}
END_TEST

START_TEST(what_is_emitted_comes_before_the_script_ends)
{
	struct reply reply;

	start();
	reply = call("POST", "/run/alice?lang=lua",
		"for i = 1, 300 do emit(('%05d'):format(i):rep(200)) end print('tail')");
	ck_assert_int_eq(reply.status, 200);
	ck_assert(reply.is_whole);
	ck_assert_uint_eq(reply.size, 300 * 1000 + 5);
	for (size_t i = 0; i < 300; i++) {
		char number[8];

		snprintf(number, sizeof(number), "%05zu", i + 1);
		ck_assert_int_eq(memcmp(reply.body + i * 1000 + 995, number, 5), 0);
	}
	ck_assert_str_eq(reply.body + 300 * 1000, "tail\n");
	reply_fini(&reply);
	stop();
}
END_TEST

START_TEST(who_waits_for_the_cache_can_be_killed)
{
	struct client victim;
	struct reply reply;
	char script[256];

	start();
	client_init(&victim, port, TIMEOUT_MS);
	snprintf(script, sizeof(script), "%s cache_get('key') print('not killed')", keep);
	cache_lock();
	ck_assert(client_send(
		&victim, "POST", "/run/sleeper?lang=lua", script, strlen(script)));
	press_until_answered("/run/sleeper?lang=lua", &victim);
	/* the lock was never free */
	ck_assert(client_receive(&victim, &reply));
	cache_unlock();
	ck_assert_int_eq(reply.status, 507);
	ck_assert(reply_says(&reply, "reason", "oom"));
	if (reply_says(&reply, "victim_state", "blocked"))
		ck_assert(reply_says(&reply, "blocked_in", "lock"));
	reply_fini(&reply);
	expect("POST", "/run/sleeper?lang=lua",
		"print(cache_set('key', 'value'), cache_get('key'))", 200, "true\tvalue");
	client_fini(&victim);
	stop();
}
END_TEST

START_TEST(who_writes_to_a_client_that_does_not_read_can_be_killed)
{
	struct client victim;
	struct reply reply;
	char script[256];

	start();
	client_init(&victim, port, TIMEOUT_MS);
	victim.is_narrow = true;
	snprintf(script, sizeof(script), "%s while true do emit(kept[1]) end", keep);
	ck_assert(client_send(
		&victim, "POST", "/run/writer?lang=lua", script, strlen(script)));
	ck_assert(client_wait(&victim));
	/* One of the two is the victim each time; the hog always is in the end. */
	expect("POST", "/run/writer?lang=lua", hog, 507, "oom");
	ck_assert(client_receive(&victim, &reply));
	ck_assert_int_eq(reply.status, 200);
	ck_assert(!reply.is_whole);
	ck_assert(reply_says(&reply, "reason", "oom"));
	if (reply_says(&reply, "victim_state", "blocked"))
		ck_assert(reply_says(&reply, "blocked_in", "client"));
	reply_fini(&reply);
	client_fini(&victim);
	stop();
}
END_TEST

START_TEST(who_hangs_up_ends_its_script)
{
	static const char script[] = "while true do emit(('x'):rep(1000)) end";
	struct client other;
	double nr_running = 1;

	start();
	client_init(&other, port, TIMEOUT_MS);
	ck_assert(client_send(
		&other, "POST", "/run/alice?lang=lua", script, strlen(script)));
	ck_assert(client_wait(&other));
	client_fini(&other);
	while (nr_running > 0) {
		struct reply reply = call("GET", "/tenants/alice", NULL);

		nr_running = reply_number(&reply, "running", 1);
		reply_fini(&reply);
	}
	expect("GET", "/metrics", NULL, 200, "tenants_kills_total{reason=\"caller\"");
	stop();
}
END_TEST

START_TEST(the_cache_lets_the_oldest_go)
{
	start();
	expect("POST", "/run/alice?lang=lua",
		"local v = ('x'):rep(60000)\n"
		"for i = 1, 500 do assert(cache_set('k' .. i, v)) end\n"
		"print(cache_get('k1'), #cache_get('k500'))",
		200, "nil\t60000");
	expect("POST", "/run/bob?lang=js", "print(cache_get('k500').length)", 200,
		"60000");
	expect("POST", "/run/bob?lang=js",
		"print(cache_set('k', new Array(70000).join('x')), cache_get('k'))", 200,
		"false undefined");
	expect("GET", "/metrics", NULL, 200,
		"tenants_cache_events_total{event=\"shrunk\"}");
	stop();
}
END_TEST

START_TEST(the_server_says_how_it_is)
{
	start();
	expect("POST", "/run/mallory?lang=lua", hog, 507, "oom");
	expect("GET", "/", NULL, 200, "<svg");
	expect("GET", "/report", NULL, 200, "mallory");
	expect("GET", "/report?format=json", NULL, 200, "\"bulkhead-report\"");
	expect_json("GET", "/report?format=json", NULL, 200);
	expect_json("GET", "/tenants", NULL, 200);
	expect("GET", "/tenants", NULL, 200, "\"kills\":1");
	expect("GET", "/metrics", NULL, 200,
		"tenants_scripts_total{outcome=\"killed\"} 1\n");
	stop();
}
END_TEST

START_TEST(the_end_of_the_server_kills_what_runs)
{
	static const char loop[] = "emit('begun') while true do end";
	struct client other;
	struct reply reply;

	start();
	client_init(&other, port, TIMEOUT_MS);
	ck_assert(client_send(&other, "POST", "/run/loop?lang=lua", loop, strlen(loop)));
	ck_assert(client_wait(&other));
	expect("POST", "/session/alice?lang=lua", "n = 1", 200, "");
	stop();
	ck_assert(client_receive(&other, &reply));
	ck_assert(!reply.is_whole);
	ck_assert(support_contains(reply.body, "begun"));
	reply_fini(&reply);
	client_fini(&other);
}
END_TEST

START_TEST(what_tasks_are_compared_with_answers_alike)
{
	set_options();
	options.contain = CONTAIN_LIMIT;
	start_server();
	expect("POST", "/run/alice?lang=lua", "print(6 * 7)", 200, "42\n");
	expect("POST", "/run/alice?lang=js", "print(6 * 7)", 200, "42\n");
	expect("POST", "/run/alice?lang=lua", hog, 507, "not enough memory");
	expect("POST", "/run/alice?lang=js", "var s = 'x'; for (;;) s += s;", 507,
		"alloc");
	expect("PUT", "/tenants/alice?deadline=50ms", NULL, 200, "50");
	expect("POST", "/run/alice?lang=lua", "while true do end", 422, "deadline");
	expect("POST", "/run/bob?lang=lua", "emit('begun ') print('tail')", 200,
		"begun tail\n");
	expect("POST", "/session/alice?lang=lua", "", 501, "--contain=task");
	stop();
}
END_TEST

START_TEST(so_does_a_process_for_each_request)
{
	set_options();
	options.contain = CONTAIN_PROCESS;
	/* more than any sanitizer wants */
	options.tenant_max = UINT64_C(1) << 46;
	start_server();
	expect("POST", "/run/alice?lang=lua", "print(6 * 7)", 200, "42\n");
	expect("POST", "/run/alice?lang=js", "throw new Error('no')", 422, "no");
	/* held by another thread of the parent: the child must not wait for its copy */
	cache_lock();
	expect("POST", "/run/alice?lang=lua",
		"print(cache_set('key', 'value'), cache_get('key'))", 200,
		"false\tnil\n");
	cache_unlock();
	expect("PUT", "/tenants/alice?deadline=50ms", NULL, 200, "50");
	expect("POST", "/run/alice?lang=js", "for (;;) ;", 504, "deadline");
	stop();
}
END_TEST

static enum options_verdict parse(const char *option)
{
	char *argv[] = {(char *)"tenants", (char *)option, NULL};

	return options_parse(2, argv, &options);
}

static void ask_for_help(void *unused)
{
	(void)unused;
	ck_assert_int_eq(parse("--help"), OPTIONS_HELP);
}

static void ask_for_nonsense(void *unused)
{
	(void)unused;
	ck_assert_int_eq(parse("--deadline=soon"), OPTIONS_BAD);
}

START_TEST(help_teaches_and_a_mistake_is_one_line)
{
	struct support_output output;

	support_capture(ask_for_help, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert(support_contains(output.out, "--tenant-max=SIZE"));
	ck_assert(support_contains(output.out, "curl --data-binary"));
	support_output_fini(&output);
	support_capture(ask_for_nonsense, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_int_eq(support_count_lines(output.err), 1);
	ck_assert(support_contains(output.err, "--deadline=soon"));
	support_output_fini(&output);
}
END_TEST

START_TEST(options_are_taken_or_refused)
{
	ck_assert_int_eq(parse("--size=1.5G"), OPTIONS_RUN);
	ck_assert_uint_eq(options.zone_size, UINT64_C(1536) << 20);
	ck_assert_int_eq(parse("--deadline=250ms"), OPTIONS_RUN);
	ck_assert_uint_eq(options.deadline_ns, 250000000);
	ck_assert_int_eq(parse("--contain=process"), OPTIONS_RUN);
	ck_assert_uint_eq(options.contain, CONTAIN_PROCESS);
	ck_assert_int_eq(parse("--drills"), OPTIONS_RUN);
	ck_assert(options.drills);
	ck_assert_int_eq(parse("--host=0.0.0.0"), OPTIONS_RUN);
	ck_assert_int_eq(parse("--host=localhost"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--port=65536"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--port="), OPTIONS_BAD);
	ck_assert_int_eq(parse("--size=-1M"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--size=1e9"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--size=64Q"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--deadline=5"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--contain=hope"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--workers=0"), OPTIONS_BAD);
	ck_assert_int_eq(parse("--nothing"), OPTIONS_BAD);
	ck_assert_int_eq(parse("stray"), OPTIONS_BAD);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_script_is_answered_with_what_it_prints);
	tcase_add_test(tcase, a_script_error_is_its_message);
	tcase_add_test(tcase, a_script_has_no_way_out);
	tcase_add_test(tcase, a_hog_is_told_why_it_was_killed);
	tcase_add_test(tcase, a_loop_ends_at_the_deadline);
	tcase_add_test(tcase, limits_are_set_by_query_and_by_json);
	tcase_add_test(tcase, what_cannot_be_is_refused);
	tcase_add_test(tcase, one_tenant_has_so_many_requests_at_a_time);
	tcase_add_test(tcase, too_many_are_refused);
	tcase_add_test(tcase, a_session_keeps_its_state);
	tcase_add_test(tcase, an_idle_session_that_was_killed_says_so_once);
	tcase_add_test(tcase, a_limit_below_the_usage_kills_at_once);
	tcase_add_test(tcase, a_session_that_is_killed_begins_anew);
	tcase_add_test(tcase, what_is_emitted_comes_before_the_script_ends);
	tcase_add_test(tcase, who_waits_for_the_cache_can_be_killed);
	tcase_add_test(tcase, who_writes_to_a_client_that_does_not_read_can_be_killed);
	tcase_add_test(tcase, who_hangs_up_ends_its_script);
	tcase_add_test(tcase, the_cache_lets_the_oldest_go);
	tcase_add_test(tcase, the_server_says_how_it_is);
	tcase_add_test(tcase, the_end_of_the_server_kills_what_runs);
	tcase_add_test(tcase, what_tasks_are_compared_with_answers_alike);
	tcase_add_test(tcase, so_does_a_process_for_each_request);
	tcase_add_test(tcase, help_teaches_and_a_mistake_is_one_line);
	tcase_add_test(tcase, options_are_taken_or_refused);
}

int main(void)
{
	return support_run("tenants", add);
}
