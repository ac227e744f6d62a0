/* SPDX-License-Identifier: MIT */
/*
 * The files that are given to `bulkhead check`, from any text: the first byte says which.
 * What is refused is refused with one line that begins with the name of the file. A
 * suppression that is accepted is written as text and read again, to the same fields; a
 * report that is accepted is merged with itself and can be written in every form.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/fmt.h"

#include "baseline.h"
#include "merge.h"
#include "read.h"
#include "report.h"
#include "write.h"
#include "suppress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void check_result(int r, const struct bhi_check_error *error)
{
	require(r == 0 || r == -EINVAL);
	if (!r)
		return;
	require(memchr(error->text, '\0', sizeof(error->text)));
	require(!strncmp(error->text, "f:", 2) && !strchr(error->text, '\n'));
}

static char *put_quoted(char *to, const char *text)
{
	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		*to++ = *text;
	}
	*to++ = '"';
	*to++ = ' ';
	return to;
}

static void check_rule(const struct bhi_check_suppression *rule)
{
	struct bhi_check_suppressions again = {.nr = 0};
	struct bhi_check_error error;
	size_t size = strlen(rule->class) + strlen(rule->function) +
		      strlen(rule->module) + strlen(rule->reason);
	char *text = malloc(2 * size + 32), *end = text;

	if (!text)
		return;
	end = put_quoted(end, rule->class);
	end = put_quoted(end, rule->function);
	end = put_quoted(end, rule->module);
	end = stpcpy(stpcpy(end, "# "), rule->reason);
	require(!bhi_check_suppressions_parse(
		&again, "f", text, (size_t)(end - text), &error));
	require(again.nr == 1 && !strcmp(again.rules[0].class, rule->class) &&
		!strcmp(again.rules[0].function, rule->function) &&
		!strcmp(again.rules[0].module, rule->module) &&
		!strcmp(again.rules[0].reason, rule->reason));
	bhi_check_suppressions_fini(&again);
	free(text);
}

static void try_suppressions(const char *text, size_t size)
{
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_error error;
	int r = bhi_check_suppressions_parse(&list, "f", text, size, &error);

	check_result(r, &error);
	for (size_t i = 0; i < list.nr; i++)
		check_rule(&list.rules[i]);
	bhi_check_suppressions_fini(&list);
}

static void try_baseline(const char *text, size_t size)
{
	struct bhi_check_baseline baseline;
	struct bhi_check_error error;
	int r = bhi_check_baseline_parse("f", text, size, &baseline, &error);

	check_result(r, &error);
	require(!r || !baseline.nr);
	for (size_t i = 1; i < baseline.nr; i++)
		require(strcmp(baseline.entries[i - 1].id, baseline.entries[i].id) < 0);
	bhi_check_baseline_fini(&baseline);
}

static void write_all(const struct bhi_check_session *session)
{
	static int (*const writers[])(struct bhi_out *,
		const struct bhi_check_session *) = {bhi_check_write_json,
		bhi_check_write_sarif, bhi_check_write_junit, bhi_check_write_html,
		bhi_check_write_baseline};
	static int fd = -1;
	struct bhi_out out;

	if (fd < 0)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bhi_out_init(&out, fd);
	bhi_check_report_text(&out, session);
	bhi_check_list_text(&out, session);
	require(!bhi_out_flush(&out));
	for (size_t i = 0; i < bhi_array_size(writers); i++) {
		bhi_out_init(&out, fd);
		require(!writers[i](&out, session));
		require(!bhi_out_flush(&out) && !out.depth);
	}
}

static void try_report(const char *text, size_t size)
{
	static char name[] = "f";
	char *names[] = {name, name};
	struct bhi_check_session parts[2], whole;
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_error error;
	int r = bhi_check_session_parse("f", text, size, &parts[0], &arena, &error);

	check_result(r, &error);
	if (!r) {
		write_all(&parts[0]);
		parts[1] = parts[0];
		require(!bhi_check_sessions_unite(
			parts, names, 2, &whole, &arena, &error));
		write_all(&whole);
	}
	bhi_check_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(const char *text, size_t size) = {
		['b'] = try_baseline, ['r'] = try_report, ['s'] = try_suppressions};
	char *text;

	if (!size || data[0] >= bhi_array_size(tries) || !tries[data[0]])
		return -1;
	/* Of exactly the size, so that a read past the end is seen. */
	text = malloc(bhi_max(size - 1, (size_t)1));
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	tries[data[0]](text, size - 1);
	free(text);
	return 0;
}
