/* SPDX-License-Identifier: MIT */
/*
 * An SQL database in memory: inserts with text of varying length, two indexes, point and
 * range queries, grouping, updates that change row sizes, deletes. SQLite takes its pages
 * and its strings from malloc as any application would.
 */
#include <sqlite3.h>

#include "common.h"

#define NR_QUERIES 40000

static sqlite3 *db;

static void check(int status)
{
	if (status != SQLITE_OK && status != SQLITE_DONE && status != SQLITE_ROW)
		die(sqlite3_errmsg(db));
}

static void run(const char *sql)
{
	check(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *statement;

	check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL));
	return statement;
}

/* Steps to the end; mixes every integer column of every row into @sum. */
static uint64_t rows_sum(sqlite3_stmt *statement, uint64_t sum)
{
	int status;

	while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(statement); i++)
			sum = sum_mix(sum, (uint64_t)sqlite3_column_int64(statement, i));
	}
	check(status);
	check(sqlite3_reset(statement));
	return sum;
}

static void text_random(struct rng *rng, char *text, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		text[i] = (char)('a' + rng_below(rng, 26));
}

static void rows_insert(struct rng *rng, unsigned nr_rows)
{
	sqlite3_stmt *insert = prepare("insert into item values (?1, ?2, ?3, ?4)");
	char text[400];

	run("begin");
	for (unsigned i = 0; i < nr_rows; i++) {
		uint32_t len = 10 + rng_below(rng, rng_percent(rng, 10) ? 390 : 60);

		text_random(rng, text, len);
		sqlite3_bind_int64(insert, 1, i);
		sqlite3_bind_int64(insert, 2, rng_below(rng, nr_rows / 10 + 1));
		sqlite3_bind_text(insert, 3, text, 10, SQLITE_TRANSIENT);
		sqlite3_bind_text(insert, 4, text, (int)len, SQLITE_TRANSIENT);
		rows_sum(insert, 0);
	}
	run("commit");
	sqlite3_finalize(insert);
}

static uint64_t rows_query(struct rng *rng, unsigned nr_rows, unsigned nr_queries)
{
	sqlite3_stmt *point = prepare("select length(body) from item where id = ?1");
	sqlite3_stmt *range =
		prepare("select count(*), sum(length(upper(body))) from item"
			" where owner between ?1 and ?1 + 1");
	sqlite3_stmt *change =
		prepare("update item set body = body || name where id = ?1");
	uint64_t sum = 0;

	for (unsigned i = 0; i < nr_queries; i++) {
		sqlite3_bind_int64(point, 1, rng_below(rng, nr_rows));
		sum = rows_sum(point, sum);
		sqlite3_bind_int64(range, 1, rng_below(rng, nr_rows / 10 + 1));
		sum = rows_sum(range, sum);
		sqlite3_bind_int64(change, 1, rng_below(rng, nr_rows));
		sum = rows_sum(change, sum);
	}
	sqlite3_finalize(point);
	sqlite3_finalize(range);
	sqlite3_finalize(change);
	return sum;
}

static uint64_t query_once(const char *sql, uint64_t sum)
{
	sqlite3_stmt *statement = prepare(sql);

	sum = rows_sum(statement, sum);
	sqlite3_finalize(statement);
	return sum;
}

/* Statements prepared anew each time, as a naive client does. */
static uint64_t statements_run(struct rng *rng, unsigned nr_rows, unsigned nr)
{
	uint64_t sum = 0;
	char sql[160];

	for (unsigned i = 0; i < nr; i++) {
		snprintf(sql, sizeof(sql),
			"select id, owner from item where id in (%u, %u, %u) order by "
			"name",
			rng_below(rng, nr_rows), rng_below(rng, nr_rows),
			rng_below(rng, nr_rows));
		sum = query_once(sql, sum);
	}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned nr_queries = work_units(argc, argv, NR_QUERIES);
	unsigned nr_rows = nr_queries * 2;
	struct rng rng = {.state = 3};
	uint64_t sum;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK)
		die("cannot open a database");
	run("create table item (id integer primary key, owner int, name text, body text);"
	    "create index item_owner on item (owner)");
	rows_insert(&rng, nr_rows);
	run("create index item_name on item (name)");
	sum = rows_query(&rng, nr_rows, nr_queries);
	sum = sum_mix(sum, statements_run(&rng, nr_rows, nr_queries));
	sum = query_once(
		"select owner, count(*), sum(length(body)), max(length(name)) from item"
		" group by owner order by 2 desc, 1",
		sum);
	run("delete from item where id % 3 = 0");
	sum = query_once("select count(*), sum(length(body)) from item", sum);
	sqlite3_close(db);
	return finish(sum);
}
