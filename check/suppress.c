/* SPDX-License-Identifier: MIT */
#include "suppress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/fmt.h"

#define FILE_MAX ((size_t)16 << 20)

/* Where the parser is. */
struct cursor {
	const char *file;
	const char *line_start, *p, *end; /* .end: of the line */
	unsigned line;
	struct bhi_check_error *error;
};

bool bhi_check_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
		} else if (star) {
			/* The last star takes one more; those before it need not. */
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static int refuse(const struct cursor *c, const char *at, const char *what)
{
	return bhi_check_error_set(c->error, c->file, c->line,
		(unsigned)(at - c->line_start) + 1, "%s", what);
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r';
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

static int no_memory(const struct cursor *c)
{
	bhi_check_error_set(c->error, c->file, c->line, 0, "out of memory");
	return -ENOMEM;
}

/* What stands between the quotes. */
static int take_quoted(struct cursor *c, char **ret)
{
	const char *start = c->p++;
	char *to = malloc((size_t)(c->end - start));

	if (!to)
		return no_memory(c);
	*ret = to;
	for (; c->p < c->end && *c->p != '"'; c->p++) {
		if (*c->p == '\\' && ++c->p == c->end)
			break;
		*to++ = *c->p;
	}
	*to = '\0';
	if (c->p >= c->end)
		return refuse(c, start, "the quote is not closed");
	c->p++;
	if (c->p < c->end && !is_blank(*c->p) && *c->p != '#')
		return refuse(c, c->p, "a blank must follow the quote");
	return 0;
}

/* The next field to *@ret, which is the caller's to free even after an error. */
static int take_field(struct cursor *c, const char *what, char **ret)
{
	const char *start;
	int r = 0;

	skip_blanks(c);
	start = c->p;
	if (c->p == c->end || *c->p == '#')
		return refuse(c, start, what);
	if (*c->p == '"') {
		r = take_quoted(c, ret);
	} else {
		while (c->p < c->end && !is_blank(*c->p) && *c->p != '#')
			c->p++;
		*ret = strndup(start, (size_t)(c->p - start));
		if (!*ret)
			return no_memory(c);
	}
	if (!r && !**ret)
		return refuse(c, start, "an empty field matches nothing");
	return r;
}

static int take_reason(struct cursor *c, char **ret)
{
	const char *end = c->end;

	skip_blanks(c);
	if (c->p == c->end)
		return refuse(c, c->p, "the reason is missing: \"# why\" at the end");
	if (*c->p != '#')
		return refuse(c, c->p,
			"class, function and module are all; \"#\" and "
			"the reason come next");
	c->p++;
	skip_blanks(c);
	while (end > c->p && is_blank(end[-1]))
		end--;
	if (c->p == end)
		return refuse(c, c->p, "the reason is empty");
	*ret = strndup(c->p, (size_t)(end - c->p));
	return *ret ? 0 : no_memory(c);
}

static bool matches_some_class(const char *pattern)
{
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		if (bhi_check_glob(pattern, bhi_check_class_name(i)))
			return true;
	}
	return false;
}

static void free_rule(struct bhi_check_suppression *rule)
{
	free(rule->class);
	free(rule->function);
	free(rule->module);
	free(rule->reason);
	free(rule->file);
}

static int take_rule(struct cursor *c, struct bhi_check_suppression *rule)
{
	const char *class_start;
	int r;

	skip_blanks(c);
	class_start = c->p;
	r = take_field(c, "the class is missing", &rule->class);
	if (!r && !matches_some_class(rule->class))
		r = refuse(c, class_start, "no class is called so");
	if (!r)
		r = take_field(c, "the function is missing", &rule->function);
	if (!r)
		r = take_field(c, "the module is missing", &rule->module);
	if (!r)
		r = take_reason(c, &rule->reason);
	if (!r) {
		rule->line = c->line;
		rule->file = strdup(c->file);
		if (!rule->file)
			r = no_memory(c);
	}
	return r;
}

static int parse_line(struct bhi_check_suppressions *list, struct cursor *c)
{
	struct bhi_check_suppression rule = {.line = 0}, *rules;
	const char *zero = memchr(c->p, '\0', (size_t)(c->end - c->p));
	int r;

	if (zero)
		return refuse(c, zero, "a byte is 0: this is no text");
	skip_blanks(c);
	if (c->p == c->end || *c->p == '#')
		return 0;
	r = take_rule(c, &rule);
	if (r)
		goto err_rule;
	rules = realloc(list->rules, (list->nr + 1) * sizeof(*rules));
	if (!rules) {
		r = no_memory(c);
		goto err_rule;
	}
	list->rules = rules;
	list->rules[list->nr++] = rule;
	return 0;
err_rule:
	free_rule(&rule);
	return r;
}

int bhi_check_suppressions_parse(struct bhi_check_suppressions *list, const char *file,
	const char *text, size_t size, struct bhi_check_error *error)
{
	struct cursor c = {.file = file, .error = error, .p = text};
	const char *end = text + size;

	while (c.p < end) {
		int r;

		c.line_start = c.p;
		c.line++;
		c.end = memchr(c.p, '\n', (size_t)(end - c.p));
		if (!c.end)
			c.end = end;
		r = parse_line(list, &c);
		if (r)
			return r;
		c.p = c.end + (c.end < end);
	}
	return 0;
}

int bhi_check_suppressions_read(struct bhi_check_suppressions *list, const char *file,
	struct bhi_check_error *error)
{
	char *text;
	size_t size;
	int r = bhi_check_file_read(file, FILE_MAX, &text, &size, error);

	if (r)
		return r;
	r = bhi_check_suppressions_parse(list, file, text, size, error);
	free(text);
	return r;
}

static bool matches_frame(
	const struct bhi_check_suppression *rule, const struct bhi_check_backtrace *trace)
{
	for (size_t i = 0; i < trace->nr; i++) {
		const struct bhi_check_place *place = &trace->places[i];
		const char *function = place->function;
		char offset[24];

		if (!function)
			function = bhi_format(
				offset, sizeof(offset), "0x%lx", place->offset);
		if (bhi_check_glob(rule->function, function) &&
			bhi_check_glob(rule->module, place->module ? place->module : ""))
			return true;
	}
	return false;
}

/* The first rule that matches the test, or NULL; all that do are counted. */
static struct bhi_check_suppression *match(
	struct bhi_check_suppressions *list, const struct bhi_check_test *test)
{
	struct bhi_check_suppression *first = NULL;

	for (size_t i = 0; i < list->nr; i++) {
		struct bhi_check_suppression *rule = &list->rules[i];

		if (!bhi_check_glob(rule->class, bhi_check_class_name(test->class)))
			continue;
		if (!matches_frame(rule, &test->injected) &&
			!matches_frame(rule, &test->crash))
			continue;
		rule->nr_used++;
		if (!first)
			first = rule;
	}
	return first;
}

void bhi_check_suppressions_apply(
	struct bhi_check_suppressions *list, struct bhi_check_session *session)
{
	for (size_t i = 0; i < session->nr_findings; i++) {
		struct bhi_check_finding *finding = &session->findings[i];
		struct bhi_check_suppression *rule = NULL;
		bool all = finding->nr_tests > 0;

		for (size_t k = 0; k < finding->nr_tests; k++) {
			struct bhi_check_suppression *found =
				match(list, &session->tests[finding->tests[k]]);

			all = all && found;
			if (found && (!rule || &session->tests[finding->tests[k]] ==
						       finding->example))
				rule = found;
		}
		if (all) {
			finding->is_suppressed = true;
			finding->suppressed_by = rule->reason;
		}
	}
}

void bhi_check_suppressions_fini(struct bhi_check_suppressions *list)
{
	for (size_t i = 0; i < list->nr; i++)
		free_rule(&list->rules[i]);
	free(list->rules);
	*list = (struct bhi_check_suppressions){.nr = 0};
}
