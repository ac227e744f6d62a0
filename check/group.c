/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "allocate.h"
#include "words.h"

/* Deeper than programs that recurse over their input are in most cases. */
#define DEEP_STACK  128
/* No stack is below this address. */
#define FIRST_STACK (1UL << 20)

static bool is_loop_class(enum bhi_check_class class)
{
	return class == BHI_CHECK_BUSY_HANG || class == BHI_CHECK_RUNAWAY_OUTPUT;
}

/* It dies in a place, or waits in one. */
static bool is_crash_class(enum bhi_check_class class)
{
	return class == BHI_CHECK_CORRUPTION || class == BHI_CHECK_DEADLOCK ||
	       class == BHI_CHECK_CRASH || class == BHI_CHECK_REPORTER_CRASH ||
	       class == BHI_CHECK_POLICY_ABORT;
}

/*
 * The library's part of the stack is what its caller made it do when its outermost frame
 * is a function that dies of its arguments, or when one frame is all there is. Else
 * something is wrong in the library itself, below the frames that only raise the signal.
 */
size_t bhi_check_crash_site(const struct bhi_check_backtrace *crash)
{
	size_t end = 0, start = 0;

	while (end < crash->nr && bhi_check_is_libc(&crash->places[end]))
		end++;
	for (size_t i = 0; i < end; i++) {
		if (bhi_check_is_callers_fault(&crash->places[i]))
			start = i + 1;
	}
	if (end < crash->nr && !start && end == 1)
		return end;
	if (start == end || end == crash->nr)
		return start < crash->nr ? start : end;
	return start;
}

size_t bhi_check_injection_site(const struct bhi_check_backtrace *injected)
{
	size_t at = 0, in_libc;

	while (at < injected->nr && bhi_check_is_libc(&injected->places[at]))
		at++;
	in_libc = at;
	while (at < injected->nr && bhi_check_is_wrapper(&injected->places[at]))
		at++;
	return at < injected->nr ? at : in_libc;
}

/* FNV-1a, strings with their final 0. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do {
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	} while (*text++);
	return hash;
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lx", number);
	return hash_text(hash, text);
}

/* By name where there is one, so that another build of the module is the same. */
static uint64_t hash_place(
	uint64_t hash, const struct bhi_check_place *place, bool within)
{
	hash = hash_text(hash, place->module);
	if (!place->own_function)
		return hash_number(hash_text(hash, place->build_id), place->offset);
	hash = hash_text(hash, place->own_function);
	return within ? hash_number(hash, place->own_offset) : hash;
}

static size_t find_reporter(const struct bhi_check_backtrace *crash)
{
	size_t at = 0;

	while (at < crash->nr && (!bhi_check_is_reporter(&crash->places[at]) ||
					 bhi_check_is_libc(&crash->places[at])))
		at++;
	return at;
}

/* A program has one way of ending: its reporter, or what it says, or where it does it. */
static uint64_t hash_policy(uint64_t hash, const struct bhi_check_test *test)
{
	size_t reporter = find_reporter(&test->crash);
	size_t site = bhi_check_crash_site(&test->crash);

	if (reporter < test->crash.nr)
		return hash_place(hash, &test->crash.places[reporter], false);
	if (site < test->crash.nr)
		hash = hash_text(hash, test->crash.places[site].module);
	if (!test->message)
		return site < test->crash.nr
			       ? hash_place(hash, &test->crash.places[site], false)
			       : hash;
	for (const char *c = test->message; *c; c++) {
		if (*c < '0' || *c > '9')
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	}
	return hash;
}

static uint64_t hash_injection(uint64_t hash, const struct bhi_check_backtrace *injected)
{
	size_t site = bhi_check_injection_site(injected);

	/* The library's function that was called, when it is in the library. */
	if (site && site < injected->nr && bhi_check_is_libc(&injected->places[site - 1]))
		hash = hash_place(hash, &injected->places[site - 1], false);
	return site < injected->nr ? hash_place(hash, &injected->places[site], false)
				   : hash;
}

/* Something that was not set up, and so not taken down either, shows at many calls inside
 * one library: what the program called there is one cause. */
static uint64_t hash_leak(uint64_t hash, const struct bhi_check_backtrace *injected)
{
	size_t site = bhi_check_injection_site(injected), at = injected->nr;

	/* The library may be called back, by pthread_once() for one. */
	while (at > site &&
		strcmp(injected->places[at - 1].path, injected->places[site].path))
		at--;
	/* It is the program itself, or a constructor. */
	if (at >= injected->nr || bhi_check_is_libc(&injected->places[at]))
		return hash_injection(hash, injected);
	hash = hash_place(hash, &injected->places[at - 1], false);
	return hash_place(hash, &injected->places[at], false);
}

/*
 * A stack of a loop was taken somewhere in it, so only what is around the loop is the
 * same each time: the function in which the ways to the refused call and to this place
 * part, or, when they share nothing, the innermost one of the program. .crash.nr: there
 * is none.
 */
static size_t find_loop(const struct bhi_check_test *test)
{
	const struct bhi_check_backtrace *trace = &test->crash,
					 *injected = &test->injected;
	size_t outer = trace->nr, common = 0, at = 0;

	while (common < trace->nr && common < injected->nr &&
		trace->places[trace->nr - common - 1].offset ==
			injected->places[injected->nr - common - 1].offset &&
		!strcmp(trace->places[trace->nr - common - 1].path,
			injected->places[injected->nr - common - 1].path))
		common++;
	while (outer && bhi_check_is_libc(&trace->places[outer - 1]))
		outer--;
	if (!outer)
		return trace->nr;
	if (common < trace->nr &&
		!bhi_check_is_libc(&trace->places[trace->nr - common - 1]))
		return trace->nr - common - 1;
	while (strcmp(trace->places[at].path, trace->places[outer - 1].path))
		at++;
	return at;
}

/* A function without a name is known by who called it. */
static uint64_t hash_loop(uint64_t hash, const struct bhi_check_test *test)
{
	const struct bhi_check_backtrace *trace = &test->crash;
	size_t at = find_loop(test);

	if (at == trace->nr)
		return hash_injection(hash, &test->injected);
	if (!trace->places[at].own_function && at + 1 < trace->nr)
		at++;
	return hash_place(hash, &trace->places[at], false);
}

static bool same_function(
	const struct bhi_check_place *a, const struct bhi_check_place *b)
{
	if (!a->own_function || !b->own_function)
		return a->own_function == b->own_function && a->offset == b->offset &&
		       !strcmp(a->path, b->path);
	return !strcmp(a->own_function, b->own_function) && !strcmp(a->path, b->path);
}

/*
 * Functions that call each other until the stack is used up die in another of them, or in
 * another place, each time: where the stack begins differs. So it is the one with the
 * least hash that is blamed. .nr: it is no such crash. What a null pointer leads to is
 * below FIRST_STACK.
 */
static size_t find_recursion(const struct bhi_check_test *test)
{
	const struct bhi_check_backtrace *crash = &test->crash;
	size_t found = crash->nr;
	uint64_t least = UINT64_MAX;

	if (test->signal != SIGSEGV || test->address < FIRST_STACK ||
		crash->nr < DEEP_STACK)
		return found;
	for (size_t i = 0; i < crash->nr; i++) {
		uint64_t hash = hash_place(0, &crash->places[i], false);
		size_t nr = 0;

		if (hash >= least)
			continue;
		for (size_t k = 0; k < crash->nr; k++)
			nr += same_function(&crash->places[i], &crash->places[k]);
		if (nr < DEEP_STACK / 4)
			continue;
		least = hash;
		found = i;
	}
	return found;
}

uint64_t bhi_check_test_key(const struct bhi_check_test *test)
{
	uint64_t hash = hash_text(0xcbf29ce484222325, bhi_check_class_name(test->class));
	size_t site;

	if (test->class == BHI_CHECK_LEAK)
		return hash_leak(hash, &test->injected);
	if (is_loop_class(test->class))
		return hash_loop(hash, test);
	if (!is_crash_class(test->class) || !test->crash.nr)
		return hash_number(
			hash_injection(hash, &test->injected), (uint64_t)test->signal);
	hash = hash_number(hash, (uint64_t)test->signal);
	if (test->class == BHI_CHECK_POLICY_ABORT)
		return hash_policy(hash, test);
	site = find_recursion(test);
	if (site < test->crash.nr)
		return hash_place(hash, &test->crash.places[site], false);
	site = bhi_check_crash_site(&test->crash);
	if (site == test->crash.nr)
		return hash_injection(hash, &test->injected);
	return hash_place(hash, &test->crash.places[site], true);
}

void bhi_check_format_id(enum bhi_check_class class, uint64_t key, char ret[32])
{
	snprintf(ret, 32, "%s-%08x", bhi_check_class_name(class),
		(uint32_t)(key ^ key >> 32));
}

static const struct bhi_check_place *find_site(const struct bhi_check_test *test)
{
	size_t loop = find_loop(test);

	const struct bhi_check_backtrace *trace = &test->injected;
	size_t site = bhi_check_injection_site(trace);

	if (is_loop_class(test->class) && loop < test->crash.nr)
		return &test->crash.places[loop];
	if (is_crash_class(test->class) && test->crash.nr) {
		trace = &test->crash;
		site = test->class == BHI_CHECK_POLICY_ABORT ? find_reporter(trace)
							     : find_recursion(test);
		if (site == trace->nr)
			site = bhi_check_crash_site(trace);
	}
	return site < trace->nr ? &trace->places[site] : NULL;
}

/* "strcmp in jv_identical", "libc.so.6+0x134c4d below getpwuid": the site, and the name
 * that a reader knows. */
static char *describe_site(const struct bhi_check_backtrace *trace, size_t site)
{
	char name[160], other[160];
	size_t outer = site;

	if (site >= trace->nr)
		return bhi_check_strdup("an unknown place");
	bhi_check_place_name(&trace->places[site], name, sizeof(name));
	if (bhi_check_is_libc(&trace->places[site])) {
		while (outer + 1 < trace->nr &&
			bhi_check_is_libc(&trace->places[outer + 1]))
			outer++;
		if (outer > site && trace->places[outer].function)
			return bhi_check_format("%s below %s", name,
				bhi_check_place_name(
					&trace->places[outer], other, sizeof(other)));
		return bhi_check_strdup(name);
	}
	for (size_t i = site; i-- > 0;) {
		if (trace->places[i].function && bhi_check_is_libc(&trace->places[i]))
			return bhi_check_format(
				"%s, called by %s", trace->places[i].function, name);
	}
	return bhi_check_strdup(name);
}

static char *describe_end(const struct bhi_check_test *test)
{
	const struct bhi_check_backtrace *crash = &test->crash;
	char *where = describe_site(crash, bhi_check_crash_site(crash)), *text;
	const char *signal = test->signal ? sigabbrev_np(test->signal) : NULL;
	size_t reporter = find_reporter(crash), recursion = find_recursion(test);
	char name[160];

	switch (test->class) {
	case BHI_CHECK_CORRUPTION:
		text = bhi_check_format("memory is corrupt, found in %s", where);
		break;
	case BHI_CHECK_REPORTER_CRASH:
		text = bhi_check_format("the program's own reporter dies: SIG%s in %s",
			signal ? signal : "?", where);
		break;
	case BHI_CHECK_POLICY_ABORT:
		text = reporter < crash->nr
			       ? bhi_check_format("ends by its own policy in %s",
					 bhi_check_place_name(&crash->places[reporter],
						 name, sizeof(name)))
			       : bhi_check_format("ends by its own policy in %s", where);
		break;
	case BHI_CHECK_DEADLOCK:
		text = bhi_check_format("sleeps for ever in %s", where);
		break;
	case BHI_CHECK_CRASH:
		text = recursion < crash->nr
			       ? bhi_check_format("calls itself until the stack is used "
						  "up in %s",
					 bhi_check_place_name(&crash->places[recursion],
						 name, sizeof(name)))
			       : bhi_check_format(
					 "SIG%s in %s", signal ? signal : "?", where);
		break;
	default:
		text = bhi_check_strdup("");
	}
	free(where);
	return text;
}

static const char *const class_sentences[BHI_CHECK_NR_CLASSES] = {
	[BHI_CHECK_CORRUPTION] = "memory is corrupt",
	[BHI_CHECK_CRASH] = "dies",
	[BHI_CHECK_REPORTER_CRASH] = "the program's own reporter dies",
	[BHI_CHECK_POLICY_ABORT] = "ends by its own policy",
	[BHI_CHECK_DEADLOCK] = "sleeps for ever",
	[BHI_CHECK_BUSY_HANG] = "loops for ever",
	[BHI_CHECK_RUNAWAY_OUTPUT] = "writes without end",
	[BHI_CHECK_WRONG_SILENT] = "the output is wrong and nothing says so",
	[BHI_CHECK_WRONG_MESSAGE] =
		"the output is wrong, with a message but status as if all was well",
	[BHI_CHECK_LEAK] = "goes on, and more memory is left at the end",
	[BHI_CHECK_LOCK_HELD] = "goes on, and a lock is held at the end",
	[BHI_CHECK_SILENT_ERROR] = "ends with an error and does not say why",
};

static char *describe_any_end(const struct bhi_check_test *test)
{
	size_t loop = find_loop(test);
	char name[160];

	if (is_crash_class(test->class) && test->crash.nr)
		return describe_end(test);
	if (is_loop_class(test->class) && loop < test->crash.nr)
		return bhi_check_format("%s in %s", class_sentences[test->class],
			bhi_check_place_name(
				&test->crash.places[loop], name, sizeof(name)));
	return bhi_check_strdup(class_sentences[test->class]);
}

static char *make_title(const struct bhi_check_test *test)
{
	char *injected =
		describe_site(&test->injected, bhi_check_injection_site(&test->injected));
	char *end = describe_any_end(test);
	char *title = bhi_check_format("%s when %s in %s fails", end,
		bhi_check_function_name(test->function), injected);

	free(injected);
	free(end);
	return title;
}

/* Total, so that the example depends on the set of tests alone. */
int bhi_check_compare_examples(
	const struct bhi_check_test *a, const struct bhi_check_test *b)
{
	if (a->occurrence != b->occurrence)
		return a->occurrence < b->occurrence ? -1 : 1;
	if (a->injected.nr != b->injected.nr)
		return a->injected.nr < b->injected.nr ? -1 : 1;
	return (a->stack > b->stack) - (a->stack < b->stack);
}

static const struct bhi_check_point_stack *find_stack(
	const struct bhi_check_session *session, uint64_t hash)
{
	for (size_t i = 0; i < session->nr_stacks; i++) {
		if (session->stacks[i].hash == hash)
			return &session->stacks[i];
	}
	return NULL;
}

static void count_stacks(
	const struct bhi_check_session *session, struct bhi_check_finding *finding)
{
	for (size_t i = 0; i < finding->nr_tests; i++) {
		uint64_t hash = session->tests[finding->tests[i]].stack;
		const struct bhi_check_point_stack *stack;
		size_t before = 0;

		while (before < i && session->tests[finding->tests[before]].stack != hash)
			before++;
		if (before < i)
			continue;
		stack = find_stack(session, hash);
		finding->nr_stacks++;
		finding->nr_calls += stack ? stack->nr_calls : 1;
	}
}

static int worst_first(const void *a, const void *b)
{
	const struct bhi_check_finding *x = a, *y = b;

	if (x->class != y->class)
		return (x->class > y->class) - (x->class < y->class);
	if (x->nr_calls != y->nr_calls)
		return (x->nr_calls < y->nr_calls) - (x->nr_calls > y->nr_calls);
	return strcmp(x->id, y->id);
}

static size_t find_finding(const struct bhi_check_session *session, const char *id)
{
	size_t at = 0;

	while (at < session->nr_findings && strcmp(session->findings[at].id, id))
		at++;
	return at;
}

static void add_test(struct bhi_check_session *session, size_t index, size_t *capacity)
{
	struct bhi_check_test *test = &session->tests[index];
	struct bhi_check_finding *finding;
	char id[32];
	size_t at, room;

	bhi_check_format_id(test->class, test->key, id);
	at = find_finding(session, id);
	session->findings = bhi_check_grow(
		session->findings, capacity, at + 1, sizeof(*session->findings));
	finding = &session->findings[at];
	if (at == session->nr_findings) {
		*finding = (struct bhi_check_finding){.class = test->class};
		memcpy(finding->id, id, sizeof(id));
		session->nr_findings++;
	}
	room = finding->nr_tests;
	finding->tests = bhi_check_grow(
		finding->tests, &room, finding->nr_tests + 1, sizeof(*finding->tests));
	finding->tests[finding->nr_tests++] = index;
	if (!finding->example || bhi_check_compare_examples(test, finding->example) < 0)
		finding->example = test;
}

void bhi_check_group(struct bhi_check_session *session)
{
	size_t capacity = 0;

	bhi_check_ungroup(session);
	memset(session->nr_by_class, 0, sizeof(session->nr_by_class));
	for (size_t i = 0; i < session->nr_tests; i++) {
		struct bhi_check_test *test = &session->tests[i];

		session->nr_by_class[test->class]++;
		test->finding = SIZE_MAX;
		if (bhi_check_class_is_finding(test->class))
			add_test(session, i, &capacity);
	}
	for (size_t i = 0; i < session->nr_findings; i++) {
		struct bhi_check_finding *finding = &session->findings[i];

		count_stacks(session, finding);
		finding->site = find_site(finding->example);
		finding->module = finding->site ? finding->site->module : "unknown";
		finding->title = make_title(finding->example);
	}
	if (session->nr_findings)
		qsort(session->findings, session->nr_findings, sizeof(*session->findings),
			worst_first);
	for (size_t i = 0; i < session->nr_findings; i++) {
		for (size_t k = 0; k < session->findings[i].nr_tests; k++)
			session->tests[session->findings[i].tests[k]].finding = i;
	}
}

void bhi_check_ungroup(struct bhi_check_session *session)
{
	for (size_t i = 0; i < session->nr_findings; i++) {
		free(session->findings[i].tests);
		free(session->findings[i].title);
	}
	free(session->findings);
	session->findings = NULL;
	session->nr_findings = 0;
}
