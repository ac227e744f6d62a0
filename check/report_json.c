/* SPDX-License-Identifier: MIT */
/* The members are described in docs/check.md. */
#include <string.h>

#include "report.h"

#define SCHEMA_VERSION 1

static void write_place(struct bhi_out *out, const struct bhi_check_place *place)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "module", place->module);
	bhi_json_str(out, "path", place->path);
	bhi_json_u64(out, "offset", place->offset);
	bhi_json_str(out, "build_id", place->build_id);
	if (place->function) {
		bhi_json_str(out, "function", place->function);
		bhi_json_u64(out, "function_offset", place->function_offset);
	}
	if (place->file) {
		bhi_json_str(out, "file", place->file);
		bhi_json_u64(out, "line", place->line);
	}
	bhi_json_end(out, '}');
}

static void write_backtrace(
	struct bhi_out *out, const char *key, const struct bhi_check_backtrace *trace)
{
	bhi_json_begin(out, key, '[');
	for (size_t i = 0; i < trace->nr; i++)
		write_place(out, &trace->places[i]);
	bhi_json_end(out, ']');
}

static void write_hash(struct bhi_out *out, const char *key, uint64_t hash)
{
	char text[24];

	bhi_json_str(out, key, bhi_format(text, sizeof(text), "%016lx", hash));
}

static void write_test(struct bhi_out *out, const struct bhi_check_session *session,
	const struct bhi_check_test *test)
{
	bhi_json_begin(out, NULL, '{');
	write_hash(out, "stack", test->stack);
	bhi_json_u64(out, "occurrence", test->occurrence);
	bhi_json_str(out, "function", bhi_check_function_name(test->function));
	bhi_json_u64(out, "size", test->size);
	bhi_json_str(out, "class", bhi_check_class_name(test->class));
	if (test->finding < session->nr_findings)
		bhi_json_str(out, "finding", session->findings[test->finding].id);
	if (test->signal) {
		bhi_json_i64(out, "signal", test->signal);
		bhi_json_u64(out, "address", test->address);
	} else {
		bhi_json_i64(out, "status", test->status);
	}
	if (test->message)
		bhi_json_str(out, "message", test->message);
	if (test->difference)
		bhi_json_str(out, "difference", test->difference);
	if (test->class == BHI_CHECK_LEAK) {
		bhi_json_u64(out, "leaked_bytes", test->leaked_bytes);
		bhi_json_u64(out, "leaked_blocks", test->leaked_blocks);
	}
	bhi_json_end(out, '}');
}

static void write_finding(struct bhi_out *out, const struct bhi_check_finding *finding)
{
	const struct bhi_check_test *example = finding->example;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "id", finding->id);
	bhi_json_str(out, "class", bhi_check_class_name(finding->class));
	bhi_json_str(out, "title", finding->title);
	bhi_json_str(out, "module", finding->module);
	bhi_json_u64(out, "tests", finding->nr_tests);
	bhi_json_u64(out, "stacks", finding->nr_stacks);
	bhi_json_u64(out, "calls", finding->nr_calls);
	bhi_json_bool(out, "known", finding->is_known);
	bhi_json_bool(out, "suppressed", finding->is_suppressed);
	if (finding->suppressed_by)
		bhi_json_str(out, "suppressed_by", finding->suppressed_by);
	bhi_json_begin(out, "example", '{');
	write_hash(out, "stack", example->stack);
	bhi_json_u64(out, "occurrence", example->occurrence);
	bhi_json_str(out, "function", bhi_check_function_name(example->function));
	bhi_json_u64(out, "size", example->size);
	bhi_json_i64(out, "signal", example->signal);
	bhi_json_u64(out, "address", example->address);
	bhi_json_i64(out, "status", example->status);
	if (example->message)
		bhi_json_str(out, "message", example->message);
	if (example->difference)
		bhi_json_str(out, "difference", example->difference);
	write_backtrace(out, "injected", &example->injected);
	write_backtrace(out, "crash", &example->crash);
	bhi_json_end(out, '}');
	bhi_json_end(out, '}');
}

static void write_stack(struct bhi_out *out, const struct bhi_check_point_stack *stack)
{
	bhi_json_begin(out, NULL, '{');
	write_hash(out, "hash", stack->hash);
	bhi_json_u64(out, "calls", stack->nr_calls);
	bhi_json_u64(out, "first_call", stack->first_call);
	bhi_json_u64(out, "size", stack->size);
	bhi_json_u64(out, "tests", stack->nr_tested);
	if (stack->worst < BHI_CHECK_NR_CLASSES)
		bhi_json_str(out, "worst", bhi_check_class_name(stack->worst));
	write_backtrace(out, "frames", &stack->trace);
	bhi_json_end(out, '}');
}

static void write_totals(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_json_u64(out, "calls", session->nr_calls);
	bhi_json_u64(out, "points", session->nr_points);
	bhi_json_u64(out, "runs", session->nr_runs);
	if (session->nr_loader_calls || session->nr_other_calls) {
		bhi_json_u64(out, "loader_calls", session->nr_loader_calls);
		bhi_json_u64(out, "other_calls", session->nr_other_calls);
	}
	bhi_json_u64(out, "left_out", session->nr_left_out);
	bhi_json_u64(out, "unconfirmed", session->nr_unconfirmed);
	bhi_json_u64(out, "wall_ns", session->wall_ns);
	bhi_json_u64(out, "clean_cpu_ns", session->clean_cpu_ns);
	bhi_json_u64(out, "clean_wall_ns", session->clean_wall_ns);
	bhi_json_i64(out, "clean_status", session->clean_status);
	bhi_json_bool(out, "interrupted", session->was_interrupted);
	bhi_json_bool(out, "out_of_budget", session->ran_out_of_budget);
	bhi_json_begin(out, "tests_by_class", '{');
	for (int i = 0; i < BHI_CHECK_NR_CLASSES; i++)
		bhi_json_u64(out, bhi_check_class_name((enum bhi_check_class)i),
			session->nr_by_class[i]);
	bhi_json_end(out, '}');
}

void bhi_check_report_json(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-check");
	bhi_json_u64(out, "schema_version", SCHEMA_VERSION);
	bhi_json_bool(out, "injected", true);
	bhi_json_begin(out, "command", '[');
	for (char *const *word = session->command; *word; word++)
		bhi_json_str(out, NULL, *word);
	bhi_json_end(out, ']');
	bhi_json_str(out, "mode", session->mode);
	bhi_json_str(out, "fail_on", bhi_check_class_name(session->fail_on));
	write_totals(out, session);
	bhi_json_begin(out, "instabilities", '[');
	for (size_t i = 0; i < session->nr_instabilities; i++)
		bhi_json_str(out, NULL, session->instabilities[i]);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "findings", '[');
	for (size_t i = 0; i < session->nr_findings; i++)
		write_finding(out, &session->findings[i]);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "tests", '[');
	for (size_t i = 0; i < session->nr_tests; i++)
		write_test(out, session, &session->tests[i]);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "stacks", '[');
	for (size_t i = 0; i < session->nr_stacks; i++)
		write_stack(out, &session->stacks[i]);
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
	bhi_outf(out, "\n");
}
