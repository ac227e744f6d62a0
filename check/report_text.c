/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "report.h"

/* Frames of a stack that are shown before the rest is only counted, from both ends: what
 * lies between is seldom what a reader looks for. */
#define SHOWN_FRAMES 14
#define OUTER_FRAMES 2

static bool is_plain(const char *word)
{
	return *word &&
	       !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_-+=./,:@%^")];
}

char *bhi_check_quote(char *const *command)
{
	char *line = bhi_check_strdup(""), *longer;

	for (; *command; command++) {
		char *quoted = bhi_check_alloc(4 * strlen(*command) + 3, 1), *to = quoted;

		if (is_plain(*command)) {
			strcpy(quoted, *command);
		} else {
			*to++ = '\'';
			for (const char *c = *command; *c; c++) {
				if (*c == '\'')
					to = stpcpy(to, "'\\''");
				else
					*to++ = *c;
			}
			*to = '\'';
		}
		longer = bhi_check_format("%s%s%s", line, *line ? " " : "", quoted);
		free(quoted);
		free(line);
		line = longer;
	}
	return line;
}

char *bhi_check_repeat_line(
	const struct bhi_check_session *session, const struct bhi_check_finding *finding)
{
	char *command = bhi_check_quote(session->command), *line;

	line = bhi_check_format("bulkhead check %s%s--replay %s -- %s", session->given,
		*session->given ? " " : "", finding->id, command);
	free(command);
	return line;
}

static void write_place(
	struct bhi_out *out, size_t number, const struct bhi_check_place *place)
{
	bhi_outf(out, "    #%-2zu ", number);
	if (place->function)
		bhi_outf(out, "%s+0x%lx  ", place->function, place->function_offset);
	bhi_outf(out, "%s+0x%lx", place->module ? place->module : "?", place->offset);
	if (place->file)
		bhi_outf(out, "  %s:%u", place->file, place->line);
	else if (!place->function && *place->build_id)
		bhi_outf(out, "  (build-id %s)", place->build_id);
	bhi_outf(out, "\n");
}

void bhi_check_backtrace_text(
	struct bhi_out *out, const struct bhi_check_backtrace *trace)
{
	for (size_t i = 0; i < trace->nr; i++) {
		if (i == SHOWN_FRAMES && trace->nr > SHOWN_FRAMES + OUTER_FRAMES + 1) {
			bhi_outf(out, "    ... %zu more\n",
				trace->nr - SHOWN_FRAMES - OUTER_FRAMES);
			i = trace->nr - OUTER_FRAMES;
		}
		write_place(out, i, &trace->places[i]);
	}
}

/* What the program wrote, on a line: nothing in it is an order to a terminal. */
static void write_said(struct bhi_out *out, const char *what, const char *text)
{
	bhi_outf(out, "%s", what);
	for (; *text; text++)
		bhi_outf(out, "%c",
			(unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
	bhi_outf(out, "\n");
}

static void write_end(struct bhi_out *out, const struct bhi_check_test *test)
{
	if (test->signal && test->crash.nr)
		bhi_outf(out, "  then it dies here: SIG%s, address 0x%lx\n",
			sigabbrev_np(test->signal), test->address);
	else if (test->signal)
		bhi_outf(out, "  then it dies of SIG%s; no stack was seen\n",
			sigabbrev_np(test->signal));
	else if (test->crash.nr)
		bhi_outf(out, "  then it stays here:\n");
	bhi_check_backtrace_text(out, &test->crash);
	if (test->message)
		write_said(out, "  it says: ", test->message);
	if (test->difference)
		write_said(out, "  difference: ", test->difference);
	if (test->class == BHI_CHECK_LEAK)
		bhi_outf(out,
			"  left at the end: %lu bytes in %lu blocks more than after "
			"the clean run\n",
			test->leaked_bytes, test->leaked_blocks);
	if (test->class == BHI_CHECK_SILENT_ERROR)
		bhi_outf(out, "  status: %d\n", test->status);
}

void bhi_check_finding_text(struct bhi_out *out, const struct bhi_check_session *session,
	const struct bhi_check_finding *finding)
{
	const struct bhi_check_test *test = finding->example;
	char *repeat = bhi_check_repeat_line(session, finding);

	bhi_outf(out, "%s  %s\n", finding->id, finding->title);
	bhi_outf(out,
		"  in %s; %zu tests; %lu calls with %zu stacks of the clean run lead "
		"to it\n",
		finding->module, finding->nr_tests, finding->nr_calls,
		finding->nr_stacks);
	bhi_outf(out, "  when this call fails: %s of %lu bytes, the %s with this stack\n",
		bhi_check_function_name(test->function), test->size,
		test->occurrence == 1 ? "first" : "later one");
	bhi_check_backtrace_text(out, &test->injected);
	write_end(out, test);
	bhi_outf(out, "  repeat: %s\n\n", repeat);
	free(repeat);
}

/* Told in short: somebody has decided about it. */
static bool is_accepted(const struct bhi_check_finding *finding)
{
	return finding->is_suppressed || finding->is_known;
}

/* Policy is what somebody decided: a line, not a block. */
static void write_policies(struct bhi_out *out, const struct bhi_check_session *session)
{
	bool is_first = true;

	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];

		if (finding->class != BHI_CHECK_POLICY_ABORT || is_accepted(finding))
			continue;
		if (is_first)
			bhi_outf(out,
				"The program ends itself for want of memory, as it was "
				"told to:\n");
		is_first = false;
		bhi_outf(out, "  %s  %s\n    %zu tests, %lu calls with %zu stacks",
			finding->id, finding->title, finding->nr_tests, finding->nr_calls,
			finding->nr_stacks);
		if (finding->example->message)
			write_said(out, ": ", finding->example->message);
		else
			bhi_outf(out, "\n");
	}
	if (!is_first)
		bhi_outf(out, "\n");
}

static void write_accepted(struct bhi_out *out, const struct bhi_check_session *session)
{
	const char *heading = "Suppressed:\n";

	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];

		if (!finding->is_suppressed)
			continue;
		bhi_outf(out, "%s  %s  %s\n    # %s\n", heading, finding->id,
			finding->title,
			finding->suppressed_by ? finding->suppressed_by : "");
		heading = "";
	}
	bhi_outf(out, "%s", *heading ? "" : "\n");
	heading = "Known, from the baseline:\n";
	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];

		if (!finding->is_known || finding->is_suppressed)
			continue;
		bhi_outf(out, "%s  %s  %s\n", heading, finding->id, finding->title);
		heading = "";
	}
	bhi_outf(out, "%s", *heading ? "" : "\n");
}

static void count_findings(
	const struct bhi_check_session *session, uint64_t ret[BHI_CHECK_NR_CLASSES])
{
	memset(ret, 0, BHI_CHECK_NR_CLASSES * sizeof(*ret));
	for (size_t i = 0; i < session->nr_findings; i++)
		ret[session->findings[i].class] += !is_accepted(&session->findings[i]);
}

static void write_closing(struct bhi_out *out, const struct bhi_check_session *session)
{
	uint64_t findings[BHI_CHECK_NR_CLASSES];
	uint64_t tenths = session->wall_ns / 100000000;
	size_t nr_tested = 0;
	const char *comma = "";

	for (size_t i = 0; i < session->nr_stacks; i++)
		nr_tested += session->stacks[i].nr_tested != 0;
	count_findings(session, findings);
	bhi_outf(out,
		"%lu calls with %zu stacks seen; %zu stacks tested at %zu points, %lu "
		"runs, %lu.%lu s.\nFindings: ",
		session->nr_calls, session->nr_stacks, nr_tested, session->nr_tests,
		session->nr_runs, tenths / 10, tenths % 10);
	for (int i = 0; i < BHI_CHECK_HANDLED; i++) {
		if (!findings[i])
			continue;
		bhi_outf(out, "%s%lu %s", comma, findings[i],
			bhi_check_class_name((enum bhi_check_class)i));
		comma = ", ";
	}
	bhi_outf(out, "%s. Tests that were handled: %lu, absorbed: %lu",
		*comma ? "" : "none", session->nr_by_class[BHI_CHECK_HANDLED],
		session->nr_by_class[BHI_CHECK_ABSORBED]);
	if (session->nr_by_class[BHI_CHECK_UNREACHED])
		bhi_outf(out, ", not reached: %lu",
			session->nr_by_class[BHI_CHECK_UNREACHED]);
	bhi_outf(out, ".\n");
	if (session->nr_loader_calls || session->nr_other_calls)
		bhi_outf(out,
			"Not tested: %lu page calls of the loader, which ends the "
			"process when one is refused, and %lu of the C library for "
			"itself.\n",
			session->nr_loader_calls, session->nr_other_calls);
	if (session->nr_copies || session->copy_reason)
		bhi_outf(out, "%lu of the runs were copies at the failing call%s%s.\n",
			session->nr_copies,
			session->copy_reason ? "; in the way of more were " : "",
			session->copy_reason ? session->copy_reason : "");
	if (session->nr_left_out)
		bhi_outf(out,
			"%lu points were left out: their site hung again and again.\n",
			session->nr_left_out);
	if (session->nr_unconfirmed)
		bhi_outf(out,
			"%lu outcomes were not the same when repeated; the milder one "
			"counts.\n",
			session->nr_unconfirmed);
	if (session->was_interrupted || session->ran_out_of_budget)
		bhi_outf(out,
			"%s: %zu of %lu points were tried; the same command goes on "
			"from here.\n",
			session->was_interrupted ? "Interrupted"
						 : "The budget is used up",
			session->nr_tests, session->nr_points);
	bhi_outf(out,
		"Each failure was injected by bulkhead, one a run (mode %s): none of "
		"them happened by itself.\n",
		session->mode);
}

static void write_heading(struct bhi_out *out, const struct bhi_check_session *session)
{
	char *command = bhi_check_quote(session->command);

	bhi_outf(out, "bulkhead check: %s\n", command);
	free(command);
	for (size_t i = 0; i < session->nr_instabilities; i++)
		bhi_outf(out, "note: %s\n", session->instabilities[i]);
	if (!session->nr_calls)
		bhi_outf(out, "note: no call of an allocation function was seen; what it "
			      "uses instead is not checked\n");
	bhi_outf(out, "\n");
}

void bhi_check_report_text(struct bhi_out *out, const struct bhi_check_session *session)
{
	write_heading(out, session);
	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];

		if (finding->class != BHI_CHECK_POLICY_ABORT && !is_accepted(finding))
			bhi_check_finding_text(out, session, finding);
	}
	write_policies(out, session);
	write_accepted(out, session);
	write_closing(out, session);
}

void bhi_check_list_text(struct bhi_out *out, const struct bhi_check_session *session)
{
	write_heading(out, session);
	for (size_t i = 0; i < session->nr_stacks; i++) {
		const struct bhi_check_point_stack *stack = &session->stacks[i];

		bhi_outf(out,
			"%016lx  %lu calls, the first is number %lu and of %lu bytes\n",
			stack->hash, stack->nr_calls, stack->first_call, stack->size);
		bhi_check_backtrace_text(out, &stack->trace);
	}
	bhi_outf(out, "%lu calls with %zu stacks.\n", session->nr_calls,
		session->nr_stacks);
}
