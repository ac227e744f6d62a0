/* SPDX-License-Identifier: MIT */
/* A checker for JSON: recursive descent over RFC 8259, nothing is kept. */
#include <string.h>

#include "support.h"

/* Far above what the library writes, far below what a stack holds. */
#define MAX_DEPTH 64

struct cursor {
	const unsigned char *p;
	int depth;
};

static bool check_value(struct cursor *c);

static void skip_space(struct cursor *c)
{
	while (*c->p && strchr(" \t\n\r", *c->p))
		c->p++;
}

static bool take(struct cursor *c, unsigned char wanted)
{
	if (*c->p != wanted)
		return false;
	c->p++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if (strncmp((const char *)c->p, word, len))
		return false;
	c->p += len;
	return true;
}

static bool is_digit(unsigned char ch)
{
	return ch >= '0' && ch <= '9';
}

static bool take_digits(struct cursor *c)
{
	if (!is_digit(*c->p))
		return false;
	while (is_digit(*c->p))
		c->p++;
	return true;
}

static bool check_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !take_digits(c))
		return false;
	if (take(c, '.') && !take_digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		return take_digits(c);
	}
	return true;
}

static bool check_escape(struct cursor *c)
{
	if (take(c, 'u')) {
		for (int i = 0; i < 4; i++, c->p++) {
			if (!*c->p || !strchr("0123456789abcdefABCDEF", *c->p))
				return false;
		}
		return true;
	}
	if (!*c->p || !strchr("\"\\/bfnrt", *c->p))
		return false;
	c->p++;
	return true;
}

/* One character of UTF-8 (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
static bool check_utf8(struct cursor *c)
{
	unsigned char lead = *c->p++;
	unsigned char low = 0x80, high = 0xbf;
	int rest = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;

	if (lead < 0x80)
		return true;
	if (lead < 0xc2 || lead > 0xf4)
		return false;
	if (lead == 0xe0)
		low = 0xa0;
	if (lead == 0xed)
		high = 0x9f;
	if (lead == 0xf0)
		low = 0x90;
	if (lead == 0xf4)
		high = 0x8f;
	for (; rest; rest--, c->p++, low = 0x80, high = 0xbf) {
		if (*c->p < low || *c->p > high)
			return false;
	}
	return true;
}

static bool check_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (*c->p >= 0x20) {
		if (take(c, '"'))
			return true;
		if (take(c, '\\') ? !check_escape(c) : !check_utf8(c))
			return false;
	}
	return false;
}

static bool check_members(struct cursor *c, unsigned char close, bool keys)
{
	skip_space(c);
	if (take(c, close))
		return true;
	do {
		skip_space(c);
		if (keys) {
			if (!check_string(c))
				return false;
			skip_space(c);
			if (!take(c, ':'))
				return false;
		}
		if (!check_value(c))
			return false;
		skip_space(c);
	} while (take(c, ','));
	return take(c, close);
}

static bool check_nested(struct cursor *c, unsigned char close, bool keys)
{
	bool valid;

	if (++c->depth > MAX_DEPTH)
		return false;
	valid = check_members(c, close, keys);
	c->depth--;
	return valid;
}

static bool check_value(struct cursor *c)
{
	skip_space(c);
	if (take(c, '{'))
		return check_nested(c, '}', true);
	if (take(c, '['))
		return check_nested(c, ']', false);
	if (*c->p == '"')
		return check_string(c);
	return take_word(c, "true") || take_word(c, "false") || take_word(c, "null") ||
	       check_number(c);
}

bool support_json_valid(const char *text)
{
	struct cursor c = {.p = (const unsigned char *)text};

	if (!check_value(&c))
		return false;
	skip_space(&c);
	return !*c.p;
}
