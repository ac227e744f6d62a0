/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#include "compare.h"
#include "allocate.h"

#define SHOWN 64 /* characters of a line in a sentence */

static size_t split_lines(const char *text, size_t len, struct bhi_check_line **ret)
{
	struct bhi_check_line *lines = NULL;
	size_t nr = 0, capacity = 0;

	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line_len = end ? (size_t)(end - text) : len;
		size_t used = line_len + (end != NULL);

		lines = bhi_check_grow(lines, &capacity, nr + 1, sizeof(*lines));
		lines[nr++] = (struct bhi_check_line){.text = text, .len = line_len};
		text += used;
		len -= used;
	}
	*ret = lines;
	return nr;
}

static bool lines_equal(
	const struct bhi_check_line *expected, const struct bhi_check_line *line)
{
	if (!expected->is_masked)
		return expected->len == line->len &&
		       !memcmp(expected->text, line->text, line->len);
	return line->len >= expected->head + expected->tail &&
	       !memcmp(expected->text, line->text, expected->head) &&
	       !memcmp(expected->text + expected->len - expected->tail,
		       line->text + line->len - expected->tail, expected->tail);
}

/* Where a time or a size differs, other figures of the line may differ in the next run:
 * the words with figures are masked too, and all between them. */
static void mask_figures(const struct bhi_check_line *line, size_t *head, size_t *tail)
{
	size_t first = 0, last = line->len;

	while (first < *head && !isdigit((unsigned char)line->text[first]))
		first++;
	while (first && !isspace((unsigned char)line->text[first - 1]))
		first--;
	while (last > line->len - *tail && !isdigit((unsigned char)line->text[last - 1]))
		last--;
	while (last < line->len && !isspace((unsigned char)line->text[last]))
		last++;
	*head = bhi_min(*head, first);
	*tail = bhi_min(*tail, line->len - last);
}

/* Of a file all but the name may be another one. */
static void mask_file(const struct bhi_check_line *line, size_t *head, size_t *tail)
{
	size_t name = line->len;

	while (name && line->text[name - 1] != ' ')
		name--;
	*head = 0;
	*tail = bhi_min(*tail, line->len - name);
}

static void mask_line(
	struct bhi_check_line *expected, const struct bhi_check_line *other, bool is_file)
{
	size_t shorter = bhi_min(expected->len, other->len), head = 0, tail = 0;

	while (head < shorter && expected->text[head] == other->text[head])
		head++;
	while (tail < shorter - head && expected->text[expected->len - 1 - tail] ==
						other->text[other->len - 1 - tail])
		tail++;
	if (expected->is_masked) {
		head = bhi_min(head, expected->head);
		tail = bhi_min(tail, expected->tail);
	}
	if (is_file)
		mask_file(expected, &head, &tail);
	else
		mask_figures(expected, &head, &tail);
	/* Not in the middle of a word. */
	while (head && isalnum((unsigned char)expected->text[head - 1]))
		head--;
	while (tail && !is_file &&
		isalnum((unsigned char)expected->text[expected->len - tail]))
		tail--;
	expected->is_masked = true;
	expected->head = head;
	expected->tail = tail;
}

static int by_text(const void *a, const void *b)
{
	const struct bhi_check_line *x = a, *y = b;
	int order = memcmp(x->text, y->text, bhi_min(x->len, y->len));

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Masked lines are left out of @lines. */
static size_t sort_lines(struct bhi_check_line *lines, size_t nr)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++) {
		if (!lines[i].is_masked)
			lines[kept++] = lines[i];
	}
	if (kept)
		qsort(lines, kept, sizeof(*lines), by_text);
	return kept;
}

static char *copy_for_people(const struct bhi_check_line *line)
{
	size_t len = bhi_min(line->len, (size_t)SHOWN);
	char *text = bhi_check_alloc(len + 4, 1);

	for (size_t i = 0; i < len; i++)
		text[i] = isprint((unsigned char)line->text[i]) ? line->text[i] : '?';
	if (line->len > len)
		memcpy(text + len, "...", 4);
	return text;
}

static char *describe_change(size_t number, const struct bhi_check_line *expected,
	const struct bhi_check_line *line)
{
	char *old = expected ? copy_for_people(expected) : NULL;
	char *new = line ? copy_for_people(line) : NULL;
	char *text;

	if (!line)
		text = bhi_check_format("line %zu is missing: \"%s\"", number, old);
	else if (!expected)
		text = bhi_check_format("line %zu is too much: \"%s\"", number, new);
	else
		text = bhi_check_format(
			"line %zu is \"%s\", not \"%s\"", number, new, old);
	free(old);
	free(new);
	return text;
}

/* In order. Returns the number of the first line that differs, 0 for none. */
static size_t find_change(const struct bhi_check_reference *reference,
	const struct bhi_check_line *lines, size_t nr)
{
	size_t common = bhi_min(nr, reference->nr_lines);

	for (size_t i = 0; i < common; i++) {
		if (!lines_equal(&reference->lines[i], &lines[i]))
			return i + 1;
	}
	return nr == reference->nr_lines ? 0 : common + 1;
}

static bool differs_in_order(const struct bhi_check_reference *reference,
	const struct bhi_check_line *lines, size_t nr, const char *text, size_t len,
	char **ret_difference)
{
	size_t number = find_change(reference, lines, nr);

	if (!number && (reference->nr_masked || len == reference->text_len))
		return false;
	if (!number && len &&
		(text[len - 1] == '\n') ==
			(reference->text[reference->text_len - 1] == '\n'))
		return false;
	if (!ret_difference)
		return true;
	if (number)
		*ret_difference = describe_change(number,
			number <= reference->nr_lines ? &reference->lines[number - 1]
						      : NULL,
			number <= nr ? &lines[number - 1] : NULL);
	else
		*ret_difference = bhi_check_strdup("the last line ends otherwise");
	return true;
}

static bool differs_in_any_order(const struct bhi_check_reference *reference,
	struct bhi_check_line *lines, size_t nr, char **ret_difference)
{
	struct bhi_check_line *expected =
		bhi_check_alloc(reference->nr_lines, sizeof(*expected));
	size_t nr_expected, at;

	if (reference->nr_lines)
		memcpy(expected, reference->lines,
			reference->nr_lines * sizeof(*expected));
	nr_expected = sort_lines(expected, reference->nr_lines);
	nr = sort_lines(lines, nr);
	for (at = 0; at < bhi_min(nr, nr_expected); at++) {
		if (by_text(&expected[at], &lines[at]))
			break;
	}
	if (at == nr && at == nr_expected) {
		free(expected);
		return false;
	}
	if (ret_difference) {
		bool is_missing =
			at == nr ||
			(at < nr_expected && by_text(&expected[at], &lines[at]) < 0);
		char *shown = copy_for_people(is_missing ? &expected[at] : &lines[at]);

		*ret_difference = bhi_check_format("a line is %s: \"%s\"",
			is_missing ? "missing" : "too much", shown);
		free(shown);
	}
	free(expected);
	return true;
}

void bhi_check_reference_init(struct bhi_check_reference *reference,
	enum bhi_check_compare how, const char *text, size_t len)
{
	*reference = (struct bhi_check_reference){.how = how, .text_len = len};
	reference->text = bhi_check_alloc(len + 1, 1);
	if (len)
		memcpy(reference->text, text, len);
	reference->nr_lines = split_lines(reference->text, len, &reference->lines);
}

void bhi_check_reference_mask(
	struct bhi_check_reference *reference, const char *text, size_t len)
{
	struct bhi_check_line *lines;
	size_t nr = split_lines(text, len, &lines);

	if (reference->how == BHI_CHECK_COMPARE_EXACT &&
		differs_in_any_order(reference, lines, nr, NULL)) {
		/* Sorting moved the lines. */
		free(lines);
		nr = split_lines(text, len, &lines);
		if (nr != reference->nr_lines) {
			reference->how = BHI_CHECK_COMPARE_NONE;
			reference->varies = true;
		}
	} else if (reference->how == BHI_CHECK_COMPARE_EXACT) {
		free(lines);
		nr = split_lines(text, len, &lines);
		if (find_change(reference, lines, nr)) {
			reference->how = BHI_CHECK_COMPARE_LINES;
			reference->varies = true;
		}
	} else if (reference->how == BHI_CHECK_COMPARE_LINES &&
		   differs_in_any_order(reference, lines, nr, NULL)) {
		reference->how = BHI_CHECK_COMPARE_NONE;
		reference->varies = true;
	}
	for (size_t i = 0; reference->how == BHI_CHECK_COMPARE_EXACT && i < nr; i++) {
		if (lines_equal(&reference->lines[i], &lines[i]))
			continue;
		reference->nr_masked += !reference->lines[i].is_masked;
		mask_line(&reference->lines[i], &lines[i], reference->is_of_files);
	}
	free(lines);
}

void bhi_check_reference_fini(struct bhi_check_reference *reference)
{
	free(reference->text);
	free(reference->lines);
	*reference = (struct bhi_check_reference){.text = NULL};
}

bool bhi_check_reference_differs(const struct bhi_check_reference *reference,
	const char *text, size_t len, char **ret_difference)
{
	struct bhi_check_line *lines;
	bool differs = false;
	size_t nr;

	if (reference->how == BHI_CHECK_COMPARE_NONE)
		return false;
	if (len == reference->text_len && (!len || !memcmp(text, reference->text, len)))
		return false;
	nr = split_lines(text, len, &lines);
	if (reference->how == BHI_CHECK_COMPARE_LINES)
		differs = differs_in_any_order(reference, lines, nr, ret_difference);
	else
		differs =
			differs_in_order(reference, lines, nr, text, len, ret_difference);
	free(lines);
	return differs;
}

char *bhi_check_reference_new_line(
	const struct bhi_check_reference *reference, const char *text, size_t len)
{
	struct bhi_check_line *lines;
	size_t nr = split_lines(text, len, &lines);
	char *found = NULL;

	for (size_t i = 0; i < nr && !found; i++) {
		bool is_known = !lines[i].len;

		for (size_t k = 0; k < reference->nr_lines && !is_known; k++)
			is_known = lines_equal(&reference->lines[k], &lines[i]);
		if (!is_known)
			found = copy_for_people(&lines[i]);
	}
	free(lines);
	return found;
}
