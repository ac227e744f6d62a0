/* SPDX-License-Identifier: MIT */
/* The lowest floor: lists, pools, lock ranks, failure points, reports of bugs. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/bug.h"
#include "debug/inject.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/sys.h"
#include "support.h"

#if defined(__clang__)
/* Locks are taken and given back in other functions, or wrongly, on purpose. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

struct item {
	int value;
	struct bhi_list node;
};

/* The values of a list as digits, forward and then backward. */
static const char *spell(const struct bhi_list *head)
{
	static char text[64];
	char *p = text;

	for (const struct bhi_list *node = head->next; node != head; node = node->next)
		*p++ = (char)('0' + bhi_list_entry(node, struct item, node)->value);
	*p++ = '|';
	for (const struct bhi_list *node = head->prev; node != head; node = node->prev)
		*p++ = (char)('0' + bhi_list_entry(node, struct item, node)->value);
	*p = '\0';
	return text;
}

START_TEST(a_list_keeps_its_order_in_both_directions)
{
	struct item items[] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
	struct bhi_list head, other;

	bhi_list_init(&head);
	bhi_list_init(&other);
	ck_assert(bhi_list_empty(&head));
	ck_assert_ptr_null(bhi_list_first(&head, struct item, node));
	bhi_list_append(&head, &items[1].node);
	bhi_list_push(&head, &items[0].node);
	bhi_list_append(&head, &items[2].node);
	ck_assert_str_eq(spell(&head), "012|210");
	ck_assert_ptr_eq(bhi_list_first(&head, struct item, node), &items[0]);
	bhi_list_append(&other, &items[3].node);
	bhi_list_splice(&head, &other);
	ck_assert_str_eq(spell(&head), "0123|3210");
	ck_assert(bhi_list_empty(&other));
	bhi_list_splice(&head, &other);
	ck_assert_str_eq(spell(&head), "0123|3210");
	bhi_list_splice(&other, &head);
	ck_assert_str_eq(spell(&other), "0123|3210");
	ck_assert(bhi_list_empty(&head));
}
END_TEST

START_TEST(an_element_may_be_unlinked_twice_and_in_a_walk)
{
	struct item items[] = {{.value = 0}, {.value = 1}, {.value = 2}};
	struct bhi_list head;

	bhi_list_init(&head);
	for (int i = 0; i < 3; i++)
		bhi_list_append(&head, &items[i].node);
	ck_assert(bhi_list_linked(&items[1].node));
	bhi_list_unlink(&items[1].node);
	bhi_list_unlink(&items[1].node);
	ck_assert(!bhi_list_linked(&items[1].node));
	ck_assert_str_eq(spell(&head), "02|20");
	bhi_list_for_each_safe (node, &head)
		bhi_list_unlink(node);
	ck_assert(bhi_list_empty(&head));
	ck_assert(!bhi_list_linked(&(struct bhi_list){NULL, NULL}));
}
END_TEST

struct thing {
	char bytes[40];
};

static struct bhi_pool things = BHI_POOL_INIT(struct thing);

START_TEST(a_pool_gives_zeroed_objects_aligned_to_16_bytes)
{
	enum {
		NR = 5000
	};
	static struct thing *got[NR];
	static const struct thing zero;
	size_t bytes;

	for (int i = 0; i < NR; i++) {
		got[i] = bhi_pool_alloc(&things);
		ck_assert_ptr_nonnull(got[i]);
		ck_assert_uint_eq((uintptr_t)got[i] % 16, 0);
		ck_assert_mem_eq(got[i], &zero, sizeof(zero));
		memset(got[i], 0xff, sizeof(*got[i]));
	}
	ck_assert_uint_eq(things.nr_used, NR);
	bytes = bhi_meta_bytes();
	ck_assert_uint_ge(bytes, NR * sizeof(struct thing));
	for (int i = 0; i < NR; i++)
		bhi_pool_free(&things, got[i]);
	ck_assert_uint_eq(things.nr_used, 0);
	for (int i = 0; i < NR; i++) {
		got[i] = bhi_pool_alloc(&things);
		ck_assert_mem_eq(got[i], &zero, sizeof(zero));
	}
	/* What was freed was used again. */
	ck_assert_uint_eq(bhi_meta_bytes(), bytes);
	bhi_pool_free(&things, NULL);
	ck_assert_uint_eq(things.nr_used, NR);
}
END_TEST

START_TEST(metadata_is_counted_by_the_page_and_unmapped_whole)
{
	size_t before = bhi_meta_bytes();
	char *p = bhi_meta_map(5000);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(bhi_meta_bytes(), before + 2 * BHI_PAGE_SIZE);
	ck_assert_int_eq(p[0] | p[8191], 0);
	p[8191] = 1;
	bhi_meta_unmap(p, 5000);
	bhi_meta_unmap(NULL, 5000);
	ck_assert_uint_eq(bhi_meta_bytes(), before);
}
END_TEST

/* Which of ten passed points of @kind were refused, as a mask. */
static unsigned pass_ten(enum bhi_failpoint_kind kind)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < 10; i++)
		mask |= (unsigned)bhi_failpoint(kind) << i;
	return mask;
}

START_TEST(the_nth_failure_point_of_the_armed_kinds_is_refused)
{
	ck_assert_uint_eq(pass_ten(BHI_FP_MMAP), 0);
	bhi_failpoint_arm(3, BHI_FP_ONCE, 1u << BHI_FP_MMAP);
	ck_assert_uint_eq(pass_ten(BHI_FP_OPEN), 0);
	ck_assert_uint_eq(pass_ten(BHI_FP_MMAP), 1u << 2);
	ck_assert_uint_eq(pass_ten(BHI_FP_MMAP), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
	bhi_failpoint_arm(3, BHI_FP_PERSISTENT, 1u << BHI_FP_MMAP | 1u << BHI_FP_OPEN);
	ck_assert_uint_eq(pass_ten(BHI_FP_OPEN), 0x3fc);
	ck_assert_uint_eq(pass_ten(BHI_FP_MMAP), 0x3ff);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 18);
	ck_assert_uint_eq(pass_ten(BHI_FP_MMAP), 0);
}
END_TEST

START_TEST(system_calls_are_refused_with_their_documented_errors)
{
	static const unsigned all = (1u << BHI_FP_NR) - 1;
	char buf[64];
	void *p, *q = NULL;

	ck_assert_int_eq(bhi_sys_map(BHI_PAGE_SIZE, &p), 0);
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, all);
	ck_assert_int_eq(bhi_sys_map(BHI_PAGE_SIZE, &q), -ENOMEM);
	ck_assert_int_eq(bhi_sys_reserve(BHI_PAGE_SIZE, BHI_PAGE_SIZE, &q), -ENOMEM);
	ck_assert_ptr_null(q);
	ck_assert_int_eq(bhi_sys_commit(p, BHI_PAGE_SIZE), -ENOMEM);
	ck_assert_int_eq(bhi_sys_discard(p, BHI_PAGE_SIZE), -ENOMEM);
	ck_assert_int_eq(bhi_sys_wipe_on_fork(p, BHI_PAGE_SIZE), -ENOMEM);
	ck_assert_int_eq(bhi_sys_membarrier_register(), -ENOSYS);
	ck_assert_int_eq(bhi_sys_read_file("/proc/self/stat", buf, sizeof(buf)), -EMFILE);
	ck_assert_int_eq(bhi_sys_thread_start(NULL, NULL), -EAGAIN);
	ck_assert_ptr_null(bhi_meta_map(1));
	ck_assert_ptr_null(bhi_pool_alloc(&things));
	ck_assert_uint_eq(bhi_failpoint_disarm(), 10);
	bhi_sys_unmap(p, BHI_PAGE_SIZE);
}
END_TEST

START_TEST(a_reservation_is_aligned_and_usable_only_where_it_was_committed)
{
	size_t size = (size_t)64 << 20, align = (size_t)4 << 20;
	void *p;

	ck_assert_int_eq(bhi_sys_reserve(size, align, &p), 0);
	ck_assert_uint_eq((uintptr_t)p % align, 0);
	ck_assert_int_eq(bhi_sys_commit((char *)p + align, BHI_PAGE_SIZE), 0);
	((char *)p)[align] = 1;
	ck_assert_int_eq(bhi_sys_discard((char *)p + align, BHI_PAGE_SIZE), 0);
	ck_assert_int_eq(((char *)p)[align], 0);
	bhi_sys_unmap(p, size);
	ck_assert_int_eq(bhi_sys_reserve(SIZE_MAX - 100, align, &p), -ENOMEM);
}
END_TEST

START_TEST(giving_memory_back_preserves_errno_when_the_kernel_refuses)
{
	errno = 77;
	/* Nothing is mapped there. */
	ck_assert_int_eq(bhi_sys_discard((void *)BHI_PAGE_SIZE, BHI_PAGE_SIZE), -ENOMEM);
	ck_assert_int_eq(errno, 77);
}
END_TEST

static void call_bug(void *arg)
{
	(void)arg;
	BUG_ON(1 + 1 == 2);
}

static void call_warn(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		if (!WARN_ONCE(i >= 0, "something odd") || WARN_ONCE(i < 0, "never"))
			_exit(3);
	}
	_exit((int)bhi_warn_count());
}

static void call_assert(void *arg)
{
	int nr = 0;

	(void)arg;
	bh_assert(nr++ > 0);
	_exit(nr);
}

static void call_misuse(void *arg)
{
	bhi_misuse("double free", (void *)0x1000, (void *)0x2000, arg);
}

/* Run @fn, which must write @expected and nothing else, and then abort. */
static void expect_abort(void (*fn)(void *), void *arg, const char *expected)
{
	struct support_output output;

	support_capture(fn, arg, &output);
	ck_assert(WIFSIGNALED(output.status));
	ck_assert_int_eq(WTERMSIG(output.status), SIGABRT);
	ck_assert_msg(support_contains(output.err, expected), "%s", output.err);
	ck_assert_int_eq(support_count_lines(output.err), 1);
	support_output_fini(&output);
}

START_TEST(a_bug_is_one_line_with_its_place_and_then_abort)
{
	expect_abort(call_bug, NULL, "bulkhead: internal error: 1 + 1 == 2 at ");
}
END_TEST

START_TEST(a_warning_is_written_once_and_counted)
{
	struct support_output output;

	support_capture(call_warn, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	ck_assert(support_contains(output.err, "bulkhead: warning: something odd ("));
	ck_assert_int_eq(support_count_lines(output.err), 1);
	support_output_fini(&output);
}
END_TEST

START_TEST(an_assertion_aborts_debug_builds_and_costs_others_nothing)
{
	struct support_output output;

	if (BH_DEBUG) {
		expect_abort(call_assert, NULL, "internal error: !(nr++ > 0)");
		return;
	}
	support_capture(call_assert, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.err, "");
	support_output_fini(&output);
}
END_TEST

START_TEST(misuse_names_the_pointer_and_both_places)
{
	static const char once[] =
		"bulkhead: double free of 0x1000, called from 0x2000\n";
	static const char twice[] =
		"bulkhead: double free of 0x1000, called from 0x2000; "
		"freed before from 0x3000\n";
	struct support_output output;

	if (BH_DEBUG) {
		expect_abort(call_misuse, NULL, once);
		expect_abort(call_misuse, (void *)0x3000, twice);
		return;
	}
	support_capture(call_misuse, (void *)0x3000, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.err, twice);
	support_output_fini(&output);
}
END_TEST

static struct bhi_lock outer = BHI_LOCK_INIT(BHI_RANK_TREE);
static struct bhi_lock inner = BHI_LOCK_INIT(BHI_RANK_POOL);

START_TEST(locks_taken_in_rising_rank_are_free_again_afterwards)
{
	bhi_lock_acquire(&outer);
	bhi_lock_acquire(&inner);
	bhi_assert_held(&outer);
	bhi_assert_held(&inner);
	ck_assert(!bhi_lock_try(&inner));
	/* Not last in, first out. */
	bhi_lock_release(&outer);
	bhi_lock_release(&inner);
	bhi_assert_none_held();
	ck_assert(bhi_lock_try(&outer));
	bhi_lock_release(&outer);
	bhi_assert_none_held();
}
END_TEST

static struct {
	struct bhi_lock lock;
	unsigned value;
} shared = {.lock = BHI_LOCK_INIT(BHI_RANK_POOL)};

static void *add_many(void *arg)
{
	for (int i = 0; i < 50000; i++) {
		bhi_lock_acquire(&shared.lock);
		shared.value++;
		bhi_lock_release(&shared.lock);
	}
	return arg;
}

START_TEST(a_lock_excludes_and_wakes_those_who_wait)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(shared.value, 200000);
	ck_assert_uint_eq(shared.lock.word, 0);
}
END_TEST

#if BH_DEBUG
static struct bhi_lock inner_too = BHI_LOCK_INIT(BHI_RANK_POOL);

static void take_lower_rank(void *arg)
{
	(void)arg;
	bhi_lock_acquire(&inner);
	bhi_lock_acquire(&outer);
}

static void take_same_rank(void *arg)
{
	(void)arg;
	bhi_lock_acquire(&inner);
	bhi_lock_acquire(&inner_too);
}

static void take_after_try(void *arg)
{
	(void)arg;
	ck_assert(bhi_lock_try(&inner));
	bhi_lock_acquire(&outer);
}

static void release_unheld(void *arg)
{
	(void)arg;
	bhi_lock_release(&inner);
}

static void *acquire_inner(void *arg)
{
	bhi_lock_acquire(&inner);
	return arg;
}

static void release_anothers(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_create(&thread, NULL, acquire_inner, NULL);
	pthread_join(thread, NULL);
	bhi_lock_release(&inner);
}

static void assert_anothers(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_create(&thread, NULL, acquire_inner, NULL);
	pthread_join(thread, NULL);
	bhi_assert_held(&inner);
}

static void assert_unheld(void *arg)
{
	(void)arg;
	bhi_assert_held(&inner);
}

static void assert_none(void *arg)
{
	(void)arg;
	bhi_lock_acquire(&inner);
	bhi_assert_none_held();
}

START_TEST(locks_out_of_order_abort_a_debug_build)
{
	expect_abort(take_lower_rank, NULL, "held_ranks >> lock->rank");
	expect_abort(take_same_rank, NULL, "held_ranks >> lock->rank");
	expect_abort(take_after_try, NULL, "held_ranks >> lock->rank");
}
END_TEST

START_TEST(a_lock_that_is_not_held_can_be_neither_released_nor_relied_upon)
{
	expect_abort(release_unheld, NULL, "bhi_load(&lock->word) == FREE");
	expect_abort(release_anothers, NULL, "bhi_load(&lock->owner) != self_id");
	expect_abort(assert_anothers, NULL, "bhi_load(&lock->owner) != self_id");
	expect_abort(assert_unheld, NULL, "bhi_load(&lock->word) == FREE");
	expect_abort(assert_none, NULL, "held_ranks");
}
END_TEST
#endif

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_list_keeps_its_order_in_both_directions);
	tcase_add_test(tcase, an_element_may_be_unlinked_twice_and_in_a_walk);
	tcase_add_test(tcase, a_pool_gives_zeroed_objects_aligned_to_16_bytes);
	tcase_add_test(tcase, metadata_is_counted_by_the_page_and_unmapped_whole);
	tcase_add_test(tcase, the_nth_failure_point_of_the_armed_kinds_is_refused);
	tcase_add_test(tcase, system_calls_are_refused_with_their_documented_errors);
	tcase_add_test(
		tcase, a_reservation_is_aligned_and_usable_only_where_it_was_committed);
	tcase_add_test(tcase, giving_memory_back_preserves_errno_when_the_kernel_refuses);
	tcase_add_test(tcase, a_bug_is_one_line_with_its_place_and_then_abort);
	tcase_add_test(tcase, a_warning_is_written_once_and_counted);
	tcase_add_test(tcase, an_assertion_aborts_debug_builds_and_costs_others_nothing);
	tcase_add_test(tcase, misuse_names_the_pointer_and_both_places);
	tcase_add_test(tcase, locks_taken_in_rising_rank_are_free_again_afterwards);
	tcase_add_test(tcase, a_lock_excludes_and_wakes_those_who_wait);
#if BH_DEBUG
	tcase_add_test(tcase, locks_out_of_order_abort_a_debug_build);
	tcase_add_test(
		tcase, a_lock_that_is_not_held_can_be_neither_released_nor_relied_upon);
#endif
}

int main(void)
{
	return support_run("base", add);
}
