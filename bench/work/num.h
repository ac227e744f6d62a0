/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary-precision numbers that are never changed in place: an operation borrows its
 * operands and returns a new number, and the last put frees it. Non-negative only.
 */
#ifndef BENCH_WORK_NUM_H
#define BENCH_WORK_NUM_H

#include "common.h"

/* Little-endian words, no leading zero word except for the number 0. */
struct num {
	uint32_t refs;
	uint32_t len;
	uint32_t word[];
};

static inline struct num *num_new(uint32_t len)
{
	struct num *num = must(malloc(sizeof(*num) + len * sizeof(num->word[0])));

	num->refs = 1;
	num->len = len;
	return num;
}

static inline struct num *num_get(struct num *num)
{
	num->refs++;
	return num;
}

static inline void num_put(struct num *num)
{
	if (--num->refs == 0)
		free(num);
}

/* Replaces *@var by @value, whose reference it takes. */
static inline void num_set(struct num **var, struct num *value)
{
	num_put(*var);
	*var = value;
}

static inline struct num *num_trim(struct num *num)
{
	while (num->len > 1 && num->word[num->len - 1] == 0)
		num->len--;
	return num;
}

static inline struct num *num_from(uint64_t value)
{
	struct num *num = num_new(2);

	num->word[0] = (uint32_t)value;
	num->word[1] = (uint32_t)(value >> 32);
	return num_trim(num);
}

static inline int num_is(const struct num *num, uint32_t value)
{
	return num->len == 1 && num->word[0] == value;
}

static inline int num_cmp(const struct num *a, const struct num *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	for (uint32_t i = a->len; i-- > 0;) {
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	}
	return 0;
}

static inline struct num *num_add(const struct num *a, const struct num *b)
{
	uint32_t len = (a->len > b->len ? a->len : b->len) + 1;
	struct num *sum = num_new(len);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < len; i++) {
		carry += (i < a->len ? a->word[i] : 0);
		carry += (i < b->len ? b->word[i] : 0);
		sum->word[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return num_trim(sum);
}

/* @a is at least @b. */
static inline struct num *num_sub(const struct num *a, const struct num *b)
{
	struct num *diff = num_new(a->len);
	int64_t borrow = 0;

	for (uint32_t i = 0; i < a->len; i++) {
		borrow += a->word[i];
		borrow -= (i < b->len ? b->word[i] : 0);
		diff->word[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	return num_trim(diff);
}

static inline struct num *num_mul(const struct num *a, const struct num *b)
{
	struct num *product = num_new(a->len + b->len);

	memset(product->word, 0, product->len * sizeof(product->word[0]));
	for (uint32_t i = 0; i < a->len; i++) {
		uint64_t carry = 0;

		for (uint32_t j = 0; j < b->len; j++) {
			carry += (uint64_t)a->word[i] * b->word[j] + product->word[i + j];
			product->word[i + j] = (uint32_t)carry;
			carry >>= 32;
		}
		product->word[i + b->len] = (uint32_t)carry;
	}
	return num_trim(product);
}

static inline struct num *num_shift_left(const struct num *a, unsigned bits)
{
	struct num *shifted = num_new(a->len + 1);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < a->len; i++) {
		carry |= (uint64_t)a->word[i] << bits;
		shifted->word[i] = (uint32_t)carry;
		carry >>= 32;
	}
	shifted->word[a->len] = (uint32_t)carry;
	return shifted;
}

static inline struct num *num_shift_right(const struct num *a, unsigned bits)
{
	struct num *shifted = num_new(a->len);

	for (uint32_t i = 0; i < a->len; i++) {
		uint64_t pair = a->word[i];

		if (i + 1 < a->len)
			pair |= (uint64_t)a->word[i + 1] << 32;
		shifted->word[i] = (uint32_t)(pair >> bits);
	}
	return num_trim(shifted);
}

static inline void num_divmod_word(const struct num *a, uint32_t divisor,
	struct num **ret_quot, struct num **ret_rem)
{
	struct num *quot = num_new(a->len);
	uint64_t rem = 0;

	for (uint32_t i = a->len; i-- > 0;) {
		rem = rem << 32 | a->word[i];
		quot->word[i] = (uint32_t)(rem / divisor);
		rem %= divisor;
	}
	*ret_quot = num_trim(quot);
	*ret_rem = num_new(1);
	(*ret_rem)->word[0] = (uint32_t)rem;
}

/* One step of long division: subtracts @digit * @v from @u; returns the true digit. */
static inline uint32_t division_step(uint32_t *u, const struct num *v, uint64_t digit)
{
	uint64_t carry = 0;
	int64_t borrow = 0;

	for (uint32_t i = 0; i < v->len; i++) {
		carry += digit * v->word[i];
		borrow += (int64_t)u[i] - (uint32_t)carry;
		u[i] = (uint32_t)borrow;
		borrow >>= 32;
		carry >>= 32;
	}
	borrow += (int64_t)u[v->len] - (int64_t)carry;
	u[v->len] = (uint32_t)borrow;
	if (borrow >= 0)
		return (uint32_t)digit;
	carry = 0;
	for (uint32_t i = 0; i < v->len; i++) {
		carry += (uint64_t)u[i] + v->word[i];
		u[i] = (uint32_t)carry;
		carry >>= 32;
	}
	u[v->len] += (uint32_t)carry;
	return (uint32_t)(digit - 1);
}

/* Knuth, algorithm D. */
static inline void num_divmod(const struct num *a, const struct num *b,
	struct num **ret_quot, struct num **ret_rem)
{
	unsigned shift = (unsigned)__builtin_clz(b->word[b->len - 1]);
	struct num *u, *v, *quot;

	if (b->len == 1) {
		num_divmod_word(a, b->word[0], ret_quot, ret_rem);
		return;
	}
	if (num_cmp(a, b) < 0) {
		*ret_quot = num_from(0);
		*ret_rem = num_new(a->len);
		memcpy((*ret_rem)->word, a->word, a->len * sizeof(a->word[0]));
		return;
	}
	u = num_shift_left(a, shift);
	v = num_trim(num_shift_left(b, shift));
	quot = num_new(u->len - v->len);
	for (uint32_t j = quot->len; j-- > 0;) {
		uint64_t top =
			(uint64_t)u->word[j + v->len] << 32 | u->word[j + v->len - 1];
		uint64_t digit = top / v->word[v->len - 1];
		uint64_t rest = top % v->word[v->len - 1];

		while (digit >> 32 || digit * v->word[v->len - 2] >
					      (rest << 32 | u->word[j + v->len - 2])) {
			digit--;
			rest += v->word[v->len - 1];
			if (rest >> 32)
				break;
		}
		quot->word[j] = division_step(u->word + j, v, digit);
	}
	*ret_quot = num_trim(quot);
	*ret_rem = num_shift_right(num_trim(u), shift);
	num_put(u);
	num_put(v);
}

static inline struct num *num_div(const struct num *a, const struct num *b)
{
	struct num *quot, *rem;

	num_divmod(a, b, &quot, &rem);
	num_put(rem);
	return quot;
}

static inline struct num *num_mod(const struct num *a, const struct num *b)
{
	struct num *quot, *rem;

	num_divmod(a, b, &quot, &rem);
	num_put(quot);
	return rem;
}

static inline struct num *num_mul_mod(
	const struct num *a, const struct num *b, const struct num *n)
{
	struct num *product = num_mul(a, b);
	struct num *rem = num_mod(product, n);

	num_put(product);
	return rem;
}

/* Newton from above: falls until it no longer does. */
static inline struct num *num_sqrt(const struct num *a)
{
	struct num *root = num_new(a->len / 2 + 2);

	memset(root->word, 0, root->len * sizeof(root->word[0]));
	root->word[root->len - 1] = 1;
	for (;;) {
		struct num *quot = num_div(a, root);
		struct num *sum = num_add(root, quot);
		struct num *next = num_shift_right(sum, 1);

		num_put(quot);
		num_put(sum);
		if (num_cmp(next, root) >= 0) {
			num_put(next);
			return root;
		}
		num_set(&root, next);
	}
}

static inline struct num *num_gcd(struct num *a, struct num *b)
{
	num_get(a);
	num_get(b);
	while (!num_is(b, 0)) {
		struct num *rem = num_mod(a, b);

		num_set(&a, b);
		b = rem;
	}
	num_put(b);
	return a;
}

static inline struct num *num_parse(const char *digits)
{
	struct num *ten = num_from(10), *num = num_from(0);

	for (; *digits; digits++) {
		struct num *digit = num_from((uint64_t)(*digits - '0'));

		num_set(&num, num_mul(num, ten));
		num_set(&num, num_add(num, digit));
		num_put(digit);
	}
	num_put(ten);
	return num;
}

#endif
