/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/allocate.h"
#include "check/report.h"
#include "check/write.h"

#include "check_output.h"

typedef int writer_fn(struct bhi_out *out, const struct bhi_check_session *session);

static const struct {
	int option;
	writer_fn *write;
} writers[] = {
	{BHI_CHECK_OUTPUT_SARIF, bhi_check_write_sarif},
	{BHI_CHECK_OUTPUT_JUNIT, bhi_check_write_junit},
	{BHI_CHECK_OUTPUT_HTML, bhi_check_write_html},
	{BHI_CHECK_OUTPUT_WRITE_BASELINE, bhi_check_write_baseline},
};

static bool is_stdout(const char *file)
{
	return !strcmp(file, "-");
}

static bool json_is_stdout(const struct bhi_options *options)
{
	return options->json && (!options->json_file || is_stdout(options->json_file));
}

/* How many outputs besides the text go to standard output. */
static int count_stdout(const struct bhi_options *options)
{
	int nr = json_is_stdout(options);

	for (size_t i = 0; i < bhi_array_size(writers); i++) {
		const char *file = options->values[writers[i].option];

		nr += file && is_stdout(file);
	}
	return nr;
}

/* Without opening it: that would end who reads from a pipe, and empty a file that the
 * work may still need. */
static int probe(const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t len = slash ? (size_t)(slash - file) + 1 : 0;
	char folder[4096];

	if (!access(file, W_OK))
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (len + 2 > sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, file, len);
	memcpy(folder + len, ".", 2);
	return access(folder, W_OK) ? -errno : 0;
}

static enum bhi_exit check_file(const struct bhi_command *command, const char *file)
{
	int r = !file || is_stdout(file) ? 0 : probe(file);

	if (!r)
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: %s: %s: %s\n", command->name, file, strerror(-r));
	return BHI_EXIT_USAGE;
}

static enum bhi_exit check_files(
	const struct bhi_command *command, const struct bhi_options *options)
{
	enum bhi_exit status =
		check_file(command, options->json ? options->json_file : NULL);

	for (size_t i = 0; i < bhi_array_size(writers) && !status; i++)
		status = check_file(command, options->values[writers[i].option]);
	if (status)
		return status;
	if (count_stdout(options) < 2)
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: %s: only one report can be on standard output\n",
		command->name);
	return BHI_EXIT_USAGE;
}

/* Ends the command on failure. jansson 2.14 does not look at what comes of growing its
 * buffer: a byte of a string is lost, or what lies behind the buffer is read. */
static void *must_malloc(size_t size)
{
	return bhi_check_alloc(1, size);
}

enum bhi_exit bhi_check_output_init(struct bhi_check_output *output,
	const struct bhi_command *command, const struct bhi_options *options)
{
	const char *baseline = options->values[BHI_CHECK_OUTPUT_BASELINE];
	struct bhi_check_error error;
	int r = 0;

	*output = (struct bhi_check_output){.command = command, .options = options};
	json_set_alloc_funcs(must_malloc, free);
	if (check_files(command, options))
		return BHI_EXIT_USAGE;
	if (baseline)
		r = bhi_check_baseline_read(baseline, &output->baseline, &error);
	for (int i = 0; options->repeated[i] && !r; i++)
		r = bhi_check_suppressions_read(
			&output->suppressions, options->repeated[i], &error);
	if (!r)
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: %s: %s\n", command->name, error.text);
	return BHI_EXIT_USAGE;
}

enum bhi_exit bhi_check_read_fail_on(const struct bhi_command *command,
	const struct bhi_options *options, enum bhi_check_class fallback,
	enum bhi_check_class *ret)
{
	const char *text = options->values[BHI_CHECK_OUTPUT_FAIL_ON];
	int class = text ? bhi_check_class_parse(text) : (int)fallback;

	if (class >= 0 && bhi_check_class_is_finding((enum bhi_check_class) class)) {
		*ret = (enum bhi_check_class) class;
		return BHI_EXIT_CLEAN;
	}
	bhi_errf("bulkhead: %s: --fail-on: '%s' is not a class of findings; 'bulkhead "
		 "help check' lists them\n",
		command->name, text);
	return BHI_EXIT_USAGE;
}

/* Files that nobody needs any more would stay in them for ever. */
static void write_unused(const struct bhi_check_output *output, struct bhi_out *out)
{
	const char *heading = "Suppressions that nothing matched:\n";

	for (size_t i = 0; i < output->suppressions.nr; i++) {
		const struct bhi_check_suppression *rule = &output->suppressions.rules[i];

		if (rule->nr_used)
			continue;
		bhi_outf(out, "%s  %s:%u: %s %s %s\n", heading, rule->file, rule->line,
			rule->class, rule->function, rule->module);
		heading = "";
	}
	heading = "In the baseline, and not found any more:\n";
	for (size_t i = 0; i < output->baseline.nr; i++) {
		const struct bhi_check_baseline_entry *entry =
			&output->baseline.entries[i];

		if (entry->was_found)
			continue;
		bhi_outf(out, "%s  %s\n", heading, entry->id);
		heading = "";
	}
}

static enum bhi_exit write_text(const struct bhi_check_output *output,
	const struct bhi_check_session *session, enum bhi_check_text text)
{
	struct bhi_out out;

	bhi_out_init(&out, 1);
	if (text == BHI_CHECK_TEXT_LIST)
		bhi_check_list_text(&out, session);
	else
		bhi_check_report_text(&out, session);
	if (text == BHI_CHECK_TEXT_REPORT && !session->was_interrupted &&
		!session->ran_out_of_budget)
		write_unused(output, &out);
	return bhi_finish(&out) ? BHI_EXIT_OURS : BHI_EXIT_CLEAN;
}

static enum bhi_exit write_file(const struct bhi_check_output *output,
	const struct bhi_check_session *session, const char *file, writer_fn *write)
{
	struct bhi_out out;
	enum bhi_exit status = bhi_open_file(&out, output->command, file);
	int r;

	if (status)
		return BHI_EXIT_OURS;
	r = write(&out, session);
	if (r)
		bhi_errf("bulkhead: %s: %s: %s\n", output->command->name,
			file ? file : "standard output", strerror(-r));
	return bhi_finish(&out) || r ? BHI_EXIT_OURS : BHI_EXIT_CLEAN;
}

enum bhi_exit bhi_check_output_write(struct bhi_check_output *output,
	struct bhi_check_session *session, enum bhi_check_text text)
{
	const struct bhi_options *options = output->options;
	enum bhi_exit status = BHI_EXIT_CLEAN;

	if (text != BHI_CHECK_TEXT_REPLAY) {
		bhi_check_suppressions_apply(&output->suppressions, session);
		if (options->values[BHI_CHECK_OUTPUT_BASELINE])
			bhi_check_baseline_apply(&output->baseline, session);
	}
	if (!count_stdout(options))
		status = write_text(output, session, text);
	/* One that fails does not take the others with it. */
	if (options->json &&
		write_file(output, session, options->json_file, bhi_check_write_json))
		status = BHI_EXIT_OURS;
	for (size_t i = 0; i < bhi_array_size(writers); i++) {
		const char *file = options->values[writers[i].option];

		if (file && write_file(output, session, file, writers[i].write))
			status = BHI_EXIT_OURS;
	}
	return status;
}

void bhi_check_output_fini(struct bhi_check_output *output)
{
	bhi_check_baseline_fini(&output->baseline);
	bhi_check_suppressions_fini(&output->suppressions);
}
