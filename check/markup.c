/* SPDX-License-Identifier: MIT */
#include "markup.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "report.h"

#define REPLACEMENT "\xef\xbf\xbd"

static const struct bhi_check_words words[] = {
	[BHI_CHECK_CORRUPTION] = {"Memory corruption",
		"After the failure the heap was damaged, or memory was freed that was "
		"not allocated.",
		"error", "crash"},
	[BHI_CHECK_CRASH] = {"Crash",
		"The program was ended by a fault that the failure led to.", "error",
		"crash"},
	[BHI_CHECK_REPORTER_CRASH] = {"Crash in the out-of-memory reporter",
		"The program noticed the failure, and crashed in its own code that "
		"reports it.",
		"error", "crash"},
	[BHI_CHECK_DEADLOCK] = {"Deadlock",
		"Every thread slept for ever: most often a lock was not given back on "
		"the error path.",
		"error", "hang"},
	[BHI_CHECK_BUSY_HANG] = {"Busy hang",
		"The program used the CPU until its time was over: most often it tries "
		"again without end.",
		"error", "hang"},
	[BHI_CHECK_RUNAWAY_OUTPUT] = {"Runaway output", "The program wrote without end.",
		"error", "hang"},
	[BHI_CHECK_WRONG_SILENT] = {"Wrong output, silent",
		"The program ended as if nothing had happened, without a message, and "
		"what it wrote is not what it should be.",
		"error", "wrong"},
	[BHI_CHECK_WRONG_MESSAGE] = {"Wrong output, with a message",
		"The program said that something is wrong, wrote something else than "
		"it should, and its exit status says success.",
		"error", "wrong"},
	[BHI_CHECK_LEAK] = {"Leak",
		"More memory was left at the end than without the failure.", "warning",
		"flaw"},
	[BHI_CHECK_LOCK_HELD] = {"Lock left held",
		"The program ended while it held a lock that it gives back without the "
		"failure.",
		"warning", "flaw"},
	[BHI_CHECK_SILENT_ERROR] = {"Silent error",
		"The exit status says that it failed, and nothing says why.", "warning",
		"flaw"},
	[BHI_CHECK_POLICY_ABORT] = {"Abort by policy",
		"The program ended itself in the way that it has chosen for this.",
		"note", "policy"},
	[BHI_CHECK_HANDLED] = {"Handled",
		"The program reported the failure and ended with an exit status that "
		"says so.",
		"note", "handled"},
	[BHI_CHECK_ABSORBED] = {"Absorbed",
		"No difference was seen, which does not say that there is none.", "none",
		"absorbed"},
	[BHI_CHECK_UNREACHED] = {"Not reached",
		"The call was not made again: there is no verdict.", "none", "untested"},
};
_Static_assert(bhi_array_size(words) == BHI_CHECK_NR_CLASSES, "each is explained");

const struct bhi_check_words *bhi_check_class_words(enum bhi_check_class class)
{
	return &words[bhi_min((unsigned)class, BHI_CHECK_NR_CLASSES - 1u)];
}

/* U+FFFE and U+FFFF are UTF-8, but no characters. */
static bool is_no_character(const char *text, size_t len)
{
	return len == 3 && !memcmp(text, "\xef\xbf", 2) &&
	       ((unsigned char)text[2] & 0xfe) == 0xbe;
}

static void put_one(struct bhi_out *out, const char *text, size_t len)
{
	unsigned char c = (unsigned char)*text;

	/* Of the last three a parser makes blanks in attributes. */
	bool is_escaped = c && strchr("&<>\"'\n\t\r", c);

	if (is_escaped && len)
		bhi_outf(out, "&#%u;", c);
	else if (!len || c < ' ' || is_no_character(text, len))
		bhi_outf(out, REPLACEMENT);
	else
		for (size_t i = 0; i < len; i++)
			bhi_outf(out, "%c", text[i]);
}

void bhi_check_put_markup(struct bhi_out *out, const char *text)
{
	while (text && *text) {
		size_t len = bhi_utf8_length(text);

		put_one(out, text, len);
		text += len ? len : 1;
	}
}

void bhi_check_put_place(struct bhi_out *out, const struct bhi_check_place *place)
{
	const char *slash;

	if (!place->function) {
		bhi_check_put_markup(out, place->module ? place->module : "no module");
		bhi_outf(out, "+0x%lx", place->offset);
		return;
	}
	bhi_check_put_markup(out, place->function);
	if (place->file) {
		slash = strrchr(place->file, '/');
		bhi_outf(out, " (");
		bhi_check_put_markup(out, slash && slash[1] ? slash + 1 : place->file);
		bhi_outf(out, ":%u)", place->line);
	} else {
		bhi_outf(out, "+0x%lx", place->function_offset);
	}
}

void bhi_check_put_command(struct bhi_out *out, char *const *command)
{
	char *line = command ? bhi_check_quote(command) : NULL;

	bhi_check_put_markup(out, line);
	free(line);
}

void bhi_check_put_number(struct bhi_out *out, uint64_t number)
{
	uint64_t unit = 1;

	while (number / unit >= 1000)
		unit *= 1000;
	bhi_outf(out, "%lu", number / unit);
	for (unit /= 1000; unit; unit /= 1000)
		bhi_outf(out, ",%03lu", number / unit % 1000);
}

const char *bhi_check_signal_name(int signal)
{
	static const struct {
		int signal;
		const char *name;
	} names[] = {{4, "SIGILL"}, {5, "SIGTRAP"}, {6, "SIGABRT"}, {7, "SIGBUS"},
		{8, "SIGFPE"}, {9, "SIGKILL"}, {11, "SIGSEGV"}, {13, "SIGPIPE"},
		{14, "SIGALRM"}, {15, "SIGTERM"}, {24, "SIGXCPU"}, {25, "SIGXFSZ"},
		{31, "SIGSYS"}};

	for (size_t i = 0; i < bhi_array_size(names); i++) {
		if (names[i].signal == signal)
			return names[i].name;
	}
	return NULL;
}
