/* SPDX-License-Identifier: MIT */
/*
 * Where the difference is subtle:
 *
 * An abort is the program's policy when its own out-of-memory handling made it: a
 * function called so is on the stack, a message said so, or the very call that was
 * refused, or the one around it, gave up. A failed assertion is never policy: it says
 * that something happened that its author took for impossible.
 *
 * A crash is the reporter's when the call that was refused is still going on, and between
 * it and the crash is the reporter: a function called so, or a message that came before.
 */
#include <signal.h>
#include <string.h>

#include "classify.h"
#include "words.h"

/* How many frames above the refused one may be its wrappers. */
#define MAX_WRAPPERS 4

static bool is_crash_signal(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL ||
	       signal == SIGFPE || signal == SIGABRT || signal == SIGTRAP ||
	       signal == SIGSYS;
}

int bhi_check_seen_signal(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	if (seen->end == BHI_CHECK_SIGNALED && is_crash_signal(seen->status))
		return seen->signal ? seen->signal : seen->status;
	/* It has a handler of its own: a crash is a crash. */
	if (is_crash_signal(seen->signal) && seen->end <= BHI_CHECK_SIGNALED &&
		!rules->crash_is_caught)
		return seen->signal;
	return 0;
}

static bool same_place(const struct bhi_check_place *a, const struct bhi_check_place *b)
{
	return a->offset == b->offset && !strcmp(a->path, b->path);
}

/*
 * How many frames of the crash stack are inside frame @from of the injection, when that
 * call was still going on: all frames around it are the same calls, and it stands where
 * it stood. SIZE_MAX: it has returned.
 */
static size_t depth_below(const struct bhi_check_seen *seen, size_t from)
{
	const struct bhi_check_backtrace *injected = &seen->injected,
					 *crash = &seen->crash;
	size_t around = injected->nr - from - 1, at;

	if (from >= injected->nr || crash->nr < around + 1)
		return SIZE_MAX;
	at = crash->nr - around - 1;
	if (seen->crash_cfa[at] != seen->injected_cfa[from] ||
		strcmp(crash->places[at].path, injected->places[from].path))
		return SIZE_MAX;
	for (size_t i = 1; i <= around; i++) {
		if (!same_place(&crash->places[at + i], &injected->places[from + i]))
			return SIZE_MAX;
	}
	return at;
}

/* The same for the function that was given NULL: the one that called, or whoever called
 * it through wrappers that hand the failure on. */
static size_t depth_below_refused(const struct bhi_check_seen *seen)
{
	for (size_t i = 0; i < seen->injected.nr && i <= MAX_WRAPPERS; i++) {
		const struct bhi_check_place *place = &seen->injected.places[i];
		size_t depth = depth_below(seen, i);

		if (depth != SIZE_MAX)
			return depth;
		if (!bhi_check_is_wrapper(place) && !bhi_check_is_libc(place))
			break;
	}
	return SIZE_MAX;
}

static bool has_reporter(const struct bhi_check_backtrace *trace, size_t nr)
{
	for (size_t i = 0; i < nr && i < trace->nr; i++) {
		if (bhi_check_is_reporter(&trace->places[i]))
			return true;
	}
	return false;
}

static bool says(const struct bhi_check_seen *seen, bool (*what)(const char *, size_t))
{
	return what(seen->err, seen->err_len) || what(seen->out, seen->out_len);
}

static bool is_assertion(const struct bhi_check_seen *seen)
{
	for (size_t i = 0; i < seen->crash.nr; i++) {
		if (bhi_check_is_assertion(&seen->crash.places[i]))
			return true;
	}
	return bhi_check_says_assertion(seen->err, seen->err_len);
}

/* Ends as abort() does, without having been told so by the processor. */
static bool is_meant(const struct bhi_check_seen *seen, int signal)
{
	if (signal == SIGABRT || signal == SIGTRAP || signal == SIGILL)
		return true;
	/* "*(char *)-1 = 'x'" in a function that is called so. */
	return signal == SIGSEGV && seen->crash.nr &&
	       bhi_check_is_reporter(&seen->crash.places[0]) &&
	       (seen->address == 0 || seen->address == UINT64_MAX);
}

static enum bhi_check_class classify_crash(const struct bhi_check_seen *seen, int signal)
{
	size_t depth;

	if (bhi_check_says_corruption(seen->err, seen->err_len))
		return BHI_CHECK_CORRUPTION;
	if (seen->nr_policy_aborts)
		return BHI_CHECK_POLICY_ABORT;
	depth = depth_below_refused(seen);
	if (is_meant(seen, signal)) {
		if (is_assertion(seen))
			return BHI_CHECK_CRASH;
		if (has_reporter(&seen->crash, seen->crash.nr) || depth != SIZE_MAX ||
			says(seen, bhi_check_says_no_memory) ||
			says(seen, bhi_check_says_language_end))
			return BHI_CHECK_POLICY_ABORT;
		return BHI_CHECK_CRASH;
	}
	if (depth != SIZE_MAX && (has_reporter(&seen->crash, depth + 1) ||
					 says(seen, bhi_check_says_no_memory)))
		return BHI_CHECK_REPORTER_CRASH;
	return BHI_CHECK_CRASH;
}

static bool matches_ok(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	return rules->ok && (!regexec(rules->ok, seen->err, 0, NULL, 0) ||
				    !regexec(rules->ok, seen->out, 0, NULL, 0));
}

/* It ran to its end and gave what the clean run gave. What an error path leaves behind
 * that ends the program, or says that something will be missing, is no leak; what this
 * leaves is. */
static enum bhi_check_class classify_same(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	if (seen->err_differs)
		return BHI_CHECK_HANDLED;
	if (seen->exit_seen && seen->live_blocks > rules->live_blocks &&
		seen->live_bytes > rules->live_bytes)
		return BHI_CHECK_LEAK;
	if (seen->exit_seen && seen->locks_held > rules->locks_held)
		return BHI_CHECK_LOCK_HELD;
	return BHI_CHECK_ABSORBED;
}

static enum bhi_check_class classify_end(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	bool as_expected =
		seen->end == BHI_CHECK_EXITED && seen->status == rules->expected_exit;

	if (matches_ok(rules, seen))
		return BHI_CHECK_HANDLED;
	if (as_expected && seen->output_differs)
		return seen->err_differs && seen->err_len ? BHI_CHECK_WRONG_MESSAGE
							  : BHI_CHECK_WRONG_SILENT;
	if (as_expected)
		return classify_same(rules, seen);
	if (seen->err_differs && seen->err_len)
		return BHI_CHECK_HANDLED;
	/* Some programs write their log to standard output. */
	if (seen->output_differs && bhi_check_says_no_memory(seen->out, seen->out_len))
		return BHI_CHECK_HANDLED;
	return BHI_CHECK_SILENT_ERROR;
}

enum bhi_check_class bhi_check_classify(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	int signal = bhi_check_seen_signal(rules, seen);

	if (!seen->nr_injected)
		return BHI_CHECK_UNREACHED;
	if (signal)
		return classify_crash(seen, signal);
	switch (seen->end) {
	case BHI_CHECK_TIMED_OUT_BUSY:
		return BHI_CHECK_BUSY_HANG;
	case BHI_CHECK_TIMED_OUT_ASLEEP:
	case BHI_CHECK_TIMED_OUT_LOCKED:
		return BHI_CHECK_DEADLOCK;
	case BHI_CHECK_TOO_MUCH_OUTPUT:
		return BHI_CHECK_RUNAWAY_OUTPUT;
	case BHI_CHECK_EXITED:
	case BHI_CHECK_SIGNALED:
	case BHI_CHECK_NOT_STARTED:
		break;
	}
	return classify_end(rules, seen);
}
