/* SPDX-License-Identifier: MIT */
/*
 * The reader of scenarios: line by line, each by the function of its first word. What a
 * line says is written straight into the zeroed scenario, so that texts which mean the
 * same give the same bytes. A name is declared before it is used, but for the task of a
 * kill, which is looked up when all tasks are known.
 */
#include <string.h>

#include "bulkhead.h"
#include "base/fmt.h"
#include "base/parse.h"

#include "parse_words.h"

/* Keeps lines and columns inside an int; the largest scenario is far smaller. */
#define MAX_SIZE (1 << 20)
#define MIN_ZONE (1 << 20)

static const char *const lock_kinds[] = {"mutex", "rwlock"};
static const char *const limit_actions[] = {[BH_FAIL] = "fail", [BH_KILL] = "kill"};
static const char *const verdicts[] = {"completes", "lockup", "crash"};
/* What ends a list of tasks, or stands for one: no names of tasks. */
static const char *const expect_words[] = {"errors", "victims", "any", "none"};

static int option_true(struct bhi_lab_parser *p, void *member)
{
	(void)p;
	*(bool *)member = true;
	return 0;
}

static int option_size(struct bhi_lab_parser *p, void *member)
{
	return bhi_lab_need_size(p, member);
}

static int option_group(struct bhi_lab_parser *p, void *member)
{
	int r = bhi_lab_need_word(p, "a name");

	return r ? r : bhi_lab_lookup_group(p, member);
}

/* Of a cache: its shrinker tries it, as a mutex. */
static int option_lock(struct bhi_lab_parser *p, void *member)
{
	int *lock = member, r = bhi_lab_lookup_next(p, BHI_LAB_NAME_OF_LOCK, lock);

	if (!r && p->scenario->locks[*lock].is_rwlock)
		return bhi_lab_fail(
			p, "'%s' is a rwlock; a cache has a mutex", p->word.text);
	return r;
}

static int option_on_limit(struct bhi_lab_parser *p, void *member)
{
	struct bhi_lab_group *group = member;

	group->has_on_limit = true;
	return bhi_lab_need_choice(
		p, &group->on_limit, "an action", BHI_LAB_TABLE(limit_actions));
}

static int option_adj(struct bhi_lab_parser *p, void *member)
{
	bool minus;
	uint64_t value;
	int r = bhi_lab_need_word(p, "a number");

	if (r)
		return r;
	minus = p->word.text[0] == '-';
	if (bhi_parse_u64(p->word.text + minus, 1000, &value))
		return bhi_lab_fail(
			p, "'%s' is no adj; that is -1000 to 1000", p->word.text);
	*(int *)member = minus ? -(int)value : (int)value;
	return 0;
}

static int option_deadline(struct bhi_lab_parser *p, void *member)
{
	char digits[sizeof(p->word.text)];
	uint64_t value = 0;
	char *unit;
	int r = bhi_lab_need_word(p, "a time");

	if (r)
		return r;
	unit = strstr(strcpy(digits, p->word.text), "ms");
	if (unit && !unit[2])
		*unit = '\0';
	else
		*digits = '\0';
	if (bhi_parse_u64(digits, UINT32_MAX, &value) || !value)
		return bhi_lab_fail(p, "'%s' is no time; times are 1ms to %ums",
			p->word.text, UINT32_MAX);
	*(unsigned *)member = (unsigned)value;
	return 0;
}

/* The tasks up to the next word of expect, each once; @tasks has room for all. */
static int parse_tasks(struct bhi_lab_parser *p, uint8_t *tasks, unsigned *nr)
{
	uint32_t seen = 0;
	int r, task = 0;

	while (bhi_lab_next_word(p) &&
		bhi_lab_find_word(p, BHI_LAB_WORDS(expect_words)) < 0) {
		r = bhi_lab_lookup(p, BHI_LAB_NAME_OF_TASK, &task);
		if (r)
			return r;
		if (seen & 1u << task)
			return bhi_lab_fail(p, "'%s' stands here twice", p->word.text);
		seen |= 1u << task;
		tasks[(*nr)++] = (uint8_t)task;
	}
	p->pos = p->word.at;
	return *nr ? 0 : bhi_lab_fail(p, "the name of a task is missing");
}

static int option_errors(struct bhi_lab_parser *p, void *member)
{
	uint32_t *errors = member;
	uint8_t tasks[BHI_LAB_TASKS];
	unsigned nr = 0;
	int r = parse_tasks(p, tasks, &nr);

	for (unsigned i = 0; i < nr; i++)
		*errors |= 1u << tasks[i];
	return r;
}

static int option_victims(struct bhi_lab_parser *p, void *member)
{
	struct bhi_lab_expect *expect = member;

	bhi_lab_next_word(p);
	expect->any_victims = bhi_lab_word_is(p, "any");
	if (expect->any_victims || bhi_lab_word_is(p, "none"))
		return 0;
	p->pos = p->word.at;
	return parse_tasks(p, expect->victims, &expect->nr_victims);
}

static const struct bhi_lab_option group_options[] = {
	{"min", option_size, BHI_LAB_MEMBER(group, min), 0},
	{"low", option_size, BHI_LAB_MEMBER(group, low), 0},
	{"high", option_size, BHI_LAB_MEMBER(group, high), 0},
	{"max", option_size, BHI_LAB_MEMBER(group, max), 0},
	{"on-limit", option_on_limit, 0, 0},
	{"oom-group", option_true, BHI_LAB_MEMBER(group, oom_group), 0},
};

static const struct bhi_lab_option cache_options[] = {
	{"in", option_group, BHI_LAB_MEMBER(cache, group), 0},
	{"lock", option_lock, BHI_LAB_MEMBER(cache, lock), 0},
};

static const struct bhi_lab_option task_options[] = {
	{"in", option_group, BHI_LAB_MEMBER(task, group), 0},
	{"adj", option_adj, BHI_LAB_MEMBER(task, adj), 0},
	{"cooperative", option_true, BHI_LAB_MEMBER(task, cooperative), 0},
	{"deadline", option_deadline, BHI_LAB_MEMBER(task, deadline_ms), 0},
};

static const struct bhi_lab_option expect_options[] = {
	{"errors", option_errors, BHI_LAB_MEMBER(expect, errors), 0},
	{"victims", option_victims, 0, 0},
};

static int parse_title(struct bhi_lab_parser *p)
{
	bhi_lab_rest_of_line(p);
	if (!p->word.len)
		return bhi_lab_fail(p, "a title is missing");
	if (p->word.len >= sizeof(p->scenario->title))
		return bhi_lab_fail(p, "the title is longer than %zu bytes",
			sizeof(p->scenario->title) - 1);
	memcpy(p->scenario->title, p->word.at, p->word.len);
	return 0;
}

/* The lines below that start with white space; empty ones between them belong to it. */
static int parse_about(struct bhi_lab_parser *p)
{
	char *about = p->scenario->about;
	size_t len = 0, nr_newlines = 0;

	if (bhi_lab_next_word(p))
		return bhi_lab_fail(p,
			"'%s' must stand on the next line, with white space before it",
			p->word.text);
	while (p->next < p->text_end &&
		(bhi_lab_is_space(*p->next) || *p->next == '\n')) {
		bhi_lab_next_line(p);
		bhi_lab_rest_of_line(p);
		if (p->word.len) {
			if (len + nr_newlines + p->word.len >= BHI_LAB_TEXT_SIZE)
				return bhi_lab_fail(p,
					"the prose is longer than %d bytes",
					BHI_LAB_TEXT_SIZE - 1);
			memset(about + len, '\n', nr_newlines);
			memcpy(about + len + nr_newlines, p->word.at, p->word.len);
			len += nr_newlines + p->word.len;
			nr_newlines = 0;
		}
		nr_newlines += len > 0;
	}
	return len ? 0
		   : bhi_lab_fail(
			     p, "prose is missing, on lines that start with white space");
}

static int parse_zone(struct bhi_lab_parser *p)
{
	uint64_t *zone = &p->scenario->zone;
	int r = bhi_lab_need_size(p, zone);

	if (!r && (*zone < MIN_ZONE || *zone == BH_UNLIMITED))
		return bhi_lab_fail(p, "'%s' is no zone; it has at least 1M, and an end",
			p->word.text);
	return r;
}

static int parse_seed(struct bhi_lab_parser *p)
{
	int r = bhi_lab_need_word(p, "a number");

	p->scenario->has_seed = true;
	if (!r && bhi_parse_u64(p->word.text, UINT64_MAX, &p->scenario->seed))
		return bhi_lab_fail(p, "'%s' is no seed; that is a number", p->word.text);
	return r;
}

/* "NAME" or "PARENT/NAME". */
static int parse_group(struct bhi_lab_parser *p)
{
	int r = bhi_lab_need_word(p, "a name"), parent = BHI_LAB_NONE, i = 0;
	const char *slash, *end = p->word.at + p->word.len;
	struct bhi_lab_group *group;

	if (r)
		return r;
	slash = memrchr(p->word.at, '/', p->word.len);
	if (slash) {
		bhi_lab_set_word(p, p->word.at, slash);
		r = bhi_lab_lookup_group(p, &parent);
		if (r)
			return r;
		bhi_lab_set_word(p, slash + 1, end);
	}
	r = bhi_lab_declare(p, BHI_LAB_NAME_OF_GROUP, &i);
	if (r)
		return r;
	group = &p->scenario->groups[i];
	group->parent = parent;
	group->high = group->max = BH_UNLIMITED;
	return bhi_lab_parse_options(p, BHI_LAB_TABLE(group_options), group);
}

static int parse_lock(struct bhi_lab_parser *p)
{
	unsigned kind = 0;
	int i = 0, r = bhi_lab_declare_next(p, BHI_LAB_NAME_OF_LOCK, &i);

	if (!r)
		r = bhi_lab_need_choice(
			p, &kind, "a kind of lock", BHI_LAB_TABLE(lock_kinds));
	if (!r)
		p->scenario->locks[i].is_rwlock = kind == 1;
	return r;
}

static int parse_event(struct bhi_lab_parser *p)
{
	int i;

	return bhi_lab_declare_next(p, BHI_LAB_NAME_OF_EVENT, &i);
}

static int parse_cache(struct bhi_lab_parser *p)
{
	struct bhi_lab_cache *cache;
	int i = 0, r = bhi_lab_declare_next(p, BHI_LAB_NAME_OF_CACHE, &i);

	if (r)
		return r;
	cache = &p->scenario->caches[i];
	cache->group = cache->lock = BHI_LAB_NONE;
	r = bhi_lab_need_size(p, &cache->size);
	return r ? r : bhi_lab_parse_options(p, BHI_LAB_TABLE(cache_options), cache);
}

static int parse_task(struct bhi_lab_parser *p)
{
	int i = 0, r = bhi_lab_declare_next(p, BHI_LAB_NAME_OF_TASK, &i);

	if (r)
		return r;
	if (bhi_lab_find_word(p, BHI_LAB_WORDS(expect_words)) >= 0)
		return bhi_lab_fail(p,
			"'%s' is a word of expect; a task needs another name",
			p->word.text);
	p->task = &p->scenario->tasks[i];
	p->task->group = BHI_LAB_NONE;
	return bhi_lab_parse_options(p, BHI_LAB_TABLE(task_options), p->task);
}

static int parse_schedule(struct bhi_lab_parser *p)
{
	p->in_schedule = true;
	return 0;
}

/* The word at hand is "TASK.LABEL". */
static int parse_point(struct bhi_lab_parser *p)
{
	struct bhi_lab_scenario *s = p->scenario;
	struct bhi_lab_point *point = &s->points[s->nr_points];
	const char *end = p->word.at + p->word.len;
	const char *dot = memchr(p->word.at, '.', p->word.len);
	int r;

	if (!dot)
		return bhi_lab_fail(
			p, "'%s' is no point; points are TASK.LABEL", p->word.text);
	if (s->nr_points == BHI_LAB_POINTS)
		return bhi_lab_fail(p, "'%s' is one point too many; there is room for %d",
			p->word.text, BHI_LAB_POINTS);
	bhi_lab_set_word(p, p->word.at, dot);
	r = bhi_lab_lookup(p, BHI_LAB_NAME_OF_TASK, &point->task);
	if (r)
		return r;
	bhi_lab_set_word(p, dot + 1, end);
	point->step = p->word.len
			      ? bhi_lab_find_label(&s->tasks[point->task], p->word.text)
			      : -1;
	if (point->step < 0)
		return bhi_lab_fail(p, "no step of task '%s' has the label '%s'",
			s->tasks[point->task].name, p->word.text);
	s->nr_points++;
	return 0;
}

static int parse_points(struct bhi_lab_parser *p)
{
	int r;

	do {
		r = parse_point(p);
	} while (!r && bhi_lab_next_word(p));
	return r;
}

/* A mask of eras: "all", which may stand before single ones, or names with commas. */
static int need_eras(struct bhi_lab_parser *p, uint32_t *ret)
{
	const char *at, *end, *comma;
	int era, r = bhi_lab_need_word(p, "an era");

	if (r)
		return r;
	if (bhi_lab_word_is(p, "all")) {
		for (era = 0; era < BHI_LAB_ERAS; era++) {
			if (p->scenario->expect[era].is_set)
				return bhi_lab_fail(p, "'all' must be the first expect");
		}
		*ret = (1u << BHI_LAB_ERAS) - 1;
		return 0;
	}
	*ret = 0;
	end = p->word.at + p->word.len;
	for (at = p->word.at; at; at = comma ? comma + 1 : NULL) {
		comma = memchr(at, ',', (size_t)(end - at));
		bhi_lab_set_word(p, at, comma ? comma : end);
		era = bhi_lab_era_find(p->word.text);
		if (era < 0)
			return bhi_lab_fail_list(
				p, "an era", BHI_LAB_WORDS(bhi_lab_eras));
		if (p->eras & 1u << era)
			return bhi_lab_fail(p, "'%s' is expected twice", p->word.text);
		p->eras |= 1u << era;
		*ret |= 1u << era;
	}
	return 0;
}

static int parse_expect(struct bhi_lab_parser *p)
{
	struct bhi_lab_expect expect;
	uint32_t eras = 0;
	unsigned verdict = 0;
	int r = need_eras(p, &eras);

	if (!r)
		r = bhi_lab_need_choice(
			p, &verdict, "a verdict", BHI_LAB_TABLE(verdicts));
	if (r)
		return r;
	memset(&expect, 0, sizeof(expect));
	expect.is_set = true;
	expect.verdict = verdict;
	expect.any_victims = verdict != BHI_LAB_COMPLETES;
	r = bhi_lab_parse_options(p, BHI_LAB_TABLE(expect_options), &expect);
	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		/* Not by assignment, which may leave out the bytes between members. */
		if (eras & 1u << era)
			memcpy(&p->scenario->expect[era], &expect, sizeof(expect));
	}
	return r;
}

static const struct {
	const char *word;
	int (*parse)(struct bhi_lab_parser *p);
	bool once;
} statements[] = {
	{"title", parse_title, true},
	{"about", parse_about, true},
	{"zone", parse_zone, true},
	{"seed", parse_seed, true},
	{"group", parse_group, false},
	{"lock", parse_lock, false},
	{"event", parse_event, false},
	{"cache", parse_cache, false},
	{"task", parse_task, false},
	{"schedule", parse_schedule, true},
	{"expect", parse_expect, false},
};

static int end_task(struct bhi_lab_parser *p)
{
	p->task = NULL;
	if (!p->nr_loops)
		return 0;
	p->word = p->loops[p->nr_loops - 1];
	return bhi_lab_fail(p, "this loop has no end");
}

static int parse_statement(struct bhi_lab_parser *p, int i)
{
	struct bhi_lab_word word = p->word;
	int r = end_task(p);

	if (r)
		return r;
	p->word = word;
	p->in_schedule = false;
	if (statements[i].once && (p->statements & 1u << i))
		return bhi_lab_fail(p, "'%s' may be given once only", word.text);
	p->statements |= 1u << i;
	return statements[i].parse(p);
}

/* "lock" is a statement and a step; the statement has the kind behind the name. */
static bool is_lock_step(struct bhi_lab_parser *p)
{
	const struct bhi_lab_word word = p->word;
	const char *pos = p->pos;
	bool is_step;

	if (!p->task || !bhi_lab_word_is(p, "lock"))
		return false;
	bhi_lab_next_word(p);
	bhi_lab_next_word(p);
	is_step = bhi_lab_find_word(p, BHI_LAB_WORDS(lock_kinds)) < 0;
	p->word = word;
	p->pos = pos;
	return is_step;
}

static int parse_line(struct bhi_lab_parser *p)
{
	int statement, r;

	if (!bhi_lab_next_word(p))
		return 0;
	statement = bhi_lab_find_word(p, BHI_LAB_WORDS(statements));
	if (p->in_schedule && memchr(p->word.at, '.', p->word.len))
		r = parse_points(p);
	else if (statement >= 0 && !is_lock_step(p))
		r = parse_statement(p, statement);
	else if (p->task)
		r = bhi_lab_parse_step(p);
	else if (p->in_schedule)
		return bhi_lab_fail(
			p, "'%s' is neither TASK.LABEL nor a statement", p->word.text);
	else if (bhi_lab_is_step(p))
		return bhi_lab_fail(
			p, "'%s' is a step; steps stand below a task", p->word.text);
	else
		return bhi_lab_fail_list(p, "a statement", BHI_LAB_WORDS(statements));
	if (!r && bhi_lab_next_word(p))
		return bhi_lab_fail(p, "'%s' is one word too many", p->word.text);
	return r;
}

static int check_bytes(struct bhi_lab_parser *p)
{
	p->word = (struct bhi_lab_word){.line = 1, .column = 1};
	if (p->text_end - p->text > MAX_SIZE)
		return bhi_lab_fail(p, "a scenario has at most %d bytes", MAX_SIZE);
	while (bhi_lab_next_line(p)) {
		for (const char *at = p->begin; at < p->end; at++) {
			if (((unsigned char)*at >= ' ' || bhi_lab_is_space(*at)) &&
				*at != 0x7f)
				continue;
			bhi_lab_set_word(p, at, at);
			return bhi_lab_fail(
				p, "the byte 0x%02x is no text", (unsigned char)*at);
		}
	}
	p->next = p->text;
	p->line = 0;
	return 0;
}

static int check_complete(struct bhi_lab_parser *p)
{
	p->word = (struct bhi_lab_word){.line = 1, .column = 1};
	if (!p->scenario->zone)
		return bhi_lab_fail(p, "a zone is missing, as: zone 64M");
	if (!p->scenario->nr_tasks)
		return bhi_lab_fail(p, "a task is missing, as: task writer");
	return 0;
}

int bhi_lab_parse(const char *name, const char *text, size_t size,
	struct bhi_lab_scenario *ret, struct bhi_lab_error *ret_error)
{
	struct bhi_lab_parser parser = {
		.scenario = ret,
		.error = ret_error,
		.text = text,
		.text_end = text + size,
		.next = text,
	};
	int r;

	memset(ret, 0, sizeof(*ret));
	bhi_format(ret->name, sizeof(ret->name), "%s", name);
	r = check_bytes(&parser);
	while (!r && bhi_lab_next_line(&parser))
		r = parse_line(&parser);
	if (!r)
		r = end_task(&parser);
	if (!r)
		r = bhi_lab_resolve_kills(&parser);
	return r ? r : check_complete(&parser);
}
