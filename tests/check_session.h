/* SPDX-License-Identifier: MIT */
/*
 * A session as it could have been, made of numbers: the same parts give the same session.
 * What came of a test follows from its stack and occurrence alone, so that a session in
 * shards and one in a single piece are comparable.
 */
#ifndef BHI_TESTS_CHECK_SESSION_H
#define BHI_TESTS_CHECK_SESSION_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/fmt.h"

#include "arena.h"
#include "merge.h"
#include "write.h"

/* Markup, quotes, control bytes, what is not UTF-8, and an unpaired surrogate. */
#define MADE_HOSTILE                   \
	"</script><b "                 \
	"a=\"x\">'&amp;]]>--\x01\x1b[" \
	"31m\t\r\n\xff\xc0\x80\xed\xa0\x80\xef\xbf\xbe\\u003c%s"

struct made {
	struct bhi_check_session session;
	struct bhi_check_arena arena;
};

static inline void *made_alloc(struct made *made, size_t nr, size_t size)
{
	void *p = bhi_check_arena_alloc(&made->arena, nr, size);

	if (!p)
		abort();
	return p;
}

static inline uint64_t made_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Places with and without symbols, and with and without lines. */
static inline struct bhi_check_place made_place(unsigned number)
{
	static const char *const functions[] = {"raxNew", "sdsnewlen", "dictCreate",
		"parse_value", "re_search", "getpwuid", "hash_insert", "main",
		"std::vector<int>::push_back(int const&)", "make_node", NULL, "xstrdup"};
	static const char *const modules[] = {
		"server", "libc.so.6", "libstdc++.so.6", "libparse.so.1"};
	static const char *const paths[] = {"/usr/bin/server",
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/opt/a b/libparse.so.1"};
	struct bhi_check_place place = {.offset = 0x1000 + 16 * number};
	unsigned module = number % 7 % 4;

	place.module = modules[module];
	place.path = paths[module];
	place.build_id = module == 3 ? "" : "5f3a9c10d4e2b7a6c8f90112233445566778899a";
	place.function = functions[number % bhi_array_size(functions)];
	if (place.function) {
		place.function_offset = number % 90;
		place.own_function = place.function;
		place.own_offset = place.function_offset + 1;
	}
	if (place.function && number % 3) {
		place.file = number % 2 ? "/build/server/src/rax.c" : "src/dict.c";
		place.line = 10 + number;
	}
	return place;
}

static inline struct bhi_check_backtrace made_trace(
	struct made *made, uint64_t seed, size_t nr)
{
	struct bhi_check_backtrace trace = {
		.places = made_alloc(made, nr, sizeof(struct bhi_check_place)), .nr = nr};

	/* The outer frames are the same for all; the rest is a walk in a tree. */
	for (size_t i = 0; i < nr; i++) {
		size_t depth = nr - 1 - i;
		uint64_t part =
			depth < 2 ? 0 : seed >> (2 * (8 - bhi_min(depth, (size_t)8)));

		trace.places[i] =
			made_place((unsigned)(made_mix(part + depth * 1000) % 60));
	}
	return trace;
}

static inline enum bhi_check_class made_class(uint64_t stack, uint64_t occurrence)
{
	uint64_t chance = made_mix(stack ^ occurrence << 17) % 100;

	if (chance < 4)
		return BHI_CHECK_CRASH;
	if (chance < 6)
		return BHI_CHECK_DEADLOCK;
	if (chance < 12)
		return BHI_CHECK_WRONG_SILENT;
	if (chance < 15)
		return BHI_CHECK_LEAK;
	if (chance < 30)
		return BHI_CHECK_POLICY_ABORT;
	return chance < 70 ? BHI_CHECK_HANDLED : BHI_CHECK_ABSORBED;
}

static inline void made_stacks(struct made *made, size_t nr)
{
	struct bhi_check_session *session = &made->session;

	session->stacks = made_alloc(made, nr, sizeof(*session->stacks));
	session->nr_stacks = nr;
	for (size_t i = 0; i < nr; i++) {
		struct bhi_check_point_stack *stack = &session->stacks[i];
		uint64_t seed = made_mix(i + 1);

		*stack = (struct bhi_check_point_stack){.hash = made_mix(seed),
			.nr_calls = 1 + seed % 40,
			.first_call = 1 + 3 * i,
			.size = 16 + seed % 500,
			.functions = 1u << seed % 3,
			.worst = BHI_CHECK_NR_CLASSES};
		stack->trace = made_trace(made, seed & 0xffff, 4 + seed % 9);
		session->nr_calls += stack->nr_calls;
	}
}

static inline void made_test(
	struct made *made, struct bhi_check_point_stack *stack, uint64_t occurrence)
{
	struct bhi_check_session *session = &made->session;
	struct bhi_check_test *test = &session->tests[session->nr_tests++];

	*test = (struct bhi_check_test){.stack = stack->hash,
		.occurrence = occurrence,
		.function = (enum bhi_check_function)__builtin_ctz(stack->functions),
		.size = stack->size,
		.injected = stack->trace,
		.class = made_class(stack->hash, occurrence),
		.finding = SIZE_MAX};
	if (test->class == BHI_CHECK_CRASH) {
		test->crash = made_trace(made, stack->hash & 0xff, 6);
		test->signal = 11;
		test->address = 0xffffffffffffff18;
	} else if (test->class == BHI_CHECK_WRONG_SILENT) {
		test->difference = "line 12: \"012 line a\" is missing";
	} else if (test->class == BHI_CHECK_LEAK) {
		test->leaked_bytes = 4096;
		test->leaked_blocks = 3;
	} else if (test->class == BHI_CHECK_HANDLED) {
		test->status = 2;
	}
	if (test->class < BHI_CHECK_HANDLED)
		test->key = made_mix(stack->hash);
	test->message = test->class == BHI_CHECK_HANDLED ? "out of memory" : NULL;
	stack->nr_tested++;
	stack->worst = bhi_min(stack->worst, test->class);
	session->nr_by_class[test->class]++;
}

/* The finding of this class and of the module that made the call. */
static inline struct bhi_check_finding *made_finding(
	struct made *made, const struct bhi_check_test *test)
{
	struct bhi_check_session *session = &made->session;
	const char *module = test->injected.places[0].module;
	struct bhi_check_finding *finding;
	char id[32];

	bhi_format(id, sizeof(id), "%s-%08x", bhi_check_class_name(test->class),
		(unsigned)made_mix((uint64_t)module[3] << 8 | test->class));
	for (size_t i = 0; i < session->nr_findings; i++) {
		if (!strcmp(session->findings[i].id, id))
			return &session->findings[i];
	}
	finding = &session->findings[session->nr_findings++];
	memcpy(finding->id, id, sizeof(id));
	finding->class = test->class;
	finding->module = module;
	finding->tests = made_alloc(made, session->nr_tests, sizeof(*finding->tests));
	finding->example = test;
	return finding;
}

/* Fewest frames, then a total order, so that it does not matter who else is there. */
static inline void made_example(
	struct bhi_check_finding *finding, const struct bhi_check_test *test)
{
	const struct bhi_check_test *now = finding->example;

	if (test->occurrence != now->occurrence ? test->occurrence < now->occurrence
		: test->injected.nr != now->injected.nr
			? test->injected.nr < now->injected.nr
			: test->stack < now->stack)
		finding->example = test;
}

static inline void made_title(struct made *made, struct bhi_check_finding *finding)
{
	const struct bhi_check_test *test = finding->example;

	finding->site = &test->injected.places[test->injected.nr - 1];
	finding->title = made_alloc(made, 128, 1);
	bhi_format(finding->title, 128, "%s below %s when %s of %lu bytes fails",
		bhi_check_class_name(test->class), finding->module,
		bhi_check_function_name(test->function), test->size);
}

static inline void made_findings(struct made *made)
{
	struct bhi_check_session *session = &made->session;

	session->findings =
		made_alloc(made, session->nr_tests, sizeof(*session->findings));
	for (unsigned class = 0; class < BHI_CHECK_HANDLED; class ++) {
		for (size_t i = 0; i < session->nr_tests; i++) {
			struct bhi_check_finding *finding;
			struct bhi_check_test *test = &session->tests[i];

			if (test->class != class)
				continue;
			finding = made_finding(made, test);
			test->finding = (size_t)(finding - session->findings);
			finding->tests[finding->nr_tests++] = i;
			made_example(finding, test);
			if (finding->nr_tests > 1 &&
				session->tests[finding->tests[finding->nr_tests - 2]]
						.stack == test->stack)
				continue;
			finding->nr_stacks++;
			for (size_t k = 0; k < session->nr_stacks; k++) {
				if (session->stacks[k].hash == test->stack)
					finding->nr_calls += session->stacks[k].nr_calls;
			}
		}
	}
	for (size_t i = 0; i < session->nr_findings; i++)
		made_title(made, &session->findings[i]);
}

/* Shard @i of @n; 1 of 1 is the whole. To be ended by made_fini(). */
static inline void made_init(struct made *made, size_t nr_stacks, unsigned i, unsigned n)
{
	static char *const command[] = {
		(char *)"server", (char *)"--config", (char *)"a b.conf", NULL};
	struct bhi_check_session *session = &made->session;

	*made = (struct made){
		.session = {
			.command = command, .mode = "once", .given = "--stdin 'a b'"}};
	session->fail_on = BHI_CHECK_SILENT_ERROR;
	session->wall_ns = 2345678901;
	session->clean_cpu_ns = 17000000;
	session->clean_wall_ns = 19123456;
	made_stacks(made, nr_stacks);
	session->tests = made_alloc(made, 2 * nr_stacks, sizeof(*session->tests));
	for (size_t k = 0; k < nr_stacks; k++) {
		struct bhi_check_point_stack *stack = &session->stacks[k];

		if (!bhi_check_in_shard(stack->hash, i, n) || k % 10 == 9)
			continue;
		made_test(made, stack, 1);
		if (stack->nr_calls > 1)
			made_test(made, stack, 1 + stack->nr_calls / 2);
	}
	session->nr_runs = session->nr_tests;
	session->nr_points = session->nr_tests;
	/* Any numbers of which the parts make the whole. */
	session->nr_left_out = session->nr_by_class[BHI_CHECK_DEADLOCK];
	session->nr_unconfirmed = session->nr_by_class[BHI_CHECK_LEAK];
	made_findings(made);
}

/* Hostile text wherever text of the subject can stand. */
static inline void made_poison(struct made *made)
{
	static char hostile[] = MADE_HOSTILE;
	static char *const command[] = {(char *)"server", hostile, (char *)"", NULL};
	static char *instabilities[] = {hostile};
	struct bhi_check_session *session = &made->session;
	struct bhi_check_place *place = &session->stacks[0].trace.places[0];

	session->command = command;
	session->instabilities = instabilities;
	session->nr_instabilities = 1;
	place->function = place->module = place->path = place->file = hostile;
	place->build_id = hostile;
	for (size_t i = 0; i < session->nr_findings; i++) {
		session->findings[i].title = hostile;
		session->findings[i].module = i % 2 ? hostile : NULL;
		session->findings[i].suppressed_by = hostile;
		session->findings[i].is_suppressed = i % 3 == 0;
		session->findings[i].is_known = i % 3 == 1;
	}
	for (size_t i = 0; i < session->nr_tests; i++)
		session->tests[i].difference = hostile;
}

static inline void made_fini(struct made *made)
{
	bhi_check_arena_fini(&made->arena);
}

#endif
