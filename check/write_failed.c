/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/wait.h>

#include "bulkhead.h"

#include "fail.h"
#include "report.h"

static const char *function_of(const struct bhi_check_failure *failure)
{
	return bhi_check_function_name(
		(enum bhi_check_function)__builtin_ctz(failure->functions));
}

void bhi_check_failed_text(struct bhi_out *out, const struct bhi_check_failed *failed)
{
	const struct bhi_check_shared *shared = failed->shared;

	bhi_outf(out, "bulkhead fail: %lu of %lu calls were made to fail\n",
		shared->nr_injected, shared->nr_calls);
	for (size_t i = 0; i < failed->nr_failures; i++) {
		const struct bhi_check_failure *failure = &failed->failures[i];

		bhi_outf(out, "  call %lu: %s of %lu bytes", failure->first_call,
			function_of(failure), failure->size);
		if (failure->nr_calls > 1)
			bhi_outf(out, ", and %lu more with this stack",
				failure->nr_calls - 1);
		bhi_outf(out, "\n");
		bhi_check_backtrace_text(out, &failure->trace);
	}
	if (failed->crash.nr)
		bhi_outf(out, "  then SIG%s here\n", sigabbrev_np(failed->signal));
	bhi_check_backtrace_text(out, &failed->crash);
}

static void put_place(struct bhi_out *out, const struct bhi_check_place *place)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "module", place->module);
	bhi_json_u64(out, "offset", place->offset);
	bhi_json_str(out, "function", place->function);
	bhi_json_str(out, "file", place->file);
	bhi_json_u64(out, "line", place->line);
	bhi_json_end(out, '}');
}

static void put_trace(
	struct bhi_out *out, const char *key, const struct bhi_check_backtrace *trace)
{
	bhi_json_begin(out, key, '[');
	for (size_t i = 0; i < trace->nr; i++)
		put_place(out, &trace->places[i]);
	bhi_json_end(out, ']');
}

static void put_failure(struct bhi_out *out, const struct bhi_check_failure *failure)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "call", failure->first_call);
	bhi_json_str(out, "function", function_of(failure));
	bhi_json_u64(out, "size", bhi_min(failure->size, (uint64_t)INT64_MAX));
	bhi_json_u64(out, "calls", failure->nr_calls);
	put_trace(out, "stack", &failure->trace);
	bhi_json_end(out, '}');
}

void bhi_check_failed_json(struct bhi_out *out, const struct bhi_check_fail *fail,
	const struct bhi_check_failed *failed)
{
	bool exited = WIFEXITED(failed->status);

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-fail");
	bhi_json_u64(out, "schema_version", 1);
	bhi_json_str(out, "bulkhead", bh_version());
	bhi_json_begin(out, "command", '[');
	for (char *const *word = fail->command; *word; word++)
		bhi_json_str(out, NULL, *word);
	bhi_json_end(out, ']');
	bhi_json_str(out, "settings", fail->settings);
	bhi_json_u64(out, "nth", fail->nth);
	bhi_json_u64(out, "calls", failed->shared->nr_calls);
	bhi_json_u64(out, "failed", failed->shared->nr_injected);
	bhi_json_u64(out, "status", exited ? (unsigned)WEXITSTATUS(failed->status) : 0);
	bhi_json_u64(out, "signal", exited ? 0 : (unsigned)WTERMSIG(failed->status));
	bhi_json_begin(out, "failures", '[');
	for (size_t i = 0; i < failed->nr_failures; i++)
		put_failure(out, &failed->failures[i]);
	bhi_json_end(out, ']');
	put_trace(out, "crash", &failed->crash);
	bhi_json_end(out, '}');
}
