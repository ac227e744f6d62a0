/* SPDX-License-Identifier: MIT */
/* bh_rwlock: who goes first, and what becomes of holders and waiters that die. */
#include <errno.h>

#include "base/policy.h"
#include "support.h"
#include "support_locks.h"
#include "support_stop.h"

#define ZONE (64 * MIB)

static struct bh_rwlock rwlock = {.name_ = "rwlock"};

static int read_it(void *arg)
{
	int r = bh_rwlock_rdlock(&rwlock);

	(void)arg;
	if (!r || r == -EOWNERDEAD)
		ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	return r;
}

static int write_it(void *arg)
{
	int r = bh_rwlock_wrlock(&rwlock);

	(void)arg;
	if (!r || r == -EOWNERDEAD)
		ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	return r;
}

static int in_a_task(const char *name, int (*fn)(void *arg), struct bh_report *report)
{
	const struct bh_task_attr attr = {.name = name};

	return bh_task_run(NULL, &attr, fn, NULL, report);
}

/* The lock is whole, nobody's, and nobody waits. */
static void check_is_free(void)
{
	struct bh_report report;

	ck_assert_int_eq(bh_rwlock_destroy(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	ck_assert_int_eq(in_a_task("checker", read_it, &report), 0);
	ck_assert_int_eq(report.value, 0);
	ck_assert_int_eq(bh_rwlock_destroy(&rwlock), 0);
}

/* A task that holds the lock until it is told to give it up. */
struct holder {
	struct support_visit visit;
	int (*lock)(struct bh_rwlock *rwlock);
	uint32_t holds, may_end;
	bool leaks;
};

static int hold_it(void *arg)
{
	struct holder *holder = arg;
	int r = holder->lock(&rwlock);

	bhi_store_release(&holder->holds, 1);
	support_await(&holder->may_end, 1);
	if (!holder->leaks)
		ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	return r;
}

static void holder_start(struct holder *holder, int (*lock)(struct bh_rwlock *rwlock))
{
	*holder = (struct holder){.lock = lock};
	support_visit(&holder->visit, "holder", 0, hold_it, holder);
	support_await(&holder->holds, 1);
}

/* What its lock returned. */
static int holder_end(struct holder *holder)
{
	bhi_store_release(&holder->may_end, 1);
	ck_assert_int_eq(support_visit_end(&holder->visit), 0);
	return holder->visit.report.value;
}

static int hold_many(void *arg)
{
	struct bh_rwlock *many = arg;

	for (unsigned i = 0; i < BH_RWLOCKS_HELD_MAX; i++)
		ck_assert_int_eq(
			i % 2 ? bh_rwlock_rdlock(&many[i]) : bh_rwlock_wrlock(&many[i]),
			0);
	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), -EAGAIN);
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), -EAGAIN);
	ck_assert_int_eq(bh_rwlock_tryrdlock(&rwlock), -EAGAIN);
	ck_assert_int_eq(bh_rwlock_trywrlock(&rwlock), -EAGAIN);
	/* In an order that is neither that of locking nor the other way round. */
	for (unsigned i = 0; i < BH_RWLOCKS_HELD_MAX; i++)
		ck_assert_int_eq(bh_rwlock_unlock(&many[i * 5 % BH_RWLOCKS_HELD_MAX]), 0);
	return read_it(NULL);
}

START_TEST(as_many_rwlocks_as_promised_can_be_held_at_a_time)
{
	struct bh_rwlock many[BH_RWLOCKS_HELD_MAX] = {{.name_ = "many"}};
	struct bh_report report;

	support_start(ZONE);
	ck_assert_int_eq(hold_many(many), 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, hold_many, many, &report), 0);
	ck_assert_int_eq(report.value, 0);
	for (unsigned i = 0; i < BH_RWLOCKS_HELD_MAX; i++)
		ck_assert_int_eq(bh_rwlock_destroy(&many[i]), 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(readers_share_and_a_waiting_writer_goes_before_later_readers)
{
	struct support_visit writer, reader;
	struct holder first, second;

	support_start(ZONE);
	holder_start(&first, bh_rwlock_rdlock);
	holder_start(&second, bh_rwlock_rdlock);
	support_visit(&writer, "writer", 0, write_it, NULL);
	support_await_asleep(writer.task);
	support_visit(&reader, "reader", 0, read_it, NULL);
	support_await_asleep(reader.task);
	ck_assert_int_eq(holder_end(&first), 0);
	/* One still reads: nobody has come in. */
	support_await_asleep(writer.task);
	support_await_asleep(reader.task);
	ck_assert_int_eq(holder_end(&second), 0);
	ck_assert_int_eq(support_visit_end(&writer), 0);
	ck_assert_int_eq(support_visit_end(&reader), 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(the_end_of_writing_lets_all_waiting_readers_in)
{
	struct holder readers[3];
	struct holder writer;

	support_start(ZONE);
	holder_start(&writer, bh_rwlock_wrlock);
	for (int i = 0; i < 3; i++) {
		readers[i] = (struct holder){.lock = bh_rwlock_rdlock};
		support_visit(&readers[i].visit, "reader", 0, hold_it, &readers[i]);
		support_await_asleep(readers[i].visit.task);
	}
	ck_assert_int_eq(holder_end(&writer), 0);
	/* All hold it at the same time. */
	for (int i = 0; i < 3; i++)
		support_await(&readers[i].holds, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(holder_end(&readers[i]), 0);
	check_is_free();
	support_end();
}
END_TEST

static int die_with_both(void *arg)
{
	static struct bh_rwlock second;
	uint32_t *step = arg;

	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_wrlock(&second), 0);
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	ck_assert_int_eq(bh_check(), -ECANCELED);
	ck_assert_int_eq(bh_rwlock_unlock(&second), 0);
	ck_assert_int_eq(bh_check(), -ECANCELED);
	*step = 1;
	(void)bh_rwlock_unlock(&rwlock);
	*step = 2;
	return 0;
}

START_TEST(a_killed_holder_goes_on_until_it_has_unlocked_the_last_rwlock)
{
	struct bh_report report;
	uint32_t step = 0;

	support_start(ZONE);
	ck_assert_int_eq(
		bh_task_run(NULL, NULL, die_with_both, &step, &report), -ECANCELED);
	ck_assert_uint_eq(step, 1);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(report.nr_leaked_locks, 0);
	check_is_free();
	support_end();
}
END_TEST

static void kill_waiter(int (*held)(struct bh_rwlock *rwlock), int (*wanted)(void *arg))
{
	struct support_visit waiter;
	struct holder holder;

	holder_start(&holder, held);
	support_visit(&waiter, "waiter", 0, wanted, NULL);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	ck_assert_int_eq(waiter.report.victim_state, BH_VICTIM_BLOCKED);
	ck_assert_uint_eq(waiter.report.nr_leaked_locks, 0);
	ck_assert_int_eq(holder_end(&holder), 0);
	check_is_free();
}

START_TEST(a_killed_waiter_leaves_without_the_rwlock_and_unwinds)
{
	support_start(ZONE);
	kill_waiter(bh_rwlock_wrlock, read_it);
	kill_waiter(bh_rwlock_wrlock, write_it);
	kill_waiter(bh_rwlock_rdlock, write_it);
	support_end();
}
END_TEST

static int spin_and_rdlock(void *arg)
{
	bhi_store_release((uint32_t *)arg, 1);
	support_await(arg, 2);
	return bh_rwlock_rdlock(&rwlock);
}

static int spin_and_wrlock(void *arg)
{
	bhi_store_release((uint32_t *)arg, 1);
	support_await(arg, 2);
	return bh_rwlock_wrlock(&rwlock);
}

static void kill_before(int (*fn)(void *arg))
{
	struct support_visit visit;
	uint32_t step = 0;

	support_visit(&visit, "victim", 0, fn, &step);
	support_await(&step, 1);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	bhi_store_release(&step, 2);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	check_is_free();
}

START_TEST(a_killed_task_takes_no_rwlock_any_more)
{
	support_start(ZONE);
	/* Which would see to it too. */
	bhi_policy.reaper = false;
	kill_before(spin_and_rdlock);
	kill_before(spin_and_wrlock);
	support_end();
}
END_TEST

START_TEST(a_killed_writer_lets_in_the_readers_that_it_kept_out)
{
	struct support_visit writer, reader;
	struct holder holder;

	support_start(ZONE);
	holder_start(&holder, bh_rwlock_rdlock);
	support_visit(&writer, "writer", 0, write_it, NULL);
	support_await_asleep(writer.task);
	support_visit(&reader, "reader", 0, read_it, NULL);
	support_await_asleep(reader.task);
	ck_assert_int_eq(bh_task_kill(writer.task), 0);
	ck_assert_int_eq(support_visit_end(&writer), -ECANCELED);
	/* Beside the one that still reads. */
	ck_assert_int_eq(support_visit_end(&reader), 0);
	/* And later ones meet no mark of it. */
	ck_assert_int_eq(bh_rwlock_tryrdlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	ck_assert_int_eq(holder_end(&holder), 0);
	check_is_free();
	support_end();
}
END_TEST

static int wait_in_a_hold_section(void *arg)
{
	uint32_t *step = arg;

	bh_hold();
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), -ECANCELED);
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), -ECANCELED);
	/* It reads beside the other: nobody is waited for. */
	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	*step = 1;
	bh_release();
	*step = 2;
	return 0;
}

START_TEST(a_killed_waiter_that_may_not_unwind_is_told)
{
	struct support_visit waiter;
	struct holder holder;
	uint32_t step = 0;

	support_start(ZONE);
	for (unsigned flags = 0; flags <= BH_TASK_COOPERATIVE; flags++) {
		holder_start(&holder, bh_rwlock_rdlock);
		support_visit(&waiter, "waiter", flags, wait_in_a_hold_section, &step);
		support_await_asleep(waiter.task);
		ck_assert_int_eq(bh_task_kill(waiter.task), 0);
		ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
		ck_assert_uint_eq(step, flags & BH_TASK_COOPERATIVE ? 2 : 1);
		ck_assert_int_eq(holder_end(&holder), 0);
		check_is_free();
	}
	support_end();
}
END_TEST

START_TEST(the_end_of_a_writers_task_reaches_readers_until_it_reached_a_writer)
{
	struct support_visit reader, writer;
	struct holder holder;

	support_start(ZONE);
	holder_start(&holder, bh_rwlock_wrlock);
	holder.leaks = true;
	support_visit(&reader, "reader", 0, read_it, NULL);
	support_await_asleep(reader.task);
	ck_assert_int_eq(holder_end(&holder), 0);
	ck_assert_uint_eq(holder.visit.report.nr_leaked_locks, 1);
	ck_assert_int_eq(support_visit_end(&reader), 0);
	ck_assert_int_eq(reader.report.value, -EOWNERDEAD);

	/* It is told of what came before it waited, too. */
	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), -EOWNERDEAD);
	support_visit(&writer, "writer", 0, write_it, NULL);
	support_await_asleep(writer.task);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	ck_assert_int_eq(support_visit_end(&writer), 0);
	ck_assert_int_eq(writer.report.value, -EOWNERDEAD);
	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(were_the_rwlock_not_marked_the_next_reader_would_not_be_told)
{
	struct support_visit reader;
	struct holder holder;

	support_start(ZONE);
	bhi_policy.without.owner_died = true;
	holder_start(&holder, bh_rwlock_wrlock);
	holder.leaks = true;
	support_visit(&reader, "reader", 0, read_it, NULL);
	support_await_asleep(reader.task);
	ck_assert_int_eq(holder_end(&holder), 0);
	ck_assert_int_eq(support_visit_end(&reader), 0);
	ck_assert_int_eq(reader.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(the_end_of_a_readers_task_lets_the_waiting_writer_in)
{
	struct support_visit writer;
	struct holder holder;

	support_start(ZONE);
	holder_start(&holder, bh_rwlock_rdlock);
	holder.leaks = true;
	support_visit(&writer, "writer", 0, write_it, NULL);
	support_await_asleep(writer.task);
	ck_assert_int_eq(holder_end(&holder), 0);
	ck_assert_uint_eq(holder.visit.report.nr_leaked_locks, 1);
	ck_assert_int_eq(support_visit_end(&writer), 0);
	ck_assert_int_eq(writer.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

static int end_with_two(void *arg)
{
	static struct bh_rwlock second = {.name_ = "second"};

	(void)arg;
	ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_wrlock(&second), 0);
	return 0;
}

static void leak_two(void *arg)
{
	struct bh_rwlock outer = {.name_ = "outer"};
	struct bh_report report;

	(void)arg;
	support_start(ZONE);
	/* The thread's own is not the task's. */
	ck_assert_int_eq(bh_rwlock_rdlock(&outer), 0);
	ck_assert_int_eq(in_a_task("leaker", end_with_two, &report), 0);
	ck_assert_uint_eq(report.nr_leaked_locks, 2);
	ck_assert_int_eq(bh_rwlock_unlock(&outer), 0);
}

START_TEST(a_task_that_ends_with_rwlocks_held_is_reported_with_the_place)
{
	struct support_output output;

	support_capture(leak_two, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_int_eq(support_count_lines(output.err), 2);
	ck_assert(support_contains(output.err,
		"bulkhead: task 'leaker' ended with rwlock 'rwlock' held for reading, "
		"taken at 0x"));
	ck_assert(support_contains(output.err, "rwlock 'second' held for writing"));
	ck_assert(support_contains(output.err, "(test_rwlock+0x"));
	support_output_fini(&output);
}
END_TEST

static int have_and_read(void *arg)
{
	ck_assert_ptr_nonnull(bh_malloc(MIB));
	return read_it(arg);
}

START_TEST(a_waiter_that_holds_nothing_is_reaped_while_it_waits_to_read)
{
	struct support_visit waiter;
	struct bh_task_stat stat;

	support_start(ZONE);
	/* So that it stays where it is. */
	bhi_policy.killable_waits = false;
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), 0);
	support_visit(&waiter, "waiter", 0, have_and_read, NULL);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	support_await_reaped(waiter.task);
	ck_assert_int_eq(bh_task_stat(waiter.task, &stat), 0);
	ck_assert_uint_eq(stat.bytes, 0);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	check_is_free();
	support_end();
}
END_TEST

static void reap_the_woken(int (*next_wants)(void *arg))
{
	struct support_visit first, next;
	struct holder holder;

	holder_start(&holder, bh_rwlock_wrlock);
	support_visit(&first, "first", 0, write_it, NULL);
	support_await_asleep(first.task);
	support_visit(&next, "next", 0, next_wants, NULL);
	support_await_asleep(next.task);
	support_stop_when_woken(first.task);
	ck_assert_int_eq(holder_end(&holder), 0);
	support_await_stopped();
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_reaped(first.task);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(support_visit_end(&next), 0);
	ck_assert_int_eq(next.report.value, 0);
	check_is_free();
}

START_TEST(a_writer_reaped_when_it_was_woken_wakes_the_next)
{
	support_start(ZONE);
	reap_the_woken(write_it);
	reap_the_woken(read_it);
	support_end();
}
END_TEST

START_TEST(a_writer_killed_by_chance_as_it_is_woken_wakes_the_next)
{
	struct support_visit first, next;
	struct holder holder;

	support_start(ZONE);
	holder_start(&holder, bh_rwlock_wrlock);
	support_visit(&first, "first", 0, write_it, NULL);
	support_await_asleep(first.task);
	support_visit(&next, "next", 0, read_it, NULL);
	support_await_asleep(next.task);
	/* The kill ends its sleep; it still counts when the lock is given up. */
	support_stop_when_woken(first.task);
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_stopped();
	ck_assert_int_eq(holder_end(&holder), 0);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(support_visit_end(&next), 0);
	ck_assert_int_eq(next.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

static int (*const ways_in[])(struct bh_rwlock *rwlock) = {
	bh_rwlock_rdlock, bh_rwlock_wrlock, bh_rwlock_tryrdlock, bh_rwlock_trywrlock};

static int come_for_it(void *arg)
{
	int r = ways_in[*(unsigned *)arg % 4](&rwlock);

	*(unsigned *)arg = UINT32_MAX;
	return r;
}

static struct support_stop stop;

START_TEST(a_task_killed_as_it_comes_for_the_rwlock_leaves_without_it)
{
	unsigned way = (unsigned)_i;
	struct support_visit visit;

	support_start(ZONE);
	support_stop_at(&stop, BHI_TP_LOCK, SUPPORT_INSIDE);
	support_visit(&visit, "victim", 0, come_for_it, &way);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	if (_i / 4)
		support_await_reaped(visit.task);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_eq(way, (unsigned)_i);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_holder_killed_as_it_has_unlocked_leaves_the_rwlock_to_others)
{
	struct holder holder;

	support_start(ZONE);
	holder_start(&holder, ways_in[_i]);
	support_stop_at(&stop, BHI_TP_LOCK, SUPPORT_INSIDE);
	bhi_store_release(&holder.may_end, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(holder.visit.task), 0);
	support_await_reaped(holder.visit.task);
	ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), 0);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_visit_end(&holder.visit), -ECANCELED);
	ck_assert_uint_eq(holder.visit.report.nr_leaked_locks, 0);
	ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	check_is_free();
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, as_many_rwlocks_as_promised_can_be_held_at_a_time);
	tcase_add_test(
		tcase, readers_share_and_a_waiting_writer_goes_before_later_readers);
	tcase_add_test(tcase, the_end_of_writing_lets_all_waiting_readers_in);
	tcase_add_test(
		tcase, a_killed_holder_goes_on_until_it_has_unlocked_the_last_rwlock);
	tcase_add_test(tcase, a_killed_waiter_leaves_without_the_rwlock_and_unwinds);
	tcase_add_test(tcase, a_killed_task_takes_no_rwlock_any_more);
	tcase_add_test(tcase, a_killed_writer_lets_in_the_readers_that_it_kept_out);
	tcase_add_test(tcase, a_killed_waiter_that_may_not_unwind_is_told);
	tcase_add_test(tcase,
		the_end_of_a_writers_task_reaches_readers_until_it_reached_a_writer);
	tcase_add_test(
		tcase, were_the_rwlock_not_marked_the_next_reader_would_not_be_told);
	tcase_add_test(tcase, the_end_of_a_readers_task_lets_the_waiting_writer_in);
	tcase_add_test(
		tcase, a_task_that_ends_with_rwlocks_held_is_reported_with_the_place);
	tcase_add_test(
		tcase, a_waiter_that_holds_nothing_is_reaped_while_it_waits_to_read);
	tcase_add_test(tcase, a_writer_reaped_when_it_was_woken_wakes_the_next);
	tcase_add_test(tcase, a_writer_killed_by_chance_as_it_is_woken_wakes_the_next);
	tcase_add_loop_test(
		tcase, a_task_killed_as_it_comes_for_the_rwlock_leaves_without_it, 0, 8);
	tcase_add_loop_test(tcase,
		a_holder_killed_as_it_has_unlocked_leaves_the_rwlock_to_others, 0, 2);
}

int main(void)
{
	return support_run("test_rwlock", add_tests);
}
