/* SPDX-License-Identifier: MIT */
/*
 * Stacks are the same by hash, tests by point, findings by ID. Numbers that follow from
 * these are counted anew, and all orders are total, so that the result depends on the set
 * of tests alone.
 */
#include "merge.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "index.h"
#include "read.h"

struct merger {
	const struct bhi_check_session *parts;
	char *const *names;
	size_t nr_parts;
	struct bhi_check_session *whole;
	struct bhi_check_arena *arena;
	struct bhi_check_error *error;
	struct bhi_check_stack_index stacks; /* of the whole */
};

/* A finding as a part has it. */
struct claim {
	const struct bhi_check_finding *finding;
};

bool bhi_check_in_shard(uint64_t hash, unsigned i, unsigned n)
{
	/* The low figures of a hash are not for sure spread evenly (SplitMix64). */
	hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
	hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
	hash ^= hash >> 31;
	return hash % n == i - 1;
}

bool bhi_check_shard_parse(const char *text, unsigned *ret_i, unsigned *ret_n)
{
	unsigned long i, n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	i = strtoul(text, &end, 10);
	if (*end != '/' || !isdigit((unsigned char)end[1]))
		return false;
	n = strtoul(end + 1, &end, 10);
	if (*end || !i || i > n || n > UINT16_MAX)
		return false;
	*ret_i = (unsigned)i;
	*ret_n = (unsigned)n;
	return true;
}

static int no_memory(struct merger *merger)
{
	bhi_check_error_set(merger->error, merger->names[0], 0, 0, "out of memory");
	return -ENOMEM;
}

static bool same_command(char *const *a, char *const *b)
{
	for (; *a && *b; a++, b++) {
		if (strcmp(*a, *b))
			return false;
	}
	return !*a && !*b;
}

/* NULL, or what makes them reports of different things. */
static const char *difference_of(
	const struct bhi_check_session *a, const struct bhi_check_session *b)
{
	if (!same_command(a->command, b->command))
		return "another command";
	if (strcmp(a->mode, b->mode))
		return "another mode";
	if (strcmp(a->given, b->given))
		return "other options";
	if (a->clean_status != b->clean_status)
		return "another exit status of the clean run";
	if (a->fail_on != b->fail_on)
		return "another --fail-on";
	return NULL;
}

static int check_parts(struct merger *merger)
{
	for (size_t i = 1; i < merger->nr_parts; i++) {
		const char *what = difference_of(&merger->parts[0], &merger->parts[i]);

		if (what)
			return bhi_check_error_set(merger->error, merger->names[i], 0, 0,
				"has %s than %s", what, merger->names[0]);
	}
	return 0;
}

static int compare_stacks(const void *a, const void *b)
{
	const struct bhi_check_point_stack *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int compare_first_calls(const void *a, const void *b)
{
	const struct bhi_check_point_stack *x = a, *y = b;

	if (x->first_call != y->first_call)
		return x->first_call < y->first_call ? -1 : 1;
	return compare_stacks(a, b);
}

static void add_stack(
	struct bhi_check_point_stack *to, const struct bhi_check_point_stack *from)
{
	/* Of programs that are not quite deterministic. */
	to->nr_calls = bhi_max(to->nr_calls, from->nr_calls);
	to->size = bhi_max(to->size, from->size);
	to->first_call = bhi_min(to->first_call, from->first_call);
	to->functions |= from->functions;
}

static int unite_stacks(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;
	size_t nr = 0, kept = 0;

	for (size_t i = 0; i < merger->nr_parts; i++)
		nr += merger->parts[i].nr_stacks;
	whole->stacks = bhi_check_arena_alloc(merger->arena, nr, sizeof(*whole->stacks));
	if (!whole->stacks)
		return no_memory(merger);
	nr = 0;
	for (size_t i = 0; i < merger->nr_parts; i++) {
		for (size_t k = 0; k < merger->parts[i].nr_stacks; k++)
			whole->stacks[nr++] = merger->parts[i].stacks[k];
	}
	qsort(whole->stacks, nr, sizeof(*whole->stacks), compare_stacks);
	for (size_t i = 0; i < nr; i++) {
		if (kept && whole->stacks[kept - 1].hash == whole->stacks[i].hash)
			add_stack(&whole->stacks[kept - 1], &whole->stacks[i]);
		else
			whole->stacks[kept++] = whole->stacks[i];
	}
	qsort(whole->stacks, kept, sizeof(*whole->stacks), compare_first_calls);
	for (size_t i = 0; i < kept; i++) {
		whole->stacks[i].nr_tested = 0;
		whole->stacks[i].worst = BHI_CHECK_NR_CLASSES;
	}
	whole->nr_stacks = kept;
	return bhi_check_stack_index_init(&merger->stacks, whole) ? no_memory(merger) : 0;
}

static int compare_tests(const void *a, const void *b, void *arg)
{
	const struct bhi_check_test *x = a, *y = b;
	const struct merger *merger = arg;
	size_t i = bhi_check_stack_index_find(&merger->stacks, x->stack);
	size_t k = bhi_check_stack_index_find(&merger->stacks, y->stack);

	if (i != k)
		return i < k ? -1 : 1;
	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	if (x->occurrence != y->occurrence)
		return x->occurrence < y->occurrence ? -1 : 1;
	return x->class < y->class ? -1 : x->class > y->class;
}

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = strcmp(x->finding->id, y->finding->id);

	return order ? order
		     : bhi_check_compare_examples(
			       x->finding->example, y->finding->example);
}

/* All findings of all parts, by ID; of those with the same one the best example is first.
 */
static struct claim *list_claims(struct merger *merger, size_t *ret_nr)
{
	struct claim *claims;
	size_t nr = 0;

	for (size_t i = 0; i < merger->nr_parts; i++)
		nr += merger->parts[i].nr_findings;
	*ret_nr = nr;
	claims = bhi_check_arena_alloc(merger->arena, nr, sizeof(*claims));
	if (!claims)
		return NULL;
	nr = 0;
	for (size_t i = 0; i < merger->nr_parts; i++) {
		const struct bhi_check_session *part = &merger->parts[i];

		for (size_t k = 0; k < part->nr_findings; k++)
			claims[nr++] = (struct claim){&part->findings[k]};
	}
	qsort(claims, nr, sizeof(*claims), compare_claims);
	return claims;
}

/* One finding for each ID, with what the best of the examples says. They stand in the
 * order of their IDs until all is known of them. */
static int unite_findings(struct merger *merger, const struct claim *claims, size_t nr)
{
	struct bhi_check_session *whole = merger->whole;

	whole->findings =
		bhi_check_arena_alloc(merger->arena, nr, sizeof(*whole->findings));
	if (!whole->findings)
		return no_memory(merger);
	for (size_t i = 0; i < nr; i++) {
		struct bhi_check_finding *finding =
			&whole->findings[whole->nr_findings - !!whole->nr_findings];

		if (whole->nr_findings && !strcmp(finding->id, claims[i].finding->id)) {
			finding->is_suppressed &= claims[i].finding->is_suppressed;
			finding->is_known &= claims[i].finding->is_known;
			continue;
		}
		finding = &whole->findings[whole->nr_findings++];
		*finding = *claims[i].finding;
		finding->tests = NULL;
		finding->nr_tests = finding->nr_stacks = 0;
		finding->nr_calls = 0;
	}
	return 0;
}

static size_t find_id(const struct bhi_check_session *whole, const char *id)
{
	size_t low = 0, high = whole->nr_findings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(whole->findings[middle].id, id);

		if (!order)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
}

static int unite_tests(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;
	size_t nr = 0, kept = 0;

	for (size_t i = 0; i < merger->nr_parts; i++)
		nr += merger->parts[i].nr_tests;
	whole->tests = bhi_check_arena_alloc(merger->arena, nr, sizeof(*whole->tests));
	if (!whole->tests)
		return no_memory(merger);
	nr = 0;
	for (size_t i = 0; i < merger->nr_parts; i++) {
		const struct bhi_check_session *part = &merger->parts[i];

		for (size_t k = 0; k < part->nr_tests; k++) {
			struct bhi_check_test *test = &whole->tests[nr++];

			*test = part->tests[k];
			if (test->finding < part->nr_findings)
				test->finding =
					find_id(whole, part->findings[test->finding].id);
		}
	}
	qsort_r(whole->tests, nr, sizeof(*whole->tests), compare_tests, merger);
	for (size_t i = 0; i < nr; i++) {
		const struct bhi_check_test *last = &whole->tests[kept - !!kept];

		/* The worse of two verdicts on one point comes first. */
		if (kept && last->stack == whole->tests[i].stack &&
			last->occurrence == whole->tests[i].occurrence)
			continue;
		whole->tests[kept++] = whole->tests[i];
	}
	whole->nr_tests = kept;
	return 0;
}

static void count_tests(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;

	for (size_t i = 0; i < whole->nr_tests; i++) {
		const struct bhi_check_test *test = &whole->tests[i];
		size_t k = bhi_check_stack_index_find(&merger->stacks, test->stack);

		whole->nr_by_class[test->class]++;
		if (test->finding != SIZE_MAX)
			whole->findings[test->finding].nr_tests++;
		if (k == SIZE_MAX)
			continue;
		whole->stacks[k].nr_tested++;
		whole->stacks[k].worst = bhi_min(whole->stacks[k].worst, test->class);
	}
}

static int give_tests(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;

	for (size_t i = 0; i < whole->nr_findings; i++) {
		struct bhi_check_finding *finding = &whole->findings[i];

		finding->tests = bhi_check_arena_alloc(
			merger->arena, finding->nr_tests, sizeof(*finding->tests));
		if (!finding->tests)
			return no_memory(merger);
		finding->nr_tests = 0;
	}
	for (size_t i = 0; i < whole->nr_tests; i++) {
		const struct bhi_check_test *test = &whole->tests[i];
		struct bhi_check_finding *finding;
		size_t k;

		if (test->finding == SIZE_MAX)
			continue;
		finding = &whole->findings[test->finding];
		/* Tests of one stack stand side by side. */
		if (!finding->nr_tests ||
			whole->tests[finding->tests[finding->nr_tests - 1]].stack !=
				test->stack) {
			finding->nr_stacks++;
			k = bhi_check_stack_index_find(&merger->stacks, test->stack);
			finding->nr_calls +=
				k == SIZE_MAX ? 0 : whole->stacks[k].nr_calls;
		}
		finding->tests[finding->nr_tests++] = i;
	}
	return 0;
}

/* From the copy of a part to its place in the whole. */
static void place_example(
	const struct bhi_check_session *whole, struct bhi_check_finding *finding)
{
	const struct bhi_check_test *example = finding->example;

	finding->example = &whole->tests[finding->tests[0]];
	for (size_t i = 0; i < finding->nr_tests; i++) {
		const struct bhi_check_test *test = &whole->tests[finding->tests[i]];

		if (test->stack == example->stack &&
			test->occurrence == example->occurrence)
			finding->example = test;
	}
	if (finding->site)
		finding->site = bhi_check_test_place(finding->example, finding->site);
}

static int compare_findings(const void *a, const void *b)
{
	const struct bhi_check_finding *x = a, *y = b;

	/* Those that lost all their tests to a worse verdict are cut off at the end. */
	if (!x->nr_tests != !y->nr_tests)
		return !x->nr_tests - !y->nr_tests;
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->nr_calls != y->nr_calls)
		return x->nr_calls > y->nr_calls ? -1 : 1;
	return strcmp(x->id, y->id);
}

static void order_findings(struct bhi_check_session *whole)
{
	qsort(whole->findings, whole->nr_findings, sizeof(*whole->findings),
		compare_findings);
	while (whole->nr_findings && !whole->findings[whole->nr_findings - 1].nr_tests)
		whole->nr_findings--;
	for (size_t i = 0; i < whole->nr_findings; i++) {
		struct bhi_check_finding *finding = &whole->findings[i];

		place_example(whole, finding);
		for (size_t k = 0; k < finding->nr_tests; k++)
			whole->tests[finding->tests[k]].finding = i;
	}
}

static bool has_sentence(const struct bhi_check_session *whole, const char *sentence)
{
	for (size_t i = 0; i < whole->nr_instabilities; i++) {
		if (!strcmp(whole->instabilities[i], sentence))
			return true;
	}
	return false;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int unite_instabilities(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;
	size_t nr = 0;

	for (size_t i = 0; i < merger->nr_parts; i++)
		nr += merger->parts[i].nr_instabilities;
	whole->instabilities = bhi_check_arena_alloc(merger->arena, nr, sizeof(char *));
	if (!whole->instabilities)
		return no_memory(merger);
	for (size_t i = 0; i < merger->nr_parts; i++) {
		const struct bhi_check_session *part = &merger->parts[i];

		for (size_t k = 0; k < part->nr_instabilities; k++) {
			if (!has_sentence(whole, part->instabilities[k]))
				whole->instabilities[whole->nr_instabilities++] =
					part->instabilities[k];
		}
	}
	qsort(whole->instabilities, whole->nr_instabilities, sizeof(char *),
		compare_texts);
	return 0;
}

static void unite_numbers(struct merger *merger)
{
	struct bhi_check_session *whole = merger->whole;

	for (size_t i = 0; i < merger->nr_parts; i++) {
		const struct bhi_check_session *part = &merger->parts[i];

		whole->nr_calls = bhi_max(whole->nr_calls, part->nr_calls);
		whole->nr_loader_calls =
			bhi_max(whole->nr_loader_calls, part->nr_loader_calls);
		whole->nr_other_calls =
			bhi_max(whole->nr_other_calls, part->nr_other_calls);
		whole->nr_points += part->nr_points;
		whole->nr_runs += part->nr_runs;
		whole->nr_copies += part->nr_copies;
		if (!whole->copy_reason)
			whole->copy_reason = part->copy_reason;
		whole->nr_left_out += part->nr_left_out;
		whole->nr_unconfirmed += part->nr_unconfirmed;
		/* The parts run side by side. */
		whole->wall_ns = bhi_max(whole->wall_ns, part->wall_ns);
		whole->clean_cpu_ns = bhi_max(whole->clean_cpu_ns, part->clean_cpu_ns);
		whole->clean_wall_ns = bhi_max(whole->clean_wall_ns, part->clean_wall_ns);
		whole->was_interrupted |= part->was_interrupted;
		whole->ran_out_of_budget |= part->ran_out_of_budget;
	}
}

static int unite_results(struct merger *merger)
{
	size_t nr;
	struct claim *claims = list_claims(merger, &nr);
	int r = claims ? unite_findings(merger, claims, nr) : no_memory(merger);

	if (!r)
		r = unite_tests(merger);
	if (r)
		return r;
	count_tests(merger);
	r = give_tests(merger);
	if (!r)
		order_findings(merger->whole);
	return r;
}

int bhi_check_sessions_unite(const struct bhi_check_session *parts, char *const *names,
	size_t nr, struct bhi_check_session *ret, struct bhi_check_arena *arena,
	struct bhi_check_error *error)
{
	struct bhi_check_session *whole = bhi_check_arena_alloc(arena, 1, sizeof(*whole));
	struct merger merger = {.parts = parts,
		.names = names,
		.nr_parts = nr,
		.whole = whole,
		.arena = arena,
		.error = error};
	int r = whole ? check_parts(&merger) : no_memory(&merger);

	if (r)
		return r;
	whole->command = parts[0].command;
	whole->mode = parts[0].mode;
	whole->given = parts[0].given;
	whole->clean_status = parts[0].clean_status;
	whole->fail_on = parts[0].fail_on;
	unite_numbers(&merger);
	r = unite_instabilities(&merger);
	if (!r)
		r = unite_stacks(&merger);
	if (r)
		return r;
	r = unite_results(&merger);
	bhi_check_stack_index_fini(&merger.stacks);
	if (!r)
		*ret = *whole;
	return r;
}

int bhi_check_merge(char *const *files, size_t nr, struct bhi_check_session *ret,
	struct bhi_check_arena *arena, struct bhi_check_error *error)
{
	struct bhi_check_session *parts =
		bhi_check_arena_alloc(arena, nr, sizeof(*parts));
	int r = 0;

	if (!parts) {
		bhi_check_error_set(error, files[0], 0, 0, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < nr && !r; i++)
		r = bhi_check_session_read(files[i], &parts[i], arena, error);
	if (r)
		return r;
	return bhi_check_sessions_unite(parts, files, nr, ret, arena, error);
}
