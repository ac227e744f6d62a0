/* SPDX-License-Identifier: MIT */
/*
 * Injected failures in the library: which requests meet them, and that nothing else
 * happens where they do. The decision itself is test_fault.c's, what is said of them
 * test_inject_report.c's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "charge/failures.h"
#include "support.h"
#include "support_fault.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

static void check_served(void *p)
{
	ck_assert_ptr_nonnull(p);
	bh_free(p);
}

START_TEST(objects_in_slabs_fail_and_others_do_not)
{
	void *p;

	support_start(ZONE);
	support_inject(EVERY_SLAB);
	for (size_t size = 0; size <= 8192; size += 512)
		support_check_failed(bh_alloc(NULL, size, 0));
	support_check_failed(bh_alloc_aligned(NULL, 64, 100, 0));
	check_served(bh_alloc(NULL, MIB, 0));
	check_served(bh_alloc_pages(NULL, 0, 0));
	support_inject("off");
	p = bh_alloc(NULL, 100, 0);
	ck_assert_ptr_nonnull(p);
	memset(p, 'p', 100);
	support_inject(EVERY_SLAB);
	/* It is as it was. */
	support_check_failed(bh_realloc_flags(p, 1000, 0));
	ck_assert_int_eq(((char *)p)[99], 'p');
	/* What fits asks for nothing. */
	ck_assert_ptr_eq(bh_realloc_flags(p, 90, 0), p);
	bh_free(p);
	ck_assert_uint_eq(support_injected(BH_FAULT_SLAB).nr_failed, 19);
	support_inject(NULL);
	support_end();
}
END_TEST

START_TEST(a_warm_thread_meets_them_as_well)
{
	support_start(ZONE);
	/* From here on the fast path could serve it. */
	check_served(bh_alloc(NULL, 100, 0));
	support_inject(EVERY_SLAB ",interval=3");
	for (int i = 1; i <= 9; i++) {
		void *p = bh_alloc(NULL, 100, 0);

		ck_assert(!p == !(i % 3));
		bh_free(p);
	}
	support_inject("off");
	for (int i = 1; i <= 9; i++)
		check_served(bh_alloc(NULL, 100, 0));
	support_end();
}
END_TEST

START_TEST(by_default_ordinary_requests_are_left_alone)
{
	support_start(ZONE);
	support_inject("slab:probability=100,times=-1;page:probability=100,times=-1");
	check_served(bh_alloc(NULL, 100, 0));
	support_check_failed(bh_alloc(NULL, 100, BH_ATOMIC));
	support_check_failed(bh_alloc(NULL, 100, BH_NOWAIT));
	check_served(bh_alloc_pages(NULL, 0, BH_ATOMIC));
	check_served(bh_alloc_pages(NULL, 1, 0));
	support_check_failed(bh_alloc_pages(NULL, 1, BH_ATOMIC));
	support_inject("off");
	support_end();
}
END_TEST

START_TEST(a_request_that_must_not_fail_never_does)
{
	struct bh_cache *cache;

	support_start(ZONE);
	cache = bh_cache_new("items", 100, 0, NULL);
	/* The background thread's system calls may fail, and are not looked at. */
	ck_assert_int_eq(bh_fault_mark(NULL, 1), 0);
	support_inject(EVERY_SLAB ";" EVERY_PAGE
				  ";syscall:probability=100,times=-1,task-filter=Y");
	for (size_t size = 1; size <= MIB; size *= 3)
		check_served(bh_alloc(NULL, size, BH_NOFAIL));
	check_served(bh_alloc_pages(NULL, 3, BH_NOFAIL));
	check_served(bh_cache_alloc(cache, NULL, BH_NOFAIL));
	ck_assert_int_eq(bh_fault_nth(1), 0);
	check_served(bh_alloc(NULL, 100, BH_NOFAIL));
	ck_assert_uint_eq(bh_fault_left(), 1);
	bh_fault_nth(0);
	for (unsigned kind = 0; kind < BHI_FAULT_KINDS; kind++)
		ck_assert_uint_eq(
			support_injected((enum bh_fault_kind)kind).nr_failed, 0);
	support_inject("off");
	ck_assert_int_eq(bh_fault_mark(NULL, 0), 0);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	support_end();
}
END_TEST

START_TEST(only_marked_caches_fail_under_the_filter)
{
	struct bh_cache *one, *other;

	support_start(ZONE);
	one = bh_cache_new("one", 100, 0, NULL);
	other = bh_cache_new("other", 100, 0, NULL);
	ck_assert_int_eq(bh_fault_mark_cache(one, 1), 0);
	support_inject(EVERY_SLAB ",cache-filter=Y");
	support_check_failed(bh_cache_alloc(one, NULL, 0));
	check_served(bh_cache_alloc(other, NULL, 0));
	check_served(bh_alloc(NULL, 100, 0));
	ck_assert_int_eq(bh_fault_mark_cache(one, 0), 0);
	check_served(bh_cache_alloc(one, NULL, 0));
	ck_assert_int_eq(bh_fault_mark_cache(one, 2), -EINVAL);
	ck_assert_int_eq(bh_fault_mark_cache(NULL, 1), -EINVAL);
	support_inject("off");
	ck_assert_int_eq(bh_cache_destroy(one), 0);
	ck_assert_int_eq(bh_cache_destroy(other), 0);
	support_end();
}
END_TEST

START_TEST(pages_fail_by_their_order)
{
	support_start(ZONE);
	support_inject(EVERY_PAGE ";page:min-order=2");
	check_served(bh_alloc_pages(NULL, 1, 0));
	support_check_failed(bh_alloc_pages(NULL, 2, 0));
	/* Large objects are pages: 129 of them need a block of 256. */
	support_inject("page:min-order=8");
	check_served(bh_alloc(NULL, 128 * PAGE, 0));
	support_check_failed(bh_alloc(NULL, 129 * PAGE, 0));
	/* Space counts pages: the first is let through, the second finds 4 left. */
	support_inject("page:min-order=0,space=8");
	check_served(bh_alloc_pages(NULL, 2, 0));
	support_check_failed(bh_alloc_pages(NULL, 2, 0));
	ck_assert_uint_eq(support_injected(BH_FAULT_PAGE).space, 4);
	support_inject("off");
	support_end();
}
END_TEST

START_TEST(a_slab_that_cannot_grow_fails_the_object)
{
	support_start(ZONE);
	support_inject(EVERY_PAGE);
	support_check_failed(bh_alloc(NULL, 2000, 0));
	support_inject("off");
	check_served(bh_alloc(NULL, 2000, 0));
	/* Objects that are there need no pages. */
	support_inject(EVERY_PAGE);
	check_served(bh_alloc(NULL, 2000, 0));
	support_inject("off");
	support_end();
}
END_TEST

static void ignore_event(const struct bh_oom_event *event, void *arg)
{
	(void)event;
	++*(unsigned *)arg;
}

/* Memory is short at the same time, and nobody does anything about it. */
START_TEST(nothing_is_reclaimed_killed_or_noted_for_an_injected_failure)
{
	unsigned nr_ooms = 0;
	struct bh_config config = {.size = ZONE,
		.decay_ms = 3600000,
		.on_oom = ignore_event,
		.on_oom_arg = &nr_ooms};
	struct support_cache cache;
	struct bh_group *group;
	struct bh_group_stat before, after;
	struct bh_task *task;

	ck_assert_int_eq(bh_init(&config), 0);
	group = support_group(NULL, "full");
	support_set(group, BH_ON_LIMIT, BH_KILL);
	task = bh_task_new(group, NULL);
	support_cache_init(&cache, group, 0);
	ck_assert_uint_eq(support_cache_fill(&cache, 100, 0), 100);
	support_set(group, BH_MAX, support_usage(group));
	cache.nr_counts = cache.nr_scans = 0;
	before = support_stat(group);
	support_inject(EVERY_SLAB ";" EVERY_PAGE);
	support_check_failed(bh_alloc(group, 100, 0));
	support_check_failed(bh_alloc(group, MIB, 0));
	support_check_failed(bh_alloc_pages(group, 3, 0));
	after = support_stat(group);
	ck_assert_int_eq(memcmp(&before.events, &after.events, sizeof(before.events)), 0);
	ck_assert_uint_eq(before.failcnt, after.failcnt);
	ck_assert_uint_eq(before.usage, after.usage);
	ck_assert_uint_eq(cache.nr_counts + cache.nr_scans, 0);
	ck_assert_uint_eq(bhi_failures_count(), 0);
	ck_assert_uint_eq(nr_ooms, 0);
	support_inject("off");
	support_cache_fini(&cache);
	bh_task_put(task);
	bh_group_put(group);
	support_end();
}
END_TEST

static void *ask(void *arg)
{
	void *p = bh_alloc(arg, 100, 0);

	bh_free(p);
	return p;
}

static int ask_inside(void *arg)
{
	return ask(arg) != NULL;
}

static int run_in(struct bh_task *task)
{
	struct bh_report report;

	ck_assert_int_eq(bh_task_enter(task, ask_inside, NULL, &report), 0);
	return report.value;
}

START_TEST(the_task_filter_knows_threads_and_tasks)
{
	struct bh_task *one, *other, *made;

	support_start(ZONE);
	one = bh_task_new(NULL, NULL);
	other = bh_task_new(NULL, NULL);
	support_inject(EVERY_SLAB ",task-filter=Y");
	ck_assert_ptr_nonnull(ask(NULL));
	ck_assert_int_eq(bh_fault_mark(one, 1), 0);
	ck_assert_int_eq(run_in(one), 0);
	ck_assert_int_eq(run_in(other), 1);
	ck_assert_ptr_nonnull(ask(NULL));
	ck_assert_int_eq(bh_fault_mark(NULL, 1), 0);
	ck_assert_ptr_null(ask(NULL));
	/* The thread's mark goes with it into every task, and to no other thread. */
	ck_assert_int_eq(run_in(other), 0);
	ck_assert_ptr_nonnull(support_join(support_thread(ask, NULL)));
	made = bh_task_new(NULL, NULL);
	ck_assert_int_eq(bh_fault_mark(NULL, 0), 0);
	ck_assert_ptr_nonnull(ask(NULL));
	ck_assert_int_eq(run_in(made), 0);
	ck_assert_int_eq(bh_fault_mark(made, 0), 0);
	ck_assert_int_eq(run_in(made), 1);
	ck_assert_int_eq(bh_fault_mark(NULL, 2), -EINVAL);
	ck_assert_int_eq(bh_fault_mark(one, -1), -EINVAL);
	support_inject("off");
	bh_task_put(one);
	bh_task_put(other);
	bh_task_put(made);
	support_end();
}
END_TEST

static void *arm_and_end(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_fault_nth(5), 0);
	return NULL;
}

/* Which of 64 requests fail, one bit each. */
static uint64_t draw(const char *settings)
{
	uint64_t failed = 0;

	support_inject(settings);
	for (int i = 0; i < 64; i++) {
		void *p = bh_alloc(NULL, 64, 0);

		failed |= (uint64_t)!p << i;
		bh_free(p);
	}
	return failed;
}

START_TEST(a_seed_draws_the_same_again)
{
	static const char seeded[] =
		"slab:probability=50,times=-1,ignore-gfp-wait=N,seed=42";
	uint64_t first;

	support_start(ZONE);
	first = draw(seeded);
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_ne(first, UINT64_MAX);
	ck_assert_uint_ne(draw("slab:probability=50"), first);
	ck_assert_uint_eq(draw(seeded), first);
	support_end();
}
END_TEST

START_TEST(the_nth_request_of_the_thread_fails_once)
{
	support_start(ZONE);
	/* Its slab is there: that would be another request. */
	ck_assert_ptr_nonnull(ask(NULL));
	support_inject("slab:ignore-gfp-wait=N;page:ignore-gfp-wait=N");
	ck_assert_int_eq(bh_fault_nth(3), 0);
	ck_assert_ptr_nonnull(ask(NULL));
	/* Not eligible: by default single pages are not. */
	check_served(bh_alloc_pages(NULL, 0, 0));
	ck_assert_uint_eq(bh_fault_left(), 2);
	ck_assert_ptr_nonnull(support_join(support_thread(ask, NULL)));
	ck_assert_uint_eq(bh_fault_left(), 2);
	check_served(bh_alloc_pages(NULL, 1, 0));
	ck_assert_uint_eq(bh_fault_left(), 1);
	ck_assert_ptr_null(ask(NULL));
	ck_assert_uint_eq(bh_fault_left(), 0);
	ck_assert_ptr_nonnull(ask(NULL));
	ck_assert_int_eq(bh_fault_nth(9), 0);
	ck_assert_int_eq(bh_fault_nth(0), 0);
	ck_assert_uint_eq(bhi_failpoint_armed, 0);
	/* One that ends takes its number with it. */
	support_join(support_thread(arm_and_end, NULL));
	ck_assert_uint_eq(bhi_failpoint_armed, 0);
	support_end();
}
END_TEST

START_TEST(a_sweep_ends_with_a_run_that_met_no_failure)
{
	unsigned nth = 1;

	support_start(ZONE);
	support_inject("slab:ignore-gfp-wait=N");
	for (;; nth++) {
		void *p[4];
		unsigned nr = 0;

		ck_assert_int_eq(bh_fault_nth(nth), 0);
		for (int i = 0; i < 4; i++) {
			p[i] = bh_alloc(NULL, 64, 0);
			nr += !p[i];
			bh_free(p[i]);
		}
		if (bh_fault_left()) {
			ck_assert_uint_eq(nr, 0);
			break;
		}
		ck_assert_uint_eq(nr, 1);
		ck_assert_ptr_null(p[nth - 1]);
	}
	ck_assert_uint_eq(nth, 5);
	bh_fault_nth(0);
	support_end();
}
END_TEST

static BHI_NOINLINE void *ask_by_name(void)
{
	void *p = bh_alloc(NULL, 100, 0);

	__asm__ volatile("" ::: "memory");
	return p;
}

START_TEST(the_stack_filter_knows_functions_and_modules)
{
	support_start(ZONE);
	support_inject(EVERY_SLAB ",require=ask_by_name");
	support_check_failed(ask_by_name());
	ck_assert_ptr_nonnull(ask(NULL));
	support_inject("slab:reject=function:ask_by_name");
	check_served(ask_by_name());
	support_inject("slab:off;" EVERY_SLAB ",reject=ask_by_name");
	check_served(ask_by_name());
	ck_assert_ptr_null(ask(NULL));
	support_inject("slab:off;" EVERY_SLAB ",require=module:libc");
	ck_assert_ptr_null(ask(NULL));
	support_inject("off");
	support_end();
}
END_TEST

static int use_private(void *arg)
{
	struct bhi_injection injection;
	char *p, *map;

	(void)arg;
	support_inject(EVERY_PRIVATE);
	support_check_failed(bh_malloc(100));
	support_check_failed(bh_malloc(MIB));
	map = bh_map(MIB, 0);
	ck_assert_ptr_nonnull(map);
	ck_assert_int_eq(bh_touch(map, PAGE), -ENOMEM);
	/* A touch asks until it is let through: three times around it and for the page
	 * alone, then not. */
	support_inject("page:times=6");
	map[0] = 'm';
	ck_assert_int_eq(map[0], 'm');
	ck_assert_int_eq(support_injected(BH_FAULT_PAGE).times, 0);
	/* From the handler of a signal as well it is known who asked. */
	ck_assert(bhi_injection_read(0, &injection));
	ck_assert_uint_eq(injection.size, 1);
	ck_assert_str_eq(injection.asker, "task");
	ck_assert_uint_gt(injection.nr_frames, 5);
	support_inject("off;" EVERY_PAGE);
	/* By default private memory is left alone. */
	p = bh_malloc(100);
	ck_assert_ptr_nonnull(p);
	map[MIB - 1] = 'n';
	support_inject("off");
	return 0;
}

static void check_private(const char *backend)
{
	struct bh_task *task;
	struct bh_report report;

	if (!strcmp(backend, "uffd") && !support_has_uffd())
		support_skip(SUPPORT_NO_UFFD);
	setenv("BULKHEAD_PAGEFAULT", backend, 1);
	support_start(ZONE);
	task = bh_task_new(NULL, NULL);
	ck_assert_int_eq(bh_task_enter(task, use_private, NULL, &report), 0);
	bh_task_put(task);
	support_end();
}

START_TEST(private_pages_fail_when_it_is_said_with_userfaultfd)
{
	check_private("uffd");
}
END_TEST

START_TEST(private_pages_fail_when_it_is_said_with_mprotect)
{
	check_private("mprotect");
}
END_TEST

/* What it takes its own memory with. */
static bool can_map(size_t size)
{
	void *p;

	if (bhi_sys_map(size, &p))
		return false;
	bhi_sys_unmap(p, size);
	return true;
}

START_TEST(the_librarys_mmap_fails)
{
	support_start(ZONE);
	support_inject("syscall:probability=100,times=-1,calls=mremap+brk");
	ck_assert(can_map(PAGE));
	ck_assert_uint_eq(support_injected(BH_FAULT_SYSCALL).nr_calls, 0);
	/* Space counts bytes. The library's own threads may map something as well. */
	ck_assert_int_eq(bh_fault_mark(NULL, 1), 0);
	support_inject("syscall:calls=mmap,space=20K,task-filter=Y");
	ck_assert(can_map(4 * PAGE));
	ck_assert(!can_map(PAGE));
	ck_assert_uint_eq(support_injected(BH_FAULT_SYSCALL).space, PAGE);
	ck_assert_uint_eq(support_injected(BH_FAULT_SYSCALL).nr_failed, 1);
	support_inject("off");
	ck_assert(can_map(PAGE));
	support_end();
}
END_TEST

static void fork_with_nth(void *arg)
{
	pid_t pid;
	int status;

	(void)arg;
	support_start(ZONE);
	ck_assert_int_eq(bh_fault_nth(3), 0);
	pid = fork();
	if (!pid)
		_exit((int)bh_fault_left());
	if (waitpid(pid, &status, 0) != pid)
		_exit(9);
	_exit(bh_fault_left() == 3 && WIFEXITED(status) ? WEXITSTATUS(status) : 9);
}

START_TEST(a_child_has_no_nth)
{
	struct support_output output;

	support_capture(fork_with_nth, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
}
END_TEST

static void *ask_often(void *arg)
{
	uintptr_t nr = 0;

	(void)arg;
	for (int i = 0; i < 2000; i++)
		nr += !ask(NULL);
	return (void *)nr;
}

/* Exactly so many, whoever races. */
START_TEST(times_and_space_are_exact_among_threads)
{
	pthread_t threads[4];
	uintptr_t nr = 0;

	support_start(ZONE);
	support_inject(EVERY_SLAB ",times=1000,space=112001,verbose=0");
	for (int i = 0; i < 4; i++)
		threads[i] = support_thread(ask_often, NULL);
	for (int i = 0; i < 4; i++)
		nr += (uintptr_t)support_join(threads[i]);
	ck_assert_uint_eq(nr, 1000);
	ck_assert_int_eq(support_injected(BH_FAULT_SLAB).times, 0);
	ck_assert_uint_eq(support_injected(BH_FAULT_SLAB).space, 1);
	ck_assert_uint_eq(support_injected(BH_FAULT_SLAB).nr_calls, 8000);
	support_inject("off");
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, objects_in_slabs_fail_and_others_do_not);
	tcase_add_test(tcase, a_warm_thread_meets_them_as_well);
	tcase_add_test(tcase, by_default_ordinary_requests_are_left_alone);
	tcase_add_test(tcase, a_request_that_must_not_fail_never_does);
	tcase_add_test(tcase, only_marked_caches_fail_under_the_filter);
	tcase_add_test(tcase, pages_fail_by_their_order);
	tcase_add_test(tcase, a_slab_that_cannot_grow_fails_the_object);
	tcase_add_test(
		tcase, nothing_is_reclaimed_killed_or_noted_for_an_injected_failure);
	tcase_add_test(tcase, the_task_filter_knows_threads_and_tasks);
	tcase_add_test(tcase, a_seed_draws_the_same_again);
	tcase_add_test(tcase, the_nth_request_of_the_thread_fails_once);
	tcase_add_test(tcase, a_sweep_ends_with_a_run_that_met_no_failure);
	tcase_add_test(tcase, the_stack_filter_knows_functions_and_modules);
	tcase_add_test(tcase, private_pages_fail_when_it_is_said_with_userfaultfd);
	tcase_add_test(tcase, private_pages_fail_when_it_is_said_with_mprotect);
	tcase_add_test(tcase, the_librarys_mmap_fails);
	tcase_add_test(tcase, a_child_has_no_nth);
	tcase_add_test(tcase, times_and_space_are_exact_among_threads);
}

int main(void)
{
	return support_run("inject", add);
}
