/* SPDX-License-Identifier: MIT */
/*
 * What the script draws is JSON in an element of the page, so '<' must not stand in it.
 * "places": function or module+offset, module, file and line. "stacks": calls, tested,
 * class (the last but one of "classes" is "not reached", the last "not tested"), finding
 * or -1, and the places, innermost first.
 */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"
#include "markup.h"

static void put_text(struct bhi_out *out, const char *text)
{
	while (text && *text) {
		size_t len = bhi_utf8_length(text);
		unsigned char c = (unsigned char)*text;

		if (!len)
			bhi_outf(out, "\\ufffd");
		else if (c < ' ' || c == '<' || c == '>' || c == '&' || c == '"' ||
			 c == '\\' || c == 127)
			bhi_outf(out, "\\u%04x", c);
		else
			for (size_t i = 0; i < len; i++)
				bhi_outf(out, "%c", text[i]);
		text += len ? len : 1;
	}
}

static void put_place(struct bhi_out *out, const struct bhi_check_place *place)
{
	const char *module = place->module ? place->module : "no module";

	bhi_outf(out, "[\"");
	put_text(out, place->function ? place->function : module);
	if (!place->function)
		bhi_outf(out, "+0x%lx", place->offset);
	bhi_outf(out, "\",\"");
	put_text(out, module);
	bhi_outf(out, "\",\"");
	put_text(out, place->file);
	if (place->file)
		bhi_outf(out, ":%u", place->line);
	bhi_outf(out, "\"]");
}

static void put_classes(struct bhi_out *out)
{
	bhi_outf(out, "\"classes\":[");
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		const struct bhi_check_words *words = bhi_check_class_words(i);

		bhi_outf(out, "{\"title\":\"%s\",\"colour\":\"%s\",\"level\":\"%s\"},\n",
			words->title, words->colour, words->level);
	}
	bhi_outf(out, "{\"title\":\"Not tested\",\"colour\":\"untested\",\"level\":"
		      "\"none\"}]");
}

/* For each stack the finding of its worst test, or SIZE_MAX. */
static size_t *findings_of(const struct bhi_check_session *session)
{
	size_t *findings = malloc((session->nr_stacks + 1) * sizeof(*findings));
	struct bhi_check_stack_index index;

	if (!findings)
		return NULL;
	if (bhi_check_stack_index_init(&index, session)) {
		free(findings);
		return NULL;
	}
	for (size_t i = 0; i < session->nr_stacks; i++)
		findings[i] = SIZE_MAX;
	for (size_t i = 0; i < session->nr_tests; i++) {
		size_t k = bhi_check_stack_index_find(&index, session->tests[i].stack);

		/* Findings are sorted, worst first. */
		if (k != SIZE_MAX)
			findings[k] = bhi_min(findings[k], session->tests[i].finding);
	}
	bhi_check_stack_index_fini(&index);
	return findings;
}

static void put_stacks(struct bhi_out *out, const struct bhi_check_session *session,
	const size_t *findings, struct bhi_check_place_index *places)
{
	bhi_outf(out, "\"stacks\":[");
	for (size_t i = 0; i < session->nr_stacks; i++) {
		const struct bhi_check_point_stack *stack = &session->stacks[i];

		bhi_outf(out, "%s[%lu,%lu,%u,%ld,[", i ? ",\n" : "", stack->nr_calls,
			stack->nr_tested, stack->worst,
			findings[i] == SIZE_MAX ? -1 : (long)findings[i]);
		for (size_t k = 0; k < stack->trace.nr; k++)
			bhi_outf(out, "%s%ld", k ? "," : "",
				bhi_check_place_index_add(
					places, &stack->trace.places[k]));
		bhi_outf(out, "]]");
	}
	bhi_outf(out, "]");
}

static void put_data(struct bhi_out *out, const struct bhi_check_session *session,
	const size_t *findings, struct bhi_check_place_index *places)
{
	bhi_outf(out, "<script type=\"application/json\" id=\"data\">\n{");
	put_classes(out);
	bhi_outf(out, ",\n\"findings\":[");
	for (size_t i = 0; i < session->nr_findings; i++) {
		bhi_outf(out, "%s\"", i ? "," : "");
		put_text(out, session->findings[i].id);
		bhi_outf(out, "\"");
	}
	bhi_outf(out, "],\n\"places\":[");
	for (size_t i = 0; i < places->nr; i++) {
		bhi_outf(out, "%s", i ? ",\n" : "");
		put_place(out, places->places[i]);
	}
	bhi_outf(out, "],\n");
	put_stacks(out, session, findings, places);
	bhi_outf(out, "}\n</script>\n");
}

static const char controls[] =
	"<section id=\"flame\">\n<h2>Call stacks</h2>\n"
	"<p class=\"note\">Each box is a function; below it are the functions that it "
	"called on the way to an allocation. The colour is the worst outcome of all "
	"failures below, the stronger the more of them came to that; the strip at the "
	"foot "
	"has the shares. <span data-needs-script hidden>Click or press Enter to zoom in, "
	"Escape to zoom out; the arrow keys move.</span></p>\n"
	"<noscript><p class=\"warning\">The graph needs JavaScript; the table below has "
	"the same stacks.</p></noscript>\n"
	"<div class=\"tools\" data-needs-script hidden style=\"margin-top:12px\">"
	"<label class=\"sr\" for=\"search\">Mark functions</label>"
	"<input type=\"search\" id=\"search\" placeholder=\"mark function or "
	"module\u2026\">"
	"<span class=\"group\" role=\"group\" aria-label=\"width\">"
	"<button type=\"button\" data-unit=\"stacks\" aria-pressed=\"true\">by stacks"
	"</button>"
	"<button type=\"button\" data-unit=\"calls\" aria-pressed=\"false\">by calls"
	"</button></span>"
	"<button type=\"button\" id=\"reset\" disabled>Zoom out</button>"
	"<span class=\"say\" id=\"hits\" role=\"status\"></span></div>\n"
	"<div id=\"graph\" data-needs-script hidden><div id=\"rows\" role=\"tree\" "
	"aria-label=\"call stacks\"></div></div>\n"
	"<div id=\"about\" data-needs-script hidden></div>\n</section>\n";

int bhi_check_page_graph(struct bhi_out *out, const struct bhi_check_session *session)
{
	struct bhi_check_place_index places;
	size_t *findings;
	int r = bhi_check_place_index_init(&places, session);

	if (r)
		return r;
	findings = findings_of(session);
	if (findings) {
		bhi_outf(out, "%s", controls);
		put_data(out, session, findings, &places);
	}
	r = findings ? 0 : -ENOMEM;
	free(findings);
	bhi_check_place_index_fini(&places);
	return r;
}

void bhi_check_page_stacks(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_outf(out, "<details class=\"card\">\n<summary>All call stacks as a table (");
	bhi_check_put_number(out, session->nr_stacks);
	bhi_outf(out,
		")</summary>\n<div class=\"scroll\" tabindex=\"0\"><table>\n"
		"<thead><tr><th>called from</th><th>module</th><th class=\"n\">calls"
		"</th><th class=\"n\">tested</th><th>worst outcome</th></tr></thead>\n"
		"<tbody>\n");
	for (size_t i = 0; i < session->nr_stacks; i++) {
		const struct bhi_check_point_stack *stack = &session->stacks[i];
		bool tested = stack->worst < BHI_CHECK_NR_CLASSES;

		bhi_outf(out, "<tr><td class=\"mono\">");
		/* Who called, and for whom. */
		for (size_t k = 0; k < bhi_min(stack->trace.nr, (size_t)3); k++) {
			bhi_outf(out, k ? " \u2190 " : "");
			bhi_check_put_place(out, &stack->trace.places[k]);
		}
		bhi_outf(out, "</td><td>");
		bhi_check_put_markup(
			out, stack->trace.nr ? stack->trace.places[0].module : NULL);
		bhi_outf(out, "</td><td class=\"n\">");
		bhi_check_put_number(out, stack->nr_calls);
		bhi_outf(out, "</td><td class=\"n\">");
		bhi_check_put_number(out, stack->nr_tested);
		bhi_outf(out, "</td><td><span class=\"dot %s\"></span>%s</td></tr>\n",
			tested ? bhi_check_class_words(stack->worst)->colour : "untested",
			tested ? bhi_check_class_words(stack->worst)->title
			       : "Not tested");
	}
	bhi_outf(out, "</tbody>\n</table></div>\n</details>\n");
}
