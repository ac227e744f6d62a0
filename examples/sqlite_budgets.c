/* SPDX-License-Identifier: MIT */
/*
 * Eight SQLite databases in one process, each with a budget of memory. Seven of them do
 * ordinary work and allow themselves a page cache larger than their budget. The eighth is
 * greedy: its data is many times its budget, and one of its queries wants all of it in
 * memory at once. Memory that the page caches can give back is taken back; the query that
 * nothing can help gets SQLITE_NOMEM, and nobody else notices.
 *
 * Exits 0 when the seven got right results and the greedy one stayed within its budget.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bulkhead.h>
#include <bulkhead/sqlite.h>

#define NR_TENANTS   8
#define NR_THREADS   4
#define GREEDY       5
#define KIB          1024u
#define BUDGET       (2048 * KIB)
#define NR_ORDERS    20000
#define NR_AT_ONCE   500 /* rows of a transaction: changed pages cannot be given back */
#define NR_CUSTOMERS 100
#define NR_BODIES    3000
#define BODY_SIZE    8000

enum outcome {
	RUNNING,
	RIGHT,
	WRONG,
	CONTAINED, /* the greedy one: out of memory, and then as good as new */
	ESCAPED,   /* the greedy one: got what its budget forbids */
};

static const char *const outcome_names[] = {
	[RUNNING] = "unfinished",
	[RIGHT] = "results right",
	[WRONG] = "RESULTS WRONG",
	[CONTAINED] = "SQLITE_NOMEM, then went on",
	[ESCAPED] = "NOT CONTAINED",
};

struct tenant {
	int number;
	char name[16];
	char path[96];
	struct bh_group *group;
	struct bh_sqlite conn;
	struct bh_group_stat stat; /* before it was closed */
	uint64_t shrunk;
	enum outcome outcome;
};

struct worker {
	pthread_t thread;
	int number;
	struct tenant *tenants;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "sqlite_budgets: %s: %s\n", what, why);
	exit(2);
}

static int execute(struct tenant *t, const char *sql)
{
	return sqlite3_exec(t->conn.db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* The one number that @sql asks for; returns a result code of SQLite. */
static int fetch(struct tenant *t, const char *sql, int64_t *ret)
{
	sqlite3_stmt *stmt = NULL;
	int r = sqlite3_prepare_v2(t->conn.db, sql, -1, &stmt, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(stmt);
	if (r == SQLITE_ROW) {
		*ret = sqlite3_column_int64(stmt, 0);
		r = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return r;
}

static int expect(struct tenant *t, const char *sql, int64_t expected)
{
	int64_t value = 0;
	int r = fetch(t, sql, &value);

	if (r == SQLITE_OK && value == expected)
		return 0;
	fprintf(stderr, "%s: %s: %s, %lld instead of %lld\n", t->name, sql,
		sqlite3_errstr(r), (long long)value, (long long)expected);
	return -1;
}

static int order_customer(int order)
{
	return order % NR_CUSTOMERS;
}

static int order_amount(const struct tenant *t, int order)
{
	return (order * 7919 + t->number) % 1000;
}

static int customer_region(int customer)
{
	return customer % 5;
}

static int create_tables(struct tenant *t)
{
	/* The cache may grow to four times the budget, so SQLite never limits itself. */
	return execute(t, "PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;"
			  "CREATE TABLE customers(id INTEGER PRIMARY KEY, region INT);"
			  "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INT,"
			  " amount INT, note TEXT);"
			  "CREATE TABLE bodies(id INTEGER PRIMARY KEY, body BLOB);");
}

static int insert_customers(struct tenant *t)
{
	char sql[96];

	for (int i = 0; i < NR_CUSTOMERS; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO customers VALUES(%d, %d)", i,
			customer_region(i));
		if (execute(t, sql))
			return -1;
	}
	return 0;
}

static int insert_order(struct tenant *t, sqlite3_stmt *stmt, int order)
{
	char note[101];

	snprintf(note, sizeof(note), "%0100d", order);
	sqlite3_bind_int(stmt, 1, order);
	sqlite3_bind_int(stmt, 2, order_customer(order));
	sqlite3_bind_int(stmt, 3, order_amount(t, order));
	sqlite3_bind_text(stmt, 4, note, -1, SQLITE_TRANSIENT);
	return sqlite3_step(stmt) == SQLITE_DONE && sqlite3_reset(stmt) == SQLITE_OK ? 0
										     : -1;
}

static int insert_orders(struct tenant *t)
{
	sqlite3_stmt *stmt = NULL;
	int r = sqlite3_prepare_v2(
		t->conn.db, "INSERT INTO orders VALUES(?, ?, ?, ?)", -1, &stmt, NULL);

	for (int i = 0; !r && i < NR_ORDERS; i++) {
		if (i % NR_AT_ONCE == 0)
			r = execute(t, "BEGIN");
		if (!r)
			r = insert_order(t, stmt, i);
		if (!r && (i + 1) % NR_AT_ONCE == 0)
			r = execute(t, "COMMIT");
	}
	sqlite3_finalize(stmt);
	return r;
}

static int create_index(struct tenant *t)
{
	return execute(t, "CREATE INDEX by_customer ON orders(customer, amount)");
}

static int select_sum(struct tenant *t)
{
	int64_t sum = 0;

	for (int i = 0; i < NR_ORDERS; i++)
		sum += order_amount(t, i);
	return expect(t, "SELECT sum(amount + length(note) - 100) FROM orders", sum);
}

static int select_join(struct tenant *t)
{
	int64_t sum = 0;

	for (int i = 0; i < NR_ORDERS; i++) {
		if (customer_region(order_customer(i)) == 3)
			sum += order_amount(t, i);
	}
	return expect(t,
		"SELECT sum(amount) FROM customers c JOIN orders o ON o.customer = c.id"
		" WHERE region = 3",
		sum);
}

static int update_orders(struct tenant *t)
{
	int64_t sum = 0;
	char sql[128];

	for (int i = 0; i < NR_ORDERS; i++)
		sum += order_amount(t, i) + (order_customer(i) < 50 ? 7 : 0);
	for (int i = 0; i < NR_ORDERS; i += NR_AT_ONCE) {
		snprintf(sql, sizeof(sql),
			"UPDATE orders SET amount = amount + 7"
			" WHERE customer < 50 AND id >= %d AND id < %d",
			i, i + NR_AT_ONCE);
		if (execute(t, sql))
			return -1;
	}
	return expect(t, "SELECT sum(amount) FROM orders NOT INDEXED", sum);
}

static int check_integrity(struct tenant *t)
{
	return expect(t,
		"SELECT count(*) FROM pragma_integrity_check"
		" WHERE integrity_check = 'ok'",
		1);
}

static int insert_bodies(struct tenant *t)
{
	char sql[96];

	for (int i = 0; i < NR_BODIES; i++) {
		snprintf(sql, sizeof(sql), "INSERT INTO bodies VALUES(%d, zeroblob(%d))",
			i, BODY_SIZE);
		if (execute(t, sql))
			return -1;
	}
	return 0;
}

/* Every page is read once, and the cache lets go of it when there is no more room. */
static int scan_bodies(struct tenant *t)
{
	return expect(t, "SELECT sum(length(hex(body)) / 2) FROM bodies",
		(int64_t)NR_BODIES * BODY_SIZE);
}

/* One string of 48 MB. */
static int want_everything(struct tenant *t)
{
	int64_t length = 0;
	int r = fetch(t, "SELECT length(group_concat(hex(body))) FROM bodies", &length);

	t->outcome = r == SQLITE_NOMEM ? CONTAINED : ESCAPED;
	return r == SQLITE_NOMEM ? 0 : -1;
}

static int go_on(struct tenant *t)
{
	if (execute(t, "UPDATE bodies SET body = zeroblob(length(body)) WHERE id < 10"))
		return -1;
	return expect(t, "SELECT count(*) FROM bodies", NR_BODIES);
}

typedef int (*step_fn)(struct tenant *t);

static const step_fn ordinary_steps[] = {create_tables, insert_customers, insert_orders,
	select_sum, create_index, select_join, update_orders, check_integrity};
static const step_fn greedy_steps[] = {create_tables, insert_bodies, scan_bodies,
	want_everything, go_on, scan_bodies, check_integrity, NULL};

#define NR_STEPS (sizeof(ordinary_steps) / sizeof(ordinary_steps[0]))

static void run_step(struct tenant *t, size_t step)
{
	step_fn fn = t->number == GREEDY ? greedy_steps[step] : ordinary_steps[step];
	struct bh_group *previous;

	if (!fn || t->outcome == WRONG)
		return;
	previous = bh_sqlite_use(t->group);
	if (fn(t)) {
		fprintf(stderr, "%s: step %zu: %s\n", t->name, step,
			sqlite3_errmsg(t->conn.db));
		t->outcome = WRONG;
	}
	bh_sqlite_use(previous);
}

/* Each thread serves two tenants in turn. */
static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	for (size_t step = 0; step < NR_STEPS; step++) {
		for (int i = worker->number; i < NR_TENANTS; i += NR_THREADS)
			run_step(&worker->tenants[i], step);
	}
	return NULL;
}

static void tenant_open(
	struct tenant *t, int number, struct bh_group *parent, const char *dir)
{
	int r;

	t->number = number;
	snprintf(t->name, sizeof(t->name), "%s-%d",
		number == GREEDY ? "greedy" : "tenant", number);
	snprintf(t->path, sizeof(t->path), "%s/%s.db", dir, t->name);
	t->group = bh_group_new(parent, t->name);
	if (!t->group || bh_group_set(t->group, BH_MAX, BUDGET))
		die(t->name, "no group");
	r = bh_sqlite_open(&t->conn, t->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		NULL, t->group);
	if (r != SQLITE_OK)
		die(t->path, sqlite3_errstr(r));
}

static void tenant_close(struct tenant *t)
{
	if (t->outcome == RUNNING)
		t->outcome = RIGHT;
	bh_group_stat(t->group, &t->stat);
	t->shrunk = t->conn.shrunk;
	if (bh_sqlite_close(&t->conn) != SQLITE_OK)
		die(t->path, "cannot close");
	unlink(t->path);
	bh_group_put(t->group);
}

/* Whether the tenant ended as it should. */
static int tenant_report(const struct tenant *t)
{
	const struct bh_group_stat *stat = &t->stat;

	printf("%-10s %8llu %8llu %8llu %10llu %10llu  %s\n", t->name,
		(unsigned long long)stat->usage / KIB,
		(unsigned long long)stat->peak / KIB, (unsigned long long)stat->max / KIB,
		(unsigned long long)stat->events.max, (unsigned long long)t->shrunk / KIB,
		outcome_names[t->outcome]);
	return t->outcome == (t->number == GREEDY ? CONTAINED : RIGHT) &&
	       stat->peak <= stat->max;
}

static void run_all(struct tenant *tenants)
{
	struct worker workers[NR_THREADS];

	for (int i = 0; i < NR_THREADS; i++) {
		workers[i].number = i;
		workers[i].tenants = tenants;
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
			die("thread", "cannot start");
	}
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

int main(void)
{
	static struct tenant tenants[NR_TENANTS];
	const char *tmp = getenv("TMPDIR");
	struct bh_group *parent;
	char dir[64];
	int nr_good = 0;

	snprintf(dir, sizeof(dir), "%.40s/budgets-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		die(dir, "cannot make the directory");
	if (bh_sqlite_install() != SQLITE_OK)
		die("SQLite", "cannot run on Bulkhead");
	parent = bh_group_new(NULL, "databases");
	if (!parent || bh_group_set(parent, BH_MAX, (uint64_t)NR_TENANTS * BUDGET))
		die("databases", "no group");
	for (int i = 0; i < NR_TENANTS; i++)
		tenant_open(&tenants[i], i, parent, dir);
	run_all(tenants);

	printf("%-10s %8s %8s %8s %10s %10s  %s\n", "group", "usage", "peak", "max",
		"events.max", "shrunk", "outcome");
	for (int i = 0; i < NR_TENANTS; i++) {
		tenant_close(&tenants[i]);
		nr_good += tenant_report(&tenants[i]);
	}
	printf("sizes in KiB; %d of %d databases ended as they should\n", nr_good,
		NR_TENANTS);
	bh_group_put(parent);
	rmdir(dir);
	return nr_good == NR_TENANTS ? 0 : 1;
}
