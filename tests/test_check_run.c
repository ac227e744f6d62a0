/* SPDX-License-Identifier: MIT */
/* Single runs under the interposer: what is recorded, what is refused, what is seen. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interposer.h"
#include "interrupt.h"

#include "support.h"
#include "support_check.h"

/* "PROGRAM ARGUMENT" of tests/subjects. */
static char *const *subject(const char *name, const char *argument)
{
	static char program[4096], word[64];
	static char *command[] = {program, word, NULL};

	(void)snprintf(program, sizeof(program), "%s", support_subject(name));
	(void)snprintf(word, sizeof(word), "%s", argument);
	return command;
}

/* Record it, then run it with the first call for @size bytes refused. */
static void refuse(const char *program, const char *argument, uint64_t size, bool hint,
	struct bhi_check_result *clean, struct bhi_check_result *ret)
{
	struct bhi_check_setup setup = support_setup(subject(program, argument));
	struct bhi_check_order order;

	support_record(&setup, clean);
	ck_assert_int_eq(clean->end, BHI_CHECK_EXITED);
	ck_assert_int_eq(clean->status, 0);
	ck_assert_uint_eq(clean->shared->crash.state, 0);
	order = support_order(clean, support_call_of_size(clean, size), hint);
	setup.timeout_ms = 2000;
	support_run_order(&setup, &order, ret);
	ck_assert_uint_eq(ret->shared->drifted, 0);
}

static void fini(struct bhi_check_result *clean, struct bhi_check_result *result)
{
	bhi_check_result_fini(result);
	bhi_check_result_fini(clean);
}

static const struct fault {
	const char *name;
	uint64_t size;
	enum bhi_check_end end;
	int status;       /* -1: any */
	int crash_signal; /* noted by the handler; 0: none */
	bool handles;     /* the program has a handler of its own */
	bool asked;
	unsigned locks; /* held at the end */
} faults[] = {
	{"crash", 10, BHI_CHECK_SIGNALED, SIGSEGV, SIGSEGV, false, false, 0},
	{"handled", 20, BHI_CHECK_EXITED, 3, 0, false, false, 0},
	{"absorbed", 30, BHI_CHECK_EXITED, 0, 0, false, false, 0},
	{"own_handler", 10, BHI_CHECK_EXITED, 7, SIGSEGV, true, false, 0},
	{"jumping_handler", 10, BHI_CHECK_EXITED, 0, SIGSEGV, true, false, 0},
	{"aborts", 40, BHI_CHECK_SIGNALED, SIGABRT, SIGABRT, false, false, 0},
	{"null_call", 50, BHI_CHECK_SIGNALED, SIGSEGV, SIGSEGV, false, false, 0},
	{"deadlock", 60, BHI_CHECK_TIMED_OUT_LOCKED, -1, 0, false, true, 0},
	{"lock_held", 70, BHI_CHECK_EXITED, 0, 0, false, false, 1},
	{"busy", 80, BHI_CHECK_TIMED_OUT_BUSY, -1, 0, false, true, 0},
	{"asleep", 90, BHI_CHECK_TIMED_OUT_ASLEEP, -1, 0, false, true, 0},
	{"runaway", 100, BHI_CHECK_TOO_MUCH_OUTPUT, -1, 0, false, true, 0},
	{"thread", 10, BHI_CHECK_SIGNALED, SIGSEGV, SIGSEGV, false, false, 0},
	{"overflow", 130, BHI_CHECK_SIGNALED, SIGSEGV, SIGSEGV, false, false, 0},
	{"repaired", 150, BHI_CHECK_SIGNALED, SIGABRT, SIGABRT, false, false, 0},
	{"thread_overflow", 130, BHI_CHECK_SIGNALED, SIGSEGV, SIGSEGV, false, false, 0},
};
#define NR_FAULTS ((int)(sizeof(faults) / sizeof(faults[0])))

static void check_fault(const struct fault *fault, const struct bhi_check_result *result)
{
	const struct bhi_check_shared *shared = result->shared;
	const struct bhi_check_crash *crash = &shared->crash;

	ck_assert_uint_eq(shared->nr_injected, 1);
	ck_assert_uint_eq(shared->injected.state, 2);
	ck_assert_uint_eq(shared->injected_size, fault->size);
	ck_assert_msg(result->end == fault->end, "%s: ended as %d, out: %s, err: %s",
		fault->name, result->end, result->out, result->err);
	if (fault->status >= 0)
		ck_assert_int_eq(result->status, fault->status);
	if (fault->crash_signal || fault->asked) {
		ck_assert_msg(crash->state == 2, "%s: no crash was noted", fault->name);
		ck_assert_uint_eq(crash->asked, fault->asked);
		ck_assert_uint_eq(crash->program_handles, fault->handles);
		ck_assert_uint_ge(crash->trace.nr_frames, 3);
	} else {
		ck_assert_uint_eq(crash->state, 0);
	}
	if (fault->crash_signal)
		ck_assert_int_eq(crash->signal, fault->crash_signal);
	if (result->end == BHI_CHECK_EXITED)
		ck_assert_uint_eq(shared->locks_held, fault->locks);
}

START_TEST(a_fault_is_seen_for_what_it_is)
{
	const struct fault *fault = &faults[_i];
	struct bhi_check_result clean, result;

	refuse("subject_faults", fault->name, fault->size, true, &clean, &result);
	check_fault(fault, &result);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_fault_is_found_without_the_number_of_the_call)
{
	const struct fault *fault = &faults[_i];
	struct bhi_check_result clean, result;

	refuse("subject_faults", fault->name, fault->size, false, &clean, &result);
	check_fault(fault, &result);
	fini(&clean, &result);
}
END_TEST

START_TEST(the_frame_of_a_crash_is_that_of_the_failed_call)
{
	struct bhi_check_result clean, result;

	refuse("subject_faults", "crash", 10, true, &clean, &result);
	ck_assert_uint_eq(
		result.shared->crash.trace.cfa[0], result.shared->injected.cfa[0]);
	ck_assert_uint_eq(result.shared->crash.address, 0);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_call_to_nowhere_has_the_stack_of_its_caller)
{
	struct bhi_check_result clean, result;
	const struct bhi_check_trace *trace;

	refuse("subject_faults", "null_call", 50, true, &clean, &result);
	trace = &result.shared->crash.trace;
	ck_assert_uint_eq(trace->frames[0] >> 48, BHI_CHECK_NO_MODULE);
	ck_assert_uint_eq(trace->cfa[1], result.shared->injected.cfa[0]);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_stack_that_cannot_be_walked_keeps_what_was_found)
{
	struct bhi_check_result clean, result;

	refuse("subject_faults", "smashed", 160, true, &clean, &result);
	/* The program's handler was called as ever. */
	ck_assert_int_eq(result.end, BHI_CHECK_EXITED);
	ck_assert_int_eq(result.status, 7);
	ck_assert_uint_eq(result.shared->crash.state, 2);
	ck_assert_uint_eq(result.shared->crash.program_handles, 1);
	ck_assert_uint_ge(result.shared->crash.trace.nr_frames, 1);
	fini(&clean, &result);
}
END_TEST

START_TEST(what_is_live_at_the_end_is_known_to_the_byte)
{
	struct bhi_check_result clean, result;

	refuse("subject_faults", "leak", 120, true, &clean, &result);
	ck_assert_uint_eq(clean.shared->exit_seen, 1);
	ck_assert_uint_eq(result.shared->exit_seen, 1);
	ck_assert_int_eq(result.shared->live_blocks - clean.shared->live_blocks, 1);
	ck_assert_int_ge(result.shared->live_bytes - clean.shared->live_bytes, 110);
	ck_assert_int_le(result.shared->live_bytes - clean.shared->live_bytes, 128);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_locked_subject_is_not_waited_for_until_the_limit)
{
	struct bhi_check_result clean, result;
	struct bhi_check_setup setup =
		support_setup(subject("subject_faults", "deadlock"));
	struct bhi_check_order order;

	support_record(&setup, &clean);
	order = support_order(&clean, support_call_of_size(&clean, 60), true);
	/* Without a limit nothing else ends it. */
	setup.timeout_ms = 0;
	support_run_order(&setup, &order, &result);
	ck_assert_int_eq(result.end, BHI_CHECK_TIMED_OUT_LOCKED);
	fini(&clean, &result);
}
END_TEST

START_TEST(persistent_and_burst_refuse_what_follows)
{
	struct bhi_check_setup setup = support_setup(subject("subject_faults", "leak"));
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	support_record(&setup, &clean);
	order = support_order(&clean, support_call_of_size(&clean, 110), true);
	order.burst = 2;
	support_run_order(&setup, &order, &result);
	ck_assert_uint_eq(result.shared->nr_injected, 2);
	bhi_check_result_fini(&result);
	order.burst = 1;
	order.persistent = true;
	support_run_order(&setup, &order, &result);
	ck_assert_uint_ge(result.shared->nr_injected, 2);
	fini(&clean, &result);
}
END_TEST

START_TEST(another_stack_at_the_hint_is_drift_and_nothing_is_refused)
{
	struct bhi_check_setup setup = support_setup(subject("subject_faults", "leak"));
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	support_record(&setup, &clean);
	order = support_order(&clean, support_call_of_size(&clean, 110), true);
	order.call++;
	support_run_order(&setup, &order, &result);
	ck_assert_uint_eq(result.shared->drifted, 1);
	ck_assert_uint_eq(result.shared->nr_injected, 0);
	ck_assert_int_eq(result.status, 0);
	fini(&clean, &result);
}
END_TEST

/* How a subject starts another program: nothing of ours is in the child. */
static const char *const children[] = {"fork_exec", "vfork_exec", "spawn", "shell"};

START_TEST(a_child_is_left_alone)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", children[_i], 1000, true, &clean, &result);
	ck_assert_msg(support_contains(result.out,
			      "LD_PRELOAD not set\nBULKHEAD_CHECK not set\n"
			      "BULKHEAD_INJECTED set\n3000: yes\n"),
		"%s", result.out);
	ck_assert_msg(support_contains(result.out, "1000: no\n"), "%s", result.out);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_child_is_followed_when_asked)
{
	struct bhi_check_setup setup =
		support_setup(subject("subject_process", children[_i]));
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	setup.follow_children = true;
	support_record(&setup, &clean);
	ck_assert_uint_ge(clean.shared->nr_execs, 1);
	order = support_order(&clean, support_call_of_size(&clean, 3000), false);
	support_run_order(&setup, &order, &result);
	ck_assert_uint_eq(result.shared->nr_injected, 1);
	ck_assert_msg(support_contains(result.out, "3000: no\n"), "%s", result.out);
	fini(&clean, &result);
}
END_TEST

START_TEST(the_first_process_stays_the_subject_when_it_executes_another_program)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", "exec_self", 3000, true, &clean, &result);
	ck_assert_uint_eq(result.shared->nr_execs, 1);
	ck_assert_msg(support_contains(result.out, "3000: no\n"), "%s", result.out);
	fini(&clean, &result);
}
END_TEST

START_TEST(no_descriptor_is_kept_open)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", "close_all", 1000, true, &clean, &result);
	ck_assert_str_eq(result.out, "the first free descriptor is 3\n1000: no\n");
	fini(&clean, &result);
}
END_TEST

START_TEST(the_constructor_of_a_library_can_be_refused)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", "library", 1000, true, &clean, &result);
	ck_assert_str_eq(result.out, "constructor: no\nloaded\n");
	fini(&clean, &result);
}
END_TEST

START_TEST(the_alternate_stack_is_that_of_the_program)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", "alternate_stack", 1000, true, &clean, &result);
	ck_assert_str_eq(result.out, "none\nnone\n");
	ck_assert_int_eq(result.status, 8);
	ck_assert_uint_eq(result.shared->crash.state, 2);
	fini(&clean, &result);
}
END_TEST

START_TEST(marks_of_the_owner_are_respected)
{
	struct bhi_check_result clean, result;

	refuse("subject_process", "benign", 1000, true, &clean, &result);
	ck_assert_uint_eq(result.shared->nr_injected, 0);
	ck_assert_uint_eq(result.shared->nr_benign, 1);
	ck_assert_str_eq(result.out, "1000: yes\n");
	fini(&clean, &result);
	refuse("subject_process", "policy", 1000, true, &clean, &result);
	ck_assert_uint_eq(result.shared->nr_policy_aborts, 1);
	ck_assert_int_eq(result.status, SIGABRT);
	fini(&clean, &result);
}
END_TEST

START_TEST(what_is_live_is_known_however_the_program_exits)
{
	struct bhi_check_setup setup =
		support_setup(subject("subject_process", _i ? "exits" : "quick_exits"));
	struct bhi_check_result clean;

	support_record(&setup, &clean);
	ck_assert_uint_eq(clean.shared->exit_seen, 1);
	ck_assert_int_eq(clean.shared->live_blocks, 1);
	bhi_check_result_fini(&clean);
}
END_TEST

START_TEST(nothing_that_was_started_is_left)
{
	struct bhi_check_setup setup = support_setup(subject("subject_process", "stray"));
	struct bhi_check_result clean;
	int pid;

	support_record(&setup, &clean);
	pid = atoi(clean.out);
	ck_assert_int_gt(pid, 1);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
	bhi_check_result_fini(&clean);
}
END_TEST

START_TEST(the_subject_stops_at_the_point_for_a_debugger)
{
	struct bhi_check_setup setup =
		support_setup(subject("subject_faults", "absorbed"));
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	support_record(&setup, &clean);
	order = support_order(&clean, support_call_of_size(&clean, 30), true);
	order.stop_at_point = true;
	support_run_order(&setup, &order, &result);
	ck_assert_int_eq(result.end, BHI_CHECK_SIGNALED);
	ck_assert_int_eq(result.status, SIGTRAP);
	ck_assert_uint_eq(result.shared->crash.state, 0);
	ck_assert_uint_eq(result.shared->injected.state, 2);
	fini(&clean, &result);
}
END_TEST

#define NR_PARALLEL 4

struct parallel {
	const struct bhi_check_setup *setup;
	int slot;
	int nr_strange;
};

static void *run_many(void *arg)
{
	struct bhi_check_order order = {.action = BHI_CHECK_COUNT};
	struct parallel *parallel = arg;

	for (int i = 0; i < 20; i++) {
		struct bhi_check_result result;

		if (bhi_check_run(parallel->setup, &order, parallel->slot, &result)) {
			parallel->nr_strange++;
			continue;
		}
		parallel->nr_strange += result.end != BHI_CHECK_EXITED || result.status ||
					!result.shared->started ||
					!support_contains(result.out, "3000: yes\n");
		bhi_check_result_fini(&result);
	}
	return NULL;
}

/* Each ends what its own subject left behind, and nothing of the others. */
START_TEST(runs_beside_each_other_do_not_meet)
{
	struct bhi_check_setup setup =
		support_setup(subject("subject_process", "fork_exec"));
	struct parallel parallel[NR_PARALLEL];
	pthread_t threads[NR_PARALLEL];

	for (int i = 0; i < NR_PARALLEL; i++) {
		parallel[i] = (struct parallel){.setup = &setup, .slot = i};
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, run_many, &parallel[i]), 0);
	}
	for (int i = 0; i < NR_PARALLEL; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(parallel[i].nr_strange, 0);
	}
}
END_TEST

START_TEST(many_threads_come_and_go)
{
	struct bhi_check_setup setup =
		support_setup(subject("subject_faults", "threads"));
	struct bhi_check_result clean;

	support_record(&setup, &clean);
	ck_assert_int_eq(clean.end, BHI_CHECK_EXITED);
	ck_assert_int_eq(clean.status, 0);
	ck_assert_uint_eq(clean.shared->nr_threads, 600);
	ck_assert_uint_eq(clean.shared->locks_held, 0);
	ck_assert_int_le(clean.shared->live_blocks, 300);
	ck_assert_int_ge(clean.shared->live_blocks, 0);
	bhi_check_result_fini(&clean);
}
END_TEST

START_TEST(a_program_with_its_own_malloc_runs_as_ever)
{
	struct bhi_check_setup setup = support_setup(subject("subject_own_malloc", ""));
	struct bhi_check_result clean;

	support_record(&setup, &clean);
	ck_assert_int_eq(clean.status, 0);
	ck_assert_str_eq(clean.out, "its own\n");
	bhi_check_result_fini(&clean);
}
END_TEST

START_TEST(a_program_that_is_not_there_was_not_started)
{
	char *command[] = {"/nowhere/at/all", NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_order order = {.action = BHI_CHECK_RECORD};
	struct bhi_check_result result;

	ck_assert_int_eq(bhi_check_run(&setup, &order, 0, &result), 0);
	ck_assert_int_eq(result.end, BHI_CHECK_NOT_STARTED);
	ck_assert_int_eq(result.status, ENOENT);
	bhi_check_result_fini(&result);
}
END_TEST

START_TEST(the_interposer_of_the_build_tree_is_found)
{
	const char *expected = getenv("BH_INTERPOSER");
	char found[4096], resolved[PATH_MAX], wanted[PATH_MAX];

	ck_assert_int_eq(bhi_check_interposer_find(found, sizeof(found)), 0);
	ck_assert_ptr_nonnull(realpath(found, resolved));
	ck_assert_ptr_nonnull(realpath(expected, wanted));
	ck_assert_str_eq(resolved, wanted);
	ck_assert_int_ne(bhi_check_interposer_find(found, 5), 0);
}
END_TEST

START_TEST(memory_is_limited_for_the_subject)
{
	char *command[] = {"/bin/sh", "-c", "ulimit -v", NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_order order = {.action = BHI_CHECK_COUNT};
	struct bhi_check_result result;

	setup.max_memory = 512u << 20;
	support_run_order(&setup, &order, &result);
	ck_assert_uint_ge(strtoul(result.out, NULL, 10), 512u << 10);
	ck_assert_uint_lt(strtoul(result.out, NULL, 10), 1024u << 10);
	bhi_check_result_fini(&result);
}
END_TEST

/* As timeout(1) sends it. */
START_TEST(a_signal_that_comes_twice_at_once_is_one)
{
	bhi_check_interrupts_catch();
	ck_assert_int_eq(bhi_check_interrupted(), 0);
	raise(SIGTERM);
	raise(SIGTERM);
	ck_assert_int_eq(bhi_check_interrupted(), SIGTERM);
	bhi_check_interrupts_release();
}
END_TEST

START_TEST(a_private_copy_is_what_the_subject_changes)
{
	char *command[] = {
		"/bin/sh", "-c", "cat dir/file; echo new >dir/file; ln -s x y", NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_order order = {.action = BHI_CHECK_COUNT};
	struct bhi_check_result first, second;
	char original[4096];
	char *text;

	(void)snprintf(original, sizeof(original), "%s", support_dir());
	support_write_file(original, "dir/file", "old\n");
	setup.copy_dir = original;
	ck_assert_int_eq(bhi_check_run(&setup, &order, 0, &first), 0);
	ck_assert_int_eq(bhi_check_run(&setup, &order, 1, &second), 0);
	ck_assert_str_eq(first.out, "old\n");
	ck_assert_str_eq(first.err, "");
	ck_assert_str_eq(first.files, second.files);
	ck_assert_int_eq(support_count_lines(first.files), 3);
	(void)snprintf(original + strlen(original), sizeof(original) - strlen(original),
		"/dir/file");
	text = support_read_file(original);
	ck_assert_str_eq(text, "old\n");
	free(text);
	fini(&first, &second);
}
END_TEST

static void add_tests(TCase *tcase)
{
	int nr_children = (int)(sizeof(children) / sizeof(children[0]));

	tcase_add_loop_test(tcase, a_fault_is_seen_for_what_it_is, 0, NR_FAULTS);
	tcase_add_loop_test(
		tcase, a_fault_is_found_without_the_number_of_the_call, 0, NR_FAULTS);
	tcase_add_test(tcase, the_frame_of_a_crash_is_that_of_the_failed_call);
	tcase_add_test(tcase, a_call_to_nowhere_has_the_stack_of_its_caller);
	tcase_add_test(tcase, a_stack_that_cannot_be_walked_keeps_what_was_found);
	tcase_add_test(tcase, what_is_live_at_the_end_is_known_to_the_byte);
	tcase_add_test(tcase, a_locked_subject_is_not_waited_for_until_the_limit);
	tcase_add_test(tcase, persistent_and_burst_refuse_what_follows);
	tcase_add_test(tcase, another_stack_at_the_hint_is_drift_and_nothing_is_refused);
	tcase_add_loop_test(tcase, a_child_is_left_alone, 0, nr_children);
	tcase_add_loop_test(tcase, a_child_is_followed_when_asked, 0, nr_children);
	tcase_add_test(tcase,
		the_first_process_stays_the_subject_when_it_executes_another_program);
	tcase_add_test(tcase, no_descriptor_is_kept_open);
	tcase_add_test(tcase, the_constructor_of_a_library_can_be_refused);
	tcase_add_test(tcase, the_alternate_stack_is_that_of_the_program);
	tcase_add_test(tcase, marks_of_the_owner_are_respected);
	tcase_add_loop_test(tcase, what_is_live_is_known_however_the_program_exits, 0, 2);
	tcase_add_test(tcase, nothing_that_was_started_is_left);
	tcase_add_test(tcase, the_subject_stops_at_the_point_for_a_debugger);
	tcase_add_test(tcase, runs_beside_each_other_do_not_meet);
	tcase_add_test(tcase, many_threads_come_and_go);
	tcase_add_test(tcase, a_program_with_its_own_malloc_runs_as_ever);
	tcase_add_test(tcase, a_program_that_is_not_there_was_not_started);
	tcase_add_test(tcase, the_interposer_of_the_build_tree_is_found);
	tcase_add_test(tcase, memory_is_limited_for_the_subject);
	tcase_add_test(tcase, a_signal_that_comes_twice_at_once_is_one);
	tcase_add_test(tcase, a_private_copy_is_what_the_subject_changes);
}

int main(void)
{
	return support_run("check_run", add_tests);
}
