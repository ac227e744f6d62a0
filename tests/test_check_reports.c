/* SPDX-License-Identifier: MIT */
/*
 * What is written of a session of `bulkhead check`: that programs can read it, whatever
 * bytes the subject has in its names and its output, and that it says what it should.
 */
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_session.h"
#include "read.h"

#include "support.h"

typedef int (*write_fn)(struct bhi_out *out, const struct bhi_check_session *session);

static struct made made;

static char *written(write_fn write, const struct bhi_check_session *session)
{
	int fd = memfd_create("report", MFD_CLOEXEC);
	struct bhi_out out;
	off_t size;
	char *text;

	bhi_out_init(&out, fd);
	ck_assert_int_eq(write(&out, session), 0);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	size = lseek(fd, 0, SEEK_CUR);
	text = calloc(1, (size_t)size + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(pread(fd, text, (size_t)size, 0), size);
	ck_assert_uint_eq(strlen(text), (size_t)size);
	close(fd);
	return text;
}

static json_t *parsed(const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(root, "%d:%d: %s", error.line, error.column, error.text);
	return root;
}

static const char *string_at(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	ck_assert_msg(text, "%s is no string", key);
	return text;
}

static json_t *list_at(json_t *object, const char *key)
{
	json_t *array = json_object_get(object, key);

	ck_assert_msg(json_is_array(array), "%s is no array", key);
	return array;
}

/* Whether python's parsers take it: @kind is "xml" or "html", which looks for elements
 * that are not closed and for scripts that should not be there. */
static void check_markup(const char *kind, const char *text)
{
	static const char program[] =
		"import sys, html.parser, xml.etree.ElementTree as tree\n"
		"text = open(sys.argv[2], 'rb').read().decode('utf-8')\n"
		"if sys.argv[1] == 'xml':\n"
		"    tree.fromstring(text.encode())\n"
		"    sys.exit(0)\n"
		"VOID = {'meta', 'input'}\n"
		"class Parser(html.parser.HTMLParser):\n"
		"    stack, seen, ids = [], {}, set()\n"
		"    def handle_starttag(self, tag, attributes):\n"
		"        self.seen[tag] = self.seen.get(tag, 0) + 1\n"
		"        for name, value in attributes:\n"
		"            assert name not in ('src', 'href'), (name, value)\n"
		"            assert not name.startswith('on'), name\n"
		"            if name == 'id':\n"
		"                assert value not in self.ids, value\n"
		"                self.ids.add(value)\n"
		"        if tag not in VOID:\n"
		"            self.stack.append(tag)\n"
		"    def handle_endtag(self, tag):\n"
		"        assert self.stack and self.stack[-1] == tag, (tag, self.stack)\n"
		"        self.stack.pop()\n"
		"parser = Parser()\n"
		"parser.feed(text)\n"
		"parser.close()\n"
		"assert not parser.stack, parser.stack\n"
		"assert parser.seen['script'] == 2, parser.seen\n"
		"assert 'b' not in parser.seen or '<b a=' not in text\n"
		"assert not any(ord(c) < 32 and c not in '\\n\\t' for c in text)\n";
	const char *dir = support_dir();
	char path[256];
	int status;
	pid_t pid;

	support_write_file(dir, "report", text);
	bhi_format(path, sizeof(path), "%s/report", dir);
	pid = fork();
	if (!pid) {
		execlp("python3", "python3", "-c", program, kind, path, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s is malformed", kind);
}

/* What is written of the session that is read from @text. */
static char *written_again(const char *text)
{
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_session again;
	struct bhi_check_error error = {""};
	char *second;

	ck_assert_msg(!bhi_check_session_parse(
			      "r.json", text, strlen(text), &again, &arena, &error),
		"%s", error.text);
	second = written(bhi_check_write_json, &again);
	bhi_check_arena_fini(&arena);
	return second;
}

START_TEST(json_is_the_same_after_it_was_read)
{
	static const size_t sizes[] = {0, 1, 3, 200};
	json_t *first_value, *second_value;
	char *first, *second, *third;

	made_init(&made, sizes[_i / 2], 1, 1);
	if (_i % 2 && made.session.nr_stacks)
		made_poison(&made);
	first = written(bhi_check_write_json, &made.session);
	ck_assert(support_json_valid(first));
	second = written_again(first);
	third = written_again(second);
	first_value = parsed(first);
	second_value = parsed(second);
	ck_assert(json_equal(first_value, second_value));
	/* What was not UTF-8 is now, which is spelled otherwise, once. */
	ck_assert(!strcmp(second, third));
	ck_assert(_i % 2 || !strcmp(first, second));
	json_decref(first_value);
	json_decref(second_value);
	free(first);
	free(second);
	free(third);
	made_fini(&made);
}
END_TEST

START_TEST(numbers_at_the_edge_survive_json)
{
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_session again;
	struct bhi_check_error error = {""};
	char *text;

	made_init(&made, 1, 1, 1);
	made.session.stacks[0].hash = made.session.tests[0].stack = UINT64_MAX;
	made.session.tests[0].address = (uint64_t)1 << 63;
	made.session.tests[0].size = SIZE_MAX;
	made.session.clean_status = -1;
	text = written(bhi_check_write_json, &made.session);
	ck_assert_msg(!bhi_check_session_parse(
			      "r.json", text, strlen(text), &again, &arena, &error),
		"%s", error.text);
	ck_assert(again.stacks[0].hash == UINT64_MAX);
	ck_assert(again.tests[0].address == (uint64_t)1 << 63);
	ck_assert(again.tests[0].size == INT64_MAX);
	ck_assert_int_eq(again.clean_status, -1);
	free(text);
	bhi_check_arena_fini(&arena);
	made_fini(&made);
}
END_TEST

/* What is put in place of what, and what is said of it. */
static const struct {
	const char *from, *to, *error;
} bad_reports[] = {
	{"\"bulkhead-check\"", "\"bulkhead-lab\"",
		"r.json: schema: is not bulkhead-check"},
	{"\"schema_version\": 1", "\"schema_version\": 2",
		"r.json: schema_version: is not 1, which is all that is known"},
	{"\"worst\": \"", "\"worst\": \"x", "r.json: stacks[0].worst: is no class"},
	{"\"module\": 0", "\"module\": 99999",
		"r.json: places[0].module: is not such a number"},
	{"\"offset\": ", "\"offset\": -",
		"r.json: places[0].offset: is not such a number"},
	{"\"hash\": \"0x", "\"hash\": \"0y",
		"r.json: stacks[0].hash: is not 0x and 16 figures"},
	{"\"occurrence\": 1", "\"occurrence\": true",
		"r.json: tests[0].occurrence: is not such a number"},
	{"\"frames\": [", "\"frames\": [7777,",
		"r.json: stacks[0].frames: has an index of nothing"},
	{"\"mode\": \"once\"", "\"mode\": null", "r.json: mode: is no string"},
	{"\"options\": \"", "\"option\": \"", "r.json: options: is no string"},
	{"\"build_id\": \"5f3a9c10d4e2b7a6c8f90112233445566778899a\"",
		"\"build_id\": null", "r.json: modules[0].build_id: is no string"},
	{"\"known\": false", "\"known\": 0",
		"r.json: findings[0].known: is neither true nor false"},
	{"\"example\": ", "\"example\": 7777",
		"r.json: findings[0].example: is not such a number"},
	{"\"id\": \"", "\"id\": \"a b", "r.json: findings[0].id: is no ID"},
	{"{", "[", NULL},
	{"\"stacks\": [", "\"stack\": [", NULL},
};

START_TEST(a_report_that_is_not_right_is_refused_at_its_place)
{
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_session again = {.nr_calls = 7};
	struct bhi_check_error error = {""};
	const char *from = bad_reports[_i].from, *to = bad_reports[_i].to;
	char *text, *at, *bad;

	made_init(&made, 50, 1, 1);
	text = written(bhi_check_write_json, &made.session);
	at = strstr(text, from);
	ck_assert_ptr_nonnull(at);
	bad = malloc(strlen(text) + strlen(to) + 1);
	memcpy(bad, text, (size_t)(at - text));
	strcpy(stpcpy(bad + (at - text), to), at + strlen(from));
	ck_assert_int_lt(bhi_check_session_parse(
				 "r.json", bad, strlen(bad), &again, &arena, &error),
		0);
	if (bad_reports[_i].error)
		ck_assert_str_eq(error.text, bad_reports[_i].error);
	ck_assert_int_eq(strncmp(error.text, "r.json:", 7), 0);
	ck_assert_uint_eq(again.nr_calls, 7);
	free(text);
	free(bad);
	bhi_check_arena_fini(&arena);
	made_fini(&made);
}
END_TEST

static void check_location(json_t *location)
{
	json_t *physical = json_object_get(location, "physicalLocation");

	string_at(json_object_get(location, "message"), "text");
	ck_assert_uint_eq(json_array_size(list_at(location, "logicalLocations")), 1);
	if (!physical)
		return;
	string_at(json_object_get(physical, "artifactLocation"), "uri");
	ck_assert(json_object_get(physical, "address") ||
		  json_integer_value(json_object_get(
			  json_object_get(physical, "region"), "startLine")) > 0);
}

static void check_paths(json_t *result, const struct bhi_check_test *test)
{
	json_t *flow = json_array_get(list_at(result, "codeFlows"), 0);
	json_t *thread = json_array_get(list_at(flow, "threadFlows"), 0), *one;
	json_t *stacks = list_at(result, "stacks");
	size_t i, fails = 0, dies = 0;

	json_array_foreach(list_at(thread, "locations"), i, one)
	{
		json_t *location = json_object_get(one, "location");
		const char *text;

		check_location(location);
		text = string_at(json_object_get(location, "message"), "text");
		fails += !strcmp(text, "when this call fails");
		dies += !strcmp(text, "then it dies here");
	}
	ck_assert_uint_eq(fails, 1);
	ck_assert_uint_eq(dies, test->crash.nr > 0);
	ck_assert_uint_eq(json_array_size(stacks), 1 + (test->crash.nr > 0));
	ck_assert_uint_eq(json_array_size(list_at(json_array_get(stacks, 0), "frames")),
		test->injected.nr);
	json_array_foreach(list_at(json_array_get(stacks, 0), "frames"), i, one)
	{
		check_location(json_object_get(one, "location"));
	}
}

static void check_result(json_t *result, json_t *rules, unsigned number)
{
	const struct bhi_check_finding *finding = &made.session.findings[number];
	json_t *rule = json_array_get(
		rules, (size_t)json_integer_value(json_object_get(result, "ruleIndex")));
	json_t *suppressions = list_at(result, "suppressions");

	ck_assert_str_eq(
		string_at(result, "ruleId"), bhi_check_class_name(finding->class));
	ck_assert_str_eq(string_at(rule, "id"), string_at(result, "ruleId"));
	ck_assert_str_eq(
		string_at(json_object_get(result, "fingerprints"), "bulkheadFinding/v1"),
		finding->id);
	if (made.session.has_baseline)
		ck_assert_str_eq(string_at(result, "baselineState"),
			finding->is_known ? "unchanged" : "new");
	else
		ck_assert_ptr_null(json_object_get(result, "baselineState"));
	string_at(json_object_get(result, "message"), "text");
	ck_assert_uint_eq(json_array_size(suppressions), finding->is_suppressed);
	if (finding->is_suppressed)
		string_at(json_array_get(suppressions, 0), "justification");
	ck_assert_uint_eq(json_array_size(list_at(result, "locations")), 1);
	check_location(json_array_get(list_at(result, "locations"), 0));
	check_paths(result, finding->example);
}

START_TEST(sarif_has_what_code_scanning_needs)
{
	json_t *root, *run, *driver, *rules, *result;
	char *text;
	size_t i;

	made_init(&made, 300, 1, 1);
	made.session.has_baseline = _i;
	made.session.findings[1].is_known = true;
	made.session.findings[2].is_suppressed = true;
	made.session.findings[2].suppressed_by = "a reason";
	if (_i)
		made_poison(&made);
	text = written(bhi_check_write_sarif, &made.session);
	root = parsed(text);
	ck_assert_str_eq(string_at(root, "version"), "2.1.0");
	string_at(root, "$schema");
	run = json_array_get(list_at(root, "runs"), 0);
	driver = json_object_get(json_object_get(run, "tool"), "driver");
	string_at(driver, "name");
	rules = list_at(driver, "rules");
	ck_assert_uint_eq(json_array_size(rules), BHI_CHECK_NR_CLASSES);
	ck_assert_uint_eq(
		json_array_size(list_at(run, "results")), made.session.nr_findings);
	ck_assert_uint_gt(made.session.nr_findings, 10);
	json_array_foreach(list_at(run, "results"), i, result)
	{
		check_result(result, rules, (unsigned)i);
	}
	json_decref(root);
	free(text);
	made_fini(&made);
}
END_TEST

START_TEST(sarif_escapes_paths_and_tells_offsets)
{
	char *text;

	made_init(&made, 300, 1, 1);
	text = written(bhi_check_write_sarif, &made.session);
	ck_assert(support_contains(text, "\"file:///opt/a%20b/libparse.so.1\""));
	ck_assert(support_contains(text, "\"relativeAddress\": "));
	ck_assert(support_contains(text, "\"src/dict.c\""));
	free(text);
	made_fini(&made);
}
END_TEST

START_TEST(xml_and_html_are_well_formed_whatever_the_bytes)
{
	static const struct {
		const char *kind;
		write_fn write;
	} reports[] = {{"xml", bhi_check_write_junit}, {"html", bhi_check_write_html}};
	char *text;

	made_init(&made, 100, 1, 1);
	if (_i / 2)
		made_poison(&made);
	text = written(reports[_i % 2].write, &made.session);
	check_markup(reports[_i % 2].kind, text);
	free(text);
	made_fini(&made);
}
END_TEST

static size_t count(const char *text, const char *word)
{
	size_t nr = 0;

	while ((text = strstr(text, word))) {
		text += strlen(word);
		nr++;
	}
	return nr;
}

START_TEST(junit_fails_for_what_makes_the_exit_status_fail)
{
	size_t fails = 0;
	char *text;

	made_init(&made, 300, 1, 1);
	made.session.findings[0].is_known = true;
	made.session.findings[1].is_suppressed = true;
	made.session.findings[1].suppressed_by = "why <not>";
	for (size_t i = 0; i < made.session.nr_findings; i++)
		fails +=
			bhi_check_finding_fails(&made.session, &made.session.findings[i]);
	ck_assert_uint_gt(fails, 3);
	ck_assert_uint_lt(fails, made.session.nr_findings - 2);
	text = written(bhi_check_write_junit, &made.session);
	ck_assert_uint_eq(count(text, "<failure "), fails);
	ck_assert_uint_eq(count(text, "<skipped "), 2);
	/* A case for each finding, and one in each of the modules for the rest. */
	ck_assert_uint_eq(count(text, "<testcase "), made.session.nr_findings + 4);
	ck_assert(support_contains(text, "suppressed: why &#60;not&#62;"));
	ck_assert(support_contains(text, "Then it dies here:"));
	free(text);
	made_fini(&made);
}
END_TEST

START_TEST(a_session_without_findings_can_be_shown)
{
	static const write_fn writers[] = {bhi_check_write_sarif, bhi_check_write_junit,
		bhi_check_write_html, bhi_check_write_json};
	char *text;

	made_init(&made, 0, 1, 1);
	for (size_t i = 0; i < bhi_array_size(writers); i++) {
		text = written(writers[i], &made.session);
		ck_assert_uint_gt(strlen(text), 20);
		if (writers[i] == bhi_check_write_html)
			ck_assert(support_contains(text, "No finding"));
		free(text);
	}
	made_fini(&made);
}
END_TEST

START_TEST(the_page_shows_both_stacks_and_how_to_repeat)
{
	char *text;

	made_init(&made, 100, 1, 1);
	text = written(bhi_check_write_html, &made.session);
	ck_assert(support_contains(text, "Then it dies here"));
	ck_assert(support_contains(
		text, "bulkhead check --stdin &#39;a b&#39; --replay crash-"));
	ck_assert(support_contains(text, "It was ended by SIGSEGV at address "
					 "0xffffffffffffff18."));
	ck_assert(support_contains(text, "line 12: &#34;012 line a&#34; is missing"));
	ck_assert(support_contains(text, "std::vector&#60;int&#62;"));
	ck_assert(!support_contains(text, "http://"));
	ck_assert(!support_contains(text, "https://"));
	free(text);
	made_fini(&made);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, json_is_the_same_after_it_was_read, 0, 8);
	tcase_add_test(tcase, numbers_at_the_edge_survive_json);
	tcase_add_loop_test(tcase, a_report_that_is_not_right_is_refused_at_its_place, 0,
		(int)bhi_array_size(bad_reports));
	tcase_add_loop_test(tcase, sarif_has_what_code_scanning_needs, 0, 2);
	tcase_add_test(tcase, sarif_escapes_paths_and_tells_offsets);
	tcase_add_loop_test(tcase, xml_and_html_are_well_formed_whatever_the_bytes, 0, 4);
	tcase_add_test(tcase, junit_fails_for_what_makes_the_exit_status_fail);
	tcase_add_test(tcase, a_session_without_findings_can_be_shown);
	tcase_add_test(tcase, the_page_shows_both_stacks_and_how_to_repeat);
}

int main(void)
{
	return support_run("check_reports", add);
}
