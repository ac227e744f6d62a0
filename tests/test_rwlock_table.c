/* SPDX-License-Identifier: MIT */
/* What each call of bh_rwlock returns in each state that the lock can be in. */
#include <errno.h>

#include "support.h"
#include "support_locks.h"

#define ZONE (64 * MIB)

static struct bh_rwlock rwlock = {.name_ = "rwlock"};

static int write_it(void *arg)
{
	int r = bh_rwlock_wrlock(&rwlock);

	(void)arg;
	if (!r || r == -EOWNERDEAD)
		ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	return r;
}

static int end_reading(void *arg)
{
	(void)arg;
	return bh_rwlock_rdlock(&rwlock);
}

static int end_writing(void *arg)
{
	(void)arg;
	return bh_rwlock_wrlock(&rwlock);
}

static int in_a_task(const char *name, int (*fn)(void *arg), struct bh_report *report)
{
	const struct bh_task_attr attr = {.name = name};

	return bh_task_run(NULL, &attr, fn, NULL, report);
}

enum state {
	FREE,
	MINE_READ, /* of who calls */
	MINE_WRITE,
	THREADS, /* read by the thread that calls in a task, since before it entered */
	OTHERS_READ,
	OTHERS_WRITE,
	WANTED,    /* read by another, and a writer waits */
	LEFT_READ, /* by a task that ended */
	LEFT_WRITE,
	NR_STATES,
};

enum call {
	RDLOCK,
	TRYRDLOCK,
	WRLOCK,
	TRYWRLOCK,
	UNLOCK,
	DESTROY,
	NR_CALLS,
};

/* 1: would wait. */
static const int expected[NR_STATES][NR_CALLS] = {
	[FREE] = {0, 0, 0, 0, -EPERM, 0},
	[MINE_READ] = {-EDEADLK, -EBUSY, -EDEADLK, -EBUSY, 0, -EBUSY},
	[MINE_WRITE] = {-EDEADLK, -EBUSY, -EDEADLK, -EBUSY, 0, -EBUSY},
	[THREADS] = {-EDEADLK, -EBUSY, -EDEADLK, -EBUSY, -EPERM, -EBUSY},
	[OTHERS_READ] = {0, 0, 1, -EBUSY, -EPERM, -EBUSY},
	[OTHERS_WRITE] = {1, -EBUSY, 1, -EBUSY, -EPERM, -EBUSY},
	[WANTED] = {1, -EBUSY, 1, -EBUSY, -EPERM, -EBUSY},
	[LEFT_READ] = {0, 0, 0, 0, -EPERM, 0},
	[LEFT_WRITE] = {-EOWNERDEAD, -EOWNERDEAD, -EOWNERDEAD, -EOWNERDEAD, -EPERM, 0},
};

static int call_it(enum call call)
{
	switch (call) {
	case RDLOCK:
		return bh_rwlock_rdlock(&rwlock);
	case TRYRDLOCK:
		return bh_rwlock_tryrdlock(&rwlock);
	case WRLOCK:
		return bh_rwlock_wrlock(&rwlock);
	case TRYWRLOCK:
		return bh_rwlock_trywrlock(&rwlock);
	case UNLOCK:
		return bh_rwlock_unlock(&rwlock);
	default:
		return bh_rwlock_destroy(&rwlock);
	}
}

/* A task that holds the lock until it is told to give it up. */
struct holder {
	struct support_visit visit;
	int (*lock)(struct bh_rwlock *rwlock);
	uint32_t holds, may_end;
};

static int hold_it(void *arg)
{
	struct holder *holder = arg;
	int r = holder->lock(&rwlock);

	bhi_store_release(&holder->holds, 1);
	support_await(&holder->may_end, 1);
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

static struct holder other;
static struct support_visit wanting;

static void bring_to(enum state state)
{
	ck_assert_int_eq(bh_rwlock_init(&rwlock, "rwlock"), 0);
	if (state == OTHERS_READ || state == WANTED)
		holder_start(&other, bh_rwlock_rdlock);
	else if (state == OTHERS_WRITE)
		holder_start(&other, bh_rwlock_wrlock);
	else if (state == LEFT_READ)
		ck_assert_int_eq(in_a_task("ends", end_reading, NULL), 0);
	else if (state == LEFT_WRITE)
		ck_assert_int_eq(in_a_task("ends", end_writing, NULL), 0);
	else if (state == THREADS)
		ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	if (state != WANTED)
		return;
	support_visit(&wanting, "wanting", 0, write_it, NULL);
	support_await_asleep(wanting.task);
}

static void bring_back(enum state state)
{
	if (state == OTHERS_READ || state == WANTED || state == OTHERS_WRITE)
		ck_assert_int_eq(holder_end(&other), 0);
	if (state == WANTED)
		ck_assert_int_eq(support_visit_end(&wanting), 0);
	if (state == THREADS)
		ck_assert_int_eq(bh_rwlock_unlock(&rwlock), 0);
	ck_assert_int_eq(bh_rwlock_destroy(&rwlock), 0);
}

struct row {
	enum state state;
	enum call call;
};

static int check_row(void *arg)
{
	const struct row *row = arg;
	int r;

	if (row->state == MINE_READ)
		ck_assert_int_eq(bh_rwlock_rdlock(&rwlock), 0);
	if (row->state == MINE_WRITE)
		ck_assert_int_eq(bh_rwlock_wrlock(&rwlock), 0);
	r = call_it(row->call);
	ck_assert_msg(r == expected[row->state][row->call], "state %d, call %d: %d",
		(int)row->state, (int)row->call, r);
	/* What this call or the lines above took. */
	(void)bh_rwlock_unlock(&rwlock);
	return 0;
}

START_TEST(each_rwlock_call_returns_what_the_table_says)
{
	support_start(ZONE);
	for (int i = 0; i < NR_STATES * NR_CALLS; i++) {
		struct row row = {.state = i / NR_CALLS, .call = i % NR_CALLS};
		struct bh_report report;

		if (expected[row.state][row.call] == 1)
			continue;
		if (row.state != THREADS) {
			bring_to(row.state);
			check_row(&row);
			bring_back(row.state);
		}
		bring_to(row.state);
		ck_assert_int_eq(bh_task_run(NULL, NULL, check_row, &row, &report), 0);
		ck_assert_uint_eq(report.nr_leaked_locks, 0);
		bring_back(row.state);
	}
	ck_assert_int_eq(bh_rwlock_init(NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_rdlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_tryrdlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_wrlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_trywrlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_unlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_destroy(NULL), -EINVAL);
	support_end();
}
END_TEST

static int use_a_private_one(void *arg)
{
	struct bh_rwlock *private = bh_calloc(1, sizeof(*private));

	(void)arg;
	ck_assert_ptr_nonnull(private);
	ck_assert_int_eq(bh_rwlock_init(private, NULL), -EINVAL);
	ck_assert_int_eq(bh_rwlock_rdlock(private), -EINVAL);
	ck_assert_int_eq(bh_rwlock_tryrdlock(private), -EINVAL);
	ck_assert_int_eq(bh_rwlock_wrlock(private), -EINVAL);
	ck_assert_int_eq(bh_rwlock_trywrlock(private), -EINVAL);
	ck_assert_int_eq(bh_rwlock_unlock(private), -EINVAL);
	ck_assert_int_eq(bh_rwlock_destroy(private), -EINVAL);
	return 0;
}

START_TEST(an_rwlock_in_private_memory_is_refused)
{
	support_start(ZONE);
	ck_assert_int_eq(in_a_task("task", use_a_private_one, NULL), 0);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, each_rwlock_call_returns_what_the_table_says);
	tcase_add_test(tcase, an_rwlock_in_private_memory_is_refused);
}

int main(void)
{
	return support_run("test_rwlock_table", add_tests);
}
