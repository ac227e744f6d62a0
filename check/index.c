/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define FIRST_SLOTS 1024

/* FNV-1a */
#define HASH_START 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u

static int compare_hashes(const void *a, const void *b, void *arg)
{
	const struct bhi_check_session *session = arg;
	uint64_t x = session->stacks[*(const size_t *)a].hash;
	uint64_t y = session->stacks[*(const size_t *)b].hash;

	return x < y ? -1 : x > y;
}

int bhi_check_stack_index_init(
	struct bhi_check_stack_index *index, const struct bhi_check_session *session)
{
	index->session = session;
	index->sorted = calloc(session->nr_stacks + 1, sizeof(*index->sorted));
	if (!index->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < session->nr_stacks; i++)
		index->sorted[i] = i;
	qsort_r(index->sorted, session->nr_stacks, sizeof(*index->sorted), compare_hashes,
		(void *)session);
	return 0;
}

size_t bhi_check_stack_index_find(
	const struct bhi_check_stack_index *index, uint64_t hash)
{
	size_t low = 0, high = index->session->nr_stacks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint64_t there = index->session->stacks[index->sorted[middle]].hash;

		if (there == hash)
			return index->sorted[middle];
		if (there < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
}

void bhi_check_stack_index_fini(struct bhi_check_stack_index *index)
{
	free(index->sorted);
	index->sorted = NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool bhi_check_place_same(
	const struct bhi_check_place *a, const struct bhi_check_place *b)
{
	return a->offset == b->offset && a->function_offset == b->function_offset &&
	       a->line == b->line && a->own_offset == b->own_offset &&
	       same_text(a->own_function, b->own_function) &&
	       same_text(a->module, b->module) && same_text(a->path, b->path) &&
	       same_text(a->function, b->function) && same_text(a->file, b->file) &&
	       same_text(a->build_id, b->build_id);
}

const struct bhi_check_place *bhi_check_test_place(
	const struct bhi_check_test *test, const struct bhi_check_place *place)
{
	for (size_t i = 0; i < test->injected.nr; i++) {
		if (bhi_check_place_same(place, &test->injected.places[i]))
			return &test->injected.places[i];
	}
	for (size_t i = 0; i < test->crash.nr; i++) {
		if (bhi_check_place_same(place, &test->crash.places[i]))
			return &test->crash.places[i];
	}
	return NULL;
}

static uint64_t hash_place(const struct bhi_check_place *place)
{
	uint64_t hash = HASH_START;

	/* The rest hardly ever tells two places apart. */
	for (const char *p = place->module; p && *p; p++)
		hash = (hash ^ (unsigned char)*p) * HASH_PRIME;
	hash = (hash ^ place->offset) * HASH_PRIME;
	return hash ^ hash >> 32;
}

static uint32_t *find_slot(
	const struct bhi_check_place_index *index, const struct bhi_check_place *place)
{
	size_t mask = index->nr_slots - 1, i = hash_place(place) & mask;

	while (index->slots[i] &&
		!bhi_check_place_same(index->places[index->slots[i] - 1], place))
		i = (i + 1) & mask;
	return &index->slots[i];
}

static int grow(struct bhi_check_place_index *index)
{
	size_t nr_slots = index->nr_slots ? index->nr_slots * 2 : FIRST_SLOTS;
	const struct bhi_check_place **places =
		realloc((void *)index->places, nr_slots / 2 * sizeof(const void *));

	if (!places)
		return -ENOMEM;
	index->places = places;
	free(index->slots);
	index->slots = calloc(nr_slots, sizeof(*index->slots));
	index->nr_slots = index->slots ? nr_slots : 0;
	if (!index->slots)
		return -ENOMEM;
	for (size_t i = 0; i < index->nr; i++)
		*find_slot(index, index->places[i]) = (uint32_t)i + 1;
	return 0;
}

int64_t bhi_check_place_index_add(
	struct bhi_check_place_index *index, const struct bhi_check_place *place)
{
	uint32_t *slot;

	if (index->nr >= index->nr_slots / 2 && grow(index))
		return -ENOMEM;
	slot = find_slot(index, place);
	if (!*slot) {
		index->places[index->nr++] = place;
		*slot = (uint32_t)index->nr;
	}
	return *slot - 1;
}

static int add_all(
	struct bhi_check_place_index *index, const struct bhi_check_backtrace *trace)
{
	for (size_t i = 0; i < trace->nr; i++) {
		if (bhi_check_place_index_add(index, &trace->places[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

int bhi_check_place_index_init(
	struct bhi_check_place_index *index, const struct bhi_check_session *session)
{
	int r = 0;

	*index = (struct bhi_check_place_index){.nr = 0};
	for (size_t i = 0; i < session->nr_stacks && !r; i++)
		r = add_all(index, &session->stacks[i].trace);
	for (size_t i = 0; i < session->nr_tests && !r; i++) {
		r = add_all(index, &session->tests[i].injected);
		if (!r)
			r = add_all(index, &session->tests[i].crash);
	}
	for (size_t i = 0; i < session->nr_findings && !r; i++) {
		const struct bhi_check_place *site = session->findings[i].site;

		if (site && bhi_check_place_index_add(index, site) < 0)
			r = -ENOMEM;
	}
	if (r)
		bhi_check_place_index_fini(index);
	return r;
}

void bhi_check_place_index_fini(struct bhi_check_place_index *index)
{
	free((void *)index->places);
	free(index->slots);
	*index = (struct bhi_check_place_index){.nr = 0};
}
