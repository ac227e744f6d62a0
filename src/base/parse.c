/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

/* Digits of a fraction past this one weigh less than a byte in any unit, and so many
 * still fit into 64 bits. */
#define MAX_FRACTION_DIGITS 19

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int parse_digits(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	*text = p;
	*ret = value;
	return 0;
}

/* The shift of a unit, or -1. */
static int parse_unit(const char *text)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	int shift = 0;

	if (*text) {
		unit = strchr(units, *text & ~0x20);
		if (unit && *unit) {
			shift = 10 * (int)(unit - units + 1);
			text++;
		}
	}
	if (*text && strcasecmp(text, "B") != 0 &&
		(!shift || strcasecmp(text, "iB") != 0))
		return -1;
	return shift;
}

int bhi_parse_size(const char *text, uint64_t *ret)
{
	uint64_t whole, fraction = 0, scale = 1;
	unsigned __int128 size;
	int shift, r;

	if (!strcmp(text, "max")) {
		*ret = UINT64_MAX;
		return 0;
	}
	r = parse_digits(&text, &whole);
	if (r)
		return r;
	if (*text == '.') {
		if (!is_digit(*++text))
			return -EINVAL;
		for (int i = 0; is_digit(*text); text++, i++) {
			if (i >= MAX_FRACTION_DIGITS)
				continue;
			fraction = fraction * 10 + (uint64_t)(*text - '0');
			scale *= 10;
		}
	}
	shift = parse_unit(text);
	if (shift < 0)
		return -EINVAL;
	size = ((unsigned __int128)whole << shift) +
	       ((unsigned __int128)fraction << shift) / scale;
	if (size > INT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)size;
	return 0;
}

int bhi_parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r = parse_digits(&text, &value);

	if (r)
		return r;
	if (*text)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}
