/* SPDX-License-Identifier: MIT */
/*
 * Factors integers by continued fractions (Morrison and Brillhart) on arbitrary-precision
 * numbers that are never changed in place: each operation makes a new number of a few
 * words and drops its operands soon. Nearly all objects are below 48 bytes and live for
 * some tens of operations.
 *
 * With A(n) the numerators and Q(n) the complete quotients' denominators of sqrt(N),
 * A(n-1)^2 = (-1)^n Q(n) mod N. Relations whose Q splits over the factor base are
 * combined by elimination over GF(2) to X^2 = Y^2 mod N, and gcd(X - Y, N) is a factor.
 */
#include "num.h"

#define BASE_SIZE    160 /* columns: -1 and 159 primes */
#define NR_RELATIONS 180 /* 20 more than columns: about 20 chances of a factor */
#define ABORT_AFTER  24  /* primes tried before a hopeless Q is given up */
#define ROW_WORDS    ((NR_RELATIONS + BASE_SIZE + 63) / 64)

/* A row of the matrix: parities of the exponents, then which relations went into it. */
struct relation {
	struct num *a; /* A(n-1) */
	uint8_t exponents[BASE_SIZE];
	uint64_t row[ROW_WORDS];
};

struct job {
	struct num *n;
	struct num *root;              /* of n, rounded down */
	struct num *primes[BASE_SIZE]; /* [0] stands for -1 */
	struct relation *relations[NR_RELATIONS];
	unsigned nr_relations;
	uint64_t nr_steps;
};

static uint32_t power_mod(uint32_t value, uint32_t exponent, uint32_t modulus)
{
	uint64_t base = value % modulus, result = 1;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = result * base % modulus;
		base = base * base % modulus;
	}
	return (uint32_t)result;
}

static int is_prime(uint32_t candidate)
{
	for (uint32_t d = 3; d * d <= candidate; d += 2) {
		if (candidate % d == 0)
			return 0;
	}
	return candidate % 2 != 0;
}

/* Only primes modulo which n is a square can divide a Q. */
static void base_init(struct job *job)
{
	unsigned nr = 2;

	job->primes[0] = num_from(1);
	job->primes[1] = num_from(2);
	for (uint32_t p = 3; nr < BASE_SIZE; p += 2) {
		struct num *prime, *rem;

		if (!is_prime(p))
			continue;
		prime = num_from(p);
		rem = num_mod(job->n, prime);
		if (power_mod(rem->word[0], (p - 1) / 2, p) == 1)
			job->primes[nr++] = num_get(prime);
		num_put(rem);
		num_put(prime);
	}
}

/* Divides *@q by the primes as often as they go; true if that leaves 1. */
static int split(struct job *job, struct num *q, uint8_t *exponents)
{
	uint32_t len_at_start = q->len;

	num_get(q);
	for (unsigned i = 1; i < BASE_SIZE && !num_is(q, 1); i++) {
		for (;;) {
			struct num *quot, *rem;
			int divides;

			num_divmod(q, job->primes[i], &quot, &rem);
			divides = num_is(rem, 0);
			num_put(rem);
			if (!divides) {
				num_put(quot);
				break;
			}
			exponents[i]++;
			num_set(&q, quot);
		}
		if (i == ABORT_AFTER && q->len > 1 && q->len == len_at_start)
			break;
	}
	if (!num_is(q, 1)) {
		num_put(q);
		return 0;
	}
	num_put(q);
	return 1;
}

static void relation_add(struct job *job, struct num *a, uint8_t *exponents)
{
	unsigned index = job->nr_relations++;
	struct relation *relation = must(calloc(1, sizeof(*relation)));

	relation->a = num_get(a);
	memcpy(relation->exponents, exponents, BASE_SIZE);
	for (unsigned i = 0; i < BASE_SIZE; i++) {
		if (exponents[i] & 1)
			relation->row[i / 64] |= UINT64_C(1) << i % 64;
	}
	relation->row[(BASE_SIZE + index) / 64] |= UINT64_C(1)
						   << (BASE_SIZE + index) % 64;
	job->relations[index] = relation;
}

/* The expansion: P(n+1) = q P.. and so on, with all terms kept non-negative. */
struct expansion {
	struct num *p, *q, *q_before, *a, *a_before, *partial;
};

static void expansion_init(struct expansion *x, struct job *job)
{
	x->p = num_from(0);
	x->q = num_from(1);
	x->q_before = num_get(job->n);
	x->partial = num_get(job->root);
	x->a = num_get(job->root);
	x->a_before = num_from(1);
}

static void expansion_fini(struct expansion *x)
{
	num_put(x->p);
	num_put(x->q);
	num_put(x->q_before);
	num_put(x->partial);
	num_put(x->a);
	num_put(x->a_before);
}

/* Q(n+1) = Q(n-1) + q(n) (P(n) - P(n+1)), where the difference may be negative. */
static void expansion_step_q(struct expansion *x, struct num *p_next)
{
	int falls = num_cmp(x->p, p_next) >= 0;
	struct num *diff = falls ? num_sub(x->p, p_next) : num_sub(p_next, x->p);
	struct num *term = num_mul(x->partial, diff);
	struct num *q_next =
		falls ? num_add(x->q_before, term) : num_sub(x->q_before, term);

	num_put(diff);
	num_put(term);
	num_put(x->q_before);
	x->q_before = x->q;
	x->q = q_next;
}

/* From (P, Q, q)(n) to P and Q of n+1; A stays one behind until the relation is used. */
static void expansion_step(struct expansion *x)
{
	struct num *product = num_mul(x->partial, x->q);
	struct num *p_next = num_sub(product, x->p);

	num_put(product);
	expansion_step_q(x, p_next);
	num_set(&x->p, p_next);
}

static void expansion_step_a(struct expansion *x, struct job *job)
{
	struct num *sum = num_add(job->root, x->p);
	struct num *product, *a_next;

	num_set(&x->partial, num_div(sum, x->q));
	num_put(sum);
	product = num_mul(x->partial, x->a);
	sum = num_add(product, x->a_before);
	a_next = num_mod(sum, job->n);
	num_put(product);
	num_put(sum);
	num_put(x->a_before);
	x->a_before = x->a;
	x->a = a_next;
}

static void relations_collect(struct job *job)
{
	struct expansion x;

	expansion_init(&x, job);
	while (job->nr_relations < NR_RELATIONS) {
		uint8_t exponents[BASE_SIZE] = {0};

		expansion_step(&x);
		job->nr_steps++;
		exponents[0] = job->nr_steps & 1;
		if (split(job, x.q, exponents))
			relation_add(job, x.a, exponents);
		expansion_step_a(&x, job);
	}
	expansion_fini(&x);
}

/* Afterwards every row without a leading one in the first columns is a dependency. */
static void rows_eliminate(struct job *job, uint8_t *is_pivot)
{
	for (unsigned column = 0; column < BASE_SIZE; column++) {
		uint64_t bit = UINT64_C(1) << column % 64;
		unsigned word = column / 64, pivot = 0;

		while (pivot < NR_RELATIONS &&
			(is_pivot[pivot] || !(job->relations[pivot]->row[word] & bit)))
			pivot++;
		if (pivot == NR_RELATIONS)
			continue;
		is_pivot[pivot] = 1;
		for (unsigned i = 0; i < NR_RELATIONS; i++) {
			if (i == pivot || !(job->relations[i]->row[word] & bit))
				continue;
			for (unsigned w = 0; w < ROW_WORDS; w++)
				job->relations[i]->row[w] ^=
					job->relations[pivot]->row[w];
		}
	}
}

/* gcd(X - Y, n) for the dependency in @row. */
static struct num *row_factor(struct job *job, const struct relation *row)
{
	unsigned exponents[BASE_SIZE] = {0};
	struct num *x = num_from(1), *y = num_from(1), *diff, *gcd;

	for (unsigned i = 0; i < NR_RELATIONS; i++) {
		unsigned column = BASE_SIZE + i;

		if (!(row->row[column / 64] >> column % 64 & 1))
			continue;
		num_set(&x, num_mul_mod(x, job->relations[i]->a, job->n));
		for (unsigned p = 0; p < BASE_SIZE; p++)
			exponents[p] += job->relations[i]->exponents[p];
	}
	for (unsigned p = 1; p < BASE_SIZE; p++) {
		for (unsigned e = 0; e < exponents[p] / 2; e++)
			num_set(&y, num_mul_mod(y, job->primes[p], job->n));
	}
	diff = num_cmp(x, y) >= 0 ? num_sub(x, y) : num_sub(y, x);
	gcd = num_gcd(job->n, diff);
	num_put(x);
	num_put(y);
	num_put(diff);
	return gcd;
}

static uint64_t factor_find(struct job *job)
{
	uint8_t is_pivot[NR_RELATIONS] = {0};
	uint64_t sum = 0;

	rows_eliminate(job, is_pivot);
	for (unsigned i = 0; i < NR_RELATIONS; i++) {
		struct num *factor;

		if (is_pivot[i])
			continue;
		factor = row_factor(job, job->relations[i]);
		if (!num_is(factor, 1) && num_cmp(factor, job->n) != 0) {
			struct num *rem = num_mod(job->n, factor);

			if (!num_is(rem, 0))
				die("a wrong factor");
			sum = factor->word[0];
			num_put(rem);
		}
		num_put(factor);
		if (sum)
			return sum;
	}
	die("no factor found");
	return 0;
}

static uint64_t job_run(const char *digits)
{
	struct job job = {.n = num_parse(digits)};
	uint64_t sum;

	job.root = num_sqrt(job.n);
	base_init(&job);
	relations_collect(&job);
	sum = sum_mix(job.nr_steps, factor_find(&job));
	for (unsigned i = 0; i < NR_RELATIONS; i++) {
		num_put(job.relations[i]->a);
		free(job.relations[i]);
	}
	for (unsigned i = 0; i < BASE_SIZE; i++)
		num_put(job.primes[i]);
	num_put(job.root);
	num_put(job.n);
	return sum;
}

int main(int argc, char **argv)
{
	/* Products of two primes of about equal size. */
	static const char *const numbers[] = {
		"2129761981776503319749087153",
		"208468943669251949333141517439",
		"143815422791944654356389918657",
		"12992177920917618106587661591397",
		"14019052263857963597856858787891",
	};
	unsigned nr = work_units(argc, argv, 5);
	uint64_t sum = 0;

	for (unsigned i = 0; i < nr; i++)
		sum = sum_mix(sum, job_run(numbers[i]));
	return finish(sum);
}
