/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the SQLite adapter share; a header and no object, so that only they
 * need SQLite.
 */
#ifndef BHI_TESTS_SQLITE_H
#define BHI_TESTS_SQLITE_H

#include <stdio.h>
#include <string.h>

#include <bulkhead/sqlite.h>

#include "support.h"

#define KIB        UINT64_C(1024)
#define MIB        (UINT64_C(1024) * KIB)
/* More than there is: all that can be had. */
#define EVERYTHING (64 * MIB)

/* Rows of this size, so that there are far more pages than rows of index. */
#define ROW_SIZE     1000
#define ROWS_AT_ONCE 50

static inline void start(void)
{
	struct bh_config config = {.size = 256 * MIB};

	ck_assert_int_eq(bh_init(&config), 0);
	ck_assert_int_eq(bh_sqlite_install(), SQLITE_OK);
}

static inline struct bh_group *make_group(
	struct bh_group *parent, const char *name, uint64_t max)
{
	struct bh_group *group = bh_group_new(parent, name);

	ck_assert_ptr_nonnull(group);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, max), 0);
	return group;
}

static inline struct bh_group_stat stat_of(struct bh_group *group)
{
	struct bh_group_stat stat;

	ck_assert_int_eq(bh_group_stat(group, &stat), 0);
	return stat;
}

/* Usage without what threads keep in stock: a limit of nothing takes that back. */
static inline uint64_t settled_usage(struct bh_group *group)
{
	uint64_t max = stat_of(group).max, usage;

	ck_assert_int_eq(bh_group_set(group, BH_MAX, 0), 0);
	usage = stat_of(group).usage;
	ck_assert_int_eq(bh_group_set(group, BH_MAX, max), 0);
	return usage;
}

static inline bool is_nomem(int r)
{
	return r == SQLITE_NOMEM || r == SQLITE_IOERR_NOMEM;
}

static inline int run(struct bh_sqlite *conn, const char *sql)
{
	struct bh_group *previous = bh_sqlite_use(conn->group);
	int r = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);

	if (r != SQLITE_OK)
		r = sqlite3_extended_errcode(conn->db);
	bh_sqlite_use(previous);
	return r;
}

static inline void run_ok(struct bh_sqlite *conn, const char *sql)
{
	int r = run(conn, sql);

	ck_assert_msg(r == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(conn->db));
}

/* The number that @sql asks for, or -1 with *@ret_error set. */
static inline int64_t ask(struct bh_sqlite *conn, const char *sql, int *ret_error)
{
	struct bh_group *previous = bh_sqlite_use(conn->group);
	sqlite3_stmt *stmt = NULL;
	int64_t value = -1;
	int r = sqlite3_prepare_v2(conn->db, sql, -1, &stmt, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(stmt);
	if (r == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	bh_sqlite_use(previous);
	*ret_error = r == SQLITE_ROW ? SQLITE_OK : r;
	return value;
}

static inline int64_t ask_ok(struct bh_sqlite *conn, const char *sql)
{
	int error;
	int64_t value = ask(conn, sql, &error);

	ck_assert_msg(error == SQLITE_OK, "%s: %s", sql, sqlite3_errstr(error));
	return value;
}

static inline void open_memory(struct bh_sqlite *conn, struct bh_group *group)
{
	ck_assert_int_eq(bh_sqlite_open(conn, ":memory:",
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, group),
		SQLITE_OK);
	run_ok(conn, "CREATE TABLE data(id INTEGER PRIMARY KEY, body BLOB)");
}

/*
 * A database in a file of its own, with @nr_rows of data; the cache may hold it all. The
 * transactions are small: pages that they change cannot be given back.
 */
static inline void open_file(struct bh_sqlite *conn, struct bh_group *group, int nr_rows)
{
	char text[256];

	snprintf(text, sizeof(text), "%s/test.db", support_dir());
	ck_assert_int_eq(bh_sqlite_open(conn, text,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, group),
		SQLITE_OK);
	run_ok(conn, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;"
		     "PRAGMA cache_size = -65536;"
		     "CREATE TABLE data(id INTEGER PRIMARY KEY, body BLOB)");
	for (int i = 0; i < nr_rows; i += ROWS_AT_ONCE) {
		snprintf(text, sizeof(text),
			"WITH RECURSIVE n(i) AS"
			" (SELECT %d UNION ALL SELECT i + 1 FROM n LIMIT %d)"
			" INSERT INTO data SELECT i, zeroblob(%d) FROM n",
			i, nr_rows - i < ROWS_AT_ONCE ? nr_rows - i : ROWS_AT_ONCE,
			ROW_SIZE);
		run_ok(conn, text);
	}
}

static inline int64_t sum_rows(struct bh_sqlite *conn)
{
	return ask_ok(conn, "SELECT sum(length(hex(body)) / 2) FROM data");
}

static inline void close_ok(struct bh_sqlite *conn)
{
	ck_assert_int_eq(bh_sqlite_close(conn), SQLITE_OK);
	ck_assert_ptr_null(conn->db);
}

static inline uint64_t shrunk(struct bh_sqlite *conn)
{
	return __atomic_load_n(&conn->shrunk, __ATOMIC_RELAXED);
}

static inline uint64_t nr_busy(struct bh_sqlite *conn)
{
	return __atomic_load_n(&conn->nr_busy, __ATOMIC_RELAXED);
}

#endif
