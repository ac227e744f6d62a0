/* SPDX-License-Identifier: MIT */
/*
 * Two-level logic minimisation (expand, irredundant, reduce) of random functions. A cube
 * is a bit set with two bits a variable (may be 0, may be 1); a cover is one growing
 * array of cubes; recursion on cofactors makes short-lived lists of pointers and single
 * sets. So the heap sees sets of 12 bytes, lists of tens to thousands of bytes, arrays
 * that grow, and most of it dies in the order of a recursion.
 */
#include "common.h"

#define NR_VARS    40
#define NR_WORDS   3 /* 16 variables a word */
#define LOW        UINT32_C(0x55555555)
#define MAX_PASSES 4

typedef uint32_t bits_t;

static const bits_t full_set[NR_WORDS] = {
	UINT32_MAX, UINT32_MAX, (UINT32_C(1) << (2 * NR_VARS - 64)) - 1};

static bits_t *set_new(const bits_t *from)
{
	bits_t *set = must(malloc(NR_WORDS * sizeof(*set)));

	memcpy(set, from, NR_WORDS * sizeof(*set));
	return set;
}

/* Every point of @a is one of @b. */
static int set_inside(const bits_t *a, const bits_t *b)
{
	bits_t outside = 0;

	for (unsigned w = 0; w < NR_WORDS; w++)
		outside |= a[w] & ~b[w];
	return outside == 0;
}

static void set_or(bits_t *a, const bits_t *b)
{
	for (unsigned w = 0; w < NR_WORDS; w++)
		a[w] |= b[w];
}

static void set_and(bits_t *a, const bits_t *b)
{
	for (unsigned w = 0; w < NR_WORDS; w++)
		a[w] &= b[w];
}

static bits_t var_get(const bits_t *set, unsigned var)
{
	return set[var / 16] >> 2 * (var % 16) & 3;
}

static void var_set(bits_t *set, unsigned var, bits_t value)
{
	unsigned shift = 2 * (var % 16);

	set[var / 16] = (set[var / 16] & ~(UINT32_C(3) << shift)) | value << shift;
}

/* One bit for each variable that is empty in a & b: the cubes meet where there is none.
 */
static bits_t word_clash(bits_t a, bits_t b, bits_t full)
{
	bits_t both = a & b;

	return ~(both | both >> 1) & LOW & full;
}

static int sets_meet(const bits_t *a, const bits_t *b)
{
	bits_t clash = 0;

	for (unsigned w = 0; w < NR_WORDS; w++)
		clash |= word_clash(a[w], b[w], full_set[w]);
	return clash == 0;
}

struct cover {
	unsigned nr, capacity;
	bits_t *sets;
};

static struct cover *cover_new(unsigned capacity)
{
	struct cover *cover = must(malloc(sizeof(*cover)));

	cover->nr = 0;
	cover->capacity = capacity;
	cover->sets = must(malloc(capacity * NR_WORDS * sizeof(bits_t)));
	return cover;
}

static void cover_free(struct cover *cover)
{
	free(cover->sets);
	free(cover);
}

static bits_t *cover_at(const struct cover *cover, unsigned index)
{
	return cover->sets + (size_t)index * NR_WORDS;
}

static void cover_add(struct cover *cover, const bits_t *set)
{
	if (cover->nr == cover->capacity) {
		cover->capacity += cover->capacity / 2 + 1;
		cover->sets = must(realloc(
			cover->sets, cover->capacity * NR_WORDS * sizeof(bits_t)));
	}
	memcpy(cover_at(cover, cover->nr++), set, NR_WORDS * sizeof(bits_t));
}

static void cover_remove(struct cover *cover, unsigned index)
{
	bits_t *last = cover_at(cover, --cover->nr);

	memmove(cover_at(cover, index), last, NR_WORDS * sizeof(bits_t));
}

/* The cofactor of some cubes: each stands for itself | .raised. */
struct list {
	bits_t *raised;
	unsigned nr;
	bits_t *cubes[];
};

static struct list *list_new(unsigned capacity, const bits_t *raised)
{
	struct list *list =
		must(malloc(sizeof(*list) + capacity * sizeof(list->cubes[0])));

	list->raised = set_new(raised);
	list->nr = 0;
	return list;
}

static void list_free(struct list *list)
{
	free(list->raised);
	free(list);
}

/* All cubes of @cover but number @except, with nothing raised. */
static struct list *list_from(const struct cover *cover, unsigned except)
{
	static const bits_t nothing[NR_WORDS];
	struct list *list = list_new(cover->nr, nothing);

	for (unsigned i = 0; i < cover->nr; i++) {
		if (i != except)
			list->cubes[list->nr++] = cover_at(cover, i);
	}
	return list;
}

static struct list *list_cofactor(const struct list *from, const bits_t *cube)
{
	struct list *list = list_new(from->nr, from->raised);

	for (unsigned i = 0; i < from->nr; i++) {
		bits_t clash = 0;

		for (unsigned w = 0; w < NR_WORDS; w++)
			clash |= word_clash(from->cubes[i][w] | from->raised[w], cube[w],
				full_set[w]);
		if (!clash)
			list->cubes[list->nr++] = from->cubes[i];
	}
	for (unsigned w = 0; w < NR_WORDS; w++)
		list->raised[w] |= full_set[w] & ~cube[w];
	return list;
}

static int list_has_full(const struct list *list)
{
	for (unsigned i = 0; i < list->nr; i++) {
		bits_t missing = 0;

		for (unsigned w = 0; w < NR_WORDS; w++)
			missing |= full_set[w] & ~(list->cubes[i][w] | list->raised[w]);
		if (!missing)
			return 1;
	}
	return 0;
}

/*
 * The variable to split on: the one most cubes depend on both ways, else on one way.
 * *@ret_both says which; -1 when no cube depends on anything.
 */
static int list_split_var(const struct list *list, int *ret_both)
{
	unsigned *counts = must(calloc(2 * NR_VARS, sizeof(*counts)));
	unsigned best_score = 0;
	int best = -1;

	for (unsigned i = 0; i < list->nr; i++) {
		for (unsigned w = 0; w < NR_WORDS; w++) {
			bits_t missing =
				full_set[w] & ~(list->cubes[i][w] | list->raised[w]);

			for (; missing; missing &= missing - 1)
				counts[32 * w + (unsigned)__builtin_ctz(missing)]++;
		}
	}
	*ret_both = 0;
	for (unsigned var = 0; var < NR_VARS; var++) {
		unsigned no = counts[2 * var], yes = counts[2 * var + 1];
		unsigned score = no + yes + (no && yes ? 2 * list->nr : 0);

		if (score > best_score) {
			best_score = score;
			best = (int)var;
			*ret_both = no && yes;
		}
	}
	free(counts);
	return best;
}

static struct list *list_half(const struct list *list, int var, bits_t value)
{
	bits_t *cube = set_new(full_set);
	struct list *half;

	var_set(cube, (unsigned)var, value);
	half = list_cofactor(list, cube);
	free(cube);
	return half;
}

/* True if the cubes cover everything. Consumes @list. */
static int list_tautology(struct list *list)
{
	int both, var, result = 0;

	if (list_has_full(list)) {
		list_free(list);
		return 1;
	}
	var = list_split_var(list, &both);
	/* A cover that is monotone in every variable needs a full cube. */
	if (var >= 0 && both)
		result = list_tautology(list_half(list, var, 1)) &&
			 list_tautology(list_half(list, var, 2));
	list_free(list);
	return result;
}

/* The complement of one cube, one variable at a time. */
static struct cover *cube_complement(const struct list *list)
{
	struct cover *cover = cover_new(4);
	bits_t *cube = set_new(list->cubes[0]);

	set_or(cube, list->raised);
	for (unsigned var = 0; var < NR_VARS; var++) {
		bits_t *part;

		if (var_get(cube, var) == 3)
			continue;
		part = set_new(full_set);
		var_set(part, var, ~var_get(cube, var) & 3);
		cover_add(cover, part);
		free(part);
	}
	free(cube);
	return cover;
}

static int set_compare(const void *a, const void *b)
{
	return memcmp(
		*(bits_t *const *)a, *(bits_t *const *)b, NR_WORDS * sizeof(bits_t));
}

static bits_t **cover_sorted(const struct cover *cover)
{
	bits_t **sorted = must(malloc((cover->nr + 1) * sizeof(*sorted)));

	for (unsigned i = 0; i < cover->nr; i++)
		sorted[i] = cover_at(cover, i);
	qsort(sorted, cover->nr, sizeof(*sorted), set_compare);
	return sorted;
}

/* Cubes found in both halves need not mention @var. Consumes both. */
static struct cover *halves_merge(struct cover *zero, struct cover *one, int var)
{
	struct cover *merged = cover_new(zero->nr + one->nr + 1);
	bits_t **left = cover_sorted(zero), **right = cover_sorted(one);
	unsigned l = 0, r = 0;

	while (l < zero->nr || r < one->nr) {
		int order = l == zero->nr  ? 1
			    : r == one->nr ? -1
					   : set_compare(&left[l], &right[r]);
		bits_t *set = order <= 0 ? left[l] : right[r];

		if (order)
			var_set(set, (unsigned)var, order < 0 ? 1 : 2);
		cover_add(merged, set);
		l += order <= 0;
		r += order >= 0;
	}
	free(left);
	free(right);
	cover_free(zero);
	cover_free(one);
	return merged;
}

/* Consumes @list. */
static struct cover *list_complement(struct list *list)
{
	struct cover *cover;
	int both, var;

	if (list->nr == 0) {
		cover = cover_new(1);
		cover_add(cover, full_set);
	} else if (list_has_full(list)) {
		cover = cover_new(1);
	} else if (list->nr == 1) {
		cover = cube_complement(list);
	} else {
		var = list_split_var(list, &both);
		cover = halves_merge(list_complement(list_half(list, var, 1)),
			list_complement(list_half(list, var, 2)), var);
	}
	list_free(list);
	return cover;
}

static int set_meets_cover(const bits_t *set, const struct cover *cover)
{
	for (unsigned i = 0; i < cover->nr; i++) {
		if (sets_meet(set, cover_at(cover, i)))
			return 1;
	}
	return 0;
}

/* Makes each cube as large as it can be, then drops the cubes inside it. */
static void cover_expand(struct cover *on, const struct cover *off)
{
	for (unsigned i = 0; i < on->nr; i++) {
		bits_t *grown = set_new(cover_at(on, i));

		for (unsigned v = 0; v < NR_VARS; v++) {
			unsigned var = (v * 7 + i) % NR_VARS;
			bits_t *trial;

			if (var_get(grown, var) == 3)
				continue;
			trial = set_new(grown);
			var_set(trial, var, 3);
			if (!set_meets_cover(trial, off))
				memcpy(grown, trial, NR_WORDS * sizeof(*grown));
			free(trial);
		}
		memcpy(cover_at(on, i), grown, NR_WORDS * sizeof(*grown));
		for (unsigned k = on->nr; k-- > i + 1;) {
			if (set_inside(cover_at(on, k), grown))
				cover_remove(on, k);
		}
		free(grown);
	}
}

/* The cubes of @on but number @index, seen from inside that one. */
static struct list *rest_from(const struct cover *on, unsigned index)
{
	struct list *all = list_from(on, index);
	struct list *rest = list_cofactor(all, cover_at(on, index));

	list_free(all);
	return rest;
}

static void cover_irredundant(struct cover *on)
{
	for (unsigned i = on->nr; i-- > 0;) {
		if (list_tautology(rest_from(on, i)))
			cover_remove(on, i);
	}
}

/* Shrinks each cube to what the others leave to it. */
static void cover_reduce(struct cover *on)
{
	for (unsigned i = on->nr; i-- > 0;) {
		struct cover *left = list_complement(rest_from(on, i));
		bits_t *needed;

		if (left->nr == 0) {
			cover_remove(on, i);
		} else {
			needed = set_new(cover_at(left, 0));
			for (unsigned k = 1; k < left->nr; k++)
				set_or(needed, cover_at(left, k));
			set_and(cover_at(on, i), needed);
			free(needed);
		}
		cover_free(left);
	}
}

/* Each cube fixes a few variables out of a window, so that neighbours interact. */
static struct cover *function_random(struct rng *rng, unsigned nr_cubes)
{
	struct cover *cover = cover_new(nr_cubes);

	for (unsigned i = 0; i < nr_cubes; i++) {
		bits_t *cube = set_new(full_set);
		unsigned base = rng_below(rng, NR_VARS - 12);

		for (unsigned k = 0; k < 6; k++)
			var_set(cube, base + rng_below(rng, 12), 1 + rng_below(rng, 2));
		cover_add(cover, cube);
		free(cube);
	}
	return cover;
}

static void function_verify(
	const struct cover *before, const struct cover *after, const struct cover *off)
{
	for (unsigned i = 0; i < before->nr; i++) {
		struct list *all = list_from(after, UINT32_MAX);
		int inside = list_tautology(list_cofactor(all, cover_at(before, i)));

		list_free(all);
		if (!inside)
			die("a point of the function was lost");
	}
	for (unsigned i = 0; i < after->nr; i++) {
		if (set_meets_cover(cover_at(after, i), off))
			die("a point was added to the function");
	}
}

static uint64_t function_minimise(struct rng *rng, unsigned nr_cubes)
{
	struct cover *before = function_random(rng, nr_cubes);
	struct cover *off = list_complement(list_from(before, UINT32_MAX));
	struct cover *on = cover_new(before->nr);
	uint64_t sum = off->nr;

	for (unsigned i = 0; i < before->nr; i++)
		cover_add(on, cover_at(before, i));
	for (unsigned pass = 0; pass < MAX_PASSES; pass++) {
		cover_expand(on, off);
		cover_irredundant(on);
		sum = sum_mix(sum, on->nr);
		if (pass + 1 < MAX_PASSES)
			cover_reduce(on);
	}
	function_verify(before, on, off);
	cover_free(before);
	cover_free(off);
	cover_free(on);
	return sum;
}

int main(int argc, char **argv)
{
	unsigned nr_functions = work_units(argc, argv, 60);
	struct rng rng = {.state = 1987};
	uint64_t sum = 0;

	for (unsigned i = 0; i < nr_functions; i++)
		sum = sum_mix(sum, function_minimise(&rng, 10 + i % 7));
	return finish(sum);
}
