/* SPDX-License-Identifier: MIT */
/* Shrinkers of SQLite connections that other threads are using: nobody waits. */
#include <errno.h>
#include <pthread.h>

#include "sqlite.h"

/* The SQL function gate(): lets the test know that its caller is inside the connection,
 * and keeps it there. */
struct gate {
	pthread_barrier_t inside, leave;
	struct bh_sqlite conn;
	struct bh_group *parent;
	int reclaim_result;
};

static void gate_wait(sqlite3_context *context, int nr_args, sqlite3_value **args)
{
	struct gate *gate = sqlite3_user_data(context);

	(void)nr_args;
	(void)args;
	pthread_barrier_wait(&gate->inside);
	pthread_barrier_wait(&gate->leave);
	sqlite3_result_int(context, 0);
}

static void gate_open(struct gate *gate, struct bh_group *group, int nr_rows)
{
	memset(gate, 0, sizeof(*gate));
	pthread_barrier_init(&gate->inside, NULL, 2);
	pthread_barrier_init(&gate->leave, NULL, 2);
	open_file(&gate->conn, group, nr_rows);
	ck_assert_int_eq(sqlite3_create_function(gate->conn.db, "gate", 0, SQLITE_UTF8,
				 gate, gate_wait, NULL, NULL),
		SQLITE_OK);
}

static void *ask_through_gate(void *arg)
{
	struct gate *gate = arg;

	/* the cache is full of clean pages when the gate is reached */
	ck_assert_int_eq(sum_rows(&gate->conn), 2000 * ROW_SIZE);
	ck_assert_int_eq(ask_ok(&gate->conn, "SELECT gate() + count(*) FROM data"), 2000);
	return NULL;
}

START_TEST(a_connection_in_use_by_another_thread_is_left_alone)
{
	struct bh_group *group;
	struct gate gate;
	pthread_t thread;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	gate_open(&gate, group, 2000);
	bh_group_reclaim(group, EVERYTHING, 0);
	gate.conn.shrunk = 0;
	pthread_create(&thread, NULL, ask_through_gate, &gate);
	pthread_barrier_wait(&gate.inside);
	ck_assert_int_eq(bh_group_reclaim(group, EVERYTHING, 0), -EAGAIN);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, MIB), 0);
	ck_assert_uint_gt(stat_of(group).usage, MIB);
	ck_assert_uint_eq(shrunk(&gate.conn), 0);
	ck_assert_uint_gt(nr_busy(&gate.conn), 0);
	bh_group_set(group, BH_MAX, BH_UNLIMITED);
	pthread_barrier_wait(&gate.leave);
	pthread_join(thread, NULL);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, MIB), 0);
	ck_assert_uint_le(stat_of(group).usage, MIB);
	ck_assert_uint_gt(shrunk(&gate.conn), MIB);
	close_ok(&gate.conn);
	ck_assert_uint_eq(settled_usage(group), 0);
}
END_TEST

static pthread_barrier_t both_inside, both_done;

/* Reclaim from within a statement, while another thread does the same in its own. */
static void reclaim_inside(sqlite3_context *context, int nr_args, sqlite3_value **args)
{
	struct gate *gate = sqlite3_user_data(context);

	(void)nr_args;
	(void)args;
	pthread_barrier_wait(&both_inside);
	gate->reclaim_result = bh_group_reclaim(gate->parent, EVERYTHING, 0);
	pthread_barrier_wait(&both_done);
	sqlite3_result_int(context, 0);
}

START_TEST(two_threads_inside_their_connections_reclaim_without_waiting)
{
	struct bh_group *parent;
	struct gate gates[2];
	pthread_t threads[2];

	start();
	parent = make_group(NULL, "parent", BH_UNLIMITED);
	pthread_barrier_init(&both_inside, NULL, 2);
	pthread_barrier_init(&both_done, NULL, 2);
	for (int i = 0; i < 2; i++) {
		gate_open(
			&gates[i], make_group(parent, i ? "b" : "a", BH_UNLIMITED), 2000);
		gates[i].parent = parent;
		sqlite3_create_function(gates[i].conn.db, "gate", 0, SQLITE_UTF8,
			&gates[i], reclaim_inside, NULL, NULL);
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, ask_through_gate, &gates[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		/* each took its own cache back, and found the other's in use */
		ck_assert_int_eq(gates[i].reclaim_result, -EAGAIN);
		ck_assert_uint_gt(shrunk(&gates[i].conn), MIB);
		ck_assert_uint_gt(nr_busy(&gates[i].conn), 0);
		ck_assert_int_eq(sum_rows(&gates[i].conn), 2000 * ROW_SIZE);
		close_ok(&gates[i].conn);
	}
	ck_assert_uint_eq(settled_usage(parent), 0);
}
END_TEST

struct reclaimer {
	struct bh_group *group;
	bool stop;
	uint64_t nr_rounds; /* this thread only, until it is joined */
};

static void *reclaim_until_stopped(void *arg)
{
	struct reclaimer *reclaimer = arg;

	do {
		bh_group_reclaim(reclaimer->group, EVERYTHING, 0);
		reclaimer->nr_rounds++;
	} while (!__atomic_load_n(&reclaimer->stop, __ATOMIC_RELAXED));
	return NULL;
}

START_TEST(connections_open_and_close_while_another_thread_reclaims)
{
	struct reclaimer reclaimer = {0};
	struct bh_sqlite conn;
	pthread_t thread;
	int nr_met = 0;

	start();
	reclaimer.group = make_group(NULL, "g", BH_UNLIMITED);
	pthread_create(&thread, NULL, reclaim_until_stopped, &reclaimer);
	/* Until they have met, however the scheduler treats them; the time limit of the
	 * test is the bound. */
	for (int i = 0; i < 100 || !nr_met; i++) {
		open_file(&conn, reclaimer.group, 20);
		ck_assert_int_eq(sum_rows(&conn), 20 * ROW_SIZE);
		nr_met += shrunk(&conn) || nr_busy(&conn);
		close_ok(&conn);
	}
	__atomic_store_n(&reclaimer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(reclaimer.nr_rounds, 0);
	ck_assert_uint_eq(settled_usage(reclaimer.group), 0);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_connection_in_use_by_another_thread_is_left_alone);
	tcase_add_test(
		tcase, two_threads_inside_their_connections_reclaim_without_waiting);
	tcase_add_test(tcase, connections_open_and_close_while_another_thread_reclaims);
}

int main(void)
{
	return support_run("concurrent_sqlite", add_tests);
}
