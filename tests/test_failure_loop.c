/* SPDX-License-Identifier: MIT */
/*
 * The failure loop: each public function is run with its first, second, ... internal
 * request to the system or to a lower floor refused, once or from then on, and with the
 * fail-nth of its thread, which counts the requests of the API as well, until a run
 * meets no refusal any more. Each run is a process of its own, so that each begins with
 * nothing mapped, cached or kept. Afterwards the function has succeeded or given a
 * documented error, the books agree, nothing is charged that does not live, there is
 * no descriptor and no thread too many, and no more is mapped than without the refusal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "task/window.h"
#include "base/bug.h"
#include "debug/inject.h"
#include "base/pool.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_fault.h"
#include "support_memory.h"

#define ZONE       (64 * MIB)
#define ALL_POINTS ((1u << BHI_FP_NR) - 1)

/* Ends of a run: all is well and something was refused; all is well and nothing was. */
#define EXIT_REFUSED 0
#define EXIT_UNMET   3

/* The leak check at the exit of a sanitized program takes ten times as long as a run. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* More refusals than any function meets. */
#define MOST_POINTS 400

/* What a body works on; a process runs one body. */
static struct {
	struct bh_group *group, *other;
	struct bh_cache *cache;
	struct bh_shrinker shrinker;
	void *objects[300];
	int nr, null;
} world;

static void require_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	bhi_failpoint_disarm();
	fprintf(stderr, "%s at line %d\n", what, line);
	_exit(1);
}

#define require(cond) require_at((cond), #cond, __LINE__)

static void keep(void *p)
{
	require(p != NULL);
	world.objects[world.nr++] = p;
}

static void free_all(void)
{
	while (world.nr)
		bh_free(world.objects[--world.nr]);
}

static void start(void)
{
	/* No decay: the background thread passes no failure point meanwhile. */
	struct bh_config config = {.size = ZONE, .decay_ms = 3600000};

	require(bh_init(&config) == 0);
	world.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static void start_group(void)
{
	start();
	world.group = bh_group_new(NULL, "group");
	require(world.group != NULL);
}

static void start_alone(void)
{
	setenv("BULKHEAD_SIZE", "64M", 1);
	setenv("BULKHEAD_DECAY_MS", "3600000", 1);
	world.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static void construct(void *object)
{
	memset(object, 'c', 100);
}

static void start_cache(void)
{
	start_group();
	world.cache = bh_cache_new("items", 100, 0, construct);
	require(world.cache != NULL);
}

static void *fill_some(void *arg)
{
	for (size_t size = 10; size < 9000; size = size * 3 / 2)
		keep(bh_alloc(world.group, size, 0));
	keep(bh_alloc(world.group, 200000, 0));
	keep(bh_alloc_pages(world.group, 1, 0));
	return arg;
}

static void start_objects(void)
{
	start_group();
	fill_some(NULL);
}

static void *cache_some(void *arg)
{
	for (int i = 0; i < 100; i++)
		keep(bh_cache_alloc(world.cache, world.group, 0));
	return arg;
}

static void start_cached(void)
{
	start_cache();
	cache_some(NULL);
}

/* The objects are those of a thread that has ended. */
static void start_orphans(void)
{
	start_group();
	support_join(support_thread(fill_some, NULL));
}

static uint32_t filled, may_end;

static void *fill_and_stay(void *arg)
{
	fill_some(NULL);
	__atomic_store_n(&filled, 1, __ATOMIC_SEQ_CST);
	support_await(&may_end, 1);
	return arg;
}

static pthread_t resident;

static void start_remote(void)
{
	start_group();
	resident = support_thread(fill_and_stay, NULL);
	support_await(&filled, 1);
}

static void end_remote(void)
{
	__atomic_store_n(&may_end, 1, __ATOMIC_SEQ_CST);
	support_join(resident);
}

static size_t count_one(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return (size_t)world.nr;
}

static size_t scan_one(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	size_t freed = 0;

	(void)self;
	while (world.nr && freed < control->nr_to_scan) {
		bh_free(world.objects[--world.nr]);
		freed++;
	}
	return freed;
}

static void init_shrinker(void)
{
	world.shrinker = (struct bh_shrinker){.name = "shrinker",
		.count = count_one,
		.scan = scan_one,
		.group = world.group,
		.seeks = 2};
}

static void start_shrinker(void)
{
	start_objects();
	init_shrinker();
	require(bh_shrinker_register(&world.shrinker) == 0);
}

/* The bodies: 0, or the error of the function, negative. */

static int had(void *p)
{
	if (!p)
		return -errno;
	world.objects[world.nr++] = p;
	return 0;
}

static int run_init(void)
{
	struct bh_config config = {.size = ZONE};
	int r = bh_init(&config);

	bhi_failpoint_disarm();
	/* Whatever went wrong, the next attempt succeeds. */
	require(bh_init(&config) == (r ? 0 : -EALREADY));
	return r;
}

static int run_features(void)
{
	return bh_features() ? 0 : -ENOMEM;
}

static int run_version(void)
{
	return bh_version() ? 0 : -1;
}

static int run_noreclaim(void)
{
	unsigned outer = bh_noreclaim_enter(), inner = bh_noreclaim_enter();

	bh_noreclaim_leave(inner);
	bh_noreclaim_leave(outer);
	return inner == outer ? -1 : 0;
}

static int run_root(void)
{
	return bh_root() ? 0 : -errno;
}

static int run_group_new(void)
{
	world.other = bh_group_new(world.group, "new");
	return world.other ? 0 : -errno;
}

static int run_group_get(void)
{
	return bh_group_get(world.group) == world.group ? 0 : -1;
}

static void put_again(void)
{
	bh_group_put(world.group);
}

static int run_group_put(void)
{
	bh_group_put(world.group);
	world.group = NULL;
	return 0;
}

static int run_group_set(void)
{
	require(bh_group_set(world.group, BH_LOW, 4096) == 0);
	require(bh_group_set(world.group, BH_HIGH, 4096) == 0);
	return bh_group_set(world.group, BH_MAX, 4096);
}

static int run_group_stat(void)
{
	struct bh_group_stat stat;

	return bh_group_stat(world.group, &stat);
}

static int run_group_drop(void)
{
	world.nr = 0;
	return bh_group_drop(world.group);
}

static int run_group_reclaim(void)
{
	return bh_group_reclaim(world.group, MIB, 0);
}

static int run_charge(void)
{
	int r = bh_charge(world.group, 100000, 0);

	if (!r)
		bh_uncharge(world.group, 100000);
	return r;
}

static void start_charged(void)
{
	start_group();
	require(bh_charge(world.group, 1000000, 0) == 0);
}

static int run_uncharge(void)
{
	bh_uncharge(world.group, 1000000);
	return 0;
}

static int run_alloc_shared(void)
{
	return had(bh_alloc(world.group, 100, BH_ZERO));
}

static int run_alloc_root(void)
{
	return had(bh_alloc(NULL, 100, 0));
}

/* Through shared slabs into slabs of the group's own, which grow. */
static int run_alloc_many(void)
{
	for (int i = 0; i < 250; i++) {
		int r = had(bh_alloc(world.group, 500, 0));

		if (r)
			return r;
	}
	return 0;
}

static int run_alloc_pages_of_any_number(void)
{
	return had(bh_alloc(world.group, 777777, BH_ZERO));
}

static int run_alloc_blocks(void)
{
	return had(bh_alloc(world.group, 9 * MIB, 0));
}

static int run_alloc_nofail(void)
{
	for (size_t size = 10; size < MIB; size *= 10)
		keep(bh_alloc(world.group, size, BH_NOFAIL));
	return 0;
}

static int run_aligned_nofail(void)
{
	keep(bh_alloc_aligned(world.group, 256, 1000, BH_NOFAIL));
	keep(bh_alloc_aligned(world.group, 65536, 1000, BH_NOFAIL));
	return 0;
}

static int run_alloc_pages_nofail(void)
{
	for (unsigned order = 0; order <= BH_MAX_ORDER; order += 2)
		keep(bh_alloc_pages(world.group, order, BH_NOFAIL));
	return 0;
}

static int run_cache_alloc_nofail(void)
{
	for (int i = 0; i < 100; i++)
		keep(bh_cache_alloc(world.cache, world.group, BH_NOFAIL));
	return 0;
}

static int run_charge_nofail(void)
{
	int r = bh_charge(world.group, 100000, BH_NOFAIL);

	bh_uncharge(world.group, r ? 0 : 100000);
	return r;
}

static int run_alloc_full(void)
{
	int r = 0;

	require(bh_group_set(world.group, BH_MAX, 100000) == 0);
	/* More than fits: the shrinker frees what came before. */
	for (int i = 0; !r && i < 200; i++)
		r = had(bh_alloc(world.group, 1000, 0));
	return r;
}

static int run_alloc_aligned(void)
{
	int r = had(bh_alloc_aligned(world.group, 256, 1000, 0));

	return r ? r : had(bh_alloc_aligned(world.group, 65536, 1000, BH_ZERO));
}

static int run_realloc(void)
{
	for (int i = 0; i < world.nr; i++) {
		char *p = world.objects[i];
		size_t size = bh_usable_size(p);
		char *q;

		p[0] = p[size - 1] = 'r';
		q = bh_realloc_flags(p, 3 * size, 0);
		if (!q) {
			int r = -errno;

			/* The old object is as it was. */
			require(p[0] == 'r' && p[size - 1] == 'r');
			require(bh_usable_size(p) == size);
			return r;
		}
		require(q[0] == 'r' && q[size - 1] == 'r');
		world.objects[i] = q;
	}
	return 0;
}

static int run_questions(void)
{
	for (int i = 0; i < world.nr; i++) {
		if (!bh_usable_size(world.objects[i]) ||
			bh_group_of(world.objects[i]) != world.group)
			return -1;
	}
	return 0;
}

static int run_free(void)
{
	free_all();
	return 0;
}

static void *free_in_thread(void *arg)
{
	free_all();
	return arg;
}

static int run_free_in_thread(void)
{
	support_join(support_thread(free_in_thread, NULL));
	return 0;
}

static int run_free_offline(void)
{
	bh_group_put(world.group);
	world.group = NULL;
	return run_free_in_thread();
}

static int run_cache_new(void)
{
	world.cache = bh_cache_new("items", 100, 0, construct);
	return world.cache ? 0 : -errno;
}

static int run_cache_alloc(void)
{
	for (int i = 0; i < 100; i++) {
		int r = had(bh_cache_alloc(world.cache, world.group, 0));

		if (r)
			return r;
	}
	return 0;
}

static int run_cache_free(void)
{
	while (world.nr) {
		int r = bh_cache_free(world.cache, world.objects[--world.nr]);

		if (r)
			return r;
	}
	return 0;
}

static int run_cache_destroy(void)
{
	int r = bh_cache_destroy(world.cache);

	require(r == -EBUSY);
	free_all();
	r = bh_cache_destroy(world.cache);
	if (!r)
		world.cache = NULL;
	return r;
}

static int run_alloc_pages(void)
{
	for (unsigned order = 0; order <= BH_MAX_ORDER; order += 2) {
		int r = had(bh_alloc_pages(world.group, order, BH_ZERO));

		if (r)
			return r;
	}
	return 0;
}

static void start_pages(void)
{
	start_group();
	for (unsigned order = 0; order <= BH_MAX_ORDER; order++)
		keep(bh_alloc_pages(world.group, order, 0));
}

static int run_free_pages(void)
{
	while (world.nr) {
		unsigned order = (unsigned)world.nr - 1;
		int r = bh_free_pages(world.objects[--world.nr], order);

		if (r)
			return r;
	}
	return 0;
}

static int run_shrinker_register(void)
{
	int r;

	init_shrinker();
	r = bh_shrinker_register(&world.shrinker);
	if (!r)
		require(bh_shrinker_unregister(&world.shrinker) == 0);
	return r;
}

static int run_shrinker_unregister(void)
{
	return bh_shrinker_unregister(&world.shrinker);
}

static void unregister(void)
{
	require(bh_shrinker_unregister(&world.shrinker) == 0);
}

static int run_report_text(void)
{
	return bh_report_write(world.null, BH_TEXT);
}

static int run_report_json(void)
{
	return bh_report_write(world.null, BH_JSON);
}

static int run_audit(void)
{
	return bh_audit();
}

static int run_fault_set(void)
{
	return bh_fault_set("slab:times=3;page:space=1M");
}

/* It is the loop's own means. */
static int run_fault_nth(void)
{
	return bh_fault_nth(bh_fault_left());
}

static int run_fault_left(void)
{
	return bh_fault_left() > MOST_POINTS ? -EINVAL : 0;
}

static int run_fault_mark(void)
{
	return bh_fault_mark(NULL, 1);
}

static int run_fault_mark_cache(void)
{
	return bh_fault_mark_cache(world.cache, 1);
}

static int run_fault_stat(void)
{
	struct bh_fault_stat stat;

	return bh_fault_stat(BH_FAULT_PAGE, &stat);
}

struct body {
	const char *function;
	int (*run)(void);
	void (*prepare)(void);
	void (*clean)(void);
	int errors[2]; /* documented; 0: no more */
};

#define NO_MEMORY .errors = {-ENOMEM}
#define BODY(function_, run_, prepare_, ...)                                            \
	{                                                                               \
		.function = #function_, .run = run_, .prepare = prepare_, ##__VA_ARGS__ \
	}

/* Those without a prepared library start it themselves. */
static const struct body bodies[] = {
	BODY(bh_init, run_init, start_alone, NO_MEMORY),
	BODY(bh_features, run_features, start_alone, NO_MEMORY),
	BODY(bh_version, run_version, start_alone),
	BODY(bh_noreclaim_enter, run_noreclaim, start_alone),
	BODY(bh_noreclaim_leave, run_noreclaim, start),
	BODY(bh_root, run_root, start_alone, NO_MEMORY),
	BODY(bh_group_new, run_group_new, start_alone, NO_MEMORY),
	BODY(bh_group_new, run_group_new, start_group, NO_MEMORY),
	BODY(bh_group_get, run_group_get, start_group, .clean = put_again),
	BODY(bh_group_put, run_group_put, start_group),
	BODY(bh_group_put, run_group_put, start_objects),
	BODY(bh_group_put, run_group_put, start_remote, .clean = end_remote),
	BODY(bh_group_set, run_group_set, start_objects),
	BODY(bh_group_set, run_group_set, start_shrinker, .clean = unregister),
	BODY(bh_group_stat, run_group_stat, start_objects),
	BODY(bh_group_drop, run_group_drop, start_objects),
	BODY(bh_group_drop, run_group_drop, start_orphans),
	BODY(bh_group_drop, run_group_drop, start_remote, .clean = end_remote),
	BODY(bh_group_reclaim, run_group_reclaim, start_objects, .errors = {-EAGAIN}),
	BODY(bh_group_reclaim, run_group_reclaim, start_shrinker, .clean = unregister,
		.errors = {-EAGAIN}),
	BODY(bh_charge, run_charge, start_alone, NO_MEMORY),
	BODY(bh_charge, run_charge, start_group, NO_MEMORY),
	BODY(bh_uncharge, run_uncharge, start_charged),
	BODY(bh_alloc, run_alloc_root, start_alone, NO_MEMORY),
	BODY(bh_alloc, run_alloc_shared, start_group, NO_MEMORY),
	BODY(bh_alloc, run_alloc_many, start_group, NO_MEMORY),
	BODY(bh_alloc, run_alloc_many, start_orphans, NO_MEMORY),
	BODY(bh_alloc, run_alloc_pages_of_any_number, start_group, NO_MEMORY),
	BODY(bh_alloc, run_alloc_blocks, start_group, NO_MEMORY),
	BODY(bh_alloc, run_alloc_full, start_shrinker, .clean = unregister, NO_MEMORY),
	BODY(bh_alloc, run_alloc_nofail, start_group),
	BODY(bh_alloc_aligned, run_aligned_nofail, start_group),
	BODY(bh_alloc_pages, run_alloc_pages_nofail, start_group),
	BODY(bh_cache_alloc, run_cache_alloc_nofail, start_cache),
	BODY(bh_charge, run_charge_nofail, start_group),
	BODY(bh_alloc_aligned, run_alloc_aligned, start_group, NO_MEMORY),
	BODY(bh_realloc_flags, run_realloc, start_objects, NO_MEMORY),
	BODY(bh_usable_size, run_questions, start_objects),
	BODY(bh_group_of, run_questions, start_orphans),
	BODY(bh_free, run_free, start_objects),
	BODY(bh_free, run_free, start_orphans),
	BODY(bh_free, run_free, start_remote, .clean = end_remote),
	BODY(bh_free, run_free_in_thread, start_objects),
	BODY(bh_free, run_free_in_thread, start_orphans),
	BODY(bh_free, run_free_offline, start_objects),
	BODY(bh_free, run_free_offline, start_remote, .clean = end_remote),
	BODY(bh_cache_new, run_cache_new, start_alone, NO_MEMORY),
	BODY(bh_cache_alloc, run_cache_alloc, start_cache, NO_MEMORY),
	BODY(bh_cache_free, run_cache_free, start_cached),
	BODY(bh_cache_destroy, run_cache_destroy, start_cached),
	BODY(bh_alloc_pages, run_alloc_pages, start_group, NO_MEMORY),
	BODY(bh_free_pages, run_free_pages, start_pages),
	BODY(bh_shrinker_register, run_shrinker_register, start_alone, NO_MEMORY),
	BODY(bh_shrinker_register, run_shrinker_register, start_group),
	BODY(bh_shrinker_unregister, run_shrinker_unregister, start_shrinker),
	BODY(bh_report_write, run_report_text, start_alone, NO_MEMORY),
	BODY(bh_report_write, run_report_text, start_cached),
	BODY(bh_report_write, run_report_json, start_cached),
	BODY(bh_audit, run_audit, start_alone, NO_MEMORY),
	BODY(bh_audit, run_audit, start_cached, NO_MEMORY),
	BODY(bh_fault_set, run_fault_set, start_alone, NO_MEMORY),
	BODY(bh_fault_nth, run_fault_nth, start_alone, NO_MEMORY),
	BODY(bh_fault_left, run_fault_left, start_alone),
	BODY(bh_fault_mark, run_fault_mark, start_group),
	BODY(bh_fault_mark_cache, run_fault_mark_cache, start_cache),
	BODY(bh_fault_stat, run_fault_stat, start_alone, NO_MEMORY),
};

static bool is_documented(const struct body *body, int r)
{
	return r == 0 || r == body->errors[0] ||
	       (body->errors[1] && r == body->errors[1]);
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned nr = 0;

	require(dir != NULL);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static unsigned count_threads(void)
{
	return count_entries("/proc/self/task") - 2;
}

/* What is left when everything that the body made is freed. */
static void check_nothing_left(const struct body *body)
{
	free_all();
	if (body->clean)
		body->clean();
	require(bh_cache_destroy(world.cache) == 0);
	bh_group_put(world.other);
	if (world.group) {
		bhi_reclaim_hooks.collect(world.group);
		require(support_usage(world.group) == 0);
	}
	bh_group_put(world.group);
	bhi_reclaim_hooks.collect(bh_root());
	require(support_usage(bh_root()) == 0);
	require(support_stat(bh_root()).left_behind == 0);
	require(bh_audit() == 0);
	require(bhi_warn_count() == 0);
}

__attribute__((noreturn)) static void end_run(int status)
{
	fflush(NULL);
	if (SANITIZED)
		_exit(status);
	/* Coverage is written at exit. */
	exit(status);
}

/* Descriptors, but for the one that the library keeps while it runs. */
static unsigned count_files(void)
{
	bool has_uffd = bhi_private.base && bhi_private.backend == BHI_PAGEFAULT_UFFD;

	return count_entries("/proc/self/fd") - has_uffd;
}

/* Adjacent mappings are one line or two, as chance has laid them. */
#define SPLIT_LINES 4

/* What is mapped: metadata, of it objects of pools in use but for those that stand for
 * threads, all of it, in how many mappings. The sums are exact. */
struct mapped {
	size_t meta, pools, bytes;
	unsigned lines;
};

static struct mapped read_mapped(void)
{
	size_t threads = bhi_threads_count() * ((sizeof(struct bhi_thread) + 15) & ~15ul);
	struct mapped mapped = {
		.meta = bhi_meta_bytes(), .pools = bhi_pools_used() - threads};
	FILE *file = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 100];

	require(file != NULL);
	while (fgets(line, sizeof(line), file)) {
		size_t from, to;

		require(sscanf(line, "%zx-%zx", &from, &to) == 2);
		if (strstr(line, "[heap]") || strstr(line, "[stack]"))
			continue;
		mapped.bytes += to - from;
		mapped.lines++;
	}
	fclose(file);
	return mapped;
}

static bool is_more(const struct mapped *mapped, const struct mapped *most)
{
	return mapped->meta > most->meta || mapped->pools > most->pools ||
	       mapped->bytes > most->bytes || mapped->lines > most->lines + SPLIT_LINES;
}

/* A thread that is about to be known counts for a moment; what has leaked stays. */
static struct mapped read_mapped_at_rest(const struct mapped *most)
{
	struct mapped mapped = read_mapped();

	for (int i = 0; i < 100 && is_more(&mapped, most); i++) {
		sched_yield();
		mapped = read_mapped();
	}
	/* Its object is there before it is counted, and it may not get a processor soon.
	 */
	for (int i = 0; i < 2000 && most->pools && mapped.pools > most->pools; i++) {
		bhi_sys_pause(BHI_NS_PER_MS);
		mapped = read_mapped();
	}
	return mapped;
}

/* The caller, the reaper and the background reclaimer. */
#define NR_THREADS 3u

/* A run of @body with the @nth point of @kinds refused; does not return. */
static void run_body(const struct body *body, unsigned nth, enum bhi_failpoint_mode mode,
	unsigned kinds, const struct mapped *most)
{
	unsigned nr_files, nr_hit;
	struct mapped mapped;
	int r;

	body->prepare();
	nr_files = count_files();
	support_arm(nth, mode, kinds);
	r = body->run();
	nr_hit = bhi_failpoint_disarm();
	if (!is_documented(body, r)) {
		fprintf(stderr, "it gave %d\n", r);
		_exit(1);
	}
	require(count_files() == nr_files);
	/* A start that was refused goes on from there. */
	require(bh_root() != NULL);
	/* A thread that was joined may show for a moment; one too many stays. */
	while (count_threads() > NR_THREADS + (body->clean == end_remote))
		sched_yield();
	require(bh_audit() == 0);
	/* Where it failed, it did not get as far as to all that it maps for good. */
	if (r && body->run != run_init) {
		free_all();
		(void)body->run();
	}
	check_nothing_left(body);
	mapped = read_mapped_at_rest(most);
	printf("%zu %zu %zu %u\n", mapped.meta, mapped.pools, mapped.bytes, mapped.lines);
	end_run(nr_hit ? EXIT_REFUSED : EXIT_UNMET);
}

struct call {
	const struct body *body;
	unsigned nth, kinds;
	enum bhi_failpoint_mode mode;
	struct mapped most;
};

static void make_call(void *arg)
{
	const struct call *call = arg;

	run_body(call->body, call->nth, call->mode, call->kinds, &call->most);
}

/* What a run that was refused something has mapped in the end is no more than one has
 * that was not. Sanitizers map for themselves. */
static void check_mapped(struct call *call, const char *said)
{
	struct mapped *most = &call->most, mapped;

	ck_assert_int_eq(sscanf(said, "%zu %zu %zu %u", &mapped.meta, &mapped.pools,
				 &mapped.bytes, &mapped.lines),
		4);
	if (SANITIZED)
		mapped.bytes = mapped.lines = 0;
	if (!call->kinds)
		*most = mapped;
	ck_assert_msg(!is_more(&mapped, most),
		"%s, body %d, refusal %u, mode %d, kinds %#x: %zu, %zu, %zu, %u "
		"are mapped, not %zu, %zu, %zu, %u",
		call->body->function, (int)(call->body - bodies), call->nth,
		(int)call->mode, call->kinds, mapped.meta, mapped.pools, mapped.bytes,
		mapped.lines, most->meta, most->pools, most->bytes, most->lines);
}

/* Whether something was refused. */
static bool run_call(struct call *call)
{
	struct support_output output;
	int status;

	support_capture(make_call, call, &output);
	status = support_exit_status(&output);
	ck_assert_msg(status == EXIT_REFUSED || status == EXIT_UNMET,
		"%s, body %d, refusal %u, mode %d, kinds %#x: status %#x\n%s",
		call->body->function, (int)(call->body - bodies), call->nth,
		(int)call->mode, call->kinds, (unsigned)output.status, output.err);
	check_mapped(call, output.out);
	/* A refusal is not a matter for standard error. */
	ck_assert_str_eq(output.err, "");
	support_output_fini(&output);
	return status == EXIT_REFUSED;
}

/* The first one, which the others are compared with. */
static void run_unrefused(struct call *call)
{
	unsigned kinds = call->kinds;

	call->kinds = 0;
	ck_assert(!run_call(call));
	call->kinds = kinds;
}

static unsigned run_until_unmet(const struct body *body, enum bhi_failpoint_mode mode)
{
	struct call call = {.body = body, .nth = 1, .kinds = ALL_POINTS, .mode = mode};

	run_unrefused(&call);
	while (run_call(&call)) {
		/* Hundreds of objects are hundreds of requests, one like the other. */
		call.nth += SANITIZED && mode == BHI_FP_NTH ? 1 + call.nth / 16 : 1;
		ck_assert_uint_le(call.nth, MOST_POINTS);
	}
	return call.nth - 1;
}

START_TEST(whatever_the_thread_is_refused_the_function_fails_as_documented_or_succeeds)
{
	run_until_unmet(&bodies[_i], BHI_FP_NTH);
}
END_TEST

/* By whichever thread. */
START_TEST(whatever_is_refused_once_the_function_fails_as_documented_or_succeeds)
{
	run_until_unmet(&bodies[_i], BHI_FP_ONCE);
}
END_TEST

START_TEST(whatever_is_refused_for_good_the_function_fails_as_documented_or_succeeds)
{
	run_until_unmet(&bodies[_i], BHI_FP_PERSISTENT);
}
END_TEST

START_TEST(whichever_kind_is_refused_for_good_the_function_fails_or_succeeds)
{
	struct call call = {.body = &bodies[_i], .nth = 1, .mode = BHI_FP_PERSISTENT};

	run_unrefused(&call);
	for (unsigned kind = 0; kind < BHI_FP_NR; kind++) {
		call.kinds = 1u << kind;
		run_call(&call);
	}
}
END_TEST

START_TEST(the_loop_refuses_what_it_is_meant_to)
{
	/* Mappings, protections, pools, threads, ... on the way to the first object. */
	for (size_t i = 0; i < bhi_array_size(bodies); i++) {
		if (bodies[i].run == run_init || bodies[i].run == run_alloc_root)
			ck_assert_uint_ge(run_until_unmet(&bodies[i], BHI_FP_ONCE), 10);
		if (bodies[i].run == run_alloc_many)
			ck_assert_uint_ge(run_until_unmet(&bodies[i], BHI_FP_ONCE), 8);
	}
}
END_TEST

/* Blank out comments and lines of the preprocessor. */
static void strip(char *text)
{
	for (char *p = text; (p = strstr(p, "/*"));) {
		char *end = strstr(p, "*/");

		ck_assert_ptr_nonnull(end);
		memset(p, ' ', (size_t)(end + 2 - p));
	}
	for (char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		if (*p == '#')
			memset(p, ' ', strcspn(p, "\n"));
	}
}

static bool is_covered(const char *name, size_t len)
{
	for (size_t i = 0; i < bhi_array_size(bodies); i++) {
		if (strlen(bodies[i].function) == len &&
			!strncmp(bodies[i].function, name, len))
			return true;
	}
	return false;
}

/* The functions of tasks have a loop of their own, which names them as strings. */
static bool is_covered_there(const char *loop, const char *name, size_t len)
{
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "\"%.*s\"", (int)len, name);
	return strstr(loop, quoted);
}

static char *read_source(const char *name)
{
	const char *root = getenv("BH_SOURCE_ROOT");
	char path[PATH_MAX];

	ck_assert_ptr_nonnull(root);
	snprintf(path, sizeof(path), "%s/%s", root, name);
	return support_read_file(path);
}

START_TEST(every_function_of_the_header_is_in_the_loop)
{
	char *text = read_source("include/bulkhead.h");
	char *loop = read_source("tests/test_task_failures.c");
	unsigned nr = 0;

	strip(text);
	for (char *p = text; (p = strstr(p, "bh_"));) {
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");

		if (p[len] == '(') {
			ck_assert_msg(
				is_covered(p, len) || is_covered_there(loop, p, len),
				"%.*s", (int)len, p);
			nr++;
		}
		p += len;
	}
	ck_assert_uint_ge(nr, 61);
	free(text);
	free(loop);
}
END_TEST

static void add(TCase *tcase)
{
	int nr = (int)bhi_array_size(bodies);

	tcase_add_loop_test(tcase,
		whatever_the_thread_is_refused_the_function_fails_as_documented_or_succeeds,
		0, nr);
	tcase_add_loop_test(tcase,
		whatever_is_refused_once_the_function_fails_as_documented_or_succeeds, 0,
		nr);
	tcase_add_loop_test(tcase,
		whatever_is_refused_for_good_the_function_fails_as_documented_or_succeeds,
		0, nr);
	tcase_add_loop_test(tcase,
		whichever_kind_is_refused_for_good_the_function_fails_or_succeeds, 0, nr);
	tcase_add_test(tcase, the_loop_refuses_what_it_is_meant_to);
	tcase_add_test(tcase, every_function_of_the_header_is_in_the_loop);
}

int main(void)
{
	return support_run("failure_loop", add);
}
