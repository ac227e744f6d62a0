/* SPDX-License-Identifier: MIT */
/*
 * The SQLite adapter against the system's SQLite: what is charged to whom, what happens
 * at a limit, and what comes back.
 */
#include <errno.h>
#include <pthread.h>

#include "sqlite.h"

static void *allocate_outside_a_scope(void *ret)
{
	*(void **)ret = sqlite3_malloc(100);
	return NULL;
}

START_TEST(an_object_belongs_to_the_group_of_the_scope)
{
	struct bh_group *a, *b;
	pthread_t thread;
	void *in_a, *in_b, *in_root;

	start();
	a = make_group(NULL, "a", BH_UNLIMITED);
	b = make_group(NULL, "b", BH_UNLIMITED);
	ck_assert_ptr_null(bh_sqlite_use(a));
	in_a = sqlite3_malloc(100);
	ck_assert_ptr_eq(bh_sqlite_use(b), a);
	in_b = sqlite3_malloc(100);
	/* it grows under another group's scope and stays where it was */
	in_a = sqlite3_realloc(in_a, 100000);
	pthread_create(&thread, NULL, allocate_outside_a_scope, &in_root);
	pthread_join(thread, NULL);
	ck_assert_ptr_eq(bh_group_of(in_a), a);
	ck_assert_ptr_eq(bh_group_of(in_b), b);
	ck_assert_ptr_eq(bh_group_of(in_root), bh_root());
	ck_assert_ptr_eq(bh_sqlite_use(a), b);
	ck_assert_ptr_eq(bh_sqlite_use(NULL), a);
	sqlite3_free(in_a);
	sqlite3_free(in_b);
	sqlite3_free(in_root);
	ck_assert_uint_eq(settled_usage(a), 0);
	ck_assert_uint_eq(settled_usage(b), 0);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(an_object_is_as_large_as_its_size_says)
{
	start();
	for (int size = 1; size < 200000; size += 1 + size / 9) {
		unsigned char *object = sqlite3_malloc(size);
		sqlite3_uint64 usable;

		ck_assert_ptr_nonnull(object);
		usable = sqlite3_msize(object);
		ck_assert_uint_ge(usable, (sqlite3_uint64)bh_sqlite_xroundup_(size));
		ck_assert_uint_eq((uintptr_t)object % 8, 0);
		memset(object, size & 0xff, usable);
		object = sqlite3_realloc(object, 2 * size);
		ck_assert_ptr_nonnull(object);
		ck_assert_uint_eq(object[0], size & 0xff);
		ck_assert_uint_eq(object[size - 1], size & 0xff);
		sqlite3_free(object);
	}
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(closing_a_connection_gives_all_of_its_charge_back)
{
	struct bh_group *parent, *group;
	struct bh_sqlite conn;

	start();
	parent = make_group(NULL, "parent", BH_UNLIMITED);
	group = make_group(parent, "g", BH_UNLIMITED);
	open_file(&conn, group, 1000);
	ck_assert_int_eq(sum_rows(&conn), 1000 * ROW_SIZE);
	ck_assert_uint_gt(stat_of(group).usage, 1000 * ROW_SIZE);
	close_ok(&conn);
	open_memory(&conn, group);
	run_ok(&conn, "INSERT INTO data VALUES(1, zeroblob(1000000))");
	ck_assert_uint_gt(stat_of(group).usage, 1000000);
	close_ok(&conn);
	ck_assert_uint_eq(settled_usage(group), 0);
	/* nor does it keep the group */
	ck_assert_uint_eq(stat_of(parent).nr_children, 1);
	bh_group_put(group);
	ck_assert_uint_eq(stat_of(parent).nr_children, 0);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(nomem_at_the_limit_leaves_the_database_usable)
{
	struct bh_group *group;
	struct bh_sqlite conn;
	int nr_rows = 0, r;
	void *ballast;

	start();
	group = make_group(NULL, "g", 2 * MIB);
	ballast = bh_alloc(group, 256 * KIB, 0);
	ck_assert_ptr_nonnull(ballast);
	open_memory(&conn, group);
	while (!(r = run(&conn, "INSERT INTO data(body) VALUES(zeroblob(1000))")))
		ck_assert_int_lt(nr_rows++, 3000);
	ck_assert_msg(is_nomem(r), "%s", sqlite3_errstr(r));
	ck_assert_int_gt(nr_rows, 1000);
	ck_assert_uint_le(stat_of(group).peak, 2 * MIB);
	ck_assert_uint_gt(stat_of(group).events.max, 0);

	bh_free(ballast);
	ck_assert_int_eq(sum_rows(&conn), nr_rows * ROW_SIZE);
	run_ok(&conn, "DELETE FROM data WHERE id <= 100");
	run_ok(&conn, "INSERT INTO data(body) SELECT body FROM data WHERE id <= 200");
	ck_assert_int_eq(sum_rows(&conn), nr_rows * ROW_SIZE);
	ck_assert_int_eq(ask_ok(&conn, "SELECT count(*) FROM pragma_integrity_check"
				       " WHERE integrity_check = 'ok'"),
		1);
	close_ok(&conn);
	ck_assert_uint_eq(settled_usage(group), 0);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(a_statement_that_ran_out_of_memory_changes_nothing)
{
	struct bh_group *group;
	struct bh_sqlite conn;
	int r;

	start();
	group = make_group(NULL, "g", 2 * MIB);
	open_file(&conn, group, 100);
	r = run(&conn, "UPDATE data SET body = (SELECT group_concat(hex(zeroblob(id)))"
		       " FROM (SELECT a.id FROM data a, data b))");
	ck_assert_msg(is_nomem(r), "%s", sqlite3_errstr(r));
	ck_assert_int_eq(sum_rows(&conn), 100 * ROW_SIZE);
	run_ok(&conn, "UPDATE data SET body = zeroblob(10)");
	ck_assert_int_eq(sum_rows(&conn), 100 * 10);
	ck_assert_uint_le(stat_of(group).peak, 2 * MIB);
	close_ok(&conn);
	ck_assert_uint_eq(settled_usage(group), 0);
}
END_TEST

/* One life of a connection; the first error ends it. */
static int live(struct bh_group *group, const char *name)
{
	static const char *const statements[] = {
		"PRAGMA synchronous = OFF",
		"CREATE TABLE data(id INTEGER PRIMARY KEY, k INT, body TEXT)",
		("WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 50)"
		 " INSERT INTO data SELECT i, i % 7, hex(zeroblob(i)) FROM n"),
		"CREATE INDEX by_k ON data(k, body)",
		"UPDATE data SET body = body || k WHERE k < 3",
		"CREATE TEMP TABLE copy AS SELECT * FROM data ORDER BY body DESC",
		"DELETE FROM data WHERE id IN (SELECT id FROM copy WHERE k = 4)",
	};
	struct bh_sqlite conn;
	int r = bh_sqlite_open(
		&conn, name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, group);

	if (r != SQLITE_OK)
		return r;
	for (size_t i = 0; r == SQLITE_OK && i < sizeof(statements) / sizeof(char *); i++)
		r = run(&conn, statements[i]);
	if (r == SQLITE_OK)
		ck_assert_int_eq(ask(&conn, "SELECT count(*) FROM data", &r), 43);
	close_ok(&conn);
	return r;
}

/* A limit a little higher each time: each request of SQLite fails once or oftener. */
static void live_under_growing_limits(const char *name)
{
	struct bh_group *group = make_group(NULL, "g", 0);
	int nr_failed = 0, r = SQLITE_NOMEM;

	for (uint64_t max = 0; r != SQLITE_OK; max += 4 * KIB, nr_failed++) {
		ck_assert_uint_lt(max, 4 * MIB);
		bh_group_set(group, BH_MAX, max);
		remove(name);
		r = live(group, name);
		ck_assert_msg(r == SQLITE_OK || is_nomem(r), "%s", sqlite3_errstr(r));
		ck_assert_uint_eq(settled_usage(group), 0);
		ck_assert_int_eq(bh_audit(), 0);
	}
	ck_assert_int_gt(nr_failed, 10);
	ck_assert_uint_le(stat_of(group).peak, stat_of(group).max);
	bh_group_put(group);
}

START_TEST(nothing_is_left_behind_whichever_request_fails)
{
	char name[256];

	start();
	live_under_growing_limits(":memory:");
	snprintf(name, sizeof(name), "%s/test.db", support_dir());
	live_under_growing_limits(name);
}
END_TEST

START_TEST(a_connection_reads_more_than_its_limit_by_giving_its_cache_back)
{
	struct bh_group *group;
	struct bh_sqlite conn;

	start();
	group = make_group(NULL, "g", MIB);
	open_file(&conn, group, 6000);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sum_rows(&conn), 6000 * ROW_SIZE);
	ck_assert_uint_gt(shrunk(&conn), 3 * 4 * MIB);
	ck_assert_uint_le(stat_of(group).peak, MIB);
	close_ok(&conn);
	ck_assert_uint_eq(settled_usage(group), 0);
}
END_TEST

START_TEST(lowering_max_takes_the_cache_back)
{
	struct bh_group *group;
	struct bh_sqlite conn;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	open_file(&conn, group, 3000);
	ck_assert_int_eq(sum_rows(&conn), 3000 * ROW_SIZE);
	ck_assert_uint_gt(stat_of(group).usage, 3 * MIB);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, MIB), 0);
	ck_assert_uint_le(stat_of(group).usage, MIB);
	ck_assert_uint_gt(shrunk(&conn), 2 * MIB);
	ck_assert_int_eq(sum_rows(&conn), 3000 * ROW_SIZE);
	close_ok(&conn);
}
END_TEST

START_TEST(reclaim_takes_the_cache_back)
{
	struct bh_group *parent, *group;
	struct bh_sqlite conn;
	uint64_t before;

	start();
	parent = make_group(NULL, "parent", BH_UNLIMITED);
	group = make_group(parent, "g", BH_UNLIMITED);
	open_file(&conn, group, 3000);
	ck_assert_int_eq(sum_rows(&conn), 3000 * ROW_SIZE);
	before = stat_of(group).usage;
	ck_assert_int_eq(bh_group_reclaim(parent, MIB, 0), 0);
	ck_assert_uint_le(stat_of(group).usage, before - MIB);
	ck_assert_uint_ge(shrunk(&conn), MIB);
	ck_assert_int_eq(sum_rows(&conn), 3000 * ROW_SIZE);
	close_ok(&conn);
}
END_TEST

START_TEST(another_groups_reclaim_leaves_the_cache_alone)
{
	struct bh_group *group, *other;
	struct bh_sqlite conn;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	other = make_group(NULL, "other", BH_UNLIMITED);
	open_file(&conn, group, 500);
	ck_assert_int_eq(bh_group_reclaim(other, MIB, 0), -EAGAIN);
	ck_assert_uint_eq(shrunk(&conn), 0);
	close_ok(&conn);
}
END_TEST

START_TEST(pages_of_an_open_transaction_stay)
{
	struct bh_group *group;
	struct bh_sqlite conn;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	open_file(&conn, group, 1000);
	run_ok(&conn, "BEGIN; UPDATE data SET body = zeroblob(999)");
	bh_group_reclaim(group, EVERYTHING, 0);
	ck_assert_uint_gt(stat_of(group).usage, 900 * ROW_SIZE);
	run_ok(&conn, "ROLLBACK");
	ck_assert_int_eq(sum_rows(&conn), 1000 * ROW_SIZE);
	close_ok(&conn);
}
END_TEST

START_TEST(a_detached_connection_keeps_its_cache_and_works_on)
{
	struct bh_group *group;
	struct bh_sqlite conn, again;
	sqlite3 *db;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	open_file(&conn, group, 1000);
	db = conn.db;
	bh_sqlite_detach(&conn);
	bh_group_reclaim(group, EVERYTHING, 0);
	ck_assert_uint_gt(stat_of(group).usage, 1000 * ROW_SIZE);
	ck_assert_int_eq(bh_sqlite_attach(&again, db, group), SQLITE_OK);
	bh_group_reclaim(group, EVERYTHING, 0);
	ck_assert_uint_gt(shrunk(&again), 1000 * ROW_SIZE);
	ck_assert_int_eq(sum_rows(&again), 1000 * ROW_SIZE);
	close_ok(&again);
	ck_assert_uint_eq(settled_usage(group), 0);
}
END_TEST

START_TEST(a_connection_that_cannot_close_stays_attached)
{
	struct bh_group *group;
	struct bh_sqlite conn;
	sqlite3_stmt *stmt;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	open_file(&conn, group, 1000);
	ck_assert_int_eq(
		sqlite3_prepare_v2(conn.db, "SELECT 1", -1, &stmt, NULL), SQLITE_OK);
	ck_assert_int_eq(bh_sqlite_close(&conn), SQLITE_BUSY);
	bh_group_reclaim(group, EVERYTHING, 0);
	ck_assert_uint_gt(shrunk(&conn), 1000 * ROW_SIZE);
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	sqlite3_finalize(stmt);
	close_ok(&conn);
	ck_assert_uint_eq(settled_usage(group), 0);
}
END_TEST

START_TEST(a_request_that_must_not_reclaim_leaves_connections_alone)
{
	struct bh_group *group;
	struct bh_sqlite conn;
	unsigned previous;

	start();
	group = make_group(NULL, "g", BH_UNLIMITED);
	open_file(&conn, group, 500);
	previous = bh_noreclaim_enter();
	bh_group_reclaim(group, EVERYTHING, 0);
	bh_noreclaim_leave(previous);
	ck_assert_uint_eq(shrunk(&conn), 0);
	bh_group_reclaim(group, EVERYTHING, BH_NORECLAIM);
	ck_assert_uint_eq(shrunk(&conn), 0);
	bh_group_reclaim(group, EVERYTHING, 0);
	ck_assert_uint_gt(shrunk(&conn), 0);
	close_ok(&conn);
}
END_TEST

START_TEST(what_a_shrinker_could_not_lock_is_refused)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	struct bh_sqlite conn;
	sqlite3 *db;

	ck_assert_int_eq(
		bh_sqlite_open(&conn, ":memory:", flags, NULL, NULL), SQLITE_MISUSE);
	start();
	ck_assert_int_eq(bh_sqlite_open(&conn, ":memory:", flags | SQLITE_OPEN_NOMUTEX,
				 NULL, NULL),
		SQLITE_MISUSE);
	ck_assert_int_eq(bh_sqlite_open(&conn,
				 ":memory:", flags | SQLITE_OPEN_SHAREDCACHE, NULL, NULL),
		SQLITE_MISUSE);
	ck_assert_int_eq(bh_sqlite_open(&conn, "file::memory:?cache=shared",
				 flags | SQLITE_OPEN_URI, NULL, NULL),
		SQLITE_MISUSE);
	ck_assert_int_eq(bh_sqlite_open(&conn, "/no/such/directory/x.db",
				 SQLITE_OPEN_READWRITE, NULL, NULL),
		SQLITE_CANTOPEN);
	ck_assert_int_eq(
		sqlite3_open_v2(":memory:", &db, flags | SQLITE_OPEN_NOMUTEX, NULL),
		SQLITE_OK);
	ck_assert_int_eq(bh_sqlite_attach(&conn, db, NULL), SQLITE_MISUSE);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(install_works_once_and_before_sqlite_runs)
{
	void *object;

	ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
	ck_assert_int_eq(bh_sqlite_install(), SQLITE_MISUSE);
	ck_assert_int_eq(sqlite3_shutdown(), SQLITE_OK);
	ck_assert_int_eq(bh_sqlite_install(), SQLITE_OK);
	ck_assert_int_eq(bh_sqlite_install(), SQLITE_OK);
	object = sqlite3_malloc(100);
	ck_assert_ptr_eq(bh_group_of(object), bh_root());
	sqlite3_free(object);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, an_object_belongs_to_the_group_of_the_scope);
	tcase_add_test(tcase, an_object_is_as_large_as_its_size_says);
	tcase_add_test(tcase, closing_a_connection_gives_all_of_its_charge_back);
	tcase_add_test(tcase, nomem_at_the_limit_leaves_the_database_usable);
	tcase_add_test(tcase, a_statement_that_ran_out_of_memory_changes_nothing);
	tcase_add_test(tcase, nothing_is_left_behind_whichever_request_fails);
	tcase_add_test(
		tcase, a_connection_reads_more_than_its_limit_by_giving_its_cache_back);
	tcase_add_test(tcase, lowering_max_takes_the_cache_back);
	tcase_add_test(tcase, reclaim_takes_the_cache_back);
	tcase_add_test(tcase, another_groups_reclaim_leaves_the_cache_alone);
	tcase_add_test(tcase, pages_of_an_open_transaction_stay);
	tcase_add_test(tcase, a_detached_connection_keeps_its_cache_and_works_on);
	tcase_add_test(tcase, a_connection_that_cannot_close_stays_attached);
	tcase_add_test(tcase, a_request_that_must_not_reclaim_leaves_connections_alone);
	tcase_add_test(tcase, what_a_shrinker_could_not_lock_is_refused);
	tcase_add_test(tcase, install_works_once_and_before_sqlite_runs);
}

int main(void)
{
	return support_run("sqlite", add_tests);
}
