/* SPDX-License-Identifier: MIT */
/* Single runs under the interposer: what is recorded, what is refused, what is seen. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "support_check.h"

/* Record "subject_faults NAME", then run it with the call for @size bytes refused. */
static void refuse(const char *name, uint64_t size, struct bhi_check_setup *setup,
	struct bhi_check_result *clean, struct bhi_check_result *ret)
{
	static char program[4096], argument[64];
	static char *command[] = {program, argument, NULL};
	struct bhi_check_order order;

	(void)snprintf(program, sizeof(program), "%s", support_subject("subject_faults"));
	(void)snprintf(argument, sizeof(argument), "%s", name);
	*setup = support_setup(command);
	support_record(setup, clean);
	ck_assert_int_eq(clean->end, BHI_CHECK_EXITED);
	ck_assert_int_eq(clean->status, 0);
	ck_assert_uint_eq(clean->shared->crash.state, 0);
	order = support_order(clean, support_call_of_size(clean, size), true);
	setup->timeout_ms = 2000;
	support_run_order(setup, &order, ret);
	ck_assert_uint_eq(ret->shared->drifted, 0);
	ck_assert_uint_eq(ret->shared->nr_injected, 1);
	ck_assert_uint_eq(ret->shared->injected.state, 2);
}

START_TEST(a_result_that_is_not_looked_at_crashes)
{
	struct bhi_check_setup setup;
	struct bhi_check_result clean, result;

	refuse("crash", 10, &setup, &clean, &result);
	ck_assert_int_eq(result.end, BHI_CHECK_SIGNALED);
	ck_assert_int_eq(result.status, SIGSEGV);
	ck_assert_uint_eq(result.shared->crash.state, 2);
	ck_assert_int_eq(result.shared->crash.signal, SIGSEGV);
	ck_assert_uint_eq(result.shared->crash.program_handles, 0);
	ck_assert_uint_ge(result.shared->crash.trace.nr_frames, 3);
	/* The crash is in the function that called malloc: the same frame. */
	ck_assert_uint_eq(
		result.shared->crash.trace.cfa[0], result.shared->injected.cfa[0]);
	bhi_check_result_fini(&result);
	bhi_check_result_fini(&clean);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_result_that_is_not_looked_at_crashes);
}

int main(void)
{
	return support_run("check_run", add_tests);
}
