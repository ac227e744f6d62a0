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

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_drill_holds_the_lock_of_the_cache_until_it_is_told_to_end);
}

int main(void)
{
	return support_run("tenants_answers", add);
}
