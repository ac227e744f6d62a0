/* SPDX-License-Identifier: MIT */
/*
 * SARIF 2.1.0 (OASIS). A rule is a class, a result a finding. Its fingerprint is its ID,
 * by which code scanning knows it again. The code flow goes down to the call that fails
 * and from there to where it dies, as the program went; the stacks are the same with the
 * innermost frame first.
 *
 * A place without line information is one in the module's file, with the offset as the
 * relative address: what shows results by file can show these too.
 */
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bulkhead.h"

#include "index.h"
#include "markup.h"

#define SCHEMA "https://json.schemastore.org/sarif-2.1.0.json"

struct writer {
	struct bhi_out *out;
	const struct bhi_check_session *session;
	bool no_memory;
};

static void put_text(struct bhi_out *out, const char *key, const char *text)
{
	bhi_json_begin(out, key, '{');
	bhi_json_str(out, "text", text);
	bhi_json_end(out, '}');
}

/* RFC 3986: absolute paths as file URIs, others relative. */
static void put_uri(struct writer *writer, const char *path)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/+@";
	size_t size = 3 * strlen(path) + sizeof("file://");
	char *uri = malloc(size), *to = uri;

	if (!uri) {
		writer->no_memory = true;
		return;
	}
	to = stpcpy(to, path[0] == '/' ? "file://" : "");
	for (; *path; path++) {
		if (strchr(plain, *path)) {
			*to++ = *path;
		} else {
			*to++ = '%';
			*to++ = "0123456789ABCDEF"[(unsigned char)*path >> 4];
			*to++ = "0123456789ABCDEF"[*path & 15];
		}
	}
	*to = '\0';
	bhi_json_begin(writer->out, "artifactLocation", '{');
	bhi_json_str(writer->out, "uri", uri);
	bhi_json_end(writer->out, '}');
	free(uri);
}

static void put_physical(struct writer *writer, const struct bhi_check_place *place)
{
	struct bhi_out *out = writer->out;
	const char *file = place->file ? place->file : place->path;

	if (!file || !*file)
		return;
	bhi_json_begin(out, "physicalLocation", '{');
	put_uri(writer, file);
	if (place->file && place->line) {
		bhi_json_begin(out, "region", '{');
		bhi_json_u64(out, "startLine", place->line);
		bhi_json_end(out, '}');
	} else if (!place->file) {
		bhi_json_begin(out, "address", '{');
		bhi_json_str(out, "kind", "instruction");
		bhi_json_u64(out, "relativeAddress",
			bhi_min(place->offset, (uint64_t)INT64_MAX));
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, '}');
}

/* The members of a location; @what is NULL, or what happens there. */
static void put_location(
	struct writer *writer, const struct bhi_check_place *place, const char *what)
{
	struct bhi_out *out = writer->out;
	char name[256];

	bhi_format(name, sizeof(name), "%s+0x%lx",
		place->module ? place->module : "no module", place->offset);
	put_physical(writer, place);
	bhi_json_begin(out, "logicalLocations", '[');
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "fullyQualifiedName", place->function ? place->function : name);
	bhi_json_str(out, "kind", "function");
	bhi_json_end(out, '}');
	bhi_json_end(out, ']');
	put_text(out, "message", what ? what : place->function ? place->function : name);
}

static void put_stack(
	struct writer *writer, const struct bhi_check_backtrace *trace, const char *what)
{
	struct bhi_out *out = writer->out;

	bhi_json_begin(out, NULL, '{');
	put_text(out, "message", what);
	bhi_json_begin(out, "frames", '[');
	for (size_t i = 0; i < trace->nr; i++) {
		const struct bhi_check_place *place = &trace->places[i];

		bhi_json_begin(out, NULL, '{');
		bhi_json_begin(out, "location", '{');
		put_location(writer, place, NULL);
		bhi_json_end(out, '}');
		if (place->module)
			bhi_json_str(out, "module", place->module);
		bhi_json_begin(out, "properties", '{');
		bhi_json_u64(out, "offset", bhi_min(place->offset, (uint64_t)INT64_MAX));
		if (place->build_id && *place->build_id)
			bhi_json_str(out, "buildId", place->build_id);
		bhi_json_end(out, '}');
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}

/* Frames @from and further in, outermost first, the last one with @what. */
static void put_flow(struct writer *writer, const struct bhi_check_backtrace *trace,
	size_t from, const char *what)
{
	struct bhi_out *out = writer->out;

	for (size_t i = trace->nr - from; i-- > 0;) {
		bhi_json_begin(out, NULL, '{');
		bhi_json_begin(out, "location", '{');
		put_location(writer, &trace->places[i], i ? NULL : what);
		bhi_json_end(out, '}');
		bhi_json_u64(out, "nestingLevel", trace->nr - 1 - i);
		if (!i)
			bhi_json_str(out, "importance", "essential");
		bhi_json_end(out, '}');
	}
}

/* How many frames, counted from the outermost, both have. */
static size_t shared_frames(
	const struct bhi_check_backtrace *a, const struct bhi_check_backtrace *b)
{
	size_t nr = 0;

	while (nr < a->nr && nr < b->nr &&
		bhi_check_place_same(
			&a->places[a->nr - 1 - nr], &b->places[b->nr - 1 - nr]))
		nr++;
	/* Where it dies is shown in any case. */
	return nr == b->nr && nr ? nr - 1 : nr;
}

static void put_paths(struct writer *writer, const struct bhi_check_test *test)
{
	struct bhi_out *out = writer->out;
	size_t shared = shared_frames(&test->injected, &test->crash);

	if (!test->injected.nr)
		return;
	bhi_json_begin(out, "codeFlows", '[');
	bhi_json_begin(out, NULL, '{');
	bhi_json_begin(out, "threadFlows", '[');
	bhi_json_begin(out, NULL, '{');
	bhi_json_begin(out, "locations", '[');
	put_flow(writer, &test->injected, 0, "when this call fails");
	put_flow(writer, &test->crash, shared,
		bhi_check_is_hang(test->class) ? "then it stays here"
					       : "then it dies here");
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
	bhi_json_end(out, ']');
	bhi_json_begin(out, "stacks", '[');
	put_stack(writer, &test->injected, "When this call fails");
	if (test->crash.nr)
		put_stack(writer, &test->crash,
			bhi_check_is_hang(test->class) ? "then it stays here"
						       : "then it dies here");
	bhi_json_end(out, ']');
}

/* The innermost frame of the module that has the finding. */
static const struct bhi_check_place *place_of(const struct bhi_check_finding *finding)
{
	const struct bhi_check_test *test = finding->example;
	const struct bhi_check_backtrace *trace =
		test->crash.nr ? &test->crash : &test->injected;

	for (size_t i = 0; i < trace->nr && finding->module; i++) {
		const char *module = trace->places[i].module;

		if (module && !strcmp(module, finding->module))
			return &trace->places[i];
	}
	return trace->nr ? &trace->places[0] : NULL;
}

static void put_suppressions(struct bhi_out *out, const struct bhi_check_finding *finding)
{
	bhi_json_begin(out, "suppressions", '[');
	if (finding->is_suppressed) {
		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "kind", "external");
		bhi_json_str(out, "status", "accepted");
		bhi_json_str(out, "justification",
			finding->suppressed_by ? finding->suppressed_by : "");
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

static void put_result(struct writer *writer, const struct bhi_check_finding *finding)
{
	struct bhi_out *out = writer->out;
	const struct bhi_check_place *place = place_of(finding);

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "ruleId", bhi_check_class_name(finding->class));
	bhi_json_u64(out, "ruleIndex", finding->class);
	bhi_json_str(out, "level", bhi_check_class_words(finding->class)->level);
	bhi_json_str(out, "kind",
		strcmp(bhi_check_class_words(finding->class)->level, "none")
			? "fail"
			: "informational");
	put_text(out, "message", finding->title ? finding->title : finding->id);
	bhi_json_begin(out, "locations", '[');
	if (place) {
		bhi_json_begin(out, NULL, '{');
		put_location(writer, place, NULL);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
	/* GitHub looks at the partial ones, others at the full one. */
	bhi_json_begin(out, "fingerprints", '{');
	bhi_json_str(out, "bulkheadFinding/v1", finding->id);
	bhi_json_end(out, '}');
	bhi_json_begin(out, "partialFingerprints", '{');
	bhi_json_str(out, "bulkheadFinding/v1", finding->id);
	bhi_json_end(out, '}');
	if (writer->session->has_baseline)
		bhi_json_str(
			out, "baselineState", finding->is_known ? "unchanged" : "new");
	put_suppressions(out, finding);
	bhi_json_u64(out, "occurrenceCount", bhi_max(finding->nr_tests, (size_t)1));
	put_paths(writer, finding->example);
	bhi_json_begin(out, "properties", '{');
	bhi_json_str(out, "module", finding->module);
	bhi_json_u64(out, "stacks", finding->nr_stacks);
	bhi_json_u64(out, "calls", bhi_min(finding->nr_calls, (uint64_t)INT64_MAX));
	bhi_json_bool(out, "fails", bhi_check_finding_fails(writer->session, finding));
	bhi_json_end(out, '}');
	bhi_json_end(out, '}');
}

static void put_rules(struct bhi_out *out)
{
	bhi_json_begin(out, "rules", '[');
	for (unsigned i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		const struct bhi_check_words *words = bhi_check_class_words(i);

		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "id", bhi_check_class_name(i));
		put_text(out, "shortDescription", words->title);
		put_text(out, "fullDescription", words->text);
		put_text(out, "help", words->text);
		bhi_json_begin(out, "defaultConfiguration", '{');
		bhi_json_str(out, "level", words->level);
		bhi_json_end(out, '}');
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

static void put_invocation(struct bhi_out *out, const struct bhi_check_session *session)
{
	bool ended = !session->was_interrupted;

	bhi_json_begin(out, "invocations", '[');
	bhi_json_begin(out, NULL, '{');
	bhi_json_bool(out, "executionSuccessful", ended);
	bhi_json_begin(out, "arguments", '[');
	bhi_json_str(out, NULL, "check");
	bhi_json_str(out, NULL, "--");
	for (char *const *word = session->command; word && *word; word++)
		bhi_json_str(out, NULL, *word);
	bhi_json_end(out, ']');
	bhi_json_begin(out, "toolExecutionNotifications", '[');
	for (size_t i = 0; i < session->nr_instabilities; i++) {
		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "level", "warning");
		put_text(out, "message", session->instabilities[i]);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
	bhi_json_end(out, ']');
}

static void put_run(struct writer *writer)
{
	struct bhi_out *out = writer->out;
	const struct bhi_check_session *session = writer->session;

	bhi_json_begin(out, NULL, '{');
	bhi_json_begin(out, "tool", '{');
	bhi_json_begin(out, "driver", '{');
	bhi_json_str(out, "name", "bulkhead check");
	bhi_json_str(out, "version", bh_version());
	bhi_json_str(out, "semanticVersion", bh_version());
	put_rules(out);
	bhi_json_end(out, '}');
	bhi_json_end(out, '}');
	put_invocation(out, session);
	bhi_json_str(out, "columnKind", "utf16CodeUnits");
	bhi_json_begin(out, "results", '[');
	for (size_t i = 0; i < session->nr_findings; i++)
		put_result(writer, &session->findings[i]);
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}

int bhi_check_write_sarif(struct bhi_out *out, const struct bhi_check_session *session)
{
	struct writer writer = {.out = out, .session = session};

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "$schema", SCHEMA);
	bhi_json_str(out, "version", "2.1.0");
	bhi_json_begin(out, "runs", '[');
	put_run(&writer);
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
	return writer.no_memory ? -ENOMEM : 0;
}
