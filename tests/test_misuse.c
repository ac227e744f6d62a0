/* SPDX-License-Identifier: MIT */
/*
 * Misuse of memory, one process each. A debug build says what was done, to what, and from
 * where, and aborts. A release build says so where looking costs nothing, goes on, and
 * its books still agree afterwards.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bug.h"
#include "support.h"
#include "support_memory.h"

#define NO_OBJECT "free of a pointer that is no live object"
#define FOREIGN   "free of a pointer that is not Bulkhead's"
#define TWICE     "double free"
#define INSIDE    "free of the inside of an object"

static struct bh_group *group;

static void start(void)
{
	support_start(64 * MIB);
	group = support_group(NULL, "group");
}

static void *take(size_t size)
{
	void *p = bh_alloc(group, size, 0);

	ck_assert_ptr_nonnull(p);
	return p;
}

/* Objects in slabs that are the group's alone. */
static void outgrow_shared_slabs(size_t size)
{
	for (int i = 0; i < 2000; i++)
		take(size);
}

/* What is about to be misused; the first line of a case's output. */
static void announce(const void *p)
{
	printf("%p\n", p);
	fflush(stdout);
}

/* The end of a case in a release build. */
static void end(void)
{
	ck_assert_int_eq(bh_audit(), 0);
	/* What was misused has not become somebody else's twice over. */
	for (size_t size = 8; size < 100000; size *= 3) {
		char *p = take(size), *q = take(size);

		ck_assert(p + size <= q || q + size <= p);
		bh_free(p);
		bh_free(q);
	}
	ck_assert_int_eq(bh_audit(), 0);
}

static void *free_it(void *p)
{
	bh_free(p);
	return NULL;
}

static void free_twice(void *arg)
{
	void *p;

	(void)arg;
	start();
	outgrow_shared_slabs(100);
	p = take(100);
	bh_free(p);
	announce(p);
	bh_free(p);
	end();
}

static void free_again_after_another_thread(void *arg)
{
	void *p;

	(void)arg;
	start();
	outgrow_shared_slabs(100);
	p = take(100);
	support_join(support_thread(free_it, p));
	announce(p);
	bh_free(p);
	end();
}

static void free_again_by_another_thread(void *arg)
{
	void *p;

	(void)arg;
	start();
	outgrow_shared_slabs(100);
	p = take(100);
	bh_free(p);
	announce(p);
	support_join(support_thread(free_it, p));
	end();
}

static void free_twice_of_a_cache(void *arg)
{
	struct bh_cache *cache;
	void *p;

	(void)arg;
	start();
	cache = bh_cache_new("items", 100, 0, NULL);
	p = bh_cache_alloc(cache, group, 0);
	bh_cache_alloc(cache, group, 0);
	ck_assert_int_eq(bh_cache_free(cache, p), 0);
	announce(p);
	ck_assert_int_eq(bh_cache_free(cache, p), 0);
	end();
}

static void free_twice_in_a_shared_slab(void *arg)
{
	void *p;

	(void)arg;
	start();
	take(100);
	p = take(100);
	bh_free(p);
	announce(p);
	bh_free(p);
	end();
}

static void free_twice_the_last_of_a_shared_slab(void *arg)
{
	void *p;

	(void)arg;
	start();
	p = take(100);
	bh_free(p);
	announce(p);
	bh_free(p);
	end();
}

static void free_twice_of_pages(void *arg)
{
	void *p;

	(void)arg;
	start();
	p = take(500000);
	bh_free(p);
	announce(p);
	bh_free(p);
	end();
}

static void free_after_drop(void *arg)
{
	void *p;

	(void)arg;
	start();
	p = take(500000);
	ck_assert_int_eq(bh_group_drop(group), 0);
	announce(p);
	bh_free(p);
	end();
}

static void free_after_drop_in_a_slab(void *arg)
{
	void *p;

	(void)arg;
	start();
	outgrow_shared_slabs(100);
	p = take(100);
	ck_assert_int_eq(bh_group_drop(group), 0);
	announce(p);
	bh_free(p);
	end();
}

static void free_after_drop_in_a_shared_slab(void *arg)
{
	struct bh_group *other;
	void *p;

	(void)arg;
	start();
	other = support_group(NULL, "other");
	ck_assert_ptr_nonnull(bh_alloc(other, 100, 0));
	p = take(100);
	ck_assert_int_eq(bh_group_drop(group), 0);
	announce(p);
	bh_free(p);
	end();
}

static void free_twice_of_pages_of_an_order(void *arg)
{
	void *p;

	(void)arg;
	start();
	p = bh_alloc_pages(group, 2, 0);
	ck_assert_int_eq(bh_free_pages(p, 2), 0);
	announce(p);
	ck_assert_int_eq(bh_free_pages(p, 2), -EINVAL);
	end();
}

static void free_the_stack_as_pages(void *arg)
{
	char stack = 0;

	(void)arg;
	start();
	announce(&stack);
	ck_assert_int_eq(bh_free_pages(&stack, 0), -EINVAL);
	end();
}

static void free_the_stack_as_of_a_cache(void *arg)
{
	struct bh_cache *cache;
	char stack = 0;

	(void)arg;
	start();
	cache = bh_cache_new("items", 100, 0, NULL);
	announce(&stack);
	ck_assert_int_eq(bh_cache_free(cache, &stack), -EINVAL);
	end();
}

static void free_what_was_moved(void *arg)
{
	void *p;

	(void)arg;
	start();
	p = take(500000);
	ck_assert_ptr_nonnull(bh_realloc_flags(p, 5000000, 0));
	announce(p);
	bh_free(p);
	end();
}

/* The earlier free is told of the object that was there last, not of one before. */
static void free_twice_where_another_was_before(void *arg)
{
	void *p, *q;

	(void)arg;
	start();
	p = take(500000);
	free_it(p);
	q = take(500000);
	ck_assert_ptr_eq(p, q);
	bh_free(q);
	announce(q);
	bh_free(q);
	end();
}

static void free_the_inside_of_pages(void *arg)
{
	char *p;

	(void)arg;
	start();
	p = take(500000);
	announce(p + 16);
	bh_free(p + 16);
	end();
}

static void free_a_later_page(void *arg)
{
	char *p;

	(void)arg;
	start();
	p = take(500000);
	announce(p + 4096);
	bh_free(p + 4096);
	end();
}

static void free_the_inside_of_an_object(void *arg)
{
	char *p;

	(void)arg;
	start();
	outgrow_shared_slabs(100);
	p = take(100);
	announce(p + 8);
	bh_free(p + 8);
	end();
}

static void free_the_inside_of_a_shared_object(void *arg)
{
	char *p;

	(void)arg;
	start();
	take(100);
	p = take(100);
	announce(p + 8);
	bh_free(p + 8);
	end();
}

static void free_the_inside_of_a_constructed_object(void *arg);

static void free_the_stack(void *arg)
{
	char stack = 0;

	(void)arg;
	start();
	announce(&stack);
	bh_free(&stack);
	end();
}

static void free_what_malloc_gave(void *arg)
{
	void *volatile p = malloc(100);

	(void)arg;
	start();
	announce(p);
	bh_free(p);
	end();
	free(p);
}

static void free_a_small_number(void *arg)
{
	(void)arg;
	start();
	announce((void *)0x10);
	bh_free((void *)0x10);
	end();
}

static void free_before_anything_was_allocated(void *arg)
{
	char stack = 0;

	(void)arg;
	announce(&stack);
	bh_free(&stack);
	start();
	end();
}

static void free_a_part_of_the_window_never_used(void *arg)
{
	char *p;

	(void)arg;
	start();
	p = (char *)take(500000) + ((size_t)100 << 20);
	announce(p);
	bh_free(p);
	end();
}

static void reallocate_what_malloc_gave(void *arg)
{
	void *volatile p = malloc(100);

	(void)arg;
	start();
	announce(p);
	errno = 0;
	ck_assert_ptr_null(bh_realloc_flags(p, 1000, 0));
	ck_assert_int_eq(errno, EINVAL);
	end();
	free(p);
}

static void reallocate_what_was_freed(void *arg)
{
	void *p;

	(void)arg;
	start();
	take(100);
	p = take(100);
	bh_free(p);
	announce(p);
	errno = 0;
	ck_assert_ptr_null(bh_realloc_flags(p, 1000, 0));
	ck_assert_int_eq(errno, EINVAL);
	end();
}

static void construct(void *object)
{
	(void)object;
}

static void free_the_inside_of_a_constructed_object(void *arg)
{
	struct bh_cache *cache;
	char *p;

	(void)arg;
	start();
	cache = bh_cache_new("items", 100, 0, construct);
	p = bh_cache_alloc(cache, group, 0);
	announce(p + 8);
	bh_free(p + 8);
	end();
}

struct misuse {
	void (*fn)(void *arg);
	const char *debug, *release; /* what is said; NULL: nothing can be promised */
	bool before;                 /* a debug build names the earlier free too */
	bool elsewhere;              /* the call is not in .fn */
	bool before_elsewhere;       /* the earlier one is not */
};

static const struct misuse misuses[] = {
	{.fn = free_twice, .debug = TWICE, .before = true},
	{.fn = free_again_after_another_thread,
		.debug = TWICE,
		.before = true,
		.before_elsewhere = true},
	{.fn = free_again_by_another_thread,
		.debug = TWICE,
		.before = true,
		.elsewhere = true},
	{.fn = free_twice_of_a_cache, .debug = TWICE, .before = true},
	{.fn = free_twice_in_a_shared_slab,
		.debug = TWICE,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_twice_the_last_of_a_shared_slab,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_twice_of_pages,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_after_drop, .debug = NO_OBJECT, .release = NO_OBJECT, .before = true},
	{.fn = free_after_drop_in_a_slab,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_after_drop_in_a_shared_slab,
		.debug = TWICE,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_twice_of_pages_of_an_order, .debug = NO_OBJECT, .before = true},
	{.fn = free_the_stack_as_pages, .debug = FOREIGN},
	{.fn = free_the_stack_as_of_a_cache, .debug = FOREIGN},
	{.fn = free_what_was_moved,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_twice_where_another_was_before,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
	{.fn = free_the_inside_of_pages, .debug = NO_OBJECT, .release = NO_OBJECT},
	{.fn = free_a_later_page, .debug = NO_OBJECT, .release = NO_OBJECT},
	{.fn = free_the_inside_of_an_object, .debug = INSIDE},
	{.fn = free_the_inside_of_a_shared_object,
		.debug = NO_OBJECT,
		.release = NO_OBJECT},
	{.fn = free_the_inside_of_a_constructed_object,
		.debug = NO_OBJECT,
		.release = NO_OBJECT},
	{.fn = free_the_stack, .debug = FOREIGN, .release = FOREIGN},
	{.fn = free_what_malloc_gave, .debug = FOREIGN, .release = FOREIGN},
	{.fn = free_a_small_number, .debug = FOREIGN, .release = FOREIGN},
	{.fn = free_before_anything_was_allocated, .debug = FOREIGN, .release = FOREIGN},
	{.fn = free_a_part_of_the_window_never_used,
		.debug = NO_OBJECT,
		.release = NO_OBJECT},
	{.fn = reallocate_what_malloc_gave, .debug = FOREIGN, .release = FOREIGN},
	{.fn = reallocate_what_was_freed,
		.debug = NO_OBJECT,
		.release = NO_OBJECT,
		.before = true},
};

/* A place in the code of the case: no function here is longer. */
static bool is_in(void (*fn)(void *), uintptr_t where)
{
	return where - (uintptr_t)fn < 2048;
}

static void check_message(const struct misuse *misuse, const char *said,
	const struct support_output *output)
{
	bool has_before = BH_DEBUG && misuse->before;
	const char *before = has_before ? "; freed before from 0x" : "\n";
	uintptr_t where = 0;
	char head[256];
	int len;

	len = snprintf(head, sizeof(head), "bulkhead: %s of %.*s, called from 0x", said,
		(int)strcspn(output->out, "\n"), output->out);
	ck_assert_int_lt(len, (int)sizeof(head));
	ck_assert_msg(!strncmp(output->err, head, (size_t)len), "'%s' for '%s'",
		output->err, head);
	ck_assert_int_eq(sscanf(output->err + len, "%" SCNxPTR, &where), 1);
	ck_assert_msg(is_in(misuse->fn, where) != misuse->elsewhere, "%s", output->err);
	ck_assert_msg(support_contains(output->err + len, before), "%s", output->err);
	if (has_before) {
		ck_assert_int_eq(sscanf(strstr(output->err, before) + strlen(before),
					 "%" SCNxPTR, &where),
			1);
		ck_assert_msg(is_in(misuse->fn, where) != misuse->before_elsewhere, "%s",
			output->err);
	}
	ck_assert_int_eq(support_count_lines(output->err), 1);
}

static const char *what_is_said(const struct misuse *misuse)
{
	return BH_DEBUG ? misuse->debug : misuse->release;
}

START_TEST(misuse_is_reported_with_what_it_was_and_where)
{
	const struct misuse *misuse = &misuses[_i];
	struct support_output output;

	support_capture(misuse->fn, NULL, &output);
	check_message(misuse, what_is_said(misuse), &output);
	if (BH_DEBUG) {
		ck_assert(WIFSIGNALED(output.status));
		ck_assert_int_eq(WTERMSIG(output.status), SIGABRT);
	} else {
		ck_assert_int_eq(support_exit_status(&output), 0);
	}
	support_output_fini(&output);
}
END_TEST

/* Two threads free the same objects at the same time: each object is freed once. */
#define NR_RACED 20000

static void *raced[NR_RACED];
static uint32_t nr_ready;

static void *free_all(void *arg)
{
	__atomic_fetch_add(&nr_ready, 1, __ATOMIC_SEQ_CST);
	support_await(&nr_ready, 2);
	for (int i = 0; i < NR_RACED; i++)
		bh_free(raced[i]);
	return arg;
}

static void free_by_two_threads_at_once(void *arg)
{
	pthread_t thread;

	(void)arg;
	start();
	for (int i = 0; i < NR_RACED; i++) {
		/* A few of each group stay in shared slabs, which others keep alive. */
		if (i % 32 == 0) {
			group = support_group(NULL, "small");
			take(100);
		}
		raced[i] = take(100);
	}
	thread = support_thread(free_all, NULL);
	free_all(NULL);
	support_join(thread);
	ck_assert_uint_eq(bhi_misuse_count(), NR_RACED);
	end();
}

START_TEST(an_object_in_a_shared_slab_freed_by_two_threads_at_once_is_freed_once)
{
	struct support_output output;

	/* A debug build aborts at the first of them. */
	support_capture(free_by_two_threads_at_once, NULL, &output);
	ck_assert(support_contains(output.err, BH_DEBUG ? TWICE : NO_OBJECT));
	if (!BH_DEBUG) {
		ck_assert_int_eq(support_exit_status(&output), 0);
		/* As many as are shown, and that there were more. */
		ck_assert_int_eq(support_count_lines(output.err), 101);
	}
	support_output_fini(&output);
}
END_TEST

static void add(TCase *tcase)
{
	for (int i = 0; i < (int)bhi_array_size(misuses); i++) {
		if (what_is_said(&misuses[i]))
			tcase_add_loop_test(tcase,
				misuse_is_reported_with_what_it_was_and_where, i, i + 1);
	}
	tcase_add_test(tcase,
		an_object_in_a_shared_slab_freed_by_two_threads_at_once_is_freed_once);
}

int main(void)
{
	return support_run("misuse", add);
}
