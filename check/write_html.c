/* SPDX-License-Identifier: MIT */
/*
 * One page that loads nothing: style and script are in it, and a policy forbids the rest.
 * It is whole without the script, but for the flame graph, whose numbers the table of the
 * stacks has too.
 */
#include "write.h"

#include <string.h>

#include "base/bug.h"
#include "bulkhead.h"

#include "markup.h"
#include "page.h"

static const struct {
	const char *name;
	const char *text;
} parts[] = {
#include "page.inc"
};

static const char *part(const char *name)
{
	for (size_t i = 0; i < bhi_array_size(parts); i++) {
		if (!strcmp(parts[i].name, name))
			return parts[i].text;
	}
	return "";
}

int bhi_check_write_html(struct bhi_out *out, const struct bhi_check_session *session)
{
	int r;

	bhi_outf(out,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		"<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
		"'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n"
		"<title>bulkhead check: ");
	bhi_check_put_command(out, session->command);
	bhi_outf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
		part("page.css"));
	bhi_check_page_head(out, session);
	bhi_check_page_findings(out, session);
	r = bhi_check_page_graph(out, session);
	bhi_check_page_stacks(out, session);
	bhi_outf(out,
		"<footer>Written by bulkhead check %s. Every failure in this report was "
		"made: the allocation function returned NULL because it was told to."
		"</footer>\n</main>\n<script>\n%s</script>\n</body>\n</html>\n",
		bh_version(), part("page.js"));
	return r;
}
