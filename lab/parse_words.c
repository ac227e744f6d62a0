/* SPDX-License-Identifier: MIT */
/* Words, names and options of scenarios. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bulkhead.h"
#include "base/fmt.h"
#include "base/parse.h"

#include "parse_words.h"

#define NAMES(what, type, member)                                                      \
	{                                                                              \
		what, BHI_LAB_MEMBER(type, member), BHI_LAB_MEMBER(type, nr_##member), \
			sizeof(((struct bhi_lab_##type *)NULL)->member[0]),            \
			bhi_array_size(((struct bhi_lab_##type *)NULL)->member)        \
	}

/* Tables of named things; each thing starts with its name. */
static const struct {
	const char *what;
	size_t table, nr, stride;
	unsigned max;
} names[] = {
	[BHI_LAB_NAME_OF_GROUP] = NAMES("group", scenario, groups),
	[BHI_LAB_NAME_OF_LOCK] = NAMES("lock", scenario, locks),
	[BHI_LAB_NAME_OF_EVENT] = NAMES("event", scenario, events),
	[BHI_LAB_NAME_OF_CACHE] = NAMES("cache", scenario, caches),
	[BHI_LAB_NAME_OF_TASK] = NAMES("task", scenario, tasks),
	[BHI_LAB_NAME_OF_MEMORY] = NAMES("memory", task, memories),
};

int bhi_lab_fail(struct bhi_lab_parser *p, const char *format, ...)
{
	va_list args;

	p->error->line = p->word.line;
	p->error->column = p->word.column;
	va_start(args, format);
	vsnprintf(p->error->text, sizeof(p->error->text), format, args);
	va_end(args);
	return -EINVAL;
}

bool bhi_lab_next_line(struct bhi_lab_parser *p)
{
	const char *newline;

	if (p->next == p->text_end)
		return false;
	newline = memchr(p->next, '\n', (size_t)(p->text_end - p->next));
	p->begin = p->pos = p->next;
	p->end = newline ? newline : p->text_end;
	p->next = newline ? newline + 1 : p->text_end;
	p->line++;
	return true;
}

bool bhi_lab_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

void bhi_lab_set_word(struct bhi_lab_parser *p, const char *at, const char *end)
{
	size_t shown = bhi_min((size_t)(end - at), (size_t)BHI_LAB_WORD_SHOWN);

	p->word = (struct bhi_lab_word){
		.at = at,
		.len = (size_t)(end - at),
		.line = p->line,
		.column = (int)(at - p->begin) + 1,
	};
	memcpy(p->word.text, at, shown);
	if (shown < p->word.len)
		strcpy(p->word.text + shown, "...");
}

/* Go to the next word of the line. Without one, false, and an empty word where it is
 * missing. */
bool bhi_lab_next_word(struct bhi_lab_parser *p)
{
	const char *at = p->pos, *end;

	while (at < p->end && bhi_lab_is_space(*at))
		at++;
	for (end = at; end < p->end && !bhi_lab_is_space(*end) && *end != '#'; end++)
		;
	if (end == at)
		at = end = p->pos;
	bhi_lab_set_word(p, at, end);
	p->pos = end;
	return end > at;
}

/* All that is left of the line, '#' too, without the white space around it. */
void bhi_lab_rest_of_line(struct bhi_lab_parser *p)
{
	const char *at = p->pos, *end = p->end;

	while (at < end && bhi_lab_is_space(*at))
		at++;
	while (end > at && bhi_lab_is_space(end[-1]))
		end--;
	if (end == at)
		at = end = p->pos;
	bhi_lab_set_word(p, at, end);
	p->pos = p->end;
}

bool bhi_lab_word_is(const struct bhi_lab_parser *p, const char *text)
{
	return !strcmp(p->word.text, text);
}

int bhi_lab_need_word(struct bhi_lab_parser *p, const char *what)
{
	return bhi_lab_next_word(p) ? 0 : bhi_lab_fail(p, "%s is missing", what);
}

int bhi_lab_need_exactly(struct bhi_lab_parser *p, const char *text)
{
	if (!bhi_lab_next_word(p) || !bhi_lab_word_is(p, text))
		return bhi_lab_fail(p, "'%s' must stand here", text);
	return 0;
}

static const char *word_of(const void *table, size_t stride, size_t i)
{
	return *(const char *const *)(const void *)((const char *)table + i * stride);
}

/* The index of the word at hand, or -1. */
int bhi_lab_find_word(
	const struct bhi_lab_parser *p, const void *table, size_t stride, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (bhi_lab_word_is(p, word_of(table, stride, i)))
			return (int)i;
	}
	return -1;
}

/* What stands here is none of the words of a table. */
int bhi_lab_fail_list(struct bhi_lab_parser *p, const char *what, const void *table,
	size_t stride, size_t nr)
{
	char list[sizeof(p->error->text)];
	size_t len = 0;

	for (size_t i = 0; i < nr; i++) {
		bhi_format(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
			word_of(table, stride, i));
		len += strlen(list + len);
	}
	if (!p->word.len)
		return bhi_lab_fail(p, "%s is missing: %s", what, list);
	return bhi_lab_fail(p, "'%s' is not %s; these are: %s", p->word.text, what, list);
}

int bhi_lab_need_choice(struct bhi_lab_parser *p, unsigned *ret, const char *what,
	const char *const *words, size_t nr)
{
	int i;

	bhi_lab_next_word(p);
	i = bhi_lab_find_word(p, words, sizeof(*words), nr);
	if (i < 0)
		return bhi_lab_fail_list(p, what, words, sizeof(*words), nr);
	*ret = (unsigned)i;
	return 0;
}

int bhi_lab_size_of_word(struct bhi_lab_parser *p, uint64_t *ret)
{
	int r = bhi_parse_size(p->word.text, ret);

	if (r == -ERANGE)
		return bhi_lab_fail(
			p, "'%s' is too large; sizes are below 8E", p->word.text);
	if (r)
		return bhi_lab_fail(p, "'%s' is no size; sizes are 4096, 64K, 1.5M, 2G",
			p->word.text);
	return 0;
}

int bhi_lab_need_size(struct bhi_lab_parser *p, uint64_t *ret)
{
	int r = bhi_lab_need_word(p, "a size");

	return r ? r : bhi_lab_size_of_word(p, ret);
}

int bhi_lab_check_name(struct bhi_lab_parser *p)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_";

	if (!p->word.len || p->word.len >= BHI_LAB_NAME_SIZE ||
		p->word.text[strspn(p->word.text, allowed)])
		return bhi_lab_fail(p,
			"'%s' is no name; names are 1 to %d letters, digits, - and _",
			p->word.text, BHI_LAB_NAME_SIZE - 1);
	return 0;
}

static void *owner_of(const struct bhi_lab_parser *p, enum bhi_lab_kind kind)
{
	return kind == BHI_LAB_NAME_OF_MEMORY ? (void *)p->task : (void *)p->scenario;
}

/* The index of what has the word at hand as its name, or -1. */
int bhi_lab_find_name(const struct bhi_lab_parser *p, enum bhi_lab_kind kind)
{
	const char *owner = owner_of(p, kind);
	unsigned nr = *(const unsigned *)(const void *)(owner + names[kind].nr);

	for (unsigned i = 0; i < nr; i++) {
		if (bhi_lab_word_is(
			    p, owner + names[kind].table + i * names[kind].stride))
			return (int)i;
	}
	return -1;
}

/* Give the word at hand the next element of its table. */
int bhi_lab_declare(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret)
{
	char *owner = owner_of(p, kind);
	unsigned *nr = (unsigned *)(void *)(owner + names[kind].nr);
	int r = bhi_lab_check_name(p);

	if (r)
		return r;
	if (bhi_lab_find_name(p, kind) >= 0)
		return bhi_lab_fail(
			p, "another %s is called '%s'", names[kind].what, p->word.text);
	if (*nr == names[kind].max)
		return bhi_lab_fail(p, "'%s' is one %s too many; there is room for %u",
			p->word.text, names[kind].what, names[kind].max);
	strcpy(owner + names[kind].table + *nr * names[kind].stride, p->word.text);
	*ret = (int)(*nr)++;
	return 0;
}

int bhi_lab_declare_next(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret)
{
	int r = bhi_lab_need_word(p, "a name");

	return r ? r : bhi_lab_declare(p, kind, ret);
}

int bhi_lab_lookup(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret)
{
	int i = bhi_lab_find_name(p, kind);

	if (i < 0)
		return bhi_lab_fail(
			p, "no %s is called '%s'", names[kind].what, p->word.text);
	*ret = i;
	return 0;
}

int bhi_lab_lookup_next(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret)
{
	int r = bhi_lab_need_word(p, "a name");

	return r ? r : bhi_lab_lookup(p, kind, ret);
}

/* A group by its name, or with those of its ancestors, all or the nearest, before it. */
int bhi_lab_lookup_group(struct bhi_lab_parser *p, int *ret)
{
	const struct bhi_lab_word path = p->word;
	const char *end = path.at + path.len, *slash;
	int group = BHI_LAB_NONE, parent = BHI_LAB_NONE, i;

	do {
		slash = memrchr(path.at, '/', (size_t)(end - path.at));
		bhi_lab_set_word(p, slash ? slash + 1 : path.at, end);
		i = bhi_lab_find_name(p, BHI_LAB_NAME_OF_GROUP);
		if (group == BHI_LAB_NONE)
			group = i;
		else if (i != parent)
			i = -1;
		if (i >= 0)
			parent = p->scenario->groups[i].parent;
		end = slash;
	} while (slash && i >= 0);
	p->word = path;
	if (i < 0)
		return bhi_lab_fail(p, "no group is called '%s'", path.text);
	*ret = group;
	return 0;
}

static int add_flag(struct bhi_lab_parser *p, unsigned *flags, unsigned flag)
{
	unsigned retry;

	*flags |= flag;
	retry = *flags & (BH_NORETRY | BH_RETRY_MAYFAIL | BH_NOFAIL);
	if ((retry & (retry - 1)) ||
		((*flags & BH_NOFAIL) && (*flags & (BH_ATOMIC | BH_NOWAIT))))
		return bhi_lab_fail(p, "'%s' contradicts a flag before it", p->word.text);
	return 0;
}

int bhi_lab_parse_options(struct bhi_lab_parser *p, const struct bhi_lab_option *options,
	size_t nr, void *object)
{
	uint32_t seen = 0;

	while (bhi_lab_next_word(p)) {
		int i = bhi_lab_find_word(p, options, sizeof(*options), nr), r;
		void *member;

		if (i < 0)
			return bhi_lab_fail_list(
				p, "an option", options, sizeof(*options), nr);
		if (seen & 1u << i)
			return bhi_lab_fail(p, "'%s' stands here twice", p->word.text);
		seen |= 1u << i;
		member = (char *)object + options[i].member;
		r = options[i].parse ? options[i].parse(p, member)
				     : add_flag(p, member, options[i].flag);
		if (r)
			return r;
	}
	return 0;
}
