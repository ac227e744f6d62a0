/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/fmt.h"
#include "base/parse.h"

#define PREFIX "BULKHEAD_"

enum kind {
	KIND_SIZE,
	KIND_NUMBER,
	KIND_TEXT, /* read by whom it is for */
	KIND_WORD, /* one of .words, separated by '|'; the value is its index */
};

static const struct option {
	const char *name;
	const char *form;
	const char *help;
	uint64_t least, most;
	enum kind kind;
} options[BHI_OPTION_NR] = {
	[BHI_OPTION_SIZE] = {PREFIX "SIZE", "1M and more, or max",
		"bytes this process may commit (default: the machine's or the cgroup's, "
		"less 5 %)",
		1 << 20, UINT64_MAX, KIND_SIZE},
	[BHI_OPTION_MIN_FREE] = {PREFIX "MIN_FREE", "a size",
		"the min watermark (default: from the zone's size, 128K to 256M)", 0,
		INT64_MAX, KIND_SIZE},
	[BHI_OPTION_WATERMARK_SCALE] = {PREFIX "WATERMARK_SCALE", "1 to 3000",
		"distance between watermarks in 1/10000 of the zone (default: 10)", 1,
		3000, KIND_NUMBER},
	[BHI_OPTION_DECAY_MS] = {PREFIX "DECAY_MS", "1 to 3600000",
		"milliseconds before free pages go back to the kernel (default: 1000)", 1,
		3600000, KIND_NUMBER},
	[BHI_OPTION_PAGEFAULT] = {PREFIX "PAGEFAULT", "uffd|mprotect",
		"how first touches of private memory are caught (default: uffd where the "
		"kernel allows it)",
		0, 1, KIND_WORD},
	[BHI_OPTION_REAP_TRIES] = {PREFIX "REAP_TRIES", "1 to 1000",
		"how often the reaper tries a victim that holds a lock (default: 10)", 1,
		1000, KIND_NUMBER},
	[BHI_OPTION_REAP_INTERVAL_MS] = {PREFIX "REAP_INTERVAL_MS", "1 to 10000",
		"milliseconds between two of these tries (default: 100)", 1, 10000,
		KIND_NUMBER},
	[BHI_OPTION_FAIL] = {PREFIX "FAIL", "kind:knob=value,...;...",
		"failures to inject, see bh_fault_set(3) (default: none)", 0, UINT64_MAX,
		KIND_TEXT},
};

/* The one variable that is no value. */
static const char options_name[] = PREFIX "OPTIONS";
/* Of "bulkhead check", under which a program may run: not ours to read. */
static const char *const foreign_names[] = {PREFIX "CHECK", PREFIX "INJECTED"};
static const char options_form[] = "help";

extern char **environ;

static int parse_word(const char *words, const char *text, uint64_t *ret)
{
	size_t len = strlen(text);

	for (uint64_t i = 0;; i++) {
		size_t end = strcspn(words, "|");

		if (end == len && !strncmp(words, text, len)) {
			*ret = i;
			return 0;
		}
		if (!words[end])
			return -EINVAL;
		words += end + 1;
	}
}

static int parse_value(const struct option *option, const char *text, uint64_t *ret)
{
	switch (option->kind) {
	case KIND_TEXT:
		*ret = 0;
		return 0;
	case KIND_SIZE:
		return bhi_parse_size(text, ret);
	case KIND_NUMBER:
		return bhi_parse_u64(text, UINT64_MAX, ret);
	default:
		return parse_word(option->form, text, ret);
	}
}

static int parse(const struct option *option, const char *text, uint64_t *ret)
{
	uint64_t value;
	int r = parse_value(option, text, &value);

	if (r)
		return r;
	if (value < option->least || value > option->most)
		return -ERANGE;
	*ret = value;
	return 0;
}

static int refuse(const char *name, const char *text, const char *form)
{
	bhi_errf("bulkhead: %s=%s: expected %s\n", name, text, form);
	return -EINVAL;
}

static int read_options(const char *text)
{
	if (!*text)
		return 0;
	if (strcmp(text, options_form))
		return refuse(options_name, text, options_form);
	bhi_env_help(2);
	return 0;
}

static bool has_name(const char *entry, size_t len, const char *name)
{
	return strlen(name) == len && !strncmp(entry, name, len);
}

static int read_one(const char *entry, struct bhi_option_value *values)
{
	size_t len = strcspn(entry, "=");
	const char *text = entry + len + (entry[len] == '=');

	if (has_name(entry, len, options_name))
		return read_options(text);
	for (size_t i = 0; i < bhi_array_size(foreign_names); i++) {
		if (has_name(entry, len, foreign_names[i]))
			return 0;
	}
	for (size_t i = 0; i < BHI_OPTION_NR; i++) {
		if (!has_name(entry, len, options[i].name))
			continue;
		if (!*text)
			return 0;
		if (parse(&options[i], text, &values[i].value))
			return refuse(options[i].name, text, options[i].form);
		values[i].set = true;
		values[i].text = text;
		return 0;
	}
	bhi_errf("bulkhead: %s: no such variable; BULKHEAD_OPTIONS=help lists them\n",
		entry);
	return -EINVAL;
}

int bhi_env_read(struct bhi_option_value ret[BHI_OPTION_NR])
{
	struct bhi_option_value values[BHI_OPTION_NR] = {0};

	for (char **entry = environ; entry && *entry; entry++) {
		int r;

		if (strncmp(*entry, PREFIX, strlen(PREFIX)))
			continue;
		r = read_one(*entry, values);
		if (r)
			return r;
	}
	memcpy(ret, values, sizeof(values));
	return 0;
}

int bhi_env_help(int fd)
{
	struct bhi_out out;

	bhi_out_init(&out, fd);
	bhi_outf(&out, "Variables that Bulkhead reads at its start:\n");
	for (size_t i = 0; i < BHI_OPTION_NR; i++)
		bhi_outf(&out, "  %-26s %-22s %s\n", options[i].name, options[i].form,
			options[i].help);
	bhi_outf(&out, "  %-26s %-22s %s\n", options_name, options_form,
		"print this table on standard error");
	return bhi_out_flush(&out);
}
