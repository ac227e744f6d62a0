/* SPDX-License-Identifier: MIT */
/*
 * The page allocator with several threads: random operations with memory handed from
 * thread to thread, while another one purges and audits; and interleavings that are
 * forced. BH_RANDOM_SECONDS says how long the random part runs.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "alloc/dirty.h"
#include "buddy.h"

#define NR_WORKERS 3
#define NR_HELD    96
#define NR_SHARED  64
#define ZONE       (48 * MIB)

/* After so many steps a worker ends, and another one begins. */
#define STEPS_PER_LIFE 3000

struct holding {
	char *pages; /* NULL: nothing held */
	size_t nr_pages;
};

struct worker {
	pthread_t thread;
	uint64_t random;
	struct holding held[NR_HELD];
};

static struct {
	pthread_mutex_t lock;
	/* protected by .lock */
	struct holding held[NR_SHARED];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	/* atomic */
	uint32_t stop;
	uint64_t nr_taken, nr_refused, nr_wrong, nr_audits;
} run;

static uint64_t draw(struct worker *worker, uint64_t below)
{
	worker->random ^= worker->random >> 12;
	worker->random ^= worker->random << 25;
	worker->random ^= worker->random >> 27;
	return (worker->random * UINT64_C(2685821657736338717) >> 16) % below;
}

static void note_wrong(void)
{
	bhi_add(&run.nr_wrong, 1);
}

/* Its own address at either end: nobody else writes there while it is held. */
static void stamp(struct holding holding)
{
	char *last = holding.pages + ((holding.nr_pages - 1) << BHI_PAGE_SHIFT);

	memcpy(holding.pages, &holding, sizeof(holding));
	memcpy(last + 128, &holding, sizeof(holding));
}

static void give(struct worker *worker, struct holding holding)
{
	char *last = holding.pages + ((holding.nr_pages - 1) << BHI_PAGE_SHIFT);

	if (memcmp(holding.pages, &holding, sizeof(holding)) ||
		memcmp(last + 128, &holding, sizeof(holding)))
		note_wrong();
	if (draw(worker, 16) == 0)
		bhi_pages_put(holding.pages, holding.nr_pages);
	else
		bhi_run_free(holding.pages, holding.nr_pages);
}

static struct holding take(struct worker *worker)
{
	static const uint64_t limits[] = {1, 1, 2, 4, 16, 16, 40, 1024, 3000};
	size_t nr_pages = 1 + draw(worker, limits[draw(worker, bhi_array_size(limits))]);
	bool zeroed;
	char *p = bhi_run_alloc(nr_pages, 0, &zeroed);
	struct holding holding = {.pages = p, .nr_pages = nr_pages};

	if (!p) {
		bhi_add(&run.nr_refused, 1);
		return holding;
	}
	bhi_add(&run.nr_taken, 1);
	if (zeroed && (p[0] || p[(nr_pages << BHI_PAGE_SHIFT) - 1] || p[128]))
		note_wrong();
	stamp(holding);
	return holding;
}

static void swap_with_others(struct worker *worker, struct holding *holding)
{
	struct holding *other = &shared.held[draw(worker, NR_SHARED)];
	struct holding mine = *holding;

	pthread_mutex_lock(&shared.lock);
	*holding = *other;
	*other = mine;
	pthread_mutex_unlock(&shared.lock);
}

static void step(struct worker *worker)
{
	struct holding *holding = &worker->held[draw(worker, NR_HELD)];

	if (draw(worker, 4) == 0) {
		swap_with_others(worker, holding);
	} else if (holding->pages) {
		give(worker, *holding);
		holding->pages = NULL;
	} else {
		*holding = take(worker);
	}
	if (draw(worker, 512) == 0)
		bhi_buddy_purge(draw(worker, 2));
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (unsigned i = 0; i < STEPS_PER_LIFE; i++)
		step(worker);
	return NULL;
}

static void *purge_and_audit(void *arg)
{
	(void)arg;
	while (!bhi_load(&run.stop)) {
		struct bhi_buddy_stat stat = get_stat();

		if (bhi_buddy_audit() || stat.taken + stat.dirty > ZONE)
			note_wrong();
		bhi_add(&run.nr_audits, 1);
		bhi_buddy_age();
		bhi_buddy_purge(false);
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double run_seconds(void)
{
	const char *length = getenv("BH_RANDOM_SECONDS");

	return length ? atof(length) : 1;
}

static void run_workers(struct worker *workers, double end)
{
	do {
		for (unsigned i = 0; i < NR_WORKERS; i++)
			pthread_create(&workers[i].thread, NULL, work, &workers[i]);
		for (unsigned i = 0; i < NR_WORKERS; i++)
			pthread_join(workers[i].thread, NULL);
	} while (seconds() < end);
}

static void give_all(struct worker *worker, const struct holding *held, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (held[i].pages)
			give(worker, held[i]);
	}
}

START_TEST(threads_that_take_give_and_hand_over_leave_everything_sound)
{
	static struct worker workers[NR_WORKERS];
	const char *seed = getenv("BH_RANDOM_SEED");
	uint64_t random = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	pthread_t auditor;

	/* Threads interleave as they like: the seed repeats only what each one does. */
	printf("BH_RANDOM_SEED=%llu\n", (unsigned long long)random);
	fflush(stdout);
	start_buddy(ZONE);
	for (unsigned i = 0; i < NR_WORKERS; i++)
		workers[i].random = (random + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	pthread_create(&auditor, NULL, purge_and_audit, NULL);
	run_workers(workers, seconds() + run_seconds());
	bhi_store(&run.stop, 1);
	pthread_join(auditor, NULL);

	ck_assert_uint_eq(run.nr_wrong, 0);
	ck_assert_uint_gt(run.nr_taken, 0);
	ck_assert_uint_gt(run.nr_refused, 0);
	ck_assert_uint_gt(run.nr_audits, 0);
	/* All threads that cached something have ended. */
	ck_assert_uint_eq(get_stat().cached, 0);
	for (unsigned i = 0; i < NR_WORKERS; i++)
		give_all(&workers[i], workers[i].held, NR_HELD);
	give_all(&workers[0], shared.held, NR_SHARED);
	ck_assert_uint_eq(run.nr_wrong, 0);
	expect_all_merged();
}
END_TEST

static pthread_barrier_t barrier;

/* Fill a cache, then wait twice. */
static void *cache_some(void *arg)
{
	void *blocks[16];

	(void)arg;
	for (unsigned i = 0; i < 16; i++)
		blocks[i] = take_block(1);
	for (unsigned i = 0; i < 16; i++)
		bhi_pages_free(blocks[i], 1);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

START_TEST(a_thread_gives_its_cache_back_when_it_ends)
{
	pthread_t thread;

	start_buddy(64 * MIB);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, cache_some, NULL);
	pthread_barrier_wait(&barrier);
	ck_assert_uint_ge(get_stat().cached, 16 * 2 * BHI_PAGE_SIZE);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(get_stat().cached, 0);
	ck_assert_uint_eq(get_stat().taken, 0);
	expect_sound();
}
END_TEST

START_TEST(what_other_threads_cache_is_there_for_the_last_allocation)
{
	enum {
		NR = 16 * 1024 / 4
	};
	static void *pages[NR];
	pthread_t thread;
	bool zeroed;

	start_buddy(NR * BHI_PAGE_SIZE);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, cache_some, NULL);
	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < NR; i++)
		pages[i] = take_block(0);
	ck_assert_ptr_null(bhi_pages_alloc(0, &zeroed));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < NR; i++)
		bhi_pages_free(pages[i], 0);
	expect_all_merged();
}
END_TEST

/* A zone of two blocks: one is held, the other isolated by hand, as a thread does that is
 * about to give it back to the kernel. */
struct isolation {
	void *kept, *isolated;
	uint32_t number;
};

static void isolate(struct isolation *isolation)
{
	start_buddy(2 * BHI_BLOCK_SIZE);
	isolation->kept = take_block(BHI_BLOCK_ORDER);
	isolation->isolated = take_block(BHI_BLOCK_ORDER);
	isolation->number = (uint32_t)bhi_page_number(isolation->isolated);
	bhi_pages_free(isolation->isolated, BHI_BLOCK_ORDER);
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_free_remove(isolation->number);
	bhi_store(&bhi_window.pages[isolation->number].type, BHI_PAGE_TAKEN);
	bhi_buddy.nr_isolated += BHI_BLOCK_PAGES;
	bhi_lock_release(&bhi_buddy.lock);
}

static void put_back(const struct isolation *isolation)
{
	ck_assert_int_eq(bhi_sys_discard(isolation->isolated, BHI_BLOCK_SIZE), 0);
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_dirty_clear(isolation->number, BHI_BLOCK_PAGES);
	bhi_buddy.nr_dirty -= BHI_BLOCK_PAGES;
	bhi_buddy.nr_isolated -= BHI_BLOCK_PAGES;
	bhi_store(&bhi_window.pages[isolation->number].type, BHI_PAGE_UNUSED);
	bhi_free_add(isolation->number, BHI_BLOCK_PAGES);
	bhi_lock_release(&bhi_buddy.lock);
}

/* What a thread that has put its blocks back says. */
static void say_settled(void)
{
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_store(&bhi_buddy.nr_settled, bhi_buddy.nr_settled + 1);
	bhi_lock_release(&bhi_buddy.lock);
	bhi_sys_futex_wake(&bhi_buddy.nr_settled, INT_MAX);
}

static bool somebody_waits(void)
{
	bool waits;

	bhi_lock_acquire(&bhi_buddy.lock);
	waits = bhi_buddy.nr_waiting > 0;
	bhi_lock_release(&bhi_buddy.lock);
	return waits;
}

struct request {
	uint32_t done; /* atomic */
	bool zeroed;
	void *pages;
};

static void *take_one(void *arg)
{
	struct request *request = arg;

	request->pages = bhi_pages_alloc(BHI_BLOCK_ORDER, &request->zeroed);
	bhi_store_release(&request->done, 1);
	return NULL;
}

START_TEST(an_allocation_waits_for_blocks_that_another_thread_gives_back)
{
	struct request request = {.done = 0};
	struct isolation isolation;
	pthread_t thread;

	isolate(&isolation);
	pthread_create(&thread, NULL, take_one, &request);
	while (!somebody_waits())
		sched_yield();
	ck_assert_uint_eq(bhi_load(&request.done), 0);
	put_back(&isolation);
	say_settled();
	pthread_join(thread, NULL);
	ck_assert_ptr_eq(request.pages, isolation.isolated);
	ck_assert(request.zeroed);
	bhi_pages_free(request.pages, BHI_BLOCK_ORDER);
	bhi_pages_free(isolation.kept, BHI_BLOCK_ORDER);
	expect_all_merged();
}
END_TEST

START_TEST(an_allocation_for_which_nothing_comes_back_fails_in_the_end)
{
	struct request request = {.done = 0};
	struct isolation isolation;
	pthread_t thread;

	isolate(&isolation);
	pthread_create(&thread, NULL, take_one, &request);
	while (!bhi_load_acquire(&request.done)) {
		say_settled();
		sched_yield();
	}
	pthread_join(thread, NULL);
	ck_assert_ptr_null(request.pages);
	put_back(&isolation);
	bhi_pages_free(isolation.kept, BHI_BLOCK_ORDER);
	expect_all_merged();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_set_timeout(tcase, run_seconds() + 60);
	tcase_add_test(
		tcase, threads_that_take_give_and_hand_over_leave_everything_sound);
	tcase_add_test(tcase, a_thread_gives_its_cache_back_when_it_ends);
	tcase_add_test(tcase, what_other_threads_cache_is_there_for_the_last_allocation);
	tcase_add_test(
		tcase, an_allocation_waits_for_blocks_that_another_thread_gives_back);
	tcase_add_test(
		tcase, an_allocation_for_which_nothing_comes_back_fails_in_the_end);
}

int main(void)
{
	return support_run("concurrent_buddy", add);
}
