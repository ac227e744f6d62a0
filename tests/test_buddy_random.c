/* SPDX-License-Identifier: MIT */
/*
 * Random operations of one thread on the page allocator, against a model: the list of
 * what is held. Every page that is held carries a stamp of its holding, so that two
 * holdings of one page, or a page given back to the kernel too early, show when it is
 * freed. BH_RANDOM_SECONDS says how long, BH_RANDOM_SEED repeats a run.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "debug/inject.h"
#include "buddy.h"

#define ZONE     (96 * MIB)
#define NR_HELD  1024
#define LONG_RUN 9000u /* pages */

struct holding {
	char *pages; /* NULL: nothing held */
	size_t nr_pages;
	uint64_t stamp;
};

static struct {
	uint64_t random;
	uint64_t stamp;
	size_t nr_pages; /* held in all */
	size_t nr_refused, nr_zeroed, nr_dirty;
	struct holding held[NR_HELD];
} model;

/* xorshift64* (Vigna, 2016) */
static uint64_t draw(uint64_t below)
{
	model.random ^= model.random >> 12;
	model.random ^= model.random << 25;
	model.random ^= model.random >> 27;
	return (model.random * UINT64_C(2685821657736338717) >> 16) % below;
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

static void check_zero(const char *p, size_t nr_pages)
{
	static const char zero[BHI_PAGE_SIZE];

	for (size_t i = 0; i < nr_pages; i++)
		ck_assert(!memcmp(p + (i << BHI_PAGE_SHIFT), zero, sizeof(zero)));
}

/* A word at either end of each page. */
static void stamp(struct holding *holding)
{
	uint64_t word = holding->stamp = ++model.stamp;

	for (size_t i = 0; i < holding->nr_pages; i++) {
		char *page = holding->pages + (i << BHI_PAGE_SHIFT);

		memcpy(page, &word, sizeof(word));
		memcpy(page + BHI_PAGE_SIZE - sizeof(word), &word, sizeof(word));
	}
}

static void check_stamp(const struct holding *holding)
{
	for (size_t i = 0; i < holding->nr_pages; i++) {
		const char *page = holding->pages + (i << BHI_PAGE_SHIFT);

		ck_assert(!memcmp(page, &holding->stamp, sizeof(uint64_t)));
		ck_assert(!memcmp(page + BHI_PAGE_SIZE - sizeof(uint64_t),
			&holding->stamp, sizeof(uint64_t)));
	}
}

static size_t draw_run_size(void)
{
	switch (draw(16)) {
	case 0:
		return 1 + draw(LONG_RUN);
	case 1:
	case 2:
		return 1 + draw(BHI_BLOCK_PAGES);
	default:
		return 1 + draw(40);
	}
}

/* Users type pages as they like; freeing forgets it. */
static void type_pages(const struct holding *holding)
{
	struct bhi_page *page = bhi_page_of(holding->pages);

	if (draw(2))
		return;
	for (size_t i = 0; i < holding->nr_pages; i++) {
		page[i].type = holding->nr_pages > 16 ? BHI_PAGE_TAIL : BHI_PAGE_SLAB;
		page[i].owner = page[i].next = page[i].prev = (uint32_t)draw(UINT32_MAX);
	}
}

static void take(struct holding *holding)
{
	bool block = draw(2);
	unsigned order = (unsigned)(draw(8) ? draw(5) : draw(BHI_BLOCK_ORDER + 1));
	size_t nr_pages = block ? (size_t)1 << order : draw_run_size();
	unsigned align = block || draw(4) ? 0 : order;
	bool zeroed = false;
	char *p = block ? bhi_pages_alloc(order, &zeroed)
			: bhi_run_alloc(nr_pages, align, &zeroed);

	if (!p) {
		model.nr_refused++;
		return;
	}
	ck_assert_uint_eq(bhi_page_number(p) % (1u << (block ? order : align)), 0);
	ck_assert_uint_eq(bhi_page_of(p)->type, BHI_PAGE_TAKEN);
	if (zeroed)
		check_zero(p, nr_pages);
	model.nr_zeroed += zeroed;
	model.nr_dirty += !zeroed;
	*holding = (struct holding){.pages = p, .nr_pages = nr_pages};
	model.nr_pages += nr_pages;
	stamp(holding);
	type_pages(holding);
}

static void give(struct holding *holding)
{
	size_t nr_pages = holding->nr_pages;

	check_stamp(holding);
	if (draw(8) == 0)
		bhi_pages_put(holding->pages, nr_pages);
	else if (draw(2) && __builtin_popcountll(nr_pages) == 1 &&
		 nr_pages <= BHI_BLOCK_PAGES &&
		 bhi_page_number(holding->pages) % nr_pages == 0)
		bhi_pages_free(holding->pages, (unsigned)__builtin_ctzll(nr_pages));
	else
		bhi_run_free(holding->pages, nr_pages);
	model.nr_pages -= nr_pages;
	holding->pages = NULL;
}

static void refuse_for_a_while(void)
{
	unsigned kinds =
		1u << BHI_FP_MPROTECT | 1u << BHI_FP_MADVISE | 1u << BHI_FP_PAGES;

	bhi_failpoint_disarm();
	if (draw(2))
		bhi_failpoint_arm(1 + (unsigned)draw(20),
			draw(4) ? BHI_FP_ONCE : BHI_FP_PERSISTENT, kinds);
}

static void step(void)
{
	struct holding *holding = &model.held[draw(NR_HELD)];

	if (holding->pages)
		give(holding);
	else
		take(holding);
	if (draw(64) == 0)
		bhi_buddy_age();
	if (draw(64) == 0)
		bhi_buddy_purge(draw(4) == 0);
	if (draw(256) == 0)
		refuse_for_a_while();
}

static void check(void)
{
	expect_sound();
	ck_assert_uint_eq(held(), model.nr_pages << BHI_PAGE_SHIFT);
	ck_assert_uint_le(resident(), ZONE);
}

START_TEST(random_operations_agree_with_the_model)
{
	const char *seed = getenv("BH_RANDOM_SEED");
	double end = seconds() + run_seconds();

	model.random =
		seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	/* xorshift never leaves 0. */
	model.random += !model.random;
	printf("BH_RANDOM_SEED=%llu\n", (unsigned long long)model.random);
	fflush(stdout);
	start_buddy(ZONE);
	for (unsigned i = 0; seconds() < end || i < 4096; i++) {
		step();
		if (i % 512 == 0)
			check();
	}
	bhi_failpoint_disarm();
	check();
	for (unsigned i = 0; i < NR_HELD; i++) {
		if (model.held[i].pages)
			give(&model.held[i]);
	}
	expect_all_merged();
	/* The run was worth something. */
	ck_assert_uint_gt(model.nr_refused, 0);
	ck_assert_uint_gt(model.nr_zeroed, 0);
	ck_assert_uint_gt(model.nr_dirty, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_set_timeout(tcase, run_seconds() + 60);
	tcase_add_test(tcase, random_operations_agree_with_the_model);
}

int main(void)
{
	return support_run("buddy_random", add);
}
