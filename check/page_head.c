/* SPDX-License-Identifier: MIT */
#include "page.h"

#include "markup.h"
#include "write.h"

static void put_verdict(struct bhi_out *out, const struct bhi_check_session *session)
{
	size_t nr = 0;

	for (size_t i = 0; i < session->nr_findings; i++)
		nr += bhi_check_finding_fails(session, &session->findings[i]);
	bhi_outf(out, "<p class=\"verdict %s\">", nr ? "bad" : "good");
	if (nr)
		bhi_outf(out, "%zu finding%s", nr, nr == 1 ? "" : "s");
	else
		bhi_outf(out, "No finding");
	bhi_outf(out, "</p>\n<p class=\"note\">Of class %s or worse%s.",
		bhi_check_class_name(session->fail_on),
		nr == session->nr_findings ? "" : ", neither suppressed nor known");
	if (session->nr_findings > nr)
		bhi_outf(out, " %zu other%s listed too.", session->nr_findings - nr,
			session->nr_findings - nr == 1 ? " is" : "s are");
	bhi_outf(out, "</p>\n");
}

static void put_warnings(struct bhi_out *out, const struct bhi_check_session *session)
{
	if (session->was_interrupted)
		bhi_outf(out, "<p class=\"warning\">The session was interrupted: not all "
			      "that was planned has been tested.</p>\n");
	if (session->ran_out_of_budget)
		bhi_outf(out,
			"<p class=\"warning\">The time was over before all that was "
			"planned had been tested.</p>\n");
	if (!session->nr_instabilities)
		return;
	bhi_outf(out, "<div class=\"warning\">The clean run is not the same each time:"
		      "<ul>\n");
	for (size_t i = 0; i < session->nr_instabilities; i++) {
		bhi_outf(out, "<li>");
		bhi_check_put_markup(out, session->instabilities[i]);
		bhi_outf(out, "</li>\n");
	}
	bhi_outf(out, "</ul></div>\n");
}

static void put_number(struct bhi_out *out, const char *name, uint64_t number)
{
	bhi_outf(out, "<div><dt>%s</dt><dd>", name);
	bhi_check_put_number(out, number);
	bhi_outf(out, "</dd></div>\n");
}

static void put_seconds(struct bhi_out *out, const char *name, uint64_t ns)
{
	bhi_outf(out, "<div><dt>%s</dt><dd>", name);
	if (ns >= 600000000000u)
		bhi_outf(out, "%lu min", ns / 60000000000);
	else if (ns >= 1000000000)
		bhi_outf(out, "%lu.%lu s", ns / 1000000000, ns / 100000000 % 10);
	else
		bhi_outf(out, "%lu.%lu ms", ns / 1000000, ns / 100000 % 10);
	bhi_outf(out, "</dd></div>\n");
}

static void put_numbers(struct bhi_out *out, const struct bhi_check_session *session)
{
	uint64_t nr_tested = 0;

	for (size_t i = 0; i < session->nr_stacks; i++)
		nr_tested += session->stacks[i].nr_tested > 0;
	bhi_outf(out, "<dl class=\"numbers\">\n");
	put_number(out, "allocation calls", session->nr_calls);
	put_number(out, "call stacks seen", session->nr_stacks);
	put_number(out, "call stacks tested", nr_tested);
	put_number(out, "runs with a failure", session->nr_runs);
	put_seconds(out, "whole session", session->wall_ns);
	put_seconds(out, "one clean run", session->clean_wall_ns);
	bhi_outf(out, "</dl>\n");
}

static void put_outcomes(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_outf(out, "<div class=\"card\">\n<h3>What came of the failures</h3>\n"
		      "<div class=\"bar\" aria-hidden=\"true\">");
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		if (session->nr_by_class[i])
			bhi_outf(out,
				"<i class=\"%s\" style=\"flex:%lu 0 0\" "
				"title=\"%s\"></i>",
				bhi_check_class_words(i)->colour, session->nr_by_class[i],
				bhi_check_class_words(i)->title);
	}
	bhi_outf(out, "</div>\n<ul class=\"legend\">\n");
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		const struct bhi_check_words *words = bhi_check_class_words(i);

		if (!session->nr_by_class[i])
			continue;
		bhi_outf(out, "<li title=\"%s\"><span class=\"dot %s\"></span>%s <b>",
			words->text, words->colour, words->title);
		bhi_check_put_number(out, session->nr_by_class[i]);
		bhi_outf(out, "</b></li>\n");
	}
	bhi_outf(out, "</ul>\n</div>\n");
}

void bhi_check_page_head(struct bhi_out *out, const struct bhi_check_session *session)
{
	bhi_outf(out, "<header>\n<h1>bulkhead check</h1>\n<code class=\"command\">");
	bhi_check_put_command(out, session->command);
	bhi_outf(out, "</code>\n");
	put_verdict(out, session);
	put_warnings(out, session);
	put_numbers(out, session);
	put_outcomes(out, session);
	bhi_outf(out, "</header>\n");
}
