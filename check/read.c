/* SPDX-License-Identifier: MIT */
/*
 * Reports come from other machines, so nothing in them is believed: every index is looked
 * at before it is used, and every member must have its type. The first error sticks, and
 * what is read after it is empty, so that it is looked at once, at the end.
 */
#include "read.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "index.h"
#include "write.h"

#define FILE_MAX ((size_t)1 << 30)

struct reader {
	const char *file;
	struct bhi_check_error *error;
	struct bhi_check_arena *arena;
	int r;            /* 0, or the first error */
	const char *list; /* where it is: NULL, or the array and the index in it */
	size_t at;
	struct bhi_check_place *modules; /* of each only what is the module's */
	size_t nr_modules;
	struct bhi_check_place *places;
	size_t nr_places;
	struct bhi_check_stack_index stacks;
};

static void refuse(struct reader *reader, const char *key, const char *what)
{
	if (reader->r)
		return;
	if (reader->list)
		reader->r = bhi_check_error_set(reader->error, reader->file, 0, 0,
			"%s[%zu].%s: %s", reader->list, reader->at, key, what);
	else
		reader->r = bhi_check_error_set(
			reader->error, reader->file, 0, 0, "%s: %s", key, what);
}

static void no_memory(struct reader *reader)
{
	if (reader->r)
		return;
	bhi_check_error_set(reader->error, reader->file, 0, 0, "out of memory");
	reader->r = -ENOMEM;
}

static void *allocate(struct reader *reader, size_t nr, size_t size)
{
	void *p = bhi_check_arena_alloc(reader->arena, nr, size);

	if (!p)
		no_memory(reader);
	return p;
}

static int64_t take_integer(
	struct reader *reader, json_t *object, const char *key, int64_t min, int64_t max)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < min ||
		json_integer_value(value) > max) {
		refuse(reader, key, "is not such a number");
		return 0;
	}
	return json_integer_value(value);
}

static uint64_t take_number(struct reader *reader, json_t *object, const char *key)
{
	return (uint64_t)take_integer(reader, object, key, 0, INT64_MAX);
}

static uint64_t take_hash(struct reader *reader, json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	char *end = NULL;
	uint64_t hash = 0;

	if (text && !strncmp(text, "0x", 2) && strlen(text) == 18)
		hash = strtoull(text + 2, &end, 16);
	if (!end || *end || strspn(text + 2, "0123456789abcdef") != 16)
		refuse(reader, key, "is not 0x and 16 figures");
	return hash;
}

static bool take_bool(struct reader *reader, json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_boolean(value))
		refuse(reader, key, "is neither true nor false");
	return json_is_true(value);
}

static char *copy_text(struct reader *reader, const char *text)
{
	char *copy = allocate(reader, strlen(text) + 1, 1);

	return copy ? strcpy(copy, text) : NULL;
}

/* NULL for null. */
static char *take_text_or_null(struct reader *reader, json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return copy_text(reader, json_string_value(value));
	if (!json_is_null(value))
		refuse(reader, key, "is no string");
	return NULL;
}

static char *take_text(struct reader *reader, json_t *object, const char *key)
{
	char *text = take_text_or_null(reader, object, key);

	if (!text)
		refuse(reader, key, "is no string");
	return text;
}

static enum bhi_check_class take_class(
	struct reader *reader, json_t *object, const char *key)
{
	const char *name = json_string_value(json_object_get(object, key));
	int class = name ? bhi_check_class_parse(name) : -1;

	if (class >= 0)
		return (enum bhi_check_class) class;
	refuse(reader, key, "is no class");
	return BHI_CHECK_UNREACHED;
}

static int parse_function(const char *name)
{
	for (int i = 0; i < BHI_CHECK_NR_FUNCTIONS; i++) {
		if (!strcmp(bhi_check_function_name(i), name))
			return i;
	}
	return -1;
}

static json_t *take_array(struct reader *reader, json_t *object, const char *key)
{
	json_t *array = json_object_get(object, key);

	if (!json_is_array(array))
		refuse(reader, key, "is no array");
	return array;
}

/* Indices below @limit. */
static size_t *take_indices(struct reader *reader, json_t *object, const char *key,
	size_t limit, size_t *ret_nr)
{
	json_t *array = take_array(reader, object, key);
	size_t nr = json_array_size(array);
	size_t *indices = allocate(reader, nr, sizeof(*indices));

	*ret_nr = indices ? nr : 0;
	for (size_t i = 0; i < *ret_nr; i++) {
		json_t *value = json_array_get(array, i);

		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
			(uint64_t)json_integer_value(value) >= limit) {
			refuse(reader, key, "has an index of nothing");
			*ret_nr = 0;
			return NULL;
		}
		indices[i] = (size_t)json_integer_value(value);
	}
	return indices;
}

static void take_trace(struct reader *reader, json_t *object, const char *key,
	struct bhi_check_backtrace *ret)
{
	size_t nr;
	size_t *indices = take_indices(reader, object, key, reader->nr_places, &nr);

	ret->places = allocate(reader, nr, sizeof(*ret->places));
	ret->nr = ret->places ? nr : 0;
	for (size_t i = 0; i < ret->nr; i++)
		ret->places[i] = reader->places[indices[i]];
}

static char **take_texts(
	struct reader *reader, json_t *object, const char *key, size_t *ret_nr)
{
	json_t *array = take_array(reader, object, key);
	size_t nr = json_array_size(array);
	char **texts = allocate(reader, nr + 1, sizeof(*texts));

	*ret_nr = texts ? nr : 0;
	for (size_t i = 0; i < *ret_nr; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (!text)
			refuse(reader, key, "has what is no string");
		texts[i] = copy_text(reader, text ? text : "");
	}
	return texts;
}

static void take_session(
	struct reader *reader, json_t *object, struct bhi_check_session *session)
{
	json_t *by_class = json_object_get(object, "by_class");
	size_t nr;

	if (!json_is_object(object))
		refuse(reader, "session", "is no object");
	session->command = take_texts(reader, object, "command", &nr);
	session->mode = take_text(reader, object, "mode");
	session->given = take_text(reader, object, "options");
	session->nr_calls = take_number(reader, object, "calls");
	session->nr_points = take_number(reader, object, "points");
	session->nr_runs = take_number(reader, object, "runs");
	/* Reports of mode pages have them. */
	if (json_object_get(object, "loader_calls")) {
		session->nr_loader_calls = take_number(reader, object, "loader_calls");
		session->nr_other_calls = take_number(reader, object, "other_calls");
	}
	/* Those of --fast have them. */
	if (json_object_get(object, "copies"))
		session->nr_copies = take_number(reader, object, "copies");
	if (json_object_get(object, "no_more_copies_for"))
		session->copy_reason = take_text(reader, object, "no_more_copies_for");
	session->nr_left_out = take_number(reader, object, "left_out");
	session->nr_unconfirmed = take_number(reader, object, "unconfirmed");
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++)
		session->nr_by_class[i] =
			take_number(reader, by_class, bhi_check_class_name(i));
	session->instabilities =
		take_texts(reader, object, "instabilities", &session->nr_instabilities);
	session->wall_ns = take_number(reader, object, "wall_ns");
	session->clean_cpu_ns = take_number(reader, object, "clean_cpu_ns");
	session->clean_wall_ns = take_number(reader, object, "clean_wall_ns");
	session->clean_status =
		(int)take_integer(reader, object, "clean_status", INT_MIN, INT_MAX);
	session->was_interrupted = take_bool(reader, object, "interrupted");
	session->ran_out_of_budget = take_bool(reader, object, "out_of_budget");
	session->fail_on = take_class(reader, object, "fail_on");
}

static void take_module(struct reader *reader, json_t *object)
{
	struct bhi_check_place *module = &reader->modules[reader->at];

	module->module = take_text_or_null(reader, object, "name");
	module->path = take_text_or_null(reader, object, "path");
	module->build_id = take_text(reader, object, "build_id");
}

static void take_place(struct reader *reader, json_t *object)
{
	struct bhi_check_place *place = &reader->places[reader->at];
	int64_t module = take_integer(
		reader, object, "module", 0, (int64_t)reader->nr_modules - 1);

	if (reader->r)
		return;
	*place = reader->modules[module];
	place->offset = take_number(reader, object, "offset");
	place->function = take_text_or_null(reader, object, "function");
	place->function_offset = take_number(reader, object, "function_offset");
	place->own_function = take_text_or_null(reader, object, "own_function");
	place->own_offset = take_number(reader, object, "own_offset");
	place->file = take_text_or_null(reader, object, "file");
	place->line = (unsigned)take_integer(reader, object, "line", 0, UINT_MAX);
}

static void take_stack(
	struct reader *reader, json_t *object, struct bhi_check_session *session)
{
	struct bhi_check_point_stack *stack = &session->stacks[reader->at];
	json_t *functions = take_array(reader, object, "functions");

	stack->hash = take_hash(reader, object, "hash");
	stack->nr_calls = take_number(reader, object, "calls");
	stack->first_call = take_number(reader, object, "first_call");
	stack->size = take_number(reader, object, "size");
	for (size_t i = 0; i < json_array_size(functions); i++) {
		const char *name = json_string_value(json_array_get(functions, i));
		int function = name ? parse_function(name) : -1;

		if (function < 0)
			refuse(reader, "functions", "has what is no function");
		else
			stack->functions |= 1u << function;
	}
	stack->nr_tested = take_number(reader, object, "tested");
	stack->worst = BHI_CHECK_NR_CLASSES;
	if (!json_is_null(json_object_get(object, "worst")))
		stack->worst = take_class(reader, object, "worst");
	take_trace(reader, object, "frames", &stack->trace);
}

static void take_injected(struct reader *reader, json_t *object,
	const struct bhi_check_session *session, struct bhi_check_test *test)
{
	size_t i;

	if (json_object_get(object, "injected")) {
		take_trace(reader, object, "injected", &test->injected);
		return;
	}
	i = bhi_check_stack_index_find(&reader->stacks, test->stack);
	if (i == SIZE_MAX)
		refuse(reader, "stack", "is not in stacks, and there is no injected");
	else
		test->injected = session->stacks[i].trace;
}

static void take_test(
	struct reader *reader, json_t *object, struct bhi_check_session *session)
{
	struct bhi_check_test *test = &session->tests[reader->at];
	const char *name = json_string_value(json_object_get(object, "function"));
	int function = name ? parse_function(name) : -1;

	if (function < 0)
		refuse(reader, "function", "is no function");
	test->function = (enum bhi_check_function)bhi_max(function, 0);
	test->stack = take_hash(reader, object, "stack");
	test->occurrence = take_number(reader, object, "occurrence");
	test->size = take_number(reader, object, "size");
	test->class = take_class(reader, object, "class");
	test->status = (int)take_integer(reader, object, "status", INT_MIN, INT_MAX);
	test->signal = (int)take_integer(reader, object, "signal", 0, INT_MAX);
	test->address = take_hash(reader, object, "address");
	test->difference = take_text_or_null(reader, object, "difference");
	test->message = take_text_or_null(reader, object, "message");
	test->key = take_hash(reader, object, "key");
	test->leaked_bytes = take_number(reader, object, "leaked_bytes");
	test->leaked_blocks = take_number(reader, object, "leaked_blocks");
	test->finding = SIZE_MAX;
	if (!json_is_null(json_object_get(object, "finding")))
		test->finding = (size_t)take_integer(
			reader, object, "finding", 0, (int64_t)session->nr_findings - 1);
	take_injected(reader, object, session, test);
	take_trace(reader, object, "crash", &test->crash);
}

static void take_site(
	struct reader *reader, json_t *object, struct bhi_check_finding *finding)
{
	int64_t number;

	if (json_is_null(json_object_get(object, "site")))
		return;
	number = take_integer(reader, object, "site", 0, (int64_t)reader->nr_places - 1);
	if (!reader->r)
		finding->site =
			bhi_check_test_place(finding->example, &reader->places[number]);
}

static void take_finding(
	struct reader *reader, json_t *object, struct bhi_check_session *session)
{
	struct bhi_check_finding *finding = &session->findings[reader->at];
	const char *id = json_string_value(json_object_get(object, "id"));

	if (!id || !bhi_check_id_is_valid(id, strlen(id)))
		refuse(reader, "id", "is no ID");
	else
		strcpy(finding->id, id);
	finding->class = take_class(reader, object, "class");
	finding->module = take_text_or_null(reader, object, "module");
	finding->title = take_text(reader, object, "title");
	finding->nr_stacks = take_number(reader, object, "stacks");
	finding->nr_calls = take_number(reader, object, "calls");
	finding->tests = take_indices(
		reader, object, "tests", session->nr_tests, &finding->nr_tests);
	finding->example = session->tests + take_integer(reader, object, "example", 0,
						    (int64_t)session->nr_tests - 1);
	take_site(reader, object, finding);
	finding->is_suppressed = take_bool(reader, object, "suppressed");
	finding->suppressed_by = take_text_or_null(reader, object, "suppressed_by");
	finding->is_known = take_bool(reader, object, "known");
}

/* An array of objects; memory for them is had first. */
static void *open_list(struct reader *reader, json_t *root, const char *name, size_t size,
	size_t *ret_nr)
{
	json_t *array = take_array(reader, root, name);
	void *list = allocate(reader, json_array_size(array), size);

	*ret_nr = list ? json_array_size(array) : 0;
	return list;
}

/* The objects of array @name, one by one, while nothing is wrong. */
static json_t *next_of(struct reader *reader, json_t *root, const char *name)
{
	json_t *array = json_object_get(root, name), *object;

	if (reader->list != name) {
		reader->list = name;
		reader->at = 0;
	} else {
		reader->at++;
	}
	object = reader->r ? NULL : json_array_get(array, reader->at);
	if (!object)
		reader->list = NULL;
	return object;
}

static void take_all(
	struct reader *reader, json_t *root, struct bhi_check_session *session)
{
	static const char modules[] = "modules", places[] = "places", stacks[] = "stacks",
			  tests[] = "tests", findings[] = "findings";
	json_t *object;

	reader->modules = open_list(
		reader, root, modules, sizeof(*reader->modules), &reader->nr_modules);
	reader->places = open_list(
		reader, root, places, sizeof(*reader->places), &reader->nr_places);
	session->stacks = open_list(
		reader, root, stacks, sizeof(*session->stacks), &session->nr_stacks);
	session->tests = open_list(
		reader, root, tests, sizeof(*session->tests), &session->nr_tests);
	session->findings = open_list(reader, root, findings, sizeof(*session->findings),
		&session->nr_findings);
	take_session(reader, json_object_get(root, "session"), session);
	while ((object = next_of(reader, root, modules)))
		take_module(reader, object);
	while ((object = next_of(reader, root, places)))
		take_place(reader, object);
	while ((object = next_of(reader, root, stacks)))
		take_stack(reader, object, session);
	if (bhi_check_stack_index_init(&reader->stacks, session)) {
		no_memory(reader);
		return;
	}
	while ((object = next_of(reader, root, tests)))
		take_test(reader, object, session);
	while ((object = next_of(reader, root, findings)))
		take_finding(reader, object, session);
	bhi_check_stack_index_fini(&reader->stacks);
}

static void check_schema(struct reader *reader, json_t *root)
{
	const char *schema = json_string_value(json_object_get(root, "schema"));

	if (!schema || strcmp(schema, "bulkhead-check"))
		refuse(reader, "schema", "is not bulkhead-check");
	else if (take_integer(reader, root, "schema_version", 1, INT64_MAX) !=
		 BHI_CHECK_JSON_VERSION)
		refuse(reader, "schema_version", "is not 1, which is all that is known");
}

int bhi_check_session_parse(const char *file, const char *text, size_t size,
	struct bhi_check_session *ret, struct bhi_check_arena *arena,
	struct bhi_check_error *error)
{
	struct reader reader = {.file = file, .error = error, .arena = arena};
	struct bhi_check_session session = {.nr_stacks = 0};
	json_error_t wrong;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong);

	if (!root)
		return bhi_check_error_set(error, file, (unsigned)bhi_max(wrong.line, 1),
			(unsigned)bhi_max(wrong.column, 0), "%s", wrong.text);
	check_schema(&reader, root);
	if (!reader.r)
		take_all(&reader, root, &session);
	json_decref(root);
	if (!reader.r)
		*ret = session;
	return reader.r;
}

int bhi_check_session_read(const char *file, struct bhi_check_session *ret,
	struct bhi_check_arena *arena, struct bhi_check_error *error)
{
	char *text;
	size_t size;
	int r = bhi_check_file_read(file, FILE_MAX, &text, &size, error);

	if (r)
		return r;
	r = bhi_check_session_parse(file, text, size, ret, arena, error);
	free(text);
	return r;
}
