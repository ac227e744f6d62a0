/* SPDX-License-Identifier: MIT */
/*
 * The session as docs/check-format.md describes it. Places and modules are numbered and
 * stand at the end: most frames are shared by many stacks. What is written here is read
 * by read.c; a session that was read is written to the same bytes again.
 */
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bulkhead.h"

#include "index.h"

struct writer {
	struct bhi_out *out;
	const struct bhi_check_session *session;
	struct bhi_check_place_index places;
	struct bhi_check_stack_index stacks;
	struct bhi_check_place *modules; /* a place in each */
	size_t nr_modules;
};

static void put_hash(struct bhi_out *out, const char *key, uint64_t hash)
{
	char text[24];

	bhi_json_str(out, key, bhi_format(text, sizeof(text), "0x%016lx", hash));
}

/* Readers have 63 bits. */
static void put_number(struct bhi_out *out, const char *key, uint64_t number)
{
	bhi_json_u64(out, key, bhi_min(number, (uint64_t)INT64_MAX));
}

static void put_trace(
	struct writer *writer, const char *key, const struct bhi_check_backtrace *trace)
{
	bhi_json_begin(writer->out, key, '[');
	for (size_t i = 0; i < trace->nr; i++)
		/* It is there: no memory is needed to find it. */
		bhi_json_i64(writer->out, NULL,
			bhi_check_place_index_add(&writer->places, &trace->places[i]));
	bhi_json_end(writer->out, ']');
}

static void put_session(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_json_begin(out, "session", '{');
	bhi_json_begin(out, "command", '[');
	for (char *const *word = session->command; word && *word; word++)
		bhi_json_str(out, NULL, *word);
	bhi_json_end(out, ']');
	bhi_json_str(out, "mode", session->mode);
	bhi_json_str(out, "options", session->given);
	put_number(out, "calls", session->nr_calls);
	put_number(out, "points", session->nr_points);
	put_number(out, "runs", session->nr_runs);
	if (session->nr_loader_calls || session->nr_other_calls) {
		put_number(out, "loader_calls", session->nr_loader_calls);
		put_number(out, "other_calls", session->nr_other_calls);
	}
	if (session->nr_copies || session->copy_reason)
		put_number(out, "copies", session->nr_copies);
	if (session->copy_reason)
		bhi_json_str(out, "no_more_copies_for", session->copy_reason);
	put_number(out, "left_out", session->nr_left_out);
	put_number(out, "unconfirmed", session->nr_unconfirmed);
	bhi_json_begin(out, "by_class", '{');
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++)
		put_number(out, bhi_check_class_name(i), session->nr_by_class[i]);
	bhi_json_end(out, '}');
	bhi_json_begin(out, "instabilities", '[');
	for (size_t i = 0; i < session->nr_instabilities; i++)
		bhi_json_str(out, NULL, session->instabilities[i]);
	bhi_json_end(out, ']');
	put_number(out, "wall_ns", session->wall_ns);
	put_number(out, "clean_cpu_ns", session->clean_cpu_ns);
	put_number(out, "clean_wall_ns", session->clean_wall_ns);
	bhi_json_i64(out, "clean_status", session->clean_status);
	bhi_json_bool(out, "interrupted", session->was_interrupted);
	bhi_json_bool(out, "out_of_budget", session->ran_out_of_budget);
	bhi_json_str(out, "fail_on", bhi_check_class_name(session->fail_on));
	bhi_json_end(out, '}');
}

static void put_finding(struct writer *writer, const struct bhi_check_finding *finding)
{
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "id", finding->id);
	bhi_json_str(out, "class", bhi_check_class_name(finding->class));
	bhi_json_str(out, "module", finding->module);
	bhi_json_str(out, "title", finding->title);
	put_number(out, "stacks", finding->nr_stacks);
	put_number(out, "calls", finding->nr_calls);
	bhi_json_u64(
		out, "example", (uint64_t)(finding->example - writer->session->tests));
	if (finding->site)
		bhi_json_i64(out, "site",
			bhi_check_place_index_add(&writer->places, finding->site));
	else
		bhi_json_str(out, "site", NULL);
	bhi_json_begin(out, "tests", '[');
	for (size_t i = 0; i < finding->nr_tests; i++)
		bhi_json_u64(out, NULL, finding->tests[i]);
	bhi_json_end(out, ']');
	bhi_json_bool(out, "suppressed", finding->is_suppressed);
	bhi_json_str(out, "suppressed_by", finding->suppressed_by);
	bhi_json_bool(out, "known", finding->is_known);
	bhi_json_end(out, '}');
}

static void put_stack(struct writer *writer, const struct bhi_check_point_stack *stack)
{
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, NULL, '{');
	put_hash(out, "hash", stack->hash);
	put_number(out, "calls", stack->nr_calls);
	put_number(out, "first_call", stack->first_call);
	put_number(out, "size", stack->size);
	bhi_json_begin(out, "functions", '[');
	for (unsigned i = 0; i < BHI_CHECK_NR_FUNCTIONS; i++) {
		if (stack->functions & 1u << i)
			bhi_json_str(out, NULL, bhi_check_function_name(i));
	}
	bhi_json_end(out, ']');
	put_number(out, "tested", stack->nr_tested);
	bhi_json_str(out, "worst",
		stack->worst < BHI_CHECK_NR_CLASSES ? bhi_check_class_name(stack->worst)
						    : NULL);
	put_trace(writer, "frames", &stack->trace);
	bhi_json_end(out, '}');
}

static bool is_stack_of(const struct writer *writer, const struct bhi_check_test *test)
{
	size_t i = bhi_check_stack_index_find(&writer->stacks, test->stack);
	const struct bhi_check_backtrace *trace;

	if (i == SIZE_MAX)
		return false;
	trace = &writer->session->stacks[i].trace;
	if (trace->nr != test->injected.nr)
		return false;
	for (size_t k = 0; k < trace->nr; k++) {
		if (!bhi_check_place_same(&trace->places[k], &test->injected.places[k]))
			return false;
	}
	return true;
}

static void put_test(struct writer *writer, const struct bhi_check_test *test)
{
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, NULL, '{');
	put_hash(out, "stack", test->stack);
	put_number(out, "occurrence", test->occurrence);
	bhi_json_str(out, "function", bhi_check_function_name(test->function));
	put_number(out, "size", test->size);
	bhi_json_str(out, "class", bhi_check_class_name(test->class));
	bhi_json_i64(out, "status", test->status);
	bhi_json_i64(out, "signal", test->signal);
	put_hash(out, "address", test->address);
	bhi_json_str(out, "difference", test->difference);
	bhi_json_str(out, "message", test->message);
	put_hash(out, "key", test->key);
	put_number(out, "leaked_bytes", test->leaked_bytes);
	put_number(out, "leaked_blocks", test->leaked_blocks);
	if (test->finding < writer->session->nr_findings)
		bhi_json_u64(out, "finding", test->finding);
	else
		bhi_json_str(out, "finding", NULL);
	if (!is_stack_of(writer, test))
		put_trace(writer, "injected", &test->injected);
	put_trace(writer, "crash", &test->crash);
	bhi_json_end(out, '}');
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Modules are few. Neighbours in a stack are mostly of the one that was found last. */
static size_t module_of(struct writer *writer, const struct bhi_check_place *place)
{
	size_t i = writer->nr_modules;

	while (i--) {
		const struct bhi_check_place *module = &writer->modules[i];

		if (same_text(module->module, place->module) &&
			same_text(module->path, place->path) &&
			same_text(module->build_id, place->build_id))
			return i;
	}
	writer->modules[writer->nr_modules] = *place;
	return writer->nr_modules++;
}

static void put_places(struct writer *writer)
{
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, "places", '[');
	for (size_t i = 0; i < writer->places.nr; i++) {
		const struct bhi_check_place *place = writer->places.places[i];

		bhi_json_begin(out, NULL, '{');
		bhi_json_u64(out, "module", module_of(writer, place));
		put_number(out, "offset", place->offset);
		bhi_json_str(out, "function", place->function);
		put_number(out, "function_offset", place->function_offset);
		bhi_json_str(out, "own_function", place->own_function);
		put_number(out, "own_offset", place->own_offset);
		bhi_json_str(out, "file", place->file);
		bhi_json_u64(out, "line", place->line);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
	bhi_json_begin(out, "modules", '[');
	for (size_t i = 0; i < writer->nr_modules; i++) {
		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "name", writer->modules[i].module);
		bhi_json_str(out, "path", writer->modules[i].path);
		bhi_json_str(out, "build_id", writer->modules[i].build_id);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

static void put_all(struct writer *writer)
{
	const struct bhi_check_session *session = writer->session;
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-check");
	bhi_json_u64(out, "schema_version", BHI_CHECK_JSON_VERSION);
	bhi_json_str(out, "bulkhead", bh_version());
	put_session(out, session);
	bhi_json_begin(out, "findings", '[');
	for (size_t i = 0; i < session->nr_findings; i++)
		put_finding(writer, &session->findings[i]);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "stacks", '[');
	for (size_t i = 0; i < session->nr_stacks; i++)
		put_stack(writer, &session->stacks[i]);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "tests", '[');
	for (size_t i = 0; i < session->nr_tests; i++)
		put_test(writer, &session->tests[i]);
	bhi_json_end(out, ']');
	put_places(writer);
	bhi_json_end(out, '}');
}

int bhi_check_write_json(struct bhi_out *out, const struct bhi_check_session *session)
{
	struct writer writer = {.out = out, .session = session};
	int r = bhi_check_place_index_init(&writer.places, session);

	if (r)
		return r;
	r = bhi_check_stack_index_init(&writer.stacks, session);
	if (r)
		goto err_places;
	writer.modules = calloc(writer.places.nr + 1, sizeof(*writer.modules));
	if (!writer.modules) {
		r = -ENOMEM;
		goto err_stacks;
	}
	put_all(&writer);
	free(writer.modules);
err_stacks:
	bhi_check_stack_index_fini(&writer.stacks);
err_places:
	bhi_check_place_index_fini(&writer.places);
	return r;
}
