/* SPDX-License-Identifier: MIT */
#include "support_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

struct bhi_check_setup support_setup(char *const *command)
{
	static char folder[4096];
	const char *interposer = getenv("BH_INTERPOSER");

	if (SUPPORT_SANITIZED)
		support_skip("an interposer and a sanitizer both replace malloc");
	ck_assert_msg(interposer != NULL, "BH_INTERPOSER is not set");
	(void)snprintf(folder, sizeof(folder), "%s", support_dir());
	return (struct bhi_check_setup){
		.command = command,
		.interposer = interposer,
		.work_dir = folder,
		.timeout_ms = 10000,
		.max_output = 1 << 20,
	};
}

const char *support_subject(const char *name)
{
	static char path[4096];
	const char *folder = getenv("BH_SUBJECTS");

	ck_assert_msg(folder != NULL, "BH_SUBJECTS is not set");
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

void support_run_order(const struct bhi_check_setup *setup,
	const struct bhi_check_order *order, struct bhi_check_result *ret)
{
	ck_assert_int_eq(bhi_check_run(setup, order, 0, ret), 0);
	ck_assert_int_ne(ret->end, BHI_CHECK_NOT_STARTED);
	ck_assert_uint_eq(ret->shared->started, 1);
	ck_assert_uint_eq(ret->shared->overflow, 0);
}

void support_record(const struct bhi_check_setup *setup, struct bhi_check_result *ret)
{
	struct bhi_check_order order = {.action = BHI_CHECK_RECORD};

	support_run_order(setup, &order, ret);
}

static const struct bhi_check_stack *stack_of_call(
	const struct bhi_check_shared *shared, uint64_t call)
{
	ck_assert_uint_ge(call, 1);
	ck_assert_uint_le(call, shared->nr_calls);
	ck_assert_uint_ne(shared->calls[call - 1], 0);
	return &shared->stacks[shared->calls[call - 1] - 1];
}

struct bhi_check_order support_order(
	const struct bhi_check_result *recorded, uint64_t call, bool hint)
{
	const struct bhi_check_shared *shared = recorded->shared;
	const struct bhi_check_stack *stack = stack_of_call(shared, call);
	bhi_check_frame first = shared->frames[stack->first_frame];
	struct bhi_check_order order = {
		.action = BHI_CHECK_INJECT,
		.stack = stack->hash,
		.call = hint ? call : 0,
		.caller_module = shared->modules[first >> 48].name_hash,
		.caller_offset = first & 0xffffffffffff,
	};

	for (uint64_t i = 1; i <= call; i++)
		order.occurrence += stack_of_call(shared, i) == stack;
	return order;
}

uint64_t support_call_of_size(const struct bhi_check_result *recorded, uint64_t size)
{
	const struct bhi_check_shared *shared = recorded->shared;

	for (uint64_t call = 1; call <= shared->nr_calls; call++) {
		const struct bhi_check_stack *stack = stack_of_call(shared, call);

		if (stack->size == size && stack->first_call == call)
			return call;
	}
	ck_abort_msg("no call for %lu bytes was recorded", (unsigned long)size);
}

static void execute(void *arg)
{
	const char *script = arg;

	execl("/bin/sh", "sh", "-c", script, NULL);
	perror("sh");
	exit(125);
}

void support_shell(struct support_output *ret, int status, const char *script)
{
	static const char *folder;

	if (SUPPORT_SANITIZED)
		support_skip("an interposer and a sanitizer both replace malloc");
	if (!folder) {
		folder = support_dir();
		setenv("XDG_STATE_HOME", folder, 1);
		ck_assert_int_eq(chdir(folder), 0);
	}
	support_capture(execute, (void *)(uintptr_t)script, ret);
	ck_assert_msg(support_exit_status(ret) == status, "%s: %d\n%s%s", script,
		support_exit_status(ret), ret->out, ret->err);
}

void support_assert_says(const struct support_output *output, const char *part)
{
	ck_assert_msg(support_contains(output->out, part), "no \"%s\" in:\n%s%s", part,
		output->out, output->err);
}
