/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the reader of scenarios share: the line and the word at hand, tables
 * of names and words, and errors, which are about the word at hand. Functions return 0,
 * or -EINVAL after bhi_lab_fail().
 */
#ifndef BHI_LAB_PARSE_WORDS_H
#define BHI_LAB_PARSE_WORDS_H

#include "parse.h"

/* No name, number or word of the language is longer. */
#define BHI_LAB_WORD_SHOWN 48

struct bhi_lab_word {
	const char *at;
	size_t len;
	int line, column;
	/* The same ended by 0; what is longer is cut and gets dots, which no name has. */
	char text[BHI_LAB_WORD_SHOWN + sizeof("...")];
};

struct bhi_lab_parser {
	struct bhi_lab_scenario *scenario;
	struct bhi_lab_error *error;
	const char *text, *text_end;
	const char *begin, *pos,
		*end;     /* of the line; .pos is where the next word starts */
	const char *next; /* the line after it */
	int line;
	struct bhi_lab_word word; /* the one at hand, which an error is about */
	uint32_t statements;      /* a mask of those seen */
	uint32_t eras;            /* a mask of those expected one by one */
	bool in_schedule;
	struct bhi_lab_task *task; /* to which steps go, or NULL */
	unsigned nr_loops;         /* open in it */
	struct bhi_lab_word loops[BHI_LAB_STEPS];
};

enum bhi_lab_kind {
	BHI_LAB_NAME_OF_GROUP,
	BHI_LAB_NAME_OF_LOCK,
	BHI_LAB_NAME_OF_EVENT,
	BHI_LAB_NAME_OF_CACHE,
	BHI_LAB_NAME_OF_TASK,
	BHI_LAB_NAME_OF_MEMORY, /* of the task at hand; all others of the scenario */
};

#define BHI_LAB_MEMBER(type, member) offsetof(struct bhi_lab_##type, member)

/* Tables of words; each element starts with the word. */
#define BHI_LAB_WORDS(table) (table), sizeof((table)[0]), bhi_array_size(table)
#define BHI_LAB_TABLE(table) (table), bhi_array_size(table)

struct bhi_lab_option {
	const char *word;
	int (*parse)(struct bhi_lab_parser *p, void *member);
	size_t member; /* its offset in the object */
	unsigned flag; /* instead of .parse */
};

int bhi_lab_fail(struct bhi_lab_parser *p, const char *format, ...) BHI_PRINTF(2, 3);

/* Lines and words of the text. */
bool bhi_lab_is_space(char c);
bool bhi_lab_next_line(struct bhi_lab_parser *p);
void bhi_lab_set_word(struct bhi_lab_parser *p, const char *at, const char *end);

/* Go to the next word of the line. Without one, false, and an empty word where it is
 * missing. */
bool bhi_lab_next_word(struct bhi_lab_parser *p);

/* All that is left of the line, '#' too, without the white space around it. */
void bhi_lab_rest_of_line(struct bhi_lab_parser *p);

/* The word at hand, or the one that must come next. */
bool bhi_lab_word_is(const struct bhi_lab_parser *p, const char *text);
int bhi_lab_need_word(struct bhi_lab_parser *p, const char *what);
int bhi_lab_need_exactly(struct bhi_lab_parser *p, const char *text);
int bhi_lab_size_of_word(struct bhi_lab_parser *p, uint64_t *ret);
int bhi_lab_need_size(struct bhi_lab_parser *p, uint64_t *ret);

/* The index of the word at hand in a table, or -1. */
int bhi_lab_find_word(
	const struct bhi_lab_parser *p, const void *table, size_t stride, size_t nr);

/* What stands here is none of the words of a table. */
int bhi_lab_fail_list(struct bhi_lab_parser *p, const char *what, const void *table,
	size_t stride, size_t nr);

int bhi_lab_need_choice(struct bhi_lab_parser *p, unsigned *ret, const char *what,
	const char *const *words, size_t nr);

/* Names. A declaration gives the word at hand the next element of its table. */
int bhi_lab_check_name(struct bhi_lab_parser *p);
int bhi_lab_find_name(const struct bhi_lab_parser *p, enum bhi_lab_kind kind);
int bhi_lab_declare(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret);
int bhi_lab_declare_next(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret);
int bhi_lab_lookup(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret);
int bhi_lab_lookup_next(struct bhi_lab_parser *p, enum bhi_lab_kind kind, int *ret);

/* A group by its name, or with those of its ancestors, all or the nearest, before it. */
int bhi_lab_lookup_group(struct bhi_lab_parser *p, int *ret);

/* To the end of the line, each option once, in any order. */
int bhi_lab_parse_options(struct bhi_lab_parser *p, const struct bhi_lab_option *options,
	size_t nr, void *object);

/* parse_step.c: the word at hand is that of a step, or its label. */
bool bhi_lab_is_step(const struct bhi_lab_parser *p);
int bhi_lab_parse_step(struct bhi_lab_parser *p);

/* The index of the step with the label, or -1. */
int bhi_lab_find_label(const struct bhi_lab_task *task, const char *label);

/* When all tasks are known. */
int bhi_lab_resolve_kills(struct bhi_lab_parser *p);

#endif
