/* SPDX-License-Identifier: MIT */
/*
 * SQLite on Bulkhead: everything that an unmodified SQLite allocates is charged to a
 * group, a group at its limit makes SQLite return SQLITE_NOMEM, and the page caches of
 * open connections are given back when memory is short. Header-only; link with Bulkhead
 * and the system's SQLite (threadsafe, as it comes; written for 3.40).
 *
 *	bh_sqlite_install();
 *	bh_sqlite_open(&conn, "tenant.db", SQLITE_OPEN_READWRITE, NULL, group);
 *	previous = bh_sqlite_use(conn.group);
 *	... sqlite3_prepare_v2(conn.db, ...), sqlite3_step() ...
 *	bh_sqlite_use(previous);
 *	bh_sqlite_close(&conn);
 *
 * Units are bytes. Errors are result codes of SQLite; Bulkhead's own ENOMEM becomes
 * SQLITE_NOMEM. No function here may be called from a signal handler.
 *
 * What is charged where. SQLite does not tell its allocator which connection it works
 * for, so the group is that of the thread: the last bh_sqlite_use(), at first the root.
 * An object that grows stays in its group, and is freed from it on whichever thread. A
 * call outside any scope is no error: it is charged to the root. Worker threads that
 * SQLite starts itself (PRAGMA threads) charge to the root. What the connections to one
 * file share (its lock record, the index of its write-ahead log) is charged to the one
 * that came first, until the last of them is closed.
 *
 * At the limit. Requests are BH_RETRY_MAYFAIL: SQLite holds mutexes while it allocates
 * and survives a failure at any point, so each may reclaim and may fail, and none kills.
 * The statement returns SQLITE_NOMEM or SQLITE_IOERR_NOMEM and the connection stays
 * usable. In the middle of a transaction SQLite may have rolled it back;
 * sqlite3_get_autocommit() says so.
 *
 * What comes back. The shrinker of a connection frees the clean, unused pages of the
 * caches of its databases (sqlite3_db_release_memory). Pages in use, pages changed by an
 * open transaction and all pages of in-memory databases stay; so do statements, sorters
 * and results. It frees all of the cache or nothing of it, since SQLite offers no other.
 * For reading, a PRAGMA cache_size far above the group's limit is therefore fine; a
 * transaction that changes more pages than the group can hold needs one below the limit,
 * so that SQLite writes them out early by itself.
 *
 * Why it cannot deadlock. A shrinker runs on whichever thread is short of memory,
 * perhaps inside SQLite and holding mutexes of it:
 * - The mutex of its connection it only tries. While another thread is inside the
 *   connection it stays out.
 * - A thread that is itself inside the connection gets the mutex again, it is recursive,
 *   and its cache is freed from within its own request. That is sound: only the list of
 *   pages that nobody uses is touched, and that list is in order wherever SQLite
 *   allocates, because SQLite's own soft heap limit, where it is compiled in, frees from
 *   it at the same places. It is needed: SQLite reuses such pages only when the cache
 *   has its full PRAGMA cache_size, and would fail before with a cache full of them.
 * - Freeing a page takes one more mutex, around a statistic; nobody allocates under it.
 * - bh_sqlite_install() turns SQLITE_CONFIG_MEMSTATUS off. With it on, SQLite holds one
 *   global, not recursive mutex around every allocation.
 * - A request under BH_NORECLAIM leaves all connections alone.
 * - Two connections that share a cache (SQLITE_OPEN_SHAREDCACHE, "cache=shared") share
 *   locks that cannot be tried, so they are refused; ATTACH must not ask for one either.
 */
#ifndef BULKHEAD_SQLITE_H
#define BULKHEAD_SQLITE_H

#include <limits.h>
#include <sqlite3.h>
#include <string.h>

#include <bulkhead.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A connection whose page cache can be taken back. The struct is the caller's and must
 * not move between open or attach and close or detach. .db and .group may be read.
 */
struct bh_sqlite {
	sqlite3 *db;
	struct bh_group *group;
	uint64_t shrunk;             /* atomic: bytes that the shrinker gave back */
	uint64_t nr_busy;            /* atomic: times it stayed out */
	struct bh_shrinker shrinker; /* Bulkhead's */
};

/*
 * One definition for all files of a program (or shared library) that include this
 * header. A plugin that is loaded with -fvisibility=hidden has its own: install, use and
 * open from one side only.
 */
__attribute__((weak)) __thread struct bh_group *bh_sqlite_group_;
__attribute__((weak)) int bh_sqlite_installed_;

static inline void *bh_sqlite_xmalloc_(int size)
{
	return bh_alloc(bh_sqlite_group_, (size_t)size, BH_RETRY_MAYFAIL);
}

static inline void *bh_sqlite_xrealloc_(void *ptr, int size)
{
	return bh_realloc_flags(ptr, (size_t)size, BH_RETRY_MAYFAIL);
}

/* The largest request, rounded up to whole pages, is more than an int can say. */
static inline int bh_sqlite_xsize_(void *ptr)
{
	size_t size = bh_usable_size(ptr);

	return size > INT_MAX ? INT_MAX : (int)size;
}

/*
 * A lower bound of xSize, as good as can be had before there is an object. SQLite
 * compares the two only to skip an xRealloc that would change nothing.
 */
static inline int bh_sqlite_xroundup_(int size)
{
	return (size + 7) & ~7;
}

static inline int bh_sqlite_xinit_(void *data)
{
	(void)data;
	return SQLITE_OK;
}

static inline void bh_sqlite_xshutdown_(void *data)
{
	(void)data;
}

/*
 * SQLite's allocations on this thread are charged to @group (NULL: the root) from here
 * on. Returns the group they were charged to before, to be given back at the end of the
 * scope; scopes nest. Takes no reference: the group outlives the scope.
 */
static inline struct bh_group *bh_sqlite_use(struct bh_group *group)
{
	struct bh_group *previous = bh_sqlite_group_;

	bh_sqlite_group_ = group;
	return previous;
}

/*
 * Make SQLite allocate from Bulkhead and start it, charging its global state to the
 * root. Call it once, before anything else of SQLite and before other threads use it.
 * Changes for the whole process: SQLITE_CONFIG_MALLOC; SQLITE_CONFIG_MEMSTATUS is off, so
 * sqlite3_memory_used() reads 0 and the heap limits of SQLite do nothing; the first pages
 * of a cache are not allocated in one block (SQLITE_CONFIG_PAGECACHE), so that each can
 * be given back.
 *
 * Returns SQLITE_OK, also when it was done before; SQLITE_MISUSE when SQLite runs already
 * or is not threadsafe; SQLITE_NOMEM when Bulkhead or SQLite cannot start.
 */
static inline int bh_sqlite_install(void)
{
	static const sqlite3_mem_methods methods = {bh_sqlite_xmalloc_, bh_free,
		bh_sqlite_xrealloc_, bh_sqlite_xsize_, bh_sqlite_xroundup_,
		bh_sqlite_xinit_, bh_sqlite_xshutdown_, NULL};
	struct bh_group *previous;
	int r;

	if (bh_sqlite_installed_)
		return SQLITE_OK;
	if (!sqlite3_threadsafe())
		return SQLITE_MISUSE;
	if (!bh_root())
		return SQLITE_NOMEM;
	r = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	if (r == SQLITE_OK)
		r = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (r == SQLITE_OK)
		r = sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	if (r != SQLITE_OK)
		return r;
	previous = bh_sqlite_use(NULL);
	r = sqlite3_initialize();
	bh_sqlite_use(previous);
	bh_sqlite_installed_ = r == SQLITE_OK;
	return r;
}

/* Bytes of page cache; the connection's mutex is held. */
static inline size_t bh_sqlite_cache_used_(sqlite3 *db)
{
	int used = 0, highest = 0;

	sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0);
	return used > 0 ? (size_t)used : 0;
}

/* Whether the shrinker may look at the connection; it then has its mutex. */
static inline int bh_sqlite_try_(
	struct bh_sqlite *conn, struct bh_shrink_control *control)
{
	if (!(control->flags & BH_NORECLAIM) &&
		sqlite3_mutex_try(sqlite3_db_mutex(conn->db)) == SQLITE_OK)
		return 1;
	__atomic_fetch_add(&conn->nr_busy, 1, __ATOMIC_RELAXED);
	return 0;
}

/* Objects are BH_PAGE_SIZE bytes of cache, whatever the page size of the database. */
static inline size_t bh_sqlite_count_(
	struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct bh_sqlite *conn = (struct bh_sqlite *)self->arg;
	size_t nr;

	if (!bh_sqlite_try_(conn, control))
		return 0;
	nr = bh_sqlite_cache_used_(conn->db) / BH_PAGE_SIZE;
	sqlite3_mutex_leave(sqlite3_db_mutex(conn->db));
	return nr ? nr : BH_SHRINK_EMPTY;
}

static inline size_t bh_sqlite_scan_(
	struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct bh_sqlite *conn = (struct bh_sqlite *)self->arg;
	size_t before, after;

	if (!bh_sqlite_try_(conn, control))
		return BH_SHRINK_STOP;
	before = bh_sqlite_cache_used_(conn->db);
	sqlite3_db_release_memory(conn->db);
	after = bh_sqlite_cache_used_(conn->db);
	sqlite3_mutex_leave(sqlite3_db_mutex(conn->db));
	if (after >= before)
		return 0;
	__atomic_fetch_add(&conn->shrunk, before - after, __ATOMIC_RELAXED);
	return (before - after + BH_PAGE_SIZE - 1) / BH_PAGE_SIZE;
}

/*
 * Let @group (NULL: the root) take back the page cache of @db, a connection that does
 * not share its cache. *@conn is filled in and keeps the group alive; the connection
 * stays the caller's. Returns SQLITE_OK; SQLITE_MISUSE without bh_sqlite_install() or for
 * a connection without a mutex (SQLITE_OPEN_NOMUTEX), whose cache no other thread could
 * touch safely. May wait.
 */
static inline int bh_sqlite_attach(
	struct bh_sqlite *conn, sqlite3 *db, struct bh_group *group)
{
	if (!bh_sqlite_installed_ || !db || !sqlite3_db_mutex(db))
		return SQLITE_MISUSE;
	memset(conn, 0, sizeof(*conn));
	conn->db = db;
	conn->group = bh_group_get(group ? group : bh_root());
	conn->shrinker.name = "sqlite";
	conn->shrinker.count = bh_sqlite_count_;
	conn->shrinker.scan = bh_sqlite_scan_;
	conn->shrinker.arg = conn;
	conn->shrinker.group = conn->group;
	conn->shrinker.seeks = 2;
	if (!bh_shrinker_register(&conn->shrinker))
		return SQLITE_OK;
	bh_group_put(conn->group);
	memset(conn, 0, sizeof(*conn));
	return SQLITE_MISUSE;
}

/* The reverse; the connection lives on. Waits until the shrinker has returned. */
static inline void bh_sqlite_detach(struct bh_sqlite *conn)
{
	bh_shrinker_unregister(&conn->shrinker);
	bh_group_put(conn->group);
	memset(conn, 0, sizeof(*conn));
}

static inline int bh_sqlite_shares_cache_(const char *name, int flags)
{
	return (flags & SQLITE_OPEN_SHAREDCACHE) ||
	       (name && !strncmp(name, "file:", 5) && strstr(name, "cache=shared"));
}

/*
 * sqlite3_open_v2() charged to @group (NULL: the root), and bh_sqlite_attach(). The
 * connection is serialized (SQLITE_OPEN_FULLMUTEX) and has a cache of its own
 * (SQLITE_OPEN_PRIVATECACHE). Returns SQLITE_OK; SQLITE_MISUSE as above, and for flags or
 * a name that ask for a shared cache or for no mutex; what sqlite3_open_v2() returns. On
 * failure nothing is left open.
 */
static inline int bh_sqlite_open(struct bh_sqlite *conn, const char *name, int flags,
	const char *vfs, struct bh_group *group)
{
	struct bh_group *previous;
	sqlite3 *db = NULL;
	int r;

	if (!bh_sqlite_installed_ || (flags & SQLITE_OPEN_NOMUTEX) ||
		bh_sqlite_shares_cache_(name, flags))
		return SQLITE_MISUSE;
	flags |= SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE;
	previous = bh_sqlite_use(group);
	r = sqlite3_open_v2(name, &db, flags, vfs);
	if (r == SQLITE_OK)
		r = bh_sqlite_attach(conn, db, group);
	if (r != SQLITE_OK)
		sqlite3_close(db);
	bh_sqlite_use(previous);
	return r;
}

/*
 * Detach and sqlite3_close(). Returns SQLITE_OK, or SQLITE_BUSY when statements, blobs or
 * backups are still open: the connection is as it was before. No other thread uses the
 * connection meanwhile. Waits until the shrinker has returned.
 */
static inline int bh_sqlite_close(struct bh_sqlite *conn)
{
	struct bh_group *previous = bh_sqlite_use(conn->group);
	int r;

	bh_shrinker_unregister(&conn->shrinker);
	r = sqlite3_close(conn->db);
	if (r == SQLITE_OK) {
		bh_group_put(conn->group);
		memset(conn, 0, sizeof(*conn));
	} else {
		bh_shrinker_register(&conn->shrinker);
	}
	bh_sqlite_use(previous);
	return r;
}

#ifdef __cplusplus
}
#endif

#endif
