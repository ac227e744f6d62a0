/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "markup.h"
#include "report.h"
#include "write.h"

/* Frames of the module that has the finding stand out. */
static void put_stack(
	struct bhi_out *out, const struct bhi_check_backtrace *trace, const char *module)
{
	bhi_outf(out, "<ol start=\"0\" class=\"stack\" tabindex=\"0\">\n");
	for (size_t i = 0; i < trace->nr; i++) {
		const struct bhi_check_place *place = &trace->places[i];
		bool own = module && place->module && !strcmp(module, place->module);

		bhi_outf(out, "<li title=\"");
		bhi_check_put_markup(out, place->path);
		bhi_outf(out, "+0x%lx", place->offset);
		if (place->file) {
			bhi_outf(out, ", ");
			bhi_check_put_markup(out, place->file);
			bhi_outf(out, ":%u", place->line);
		}
		bhi_outf(out, "\"><span%s>", own ? " class=\"own\"" : "");
		bhi_check_put_place(out, place);
		bhi_outf(out, "</span>");
		if (place->function && place->module) {
			bhi_outf(out, " <span class=\"in\">");
			bhi_check_put_markup(out, place->module);
			bhi_outf(out, "</span>");
		}
		bhi_outf(out, "</li>\n");
	}
	bhi_outf(out, "</ol>\n");
}

static void put_end(struct bhi_out *out, const struct bhi_check_test *test)
{
	const char *name = bhi_check_signal_name(test->signal);

	if (bhi_check_is_hang(test->class))
		bhi_outf(out, "It did not end by itself.");
	else if (!test->signal)
		bhi_outf(out, "It ended with exit status %d.", test->status);
	else if (name)
		bhi_outf(out, "It was ended by %s", name);
	else
		bhi_outf(out, "It was ended by signal %d", test->signal);
	if (test->signal)
		bhi_outf(out, test->address ? " at address 0x%lx." : ".", test->address);
	if (test->leaked_blocks)
		bhi_outf(out, " It left %lu blocks of %lu bytes more than the clean run.",
			test->leaked_blocks, test->leaked_bytes);
}

static void put_inside(struct bhi_out *out, const struct bhi_check_session *session,
	const struct bhi_check_finding *finding)
{
	const struct bhi_check_test *test = finding->example;
	char *repeat = bhi_check_repeat_line(session, finding);

	bhi_outf(out, "<div class=\"inside\">\n<p>%s ",
		bhi_check_class_words(finding->class)->text);
	put_end(out, test);
	if (finding->is_suppressed && finding->suppressed_by) {
		bhi_outf(out, " Suppressed: ");
		bhi_check_put_markup(out, finding->suppressed_by);
	}
	bhi_outf(out,
		"</p>\n<div class=\"pair\">\n<div><h3>When this %s of %lu bytes fails"
		"</h3>\n",
		bhi_check_function_name(test->function), test->size);
	put_stack(out, &test->injected, finding->module);
	bhi_outf(out, "</div>\n");
	if (test->crash.nr) {
		bhi_outf(out, "<div><h3>Then %s here</h3>\n",
			bhi_check_is_hang(finding->class) ? "it stays" : "it dies");
		put_stack(out, &test->crash, finding->module);
		bhi_outf(out, "</div>\n");
	}
	bhi_outf(out, "</div>\n");
	if (test->difference) {
		bhi_outf(out, "<h3>First difference of the output</h3>\n<pre>");
		bhi_check_put_markup(out, test->difference);
		bhi_outf(out, "</pre>\n");
	}
	bhi_outf(out, "<h3>Repeat it</h3>\n<pre>");
	bhi_check_put_markup(out, repeat);
	bhi_outf(out, "</pre>\n</div>\n");
	free(repeat);
}

static void put_finding(struct bhi_out *out, const struct bhi_check_session *session,
	const struct bhi_check_finding *finding)
{
	const struct bhi_check_words *words = bhi_check_class_words(finding->class);
	bool fails = bhi_check_finding_fails(session, finding);

	bhi_outf(out, "<details class=\"finding %s%s\" id=\"", words->colour,
		fails ? "" : " quiet");
	bhi_check_put_markup(out, finding->id);
	bhi_outf(out,
		"\">\n<summary><span class=\"badge\">%s</span><span class=\"what\">",
		words->title);
	bhi_check_put_markup(out, finding->title);
	if (finding->is_suppressed)
		bhi_outf(out, "<span class=\"tag\">suppressed</span>");
	else if (finding->is_known)
		bhi_outf(out, "<span class=\"tag\">known</span>");
	bhi_outf(out, "<span class=\"id mono\">");
	bhi_check_put_markup(out, finding->id);
	bhi_outf(out, "</span></span><span class=\"module\">");
	bhi_check_put_markup(out, finding->module);
	bhi_outf(out, "</span><span class=\"n\">");
	bhi_check_put_number(out, finding->nr_stacks);
	bhi_outf(out, "<span class=\"sr\"> stacks</span></span><span class=\"n\">");
	bhi_check_put_number(out, finding->nr_calls);
	bhi_outf(out, "<span class=\"sr\"> calls</span></span></summary>\n");
	put_inside(out, session, finding);
	bhi_outf(out, "</details>\n");
}

void bhi_check_page_findings(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_outf(out, "<section>\n<h2>Findings</h2>\n");
	if (!session->nr_findings) {
		bhi_outf(out, "<p class=\"note\">There are none.</p>\n</section>\n");
		return;
	}
	bhi_outf(out,
		"<div class=\"tools\" data-needs-script hidden>"
		"<label class=\"sr\" for=\"filter\">Show findings with</label>"
		"<input type=\"search\" id=\"filter\" placeholder=\"function, module, "
		"class\u2026\"><span class=\"say\" id=\"filtered\" "
		"role=\"status\"></span></div>\n"
		"<div class=\"columns\" aria-hidden=\"true\"><span>class</span>"
		"<span>what</span><span>module</span><span>stacks</span>"
		"<span>calls</span></div>\n");
	for (size_t i = 0; i < session->nr_findings; i++)
		put_finding(out, session, &session->findings[i]);
	bhi_outf(out, "</section>\n");
}
