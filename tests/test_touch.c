/* SPDX-License-Identifier: MIT */
/*
 * Private memory that is touched, asked for or given back out of order: in a block
 * section, from outside of the task, by another task. One process each, with both
 * backends. A debug build says what was done, whose memory it was and from where, and
 * aborts; a release build goes on, where the memory is still there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>

#include "private.h"
#include "task/kill.h"

#define ZONE (256 * MIB)

/* Larger than a warm area, and in more than one area. */
#define LARGE (3 * MIB)

static const struct bhi_kill_cause by_caller = {.reason = BH_KILLED_CALLER};

static struct bh_task *owner, *other;
static char *private;
static uint32_t is_ready, may_go_on;

/* What is about to be touched; the first line of a case's output. */
static void announce(const void *p)
{
	printf("%p\n", p);
	fflush(stdout);
}

__attribute__((noinline)) static char peek(const volatile char *p)
{
	return *p;
}

__attribute__((noinline)) static void poke(volatile char *p)
{
	*p = 'p';
}

static void peek_at(const volatile char *p)
{
	announce((const void *)p);
	(void)peek(p);
}

static void poke_at(volatile char *p)
{
	announce((const void *)p);
	poke(p);
}

/* Run @fn in "owner". */
static void in_owner(int (*fn)(void *arg))
{
	ck_assert_int_eq(bh_task_enter(owner, fn, NULL, NULL), 0);
}

static int have_small(void *arg)
{
	(void)arg;
	private = memset(bh_malloc(100), 's', 100);
	return 0;
}

static int have_large(void *arg)
{
	(void)arg;
	private = memset(bh_malloc(LARGE), 'l', LARGE);
	return 0;
}

static int peek_inside(void *arg)
{
	(void)arg;
	peek_at(private);
	return 0;
}

/* In a block section */

static int peek_at_heap(void *arg)
{
	have_small(arg);
	bh_block_enter();
	peek_at(private);
	bh_block_leave();
	return 0;
}

static void heap_in_block(void)
{
	in_owner(peek_at_heap);
}

static int poke_at_last_area(void *arg)
{
	have_large(arg);
	bh_block_enter();
	poke_at(private + LARGE - 1);
	bh_block_leave();
	return 0;
}

static void large_in_block(void)
{
	in_owner(poke_at_last_area);
}

static int poke_at_map(void *arg)
{
	char *map = bh_map(LARGE, 0);

	(void)arg;
	map[LARGE / 2] = 'm';
	bh_block_enter();
	poke_at(map + LARGE / 2);
	bh_block_leave();
	return 0;
}

static void map_in_block(void)
{
	in_owner(poke_at_map);
}

static int touch_first_in_block(void *arg)
{
	char *map = bh_map(LARGE, 0);

	(void)arg;
	bh_block_enter();
	poke_at(map);
	bh_block_leave();
	return 0;
}

static void first_touch_in_block(void)
{
	in_owner(touch_first_in_block);
}

static int hold_and_peek(void *arg)
{
	have_small(arg);
	bh_hold();
	bh_block_enter();
	peek_at(private);
	bh_block_leave();
	bh_release();
	return 0;
}

static void held_in_block(void)
{
	in_owner(hold_and_peek);
}

static int have_in_block_and_peek(void *arg)
{
	(void)arg;
	bh_block_enter();
	peek_at(private);
	bh_block_leave();
	return 0;
}

static void from_before_in_block(void)
{
	in_owner(have_large);
	in_owner(have_in_block_and_peek);
}

static void cooperative_in_block(void)
{
	const struct bh_task_attr attr = {.name = "owner", .flags = BH_TASK_COOPERATIVE};

	bh_task_put(owner);
	owner = bh_task_new(NULL, &attr);
	heap_in_block();
}

static int die_in_block_and_peek(void *arg)
{
	have_large(arg);
	bh_block_enter();
	bhi_task_kill(bh_current(), &by_caller);
	support_await(&owner->skip, 1);
	peek_at(private);
	return 0;
}

static void killed_in_block(void)
{
	ck_assert_int_eq(
		bh_task_enter(owner, die_in_block_and_peek, NULL, NULL), -ECANCELED);
}

/* From outside */

static void idle_from_outside(void)
{
	in_owner(have_small);
	peek_at(private);
}

static void idle_large_from_outside(void)
{
	in_owner(have_large);
	poke_at(private + LARGE - 1);
}

static void *peek_in_thread(void *arg)
{
	peek_at(private);
	return arg;
}

static void idle_from_a_thread(void)
{
	in_owner(have_small);
	support_join(support_thread(peek_in_thread, NULL));
}

static int block_until_told(void *arg)
{
	have_large(arg);
	bh_block_enter();
	bhi_store_release(&is_ready, 1);
	support_await(&may_go_on, 1);
	bh_block_leave();
	ck_assert_int_eq(private[1], 'l');
	return 0;
}

static void *enter_owner(void *fn)
{
	in_owner(*(int (**)(void *))fn);
	return NULL;
}

/* Runs @fn while the thread in "owner" is where @inside waits. */
static void meanwhile(int (*inside)(void *arg), void (*fn)(void))
{
	pthread_t thread = support_thread(enter_owner, &inside);

	support_await(&is_ready, 1);
	fn();
	bhi_store_release(&may_go_on, 1);
	support_join(thread);
}

static void peek_outside(void)
{
	peek_at(private);
}

static void blocked_from_outside(void)
{
	meanwhile(block_until_told, peek_outside);
}

static int run_until_told(void *arg)
{
	(void)arg;
	private = bh_map(LARGE, 0);
	bhi_store_release(&is_ready, 1);
	support_await(&may_go_on, 1);
	return 0;
}

static void first_touch_from_outside(void)
{
	meanwhile(run_until_told, peek_outside);
}

static void peek_in_defer(void *arg)
{
	(void)arg;
	peek_at(private);
}

static int defer_peek(void *arg)
{
	have_small(arg);
	return bh_defer(peek_in_defer, NULL);
}

static void left_in_a_defer(void)
{
	in_owner(defer_peek);
}

static void reaped_from_outside(void)
{
	in_owner(have_small);
	ck_assert_int_eq(bh_task_kill(owner), 0);
	support_await(&owner->skip, 1);
	peek_at(private);
}

static void poke_in_a_dump(void)
{
	in_owner(have_small);
	ck_assert_int_eq(bh_task_dump_begin(owner), 0);
	ck_assert_int_eq(peek(private), 's');
	poke_at(private);
	bh_task_dump_end(owner);
}

static void dumped_and_entered(void)
{
	in_owner(have_small);
	ck_assert_int_eq(bh_task_dump_begin(owner), 0);
	bh_task_dump_end(owner);
	in_owner(have_small);
	peek_at(private);
}

/* By another task */

static void idle_by_another(void)
{
	in_owner(have_small);
	ck_assert_int_eq(bh_task_enter(other, peek_inside, NULL, NULL), 0);
}

static void peek_from_other(void)
{
	ck_assert_int_eq(bh_task_enter(other, peek_inside, NULL, NULL), 0);
}

static void blocked_by_another(void)
{
	meanwhile(block_until_told, peek_from_other);
}

/* Of no task */

static void end_owner(void)
{
	bh_task_put(owner);
	owner = NULL;
}

static void ended_small(void)
{
	in_owner(have_small);
	end_owner();
	peek_at(private);
}

static void ended_large(void)
{
	in_owner(have_large);
	end_owner();
	peek_at(private);
}

static int unmap_and_peek(void *arg)
{
	char *map = bh_map(LARGE, 0);

	(void)arg;
	memset(map, 'm', LARGE);
	ck_assert_int_eq(bh_unmap(map, LARGE), 0);
	peek_at(map);
	return 0;
}

static void unmapped(void)
{
	in_owner(unmap_and_peek);
}

#define IN_BLOCK  "task 'owner' in its block section"
#define OUTSIDE   "task 'owner' from outside"
#define BY_OTHER  "task 'owner' by task 'other'"
#define NOT_THERE true

static const struct touch {
	void (*fn)(void);
	const char *said;
	bool gone; /* in a release build too, where nothing is said */
} touches[] = {
	{heap_in_block, IN_BLOCK, false},
	{large_in_block, IN_BLOCK, false},
	{map_in_block, IN_BLOCK, false},
	{first_touch_in_block, IN_BLOCK, false},
	{held_in_block, IN_BLOCK, false},
	{from_before_in_block, IN_BLOCK, false},
	{cooperative_in_block, IN_BLOCK, false},
	{killed_in_block, IN_BLOCK, false},
	{idle_from_outside, OUTSIDE, false},
	{idle_large_from_outside, OUTSIDE, false},
	{idle_from_a_thread, OUTSIDE, false},
	{blocked_from_outside, OUTSIDE, false},
	{first_touch_from_outside, OUTSIDE, NOT_THERE},
	{left_in_a_defer, OUTSIDE, false},
	{reaped_from_outside, OUTSIDE, NOT_THERE},
	{poke_in_a_dump, OUTSIDE, false},
	{dumped_and_entered, OUTSIDE, false},
	{idle_by_another, BY_OTHER, false},
	{blocked_by_another, BY_OTHER, false},
	{ended_small, "no task from outside", NOT_THERE},
	{ended_large, "no task from outside", NOT_THERE},
	{unmapped, "no task by task 'owner'", NOT_THERE},
};

/* Asked for and given back in a block section */

static void *requested;

static void ask_malloc(void)
{
	requested = bh_malloc(100);
}

static void ask_calloc(void)
{
	requested = bh_calloc(10, 10);
}

static void ask_realloc(void)
{
	requested = bh_realloc(private, LARGE);
}

static void ask_realloc_of_nothing(void)
{
	requested = bh_realloc(NULL, 10);
}

static void ask_free(void)
{
	bh_free(private);
	private = NULL;
}

static void ask_map(void)
{
	requested = bh_map(LARGE, 0);
}

static void ask_touch(void)
{
	ck_assert_int_eq(bh_touch(requested, LARGE), 0);
}

static void ask_discard(void)
{
	ck_assert_int_eq(bh_discard(requested, LARGE), 0);
}

static void ask_unmap(void)
{
	ck_assert_int_eq(bh_unmap(requested, LARGE), 0);
}

static void (*const requests[])(void) = {ask_malloc, ask_calloc, ask_realloc,
	ask_realloc_of_nothing, ask_free, ask_map, ask_touch, ask_discard, ask_unmap};

static int ask_in_block(void *arg)
{
	void (*ask)(void) = *(void (**)(void))arg;

	have_small(NULL);
	requested = bh_map(LARGE, 0);
	bh_block_enter();
	announce(NULL);
	ask();
	bh_block_leave();
	return 0;
}

/* One case in a child */

struct run {
	int backend;
	const struct touch *touch;
	void (*request)(void);
};

static void run_case(void *arg)
{
	struct run *run = arg;

	start_private(run->backend, ZONE);
	owner = task_in(NULL, "owner");
	other = task_in(NULL, "other");
	if (run->touch)
		run->touch->fn();
	else
		ck_assert_int_eq(
			bh_task_enter(owner, ask_in_block, &run->request, NULL), 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_task_put(owner);
	bh_task_put(other);
	support_end();
}

/* A place in one of these functions: none is longer. */
static bool is_in(void (*fn)(void), uintptr_t where)
{
	return where - (uintptr_t)fn < 256;
}

static bool is_touch(uintptr_t where)
{
	return is_in((void (*)(void))peek, where) || is_in((void (*)(void))poke, where);
}

static void check_touch(const struct touch *touch, const struct support_output *output)
{
	unsigned long offset = 0;
	uintptr_t where = 0;
	char line[256];
	int len, end = 0;

	len = snprintf(line, sizeof(line),
		"bulkhead: touch of private memory of %s: %.*s, from 0x", touch->said,
		(int)strcspn(output->out, "\n"), output->out);
	ck_assert_msg(!strncmp(output->err, line, (size_t)len), "'%s' for '%s'",
		output->err, line);
	ck_assert_int_eq(sscanf(output->err + len, "%" SCNxPTR " (test_touch+0x%lx)\n%n",
				 &where, &offset, &end),
		2);
	ck_assert_int_eq(output->err[len + end], '\0');
	ck_assert_msg(is_touch(where), "%s", output->err);
}

static void check_request(void (*request)(void), const struct support_output *output)
{
	static const char line[] = "bulkhead: private memory asked for or given back by "
				   "task 'owner' in its block section, called from 0x";
	uintptr_t where = 0;

	ck_assert_msg(!strncmp(output->err, line, strlen(line)), "%s", output->err);
	ck_assert_int_eq(sscanf(output->err + strlen(line), "%" SCNxPTR, &where), 1);
	ck_assert_msg(is_in(request, where), "%s", output->err);
	ck_assert_int_eq(support_count_lines(output->err), 1);
}

static void run_and_check(struct run *run)
{
	struct support_output output;

	support_capture(run_case, run, &output);
	if (!BH_DEBUG) {
		ck_assert_msg(
			!support_exit_status(&output), "%s%s", output.out, output.err);
		ck_assert_str_eq(output.err, "");
	} else {
		ck_assert(WIFSIGNALED(output.status));
		ck_assert_int_eq(WTERMSIG(output.status), SIGABRT);
		if (run->touch)
			check_touch(run->touch, &output);
		else
			check_request(run->request, &output);
	}
	support_output_fini(&output);
}

START_TEST(a_touch_out_of_order_is_told_with_whose_memory_it_was_and_where)
{
	struct run run = {
		.backend = _i % NR_BACKENDS, .touch = &touches[_i / NR_BACKENDS]};

	run_and_check(&run);
}
END_TEST

START_TEST(a_request_in_a_block_section_is_told)
{
	struct run run = {
		.backend = _i % NR_BACKENDS, .request = requests[_i / NR_BACKENDS]};

	run_and_check(&run);
}
END_TEST

static void add(TCase *tcase)
{
	for (int i = 0; i < NR_BACKENDS * (int)bhi_array_size(touches); i++) {
		if (BH_DEBUG || !touches[i / NR_BACKENDS].gone)
			tcase_add_loop_test(tcase,
				a_touch_out_of_order_is_told_with_whose_memory_it_was_and_where,
				i, i + 1);
	}
	tcase_add_loop_test(tcase, a_request_in_a_block_section_is_told, 0,
		NR_BACKENDS * (int)bhi_array_size(requests));
}

int main(void)
{
	return support_run("touch", add);
}
