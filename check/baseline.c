/* SPDX-License-Identifier: MIT */
#include "baseline.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#include "write.h"

#define FILE_MAX ((size_t)1 << 30)

struct reader {
	const char *file;
	struct bhi_check_error *error;
	struct bhi_check_baseline *baseline;
	size_t room;
};

bool bhi_check_id_is_valid(const char *id, size_t len)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (!len || len >= sizeof(((struct bhi_check_baseline_entry *)NULL)->id))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!id[i] || !strchr(allowed, id[i]))
			return false;
	}
	return true;
}

static int add(struct reader *reader, const char *id, size_t len)
{
	struct bhi_check_baseline *baseline = reader->baseline;
	struct bhi_check_baseline_entry *entries;

	if (baseline->nr == reader->room) {
		reader->room = reader->room ? reader->room * 2 : 64;
		entries = realloc(baseline->entries, reader->room * sizeof(*entries));
		if (!entries) {
			bhi_check_error_set(
				reader->error, reader->file, 0, 0, "out of memory");
			return -ENOMEM;
		}
		baseline->entries = entries;
	}
	baseline->entries[baseline->nr] = (struct bhi_check_baseline_entry){.id = ""};
	memcpy(baseline->entries[baseline->nr++].id, id, len);
	return 0;
}

/* "ID CLASS ..." */
static int take_line(struct reader *reader, const char *line, size_t len, unsigned number)
{
	size_t id = 0, class, end;
	char name[32];

	while (id < len && line[id] != ' ' && line[id] != '\t')
		id++;
	if (!bhi_check_id_is_valid(line, id))
		return bhi_check_error_set(reader->error, reader->file, number, 0,
			"does not begin with the ID of a finding");
	for (class = id; class < len && (line[class] == ' ' || line[class] == '\t');)
		class ++;
	for (end = class; end < len && !strchr(" \t\r", line[end]);)
		end++;
	bhi_format(name, sizeof(name), "%s", "");
	if (end - class < sizeof(name)) {
		memcpy(name, line + class, end - class);
		name[end - class] = '\0';
	}
	if (bhi_check_class_parse(name) < 0)
		return bhi_check_error_set(reader->error, reader->file, number, 0,
			"no class stands behind the ID");
	return add(reader, line, id);
}

static int take_text(struct reader *reader, const char *text, size_t size)
{
	const char *end = text + size;
	unsigned number = 0;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((stop ? stop : end) - text);
		int r = 0;

		number++;
		if (len && text[0] != '#' && text[0] != '\r')
			r = take_line(reader, text, len, number);
		if (r)
			return r;
		text += len + 1;
	}
	return 0;
}

static int take_json(struct reader *reader, const char *text, size_t size)
{
	json_error_t wrong;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &wrong);
	json_t *findings = json_object_get(root, "findings");
	const char *schema = json_string_value(json_object_get(root, "schema"));
	json_int_t version = json_integer_value(json_object_get(root, "schema_version"));
	int r = 0;

	if (!root)
		return bhi_check_error_set(reader->error, reader->file,
			(unsigned)bhi_max(wrong.line, 1),
			(unsigned)bhi_max(wrong.column, 0), "%s", wrong.text);
	if (!schema || strcmp(schema, "bulkhead-check") || !json_is_array(findings))
		r = bhi_check_error_set(reader->error, reader->file, 0, 0,
			"is no report of bulkhead check");
	else if (version != BHI_CHECK_JSON_VERSION)
		r = bhi_check_error_set(reader->error, reader->file, 0, 0,
			"schema_version: is not 1, which is all that is known");
	for (size_t i = 0; i < json_array_size(findings) && !r; i++) {
		json_t *finding = json_array_get(findings, i);
		const char *id = json_string_value(json_object_get(finding, "id"));

		if (id && bhi_check_id_is_valid(id, strlen(id)))
			r = add(reader, id, strlen(id));
		else
			r = bhi_check_error_set(reader->error, reader->file, 0, 0,
				"findings[%zu].id: is no ID", i);
	}
	json_decref(root);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct bhi_check_baseline_entry *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void order(struct bhi_check_baseline *baseline)
{
	size_t kept = 0;

	if (baseline->nr)
		qsort(baseline->entries, baseline->nr, sizeof(*baseline->entries),
			compare);
	for (size_t i = 0; i < baseline->nr; i++) {
		if (!kept || compare(&baseline->entries[kept - 1], &baseline->entries[i]))
			baseline->entries[kept++] = baseline->entries[i];
	}
	baseline->nr = kept;
}

int bhi_check_baseline_parse(const char *file, const char *text, size_t size,
	struct bhi_check_baseline *ret, struct bhi_check_error *error)
{
	struct reader reader = {.file = file, .error = error, .baseline = ret};
	size_t start = 0;
	int r;

	*ret = (struct bhi_check_baseline){.nr = 0};
	while (start < size && text[start] && strchr(" \t\r\n", text[start]))
		start++;
	if (start < size && text[start] == '{')
		r = take_json(&reader, text, size);
	else
		r = take_text(&reader, text, size);
	if (r)
		bhi_check_baseline_fini(ret);
	else
		order(ret);
	return r;
}

int bhi_check_baseline_read(
	const char *file, struct bhi_check_baseline *ret, struct bhi_check_error *error)
{
	char *text;
	size_t size;
	int r;

	*ret = (struct bhi_check_baseline){.nr = 0};
	r = bhi_check_file_read(file, FILE_MAX, &text, &size, error);
	if (r)
		return r;
	r = bhi_check_baseline_parse(file, text, size, ret, error);
	free(text);
	return r;
}

void bhi_check_baseline_apply(
	struct bhi_check_baseline *baseline, struct bhi_check_session *session)
{
	session->has_baseline = true;
	for (size_t i = 0; i < session->nr_findings && baseline->nr; i++) {
		struct bhi_check_baseline_entry wanted = {.id = ""}, *entry;

		memcpy(wanted.id, session->findings[i].id, sizeof(wanted.id));
		entry = bsearch(&wanted, baseline->entries, baseline->nr, sizeof(wanted),
			compare);
		if (!entry)
			continue;
		entry->was_found = true;
		session->findings[i].is_known = true;
	}
}

void bhi_check_baseline_fini(struct bhi_check_baseline *baseline)
{
	free(baseline->entries);
	*baseline = (struct bhi_check_baseline){.nr = 0};
}

static int compare_findings(const void *a, const void *b)
{
	const struct bhi_check_finding *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

/* A line stays a line, and can be shown on a terminal. */
static void put_field(struct bhi_out *out, const char *text)
{
	bhi_outf(out, "\t");
	for (; text && *text; text++)
		bhi_outf(out, "%c",
			(unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

int bhi_check_write_baseline(struct bhi_out *out, const struct bhi_check_session *session)
{
	const struct bhi_check_finding **sorted =
		calloc(session->nr_findings + 1, sizeof(const void *));
	size_t nr = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < session->nr_findings; i++) {
		if (!session->findings[i].is_suppressed)
			sorted[nr++] = &session->findings[i];
	}
	qsort((void *)sorted, nr, sizeof(const void *), compare_findings);
	bhi_outf(out, "# bulkhead check: known findings (ID, class, module, title)\n");
	for (size_t i = 0; i < nr; i++) {
		bhi_outf(out, "%s\t%s", sorted[i]->id,
			bhi_check_class_name(sorted[i]->class));
		put_field(out, sorted[i]->module);
		put_field(out, sorted[i]->title);
		bhi_outf(out, "\n");
	}
	free((void *)sorted);
	return 0;
}
