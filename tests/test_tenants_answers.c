/* SPDX-License-Identifier: MIT */
/*
 * The tenant server where its answers are about itself: drills, limits, metrics, and the
 * end of it.
 */
#include <stdio.h>
#include <stdlib.h>

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

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_process_for_a_request_has_as_much_memory_as_its_tenant_may);
	tcase_add_test(
		tcase, a_drill_holds_the_lock_of_the_cache_until_it_is_told_to_end);
}

int main(void)
{
	return support_run("tenants_answers", add);
}
