/* SPDX-License-Identifier: MIT */
/*
 * Programs of the system under the interposer. Those that are not installed are left out;
 * with none of them the program is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"
#include "support_check.h"

#define MAX_WORDS 8

static const struct program {
	const char *words[MAX_WORDS];
	/* What a run makes on Debian 12, roughly: versions and environments differ. */
	uint64_t least, most;
} programs[] = {
	{{"lua5.4", "script.lua"}, 150, 3000},
	{{"jq", ".", "values.json"}, 2000, 20000},
	{{"sqlite3", ":memory:", "select 1"}, 50, 2000},
	{{"sed", "-n", "s/line \\(a\\|b\\)/L\\1/p", "lines.txt"}, 100, 3000},
	{{"bash", "--norc", "--noprofile", "-c", "a=(1 2 3); echo ${a[1]} $(echo sub)"},
		100, 5000},
	{{"redis-server", "--version"}, 3000, 50000},
	{{"openssl", "dgst", "-sha256", "lines.txt"}, 1000, 20000},
};
#define NR_PROGRAMS ((int)(sizeof(programs) / sizeof(programs[0])))

static bool is_installed(const char *name)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return !system(command);
}

static struct bhi_check_setup set_up(const struct program *program)
{
	static char *command[MAX_WORDS + 1];
	const char *inputs = support_dir();

	if (!is_installed(program->words[0]))
		support_skip("the program is not installed");
	support_write_file(inputs, "script.lua",
		"local t = {}\nfor i = 1, 100 do t[i] = 's' .. i end\n"
		"print(#t, table.concat(t, ','):sub(1, 20), pcall(error, 'x'))\n");
	support_write_file(
		inputs, "values.json", "{\"a\": 1, \"b\": [1, {\"c\": \"x\"}]}\n");
	support_write_file(inputs, "lines.txt", "line a\nline b\nline c\nline d\n");
	ck_assert_int_eq(chdir(inputs), 0);
	memcpy(command, program->words, sizeof(program->words));
	return support_setup(command);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The hashes of all stacks, sorted. */
static uint64_t *list_stacks(const struct bhi_check_shared *shared, size_t *ret_nr)
{
	uint64_t *hashes = calloc(BHI_CHECK_MAX_STACKS, sizeof(*hashes));
	size_t nr = 0;

	ck_assert_ptr_nonnull(hashes);
	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		if (shared->stacks[i].hash)
			hashes[nr++] = shared->stacks[i].hash;
	}
	qsort(hashes, nr, sizeof(*hashes), compare);
	*ret_nr = nr;
	return hashes;
}

START_TEST(the_same_stacks_are_recorded_twice)
{
	struct bhi_check_setup setup = set_up(&programs[_i]);
	struct bhi_check_result first, second;
	uint64_t *a, *b;
	size_t nr_a, nr_b;

	support_record(&setup, &first);
	support_record(&setup, &second);
	ck_assert_int_eq(first.end, BHI_CHECK_EXITED);
	ck_assert_int_eq(first.status, 0);
	ck_assert_str_eq(first.out, second.out);
	ck_assert_uint_eq(first.shared->nr_calls, second.shared->nr_calls);
	ck_assert_uint_ge(first.shared->nr_calls, programs[_i].least);
	ck_assert_uint_le(first.shared->nr_calls, programs[_i].most);
	a = list_stacks(first.shared, &nr_a);
	b = list_stacks(second.shared, &nr_b);
	ck_assert_uint_eq(nr_a, nr_b);
	ck_assert(!memcmp(a, b, nr_a * sizeof(*a)));
	printf("%s: %lu calls, %lu stacks\n", programs[_i].words[0],
		(unsigned long)first.shared->nr_calls, (unsigned long)nr_a);
	free(a);
	free(b);
	bhi_check_result_fini(&first);
	bhi_check_result_fini(&second);
}
END_TEST

/* Programs keep copies of their environment, so the number of calls may differ, and
 * with it some stacks of loops; those of a program that does not are the same. */
START_TEST(stacks_are_the_same_in_another_environment)
{
	struct bhi_check_setup setup = set_up(&programs[0]);
	struct bhi_check_result first, second;
	uint64_t *a, *b;
	size_t nr_a, nr_b;

	support_record(&setup, &first);
	setenv("SUPPORT_MORE", "moves the stack, and what is on it", 1);
	support_record(&setup, &second);
	a = list_stacks(first.shared, &nr_a);
	b = list_stacks(second.shared, &nr_b);
	ck_assert_uint_eq(nr_a, nr_b);
	ck_assert(!memcmp(a, b, nr_a * sizeof(*a)));
	free(a);
	free(b);
	bhi_check_result_fini(&first);
	bhi_check_result_fini(&second);
}
END_TEST

/* Refuse @call of the recorded run: it must be met, and Lua must answer, by an error or
 * by trying again. */
static void check_call(const struct bhi_check_setup *setup,
	const struct bhi_check_result *clean, uint64_t call, bool hint)
{
	struct bhi_check_order order = support_order(clean, call, hint);
	struct bhi_check_result result;

	support_run_order(setup, &order, &result);
	ck_assert_uint_eq(result.shared->drifted, 0);
	ck_assert_uint_eq(result.shared->nr_injected, 1);
	ck_assert_uint_eq(result.shared->injected_call, call);
	ck_assert_int_eq(result.end, BHI_CHECK_EXITED);
	ck_assert_uint_eq(result.shared->exit_seen, 1);
	bhi_check_result_fini(&result);
}

START_TEST(every_call_is_met_again_by_its_number)
{
	struct bhi_check_setup setup = set_up(&programs[0]);
	struct bhi_check_result clean;

	support_record(&setup, &clean);
	for (uint64_t call = 1; call <= clean.shared->nr_calls; call++)
		check_call(&setup, &clean, call, true);
	bhi_check_result_fini(&clean);
}
END_TEST

START_TEST(every_stack_is_met_again_without_the_number)
{
	struct bhi_check_setup setup = set_up(&programs[0]);
	struct bhi_check_result clean;

	support_record(&setup, &clean);
	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		const struct bhi_check_stack *stack = &clean.shared->stacks[i];

		if (stack->hash)
			check_call(&setup, &clean, stack->first_call, false);
	}
	bhi_check_result_fini(&clean);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, the_same_stacks_are_recorded_twice, 0, NR_PROGRAMS);
	tcase_add_test(tcase, stacks_are_the_same_in_another_environment);
	tcase_add_test(tcase, every_call_is_met_again_by_its_number);
	tcase_add_test(tcase, every_stack_is_met_again_without_the_number);
}

int main(void)
{
	return support_run("check_programs", add_tests);
}
