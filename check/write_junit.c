/* SPDX-License-Identifier: MIT */
/*
 * The form that GitLab, Jenkins and GitHub's actions agree on: testsuites, testsuite,
 * testcase with failure, skipped and system-out. A case of a finding has the same name on
 * every run, so that a CI system can tell since when it fails.
 */
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"
#include "markup.h"
#include "report.h"

struct writer {
	struct bhi_out *out;
	const struct bhi_check_session *session;
	/* Of each module: its name and what came of its tests. */
	struct suite {
		const char *module;
		uint64_t nr_findings, nr_failures, nr_skipped;
		uint64_t nr_good; /* tests without a finding */
	} * suites;
	size_t nr_suites;
};

static struct suite *suite_of(struct writer *writer, const char *module)
{
	module = module ? module : "no module";
	for (size_t i = 0; i < writer->nr_suites; i++) {
		if (!strcmp(writer->suites[i].module, module))
			return &writer->suites[i];
	}
	writer->suites[writer->nr_suites].module = module;
	return &writer->suites[writer->nr_suites++];
}

/* A test without a finding counts for the module that made the call. */
static const char *caller_of(const struct bhi_check_test *test)
{
	return test->injected.nr ? test->injected.places[0].module : NULL;
}

static void count(struct writer *writer)
{
	const struct bhi_check_session *session = writer->session;

	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];
		struct suite *suite = suite_of(writer, finding->module);

		suite->nr_findings++;
		suite->nr_failures += bhi_check_finding_fails(session, finding);
		suite->nr_skipped += finding->is_suppressed || finding->is_known;
	}
	for (size_t i = 0; i < session->nr_tests; i++) {
		if (session->tests[i].finding == SIZE_MAX)
			suite_of(writer, caller_of(&session->tests[i]))->nr_good++;
	}
}

static void put_counts(struct bhi_out *out, const struct suite *suite)
{
	bhi_outf(out, " tests=\"%lu\" failures=\"%lu\" errors=\"0\" skipped=\"%lu\"",
		suite->nr_findings + !!suite->nr_good, suite->nr_failures,
		suite->nr_skipped);
}

static void put_trace(struct bhi_out *out, const struct bhi_check_backtrace *trace)
{
	for (size_t i = 0; i < trace->nr; i++) {
		const struct bhi_check_place *place = &trace->places[i];

		bhi_outf(out, "  #%zu ", i);
		bhi_check_put_place(out, place);
		if (place->function) {
			bhi_outf(out, " in ");
			bhi_check_put_markup(out, place->module);
		}
		bhi_outf(out, "\n");
	}
}

static void put_story(
	const struct writer *writer, const struct bhi_check_finding *finding)
{
	struct bhi_out *out = writer->out;
	const struct bhi_check_test *test = finding->example;
	char *repeat = bhi_check_repeat_line(writer->session, finding);

	bhi_check_put_markup(out, bhi_check_class_words(finding->class)->text);
	bhi_outf(out, "\n%zu call stacks, %lu calls of the clean run.\n",
		finding->nr_stacks, finding->nr_calls);
	bhi_outf(out, "\nWhen this %s of %lu bytes fails:\n",
		bhi_check_function_name(test->function), test->size);
	put_trace(out, &test->injected);
	if (test->crash.nr) {
		bhi_outf(out, "\nThen %s here:\n",
			bhi_check_is_hang(test->class) ? "it stays" : "it dies");
		put_trace(out, &test->crash);
	}
	if (test->difference) {
		bhi_outf(out, "\nFirst difference of the output:\n");
		bhi_check_put_markup(out, test->difference);
		bhi_outf(out, "\n");
	}
	bhi_outf(out, "\nRepeat: ");
	bhi_check_put_markup(out, repeat);
	bhi_outf(out, "\n");
	free(repeat);
}

static void put_element(const struct writer *writer, const char *name,
	const struct bhi_check_finding *finding)
{
	bhi_outf(writer->out, "   <%s type=\"%s\" message=\"", name,
		bhi_check_class_name(finding->class));
	bhi_check_put_markup(writer->out, finding->title);
	bhi_outf(writer->out, "\">");
	put_story(writer, finding);
	bhi_outf(writer->out, "</%s>\n", name);
}

static void put_skipped(struct bhi_out *out, const struct bhi_check_finding *finding)
{
	bhi_outf(out, "   <skipped message=\"");
	if (finding->is_suppressed) {
		bhi_outf(out, "suppressed: ");
		bhi_check_put_markup(out, finding->suppressed_by);
	} else {
		bhi_outf(out, "known: it is in the baseline");
	}
	bhi_outf(out, "\"/>\n");
}

static void put_case(const struct writer *writer, const struct suite *suite,
	const struct bhi_check_finding *finding)
{
	struct bhi_out *out = writer->out;

	bhi_outf(out, "  <testcase classname=\"bulkhead.");
	bhi_check_put_markup(out, suite->module);
	bhi_outf(out, "\" name=\"");
	bhi_check_put_markup(out, finding->id);
	bhi_outf(out, ": ");
	bhi_check_put_markup(out, finding->title);
	bhi_outf(out, "\" time=\"0\">\n");
	if (finding->is_suppressed || finding->is_known)
		put_skipped(out, finding);
	else if (bhi_check_finding_fails(writer->session, finding))
		put_element(writer, "failure", finding);
	else {
		bhi_outf(out, "   <system-out>");
		put_story(writer, finding);
		bhi_outf(out, "</system-out>\n");
	}
	bhi_outf(out, "  </testcase>\n");
}

static void put_suite(const struct writer *writer, const struct suite *suite)
{
	struct bhi_out *out = writer->out;
	const struct bhi_check_session *session = writer->session;

	bhi_outf(out, " <testsuite name=\"");
	bhi_check_put_markup(out, suite->module);
	bhi_outf(out, "\"");
	put_counts(out, suite);
	bhi_outf(out, " time=\"0\">\n");
	for (size_t i = 0; i < session->nr_findings; i++) {
		const char *module = session->findings[i].module;

		if (!strcmp(module ? module : "no module", suite->module))
			put_case(writer, suite, &session->findings[i]);
	}
	if (suite->nr_good) {
		bhi_outf(out, "  <testcase classname=\"bulkhead.");
		bhi_check_put_markup(out, suite->module);
		bhi_outf(out,
			"\" name=\"all other calls\" time=\"0\">\n"
			"   <system-out>%lu failures without a finding</system-out>\n"
			"  </testcase>\n",
			suite->nr_good);
	}
	bhi_outf(out, " </testsuite>\n");
}

int bhi_check_write_junit(struct bhi_out *out, const struct bhi_check_session *session)
{
	struct writer writer = {.out = out, .session = session};
	struct suite all = {.module = NULL};
	uint64_t nr_cases = 0;

	writer.suites = calloc(
		session->nr_findings + session->nr_tests + 1, sizeof(*writer.suites));
	if (!writer.suites)
		return -ENOMEM;
	count(&writer);
	for (size_t i = 0; i < writer.nr_suites; i++) {
		all.nr_failures += writer.suites[i].nr_failures;
		all.nr_skipped += writer.suites[i].nr_skipped;
		nr_cases += writer.suites[i].nr_findings + !!writer.suites[i].nr_good;
	}
	all.nr_findings = nr_cases;
	bhi_outf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<testsuites name=\"bulkhead check -- ");
	bhi_check_put_command(out, session->command);
	bhi_outf(out, "\"");
	put_counts(out, &all);
	bhi_outf(out, " time=\"%lu.%03lu\">\n", session->wall_ns / 1000000000,
		session->wall_ns / 1000000 % 1000);
	for (size_t i = 0; i < writer.nr_suites; i++)
		put_suite(&writer, &writer.suites[i]);
	bhi_outf(out, "</testsuites>\n");
	free(writer.suites);
	return 0;
}
