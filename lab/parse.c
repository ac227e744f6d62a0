/* SPDX-License-Identifier: MIT */
/*
 * The reader of scenarios: line by line, each by the function of its first word. What a
 * line says is written straight into the zeroed scenario, so that texts which mean the
 * same give the same bytes. A name is declared before it is used, but for the task of a
 * kill, which is looked up when all tasks are known.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bulkhead.h"
#include "base/fmt.h"
#include "base/parse.h"

#include "parse.h"

/* Keeps lines and columns inside an int; the largest scenario is far smaller. */
#define MAX_SIZE (1 << 20)
#define MIN_ZONE (1 << 20)

/* No name, number or word of the language is longer. */
#define WORD_SHOWN 48

struct word {
	const char *at;
	size_t len;
	int line, column;
	/* The same ended by 0; what is longer is cut and gets dots, which no name has. */
	char text[WORD_SHOWN + sizeof("...")];
};

struct parser {
	struct bhi_lab_scenario *scenario;
	struct bhi_lab_error *error;
	const char *text, *text_end;
	const char *begin, *pos,
		*end;     /* of the line; .pos is where the next word starts */
	const char *next; /* the line after it */
	int line;
	struct word word;    /* the one at hand, which an error is about */
	uint32_t statements; /* a mask of those seen */
	uint32_t eras;       /* a mask of those expected one by one */
	bool in_schedule;
	struct bhi_lab_task *task; /* to which steps go, or NULL */
	unsigned nr_loops;         /* open in it */
	struct word loops[BHI_LAB_STEPS];
};

enum kind {
	GROUP,
	LOCK,
	EVENT,
	CACHE,
	TASK,
	MEMORY, /* of the task at hand; all others of the scenario */
};

#define MEMBER(type, member) offsetof(struct bhi_lab_##type, member)
#define NAMES(what, type, member)                                               \
	{                                                                       \
		what, MEMBER(type, member), MEMBER(type, nr_##member),          \
			sizeof(((struct bhi_lab_##type *)NULL)->member[0]),     \
			bhi_array_size(((struct bhi_lab_##type *)NULL)->member) \
	}

/* Tables of named things; each thing starts with its name. */
static const struct {
	const char *what;
	size_t table, nr, stride;
	unsigned max;
} names[] = {
	[GROUP] = NAMES("group", scenario, groups),
	[LOCK] = NAMES("lock", scenario, locks),
	[EVENT] = NAMES("event", scenario, events),
	[CACHE] = NAMES("cache", scenario, caches),
	[TASK] = NAMES("task", scenario, tasks),
	[MEMORY] = NAMES("memory", task, memories),
};

/* Tables of words; each element starts with the word. */
#define WORDS(table) (table), sizeof((table)[0]), bhi_array_size(table)
#define TABLE(table) (table), bhi_array_size(table)

static const char *const lock_kinds[] = {"mutex", "rwlock"};
static const char *const limit_actions[] = {[BH_FAIL] = "fail", [BH_KILL] = "kill"};
static const char *const error_actions[] = {"return", "ignore", "retry"};
static const char *const end_actions[] = {"signal", "free"};
static const char *const verdicts[] = {"completes", "lockup", "crash"};
/* What ends a list of tasks, or stands for one: no names of tasks. */
static const char *const expect_words[] = {"errors", "victims", "any", "none"};

struct option {
	const char *word;
	int (*parse)(struct parser *p, void *member);
	size_t member; /* its offset in the object */
	unsigned flag; /* instead of .parse */
};

static BHI_PRINTF(2, 3) int fail(struct parser *p, const char *format, ...)
{
	va_list args;

	p->error->line = p->word.line;
	p->error->column = p->word.column;
	va_start(args, format);
	vsnprintf(p->error->text, sizeof(p->error->text), format, args);
	va_end(args);
	return -EINVAL;
}

static bool next_line(struct parser *p)
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

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void set_word(struct parser *p, const char *at, const char *end)
{
	size_t shown = bhi_min((size_t)(end - at), (size_t)WORD_SHOWN);

	p->word = (struct word){
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
static bool next_word(struct parser *p)
{
	const char *at = p->pos, *end;

	while (at < p->end && is_space(*at))
		at++;
	for (end = at; end < p->end && !is_space(*end) && *end != '#'; end++)
		;
	if (end == at)
		at = end = p->pos;
	set_word(p, at, end);
	p->pos = end;
	return end > at;
}

/* All that is left of the line, '#' too, without the white space around it. */
static void rest_of_line(struct parser *p)
{
	const char *at = p->pos, *end = p->end;

	while (at < end && is_space(*at))
		at++;
	while (end > at && is_space(end[-1]))
		end--;
	if (end == at)
		at = end = p->pos;
	set_word(p, at, end);
	p->pos = p->end;
}

static bool word_is(const struct parser *p, const char *text)
{
	return !strcmp(p->word.text, text);
}

static int need_word(struct parser *p, const char *what)
{
	return next_word(p) ? 0 : fail(p, "%s is missing", what);
}

static int need_exactly(struct parser *p, const char *text)
{
	if (!next_word(p) || !word_is(p, text))
		return fail(p, "'%s' must stand here", text);
	return 0;
}

static const char *word_of(const void *table, size_t stride, size_t i)
{
	return *(const char *const *)(const void *)((const char *)table + i * stride);
}

/* The index of the word at hand, or -1. */
static int find_word(const struct parser *p, const void *table, size_t stride, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (word_is(p, word_of(table, stride, i)))
			return (int)i;
	}
	return -1;
}

/* What stands here is none of the words of a table. */
static int fail_list(
	struct parser *p, const char *what, const void *table, size_t stride, size_t nr)
{
	char list[sizeof(p->error->text)];
	size_t len = 0;

	for (size_t i = 0; i < nr; i++) {
		bhi_format(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
			word_of(table, stride, i));
		len += strlen(list + len);
	}
	if (!p->word.len)
		return fail(p, "%s is missing: %s", what, list);
	return fail(p, "'%s' is not %s; these are: %s", p->word.text, what, list);
}

static int need_choice(struct parser *p, unsigned *ret, const char *what,
	const char *const *words, size_t nr)
{
	int i;

	next_word(p);
	i = find_word(p, words, sizeof(*words), nr);
	if (i < 0)
		return fail_list(p, what, words, sizeof(*words), nr);
	*ret = (unsigned)i;
	return 0;
}

static int size_of_word(struct parser *p, uint64_t *ret)
{
	int r = bhi_parse_size(p->word.text, ret);

	if (r == -ERANGE)
		return fail(p, "'%s' is too large; sizes are below 8E", p->word.text);
	if (r)
		return fail(p, "'%s' is no size; sizes are 4096, 64K, 1.5M, 2G",
			p->word.text);
	return 0;
}

static int need_size(struct parser *p, uint64_t *ret)
{
	int r = need_word(p, "a size");

	return r ? r : size_of_word(p, ret);
}

static int check_name(struct parser *p)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_";

	if (!p->word.len || p->word.len >= BHI_LAB_NAME_SIZE ||
		p->word.text[strspn(p->word.text, allowed)])
		return fail(p,
			"'%s' is no name; names are 1 to %d letters, digits, - and _",
			p->word.text, BHI_LAB_NAME_SIZE - 1);
	return 0;
}

static void *owner_of(const struct parser *p, enum kind kind)
{
	return kind == MEMORY ? (void *)p->task : (void *)p->scenario;
}

/* The index of what has the word at hand as its name, or -1. */
static int find_name(const struct parser *p, enum kind kind)
{
	const char *owner = owner_of(p, kind);
	unsigned nr = *(const unsigned *)(const void *)(owner + names[kind].nr);

	for (unsigned i = 0; i < nr; i++) {
		if (word_is(p, owner + names[kind].table + i * names[kind].stride))
			return (int)i;
	}
	return -1;
}

/* Give the word at hand the next element of its table. */
static int declare(struct parser *p, enum kind kind, int *ret)
{
	char *owner = owner_of(p, kind);
	unsigned *nr = (unsigned *)(void *)(owner + names[kind].nr);
	int r = check_name(p);

	if (r)
		return r;
	if (find_name(p, kind) >= 0)
		return fail(
			p, "another %s is called '%s'", names[kind].what, p->word.text);
	if (*nr == names[kind].max)
		return fail(p, "'%s' is one %s too many; there is room for %u",
			p->word.text, names[kind].what, names[kind].max);
	strcpy(owner + names[kind].table + *nr * names[kind].stride, p->word.text);
	*ret = (int)(*nr)++;
	return 0;
}

static int declare_next(struct parser *p, enum kind kind, int *ret)
{
	int r = need_word(p, "a name");

	return r ? r : declare(p, kind, ret);
}

static int lookup(struct parser *p, enum kind kind, int *ret)
{
	int i = find_name(p, kind);

	if (i < 0)
		return fail(p, "no %s is called '%s'", names[kind].what, p->word.text);
	*ret = i;
	return 0;
}

static int lookup_next(struct parser *p, enum kind kind, int *ret)
{
	int r = need_word(p, "a name");

	return r ? r : lookup(p, kind, ret);
}

/* A group by its name, or with those of its ancestors, all or the nearest, before it. */
static int lookup_group(struct parser *p, int *ret)
{
	const struct word path = p->word;
	const char *end = path.at + path.len, *slash;
	int group = BHI_LAB_NONE, parent = BHI_LAB_NONE, i;

	do {
		slash = memrchr(path.at, '/', (size_t)(end - path.at));
		set_word(p, slash ? slash + 1 : path.at, end);
		i = find_name(p, GROUP);
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
		return fail(p, "no group is called '%s'", path.text);
	*ret = group;
	return 0;
}

static int add_flag(struct parser *p, unsigned *flags, unsigned flag)
{
	unsigned retry;

	*flags |= flag;
	retry = *flags & (BH_NORETRY | BH_RETRY_MAYFAIL | BH_NOFAIL);
	if ((retry & (retry - 1)) ||
		((*flags & BH_NOFAIL) && (*flags & (BH_ATOMIC | BH_NOWAIT))))
		return fail(p, "'%s' contradicts a flag before it", p->word.text);
	return 0;
}

static int parse_options(
	struct parser *p, const struct option *options, size_t nr, void *object)
{
	uint32_t seen = 0;

	while (next_word(p)) {
		int i = find_word(p, options, sizeof(*options), nr), r;
		void *member;

		if (i < 0)
			return fail_list(p, "an option", options, sizeof(*options), nr);
		if (seen & 1u << i)
			return fail(p, "'%s' stands here twice", p->word.text);
		seen |= 1u << i;
		member = (char *)object + options[i].member;
		r = options[i].parse ? options[i].parse(p, member)
				     : add_flag(p, member, options[i].flag);
		if (r)
			return r;
	}
	return 0;
}

static int option_true(struct parser *p, void *member)
{
	(void)p;
	*(bool *)member = true;
	return 0;
}

static int option_size(struct parser *p, void *member)
{
	return need_size(p, member);
}

static int option_group(struct parser *p, void *member)
{
	int r = need_word(p, "a name");

	return r ? r : lookup_group(p, member);
}

/* Of a cache: its shrinker tries it, as a mutex. */
static int option_lock(struct parser *p, void *member)
{
	int *lock = member, r = lookup_next(p, LOCK, lock);

	if (!r && p->scenario->locks[*lock].is_rwlock)
		return fail(p, "'%s' is a rwlock; a cache has a mutex", p->word.text);
	return r;
}

static int option_on_limit(struct parser *p, void *member)
{
	struct bhi_lab_group *group = member;

	group->has_on_limit = true;
	return need_choice(p, &group->on_limit, "an action", TABLE(limit_actions));
}

static int option_adj(struct parser *p, void *member)
{
	bool minus;
	uint64_t value;
	int r = need_word(p, "a number");

	if (r)
		return r;
	minus = p->word.text[0] == '-';
	if (bhi_parse_u64(p->word.text + minus, 1000, &value))
		return fail(p, "'%s' is no adj; that is -1000 to 1000", p->word.text);
	*(int *)member = minus ? -(int)value : (int)value;
	return 0;
}

static int option_deadline(struct parser *p, void *member)
{
	char digits[sizeof(p->word.text)];
	uint64_t value = 0;
	char *unit;
	int r = need_word(p, "a time");

	if (r)
		return r;
	unit = strstr(strcpy(digits, p->word.text), "ms");
	if (unit && !unit[2])
		*unit = '\0';
	else
		*digits = '\0';
	if (bhi_parse_u64(digits, UINT32_MAX, &value) || !value)
		return fail(p, "'%s' is no time; times are 1ms to %ums", p->word.text,
			UINT32_MAX);
	*(unsigned *)member = (unsigned)value;
	return 0;
}

/* The request that named a memory first. */
static enum bhi_lab_op kind_of_memory(const struct bhi_lab_task *task, int memory)
{
	const struct bhi_lab_step *step = task->steps;

	while (step->memory != memory)
		step++;
	return step->op;
}

static const char *request_name(enum bhi_lab_op op)
{
	return op == BHI_LAB_ALLOC ? "alloc" : op == BHI_LAB_MALLOC ? "malloc" : "map";
}

static int option_as(struct parser *p, void *member)
{
	struct bhi_lab_step *step = member;
	int r = need_word(p, "a name"), memory;

	if (r)
		return r;
	memory = find_name(p, MEMORY);
	if (memory < 0)
		return declare(p, MEMORY, &step->memory);
	if (kind_of_memory(p->task, memory) != step->op)
		return fail(p, "'%s' is memory from %s; that from %s needs another name",
			p->word.text, request_name(kind_of_memory(p->task, memory)),
			request_name(step->op));
	step->memory = memory;
	return 0;
}

static int option_or(struct parser *p, void *member)
{
	return need_choice(p, member, "an action", TABLE(error_actions));
}

/* The tasks up to the next word of expect, each once; @tasks has room for all. */
static int parse_tasks(struct parser *p, uint8_t *tasks, unsigned *nr)
{
	uint32_t seen = 0;
	int r, task = 0;

	while (next_word(p) && find_word(p, WORDS(expect_words)) < 0) {
		r = lookup(p, TASK, &task);
		if (r)
			return r;
		if (seen & 1u << task)
			return fail(p, "'%s' stands here twice", p->word.text);
		seen |= 1u << task;
		tasks[(*nr)++] = (uint8_t)task;
	}
	p->pos = p->word.at;
	return *nr ? 0 : fail(p, "the name of a task is missing");
}

static int option_errors(struct parser *p, void *member)
{
	uint32_t *errors = member;
	uint8_t tasks[BHI_LAB_TASKS];
	unsigned nr = 0;
	int r = parse_tasks(p, tasks, &nr);

	for (unsigned i = 0; i < nr; i++)
		*errors |= 1u << tasks[i];
	return r;
}

static int option_victims(struct parser *p, void *member)
{
	struct bhi_lab_expect *expect = member;

	next_word(p);
	expect->any_victims = word_is(p, "any");
	if (expect->any_victims || word_is(p, "none"))
		return 0;
	p->pos = p->word.at;
	return parse_tasks(p, expect->victims, &expect->nr_victims);
}

static const struct option group_options[] = {
	{"min", option_size, MEMBER(group, min), 0},
	{"low", option_size, MEMBER(group, low), 0},
	{"high", option_size, MEMBER(group, high), 0},
	{"max", option_size, MEMBER(group, max), 0},
	{"on-limit", option_on_limit, 0, 0},
	{"oom-group", option_true, MEMBER(group, oom_group), 0},
};

static const struct option cache_options[] = {
	{"in", option_group, MEMBER(cache, group), 0},
	{"lock", option_lock, MEMBER(cache, lock), 0},
};

static const struct option task_options[] = {
	{"in", option_group, MEMBER(task, group), 0},
	{"adj", option_adj, MEMBER(task, adj), 0},
	{"cooperative", option_true, MEMBER(task, cooperative), 0},
	{"deadline", option_deadline, MEMBER(task, deadline_ms), 0},
};

static const struct option alloc_options[] = {
	{"noretry", NULL, MEMBER(step, flags), BH_NORETRY},
	{"retry-mayfail", NULL, MEMBER(step, flags), BH_RETRY_MAYFAIL},
	{"nofail", NULL, MEMBER(step, flags), BH_NOFAIL},
	{"atomic", NULL, MEMBER(step, flags), BH_ATOMIC},
	{"nowait", NULL, MEMBER(step, flags), BH_NOWAIT},
	{"noreclaim", NULL, MEMBER(step, flags), BH_NORECLAIM},
	{"as", option_as, 0, 0},
	{"or", option_or, MEMBER(step, on_error), 0},
};

static const struct option malloc_options[] = {
	{"as", option_as, 0, 0},
	{"or", option_or, MEMBER(step, on_error), 0},
};

static const struct option expect_options[] = {
	{"errors", option_errors, MEMBER(expect, errors), 0},
	{"victims", option_victims, 0, 0},
};

static int step_plain(struct parser *p, struct bhi_lab_step *step)
{
	(void)p;
	(void)step;
	return 0;
}

static int step_lock(struct parser *p, struct bhi_lab_step *step)
{
	return lookup_next(p, LOCK, &step->object);
}

static int step_rdlock(struct parser *p, struct bhi_lab_step *step)
{
	int r = step_lock(p, step);

	if (!r && !p->scenario->locks[step->object].is_rwlock)
		return fail(p, "'%s' is a mutex; rdlock takes a rwlock", p->word.text);
	return r;
}

static int step_alloc(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_size(p, &step->size);

	return r ? r : parse_options(p, TABLE(alloc_options), step);
}

static int step_malloc(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_size(p, &step->size);

	return r ? r : parse_options(p, TABLE(malloc_options), step);
}

static int step_map(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_size(p, &step->size);

	if (!r)
		r = need_exactly(p, "as");
	return r ? r : option_as(p, step);
}

static int step_memory(struct parser *p, struct bhi_lab_step *step)
{
	return lookup_next(p, MEMORY, &step->memory);
}

static int need_memory_of(
	struct parser *p, struct bhi_lab_step *step, enum bhi_lab_op named_by)
{
	int r = step_memory(p, step);

	if (!r && kind_of_memory(p->task, step->memory) != named_by)
		return fail(p, "'%s' is memory from %s, not from %s", p->word.text,
			request_name(kind_of_memory(p->task, step->memory)),
			request_name(named_by));
	return r;
}

static int step_discard(struct parser *p, struct bhi_lab_step *step)
{
	return need_memory_of(p, step, BHI_LAB_MAP);
}

static int step_touch(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_memory_of(p, step, BHI_LAB_MAP);

	if (r || !next_word(p))
		return r;
	r = size_of_word(p, &step->size);
	if (!r && !step->size)
		return fail(p,
			"'%s' touches nothing; without a size it is all of the map",
			p->word.text);
	return r;
}

static int step_event(struct parser *p, struct bhi_lab_step *step)
{
	return lookup_next(p, EVENT, &step->object);
}

static int step_until(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_exactly(p, "until");

	return r ? r : step_event(p, step);
}

static int step_loop(struct parser *p, struct bhi_lab_step *step)
{
	uint64_t count = 0;

	p->loops[p->nr_loops++] = p->word;
	if (!next_word(p))
		return 0;
	if (bhi_parse_u64(p->word.text, UINT32_MAX, &count) || !count)
		return fail(p, "'%s' is no number of rounds; without one they never end",
			p->word.text);
	step->count = (unsigned)count;
	return 0;
}

static int step_end(struct parser *p, struct bhi_lab_step *step)
{
	(void)step;
	if (!p->nr_loops)
		return fail(p, "no loop is open here");
	p->nr_loops--;
	return 0;
}

/* Until resolve_kills(), .size is where in the text the name is. */
static int step_kill(struct parser *p, struct bhi_lab_step *step)
{
	int r = need_word(p, "a name");

	step->size = (size_t)(p->word.at - p->text);
	return r;
}

static int step_on(struct parser *p, struct bhi_lab_step *step)
{
	unsigned action = 0;
	int r = need_exactly(p, "end");

	if (!r)
		r = need_choice(p, &action, "an action", TABLE(end_actions));
	if (r)
		return r;
	if (!action)
		return step_event(p, step);
	step->op = BHI_LAB_ON_FREE;
	return need_memory_of(p, step, BHI_LAB_ALLOC);
}

static const struct {
	const char *word;
	enum bhi_lab_op op;
	int (*parse)(struct parser *p, struct bhi_lab_step *step);
} steps[] = {
	{"lock", BHI_LAB_LOCK, step_lock},
	{"rdlock", BHI_LAB_RDLOCK, step_rdlock},
	{"trylock", BHI_LAB_TRYLOCK, step_lock},
	{"unlock", BHI_LAB_UNLOCK, step_lock},
	{"hold", BHI_LAB_HOLD, step_plain},
	{"release", BHI_LAB_RELEASE, step_plain},
	{"alloc", BHI_LAB_ALLOC, step_alloc},
	{"malloc", BHI_LAB_MALLOC, step_malloc},
	{"map", BHI_LAB_MAP, step_map},
	{"touch", BHI_LAB_TOUCH, step_touch},
	{"use", BHI_LAB_USE, step_memory},
	{"free", BHI_LAB_FREE, step_memory},
	{"discard", BHI_LAB_DISCARD, step_discard},
	{"wait", BHI_LAB_WAIT, step_event},
	{"block", BHI_LAB_BLOCK, step_until},
	{"signal", BHI_LAB_SIGNAL, step_event},
	{"idle", BHI_LAB_IDLE, step_until},
	{"loop", BHI_LAB_LOOP, step_loop},
	{"end", BHI_LAB_END, step_end},
	{"dump", BHI_LAB_DUMP, step_plain},
	{"dumped", BHI_LAB_DUMPED, step_plain},
	{"kill", BHI_LAB_KILL, step_kill},
	{"on", BHI_LAB_ON_SIGNAL, step_on},
};

static int find_label(const struct bhi_lab_task *task, const char *label)
{
	for (unsigned i = 0; i < task->nr_steps; i++) {
		if (!strcmp(task->steps[i].label, label))
			return (int)i;
	}
	return -1;
}

/* The word at hand ends with ':'. */
static int parse_label(struct parser *p, struct bhi_lab_step *step)
{
	int r;

	set_word(p, p->word.at, p->word.at + p->word.len - 1);
	r = check_name(p);
	if (r)
		return r;
	if (find_label(p->task, p->word.text) >= 0)
		return fail(
			p, "another step of the task has the label '%s'", p->word.text);
	strcpy(step->label, p->word.text);
	return need_word(p, "the step behind its label");
}

static int parse_step(struct parser *p)
{
	struct bhi_lab_step *step = &p->task->steps[p->task->nr_steps];
	int i, r;

	if (p->task->nr_steps == BHI_LAB_STEPS)
		return fail(p, "'%s' is one step too many; a task has room for %d",
			p->word.text, BHI_LAB_STEPS);
	step->line = p->line;
	step->object = step->memory = BHI_LAB_NONE;
	if (p->word.at[p->word.len - 1] == ':') {
		r = parse_label(p, step);
		if (r)
			return r;
	}
	i = find_word(p, WORDS(steps));
	if (i < 0)
		return fail(p, "'%s' is neither a step nor a statement", p->word.text);
	step->op = steps[i].op;
	r = steps[i].parse(p, step);
	if (!r)
		p->task->nr_steps++;
	return r;
}

static int parse_title(struct parser *p)
{
	rest_of_line(p);
	if (!p->word.len)
		return fail(p, "a title is missing");
	if (p->word.len >= sizeof(p->scenario->title))
		return fail(p, "the title is longer than %zu bytes",
			sizeof(p->scenario->title) - 1);
	memcpy(p->scenario->title, p->word.at, p->word.len);
	return 0;
}

/* The lines below that start with white space; empty ones between them belong to it. */
static int parse_about(struct parser *p)
{
	char *about = p->scenario->about;
	size_t len = 0, nr_newlines = 0;

	if (next_word(p))
		return fail(p,
			"'%s' must stand on the next line, with white space before it",
			p->word.text);
	while (p->next < p->text_end && (is_space(*p->next) || *p->next == '\n')) {
		next_line(p);
		rest_of_line(p);
		if (p->word.len) {
			if (len + nr_newlines + p->word.len >= BHI_LAB_TEXT_SIZE)
				return fail(p, "the prose is longer than %d bytes",
					BHI_LAB_TEXT_SIZE - 1);
			memset(about + len, '\n', nr_newlines);
			memcpy(about + len + nr_newlines, p->word.at, p->word.len);
			len += nr_newlines + p->word.len;
			nr_newlines = 0;
		}
		nr_newlines += len > 0;
	}
	return len ? 0
		   : fail(p, "prose is missing, on lines that start with white space");
}

static int parse_zone(struct parser *p)
{
	uint64_t *zone = &p->scenario->zone;
	int r = need_size(p, zone);

	if (!r && (*zone < MIN_ZONE || *zone == BH_UNLIMITED))
		return fail(p, "'%s' is no zone; it has at least 1M, and an end",
			p->word.text);
	return r;
}

static int parse_seed(struct parser *p)
{
	int r = need_word(p, "a number");

	p->scenario->has_seed = true;
	if (!r && bhi_parse_u64(p->word.text, UINT64_MAX, &p->scenario->seed))
		return fail(p, "'%s' is no seed; that is a number", p->word.text);
	return r;
}

/* "NAME" or "PARENT/NAME". */
static int parse_group(struct parser *p)
{
	int r = need_word(p, "a name"), parent = BHI_LAB_NONE, i = 0;
	const char *slash, *end = p->word.at + p->word.len;
	struct bhi_lab_group *group;

	if (r)
		return r;
	slash = memrchr(p->word.at, '/', p->word.len);
	if (slash) {
		set_word(p, p->word.at, slash);
		r = lookup_group(p, &parent);
		if (r)
			return r;
		set_word(p, slash + 1, end);
	}
	r = declare(p, GROUP, &i);
	if (r)
		return r;
	group = &p->scenario->groups[i];
	group->parent = parent;
	group->high = group->max = BH_UNLIMITED;
	return parse_options(p, TABLE(group_options), group);
}

static int parse_lock(struct parser *p)
{
	unsigned kind = 0;
	int i = 0, r = declare_next(p, LOCK, &i);

	if (!r)
		r = need_choice(p, &kind, "a kind of lock", TABLE(lock_kinds));
	if (!r)
		p->scenario->locks[i].is_rwlock = kind == 1;
	return r;
}

static int parse_event(struct parser *p)
{
	int i;

	return declare_next(p, EVENT, &i);
}

static int parse_cache(struct parser *p)
{
	struct bhi_lab_cache *cache;
	int i = 0, r = declare_next(p, CACHE, &i);

	if (r)
		return r;
	cache = &p->scenario->caches[i];
	cache->group = cache->lock = BHI_LAB_NONE;
	r = need_size(p, &cache->size);
	return r ? r : parse_options(p, TABLE(cache_options), cache);
}

static int parse_task(struct parser *p)
{
	int i = 0, r = declare_next(p, TASK, &i);

	if (r)
		return r;
	if (find_word(p, WORDS(expect_words)) >= 0)
		return fail(p, "'%s' is a word of expect; a task needs another name",
			p->word.text);
	p->task = &p->scenario->tasks[i];
	p->task->group = BHI_LAB_NONE;
	return parse_options(p, TABLE(task_options), p->task);
}

static int parse_schedule(struct parser *p)
{
	p->in_schedule = true;
	return 0;
}

/* The word at hand is "TASK.LABEL". */
static int parse_point(struct parser *p)
{
	struct bhi_lab_scenario *s = p->scenario;
	struct bhi_lab_point *point = &s->points[s->nr_points];
	const char *end = p->word.at + p->word.len;
	const char *dot = memchr(p->word.at, '.', p->word.len);
	int r;

	if (!dot)
		return fail(p, "'%s' is no point; points are TASK.LABEL", p->word.text);
	if (s->nr_points == BHI_LAB_POINTS)
		return fail(p, "'%s' is one point too many; there is room for %d",
			p->word.text, BHI_LAB_POINTS);
	set_word(p, p->word.at, dot);
	r = lookup(p, TASK, &point->task);
	if (r)
		return r;
	set_word(p, dot + 1, end);
	point->step = p->word.len ? find_label(&s->tasks[point->task], p->word.text) : -1;
	if (point->step < 0)
		return fail(p, "no step of task '%s' has the label '%s'",
			s->tasks[point->task].name, p->word.text);
	s->nr_points++;
	return 0;
}

static int parse_points(struct parser *p)
{
	int r;

	do {
		r = parse_point(p);
	} while (!r && next_word(p));
	return r;
}

/* A mask of eras: "all", which may stand before single ones, or names with commas. */
static int need_eras(struct parser *p, uint32_t *ret)
{
	const char *at, *end, *comma;
	int era, r = need_word(p, "an era");

	if (r)
		return r;
	if (word_is(p, "all")) {
		for (era = 0; era < BHI_LAB_ERAS; era++) {
			if (p->scenario->expect[era].is_set)
				return fail(p, "'all' must be the first expect");
		}
		*ret = (1u << BHI_LAB_ERAS) - 1;
		return 0;
	}
	*ret = 0;
	end = p->word.at + p->word.len;
	for (at = p->word.at; at; at = comma ? comma + 1 : NULL) {
		comma = memchr(at, ',', (size_t)(end - at));
		set_word(p, at, comma ? comma : end);
		era = bhi_lab_era_find(p->word.text);
		if (era < 0)
			return fail_list(p, "an era", WORDS(bhi_lab_eras));
		if (p->eras & 1u << era)
			return fail(p, "'%s' is expected twice", p->word.text);
		p->eras |= 1u << era;
		*ret |= 1u << era;
	}
	return 0;
}

static int parse_expect(struct parser *p)
{
	struct bhi_lab_expect expect;
	uint32_t eras = 0;
	unsigned verdict = 0;
	int r = need_eras(p, &eras);

	if (!r)
		r = need_choice(p, &verdict, "a verdict", TABLE(verdicts));
	if (r)
		return r;
	memset(&expect, 0, sizeof(expect));
	expect.is_set = true;
	expect.verdict = verdict;
	expect.any_victims = verdict != BHI_LAB_COMPLETES;
	r = parse_options(p, TABLE(expect_options), &expect);
	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		/* Not by assignment, which may leave out the bytes between members. */
		if (eras & 1u << era)
			memcpy(&p->scenario->expect[era], &expect, sizeof(expect));
	}
	return r;
}

static const struct {
	const char *word;
	int (*parse)(struct parser *p);
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

static int end_task(struct parser *p)
{
	p->task = NULL;
	if (!p->nr_loops)
		return 0;
	p->word = p->loops[p->nr_loops - 1];
	return fail(p, "this loop has no end");
}

static int parse_statement(struct parser *p, int i)
{
	struct word word = p->word;
	int r = end_task(p);

	if (r)
		return r;
	p->word = word;
	p->in_schedule = false;
	if (statements[i].once && (p->statements & 1u << i))
		return fail(p, "'%s' may be given once only", word.text);
	p->statements |= 1u << i;
	return statements[i].parse(p);
}

/* "lock" is a statement and a step; the statement has the kind behind the name. */
static bool is_lock_step(struct parser *p)
{
	const struct word word = p->word;
	const char *pos = p->pos;
	bool is_step;

	if (!p->task || !word_is(p, "lock"))
		return false;
	next_word(p);
	next_word(p);
	is_step = find_word(p, WORDS(lock_kinds)) < 0;
	p->word = word;
	p->pos = pos;
	return is_step;
}

static int parse_line(struct parser *p)
{
	int statement, r;

	if (!next_word(p))
		return 0;
	statement = find_word(p, WORDS(statements));
	if (p->in_schedule && memchr(p->word.at, '.', p->word.len))
		r = parse_points(p);
	else if (statement >= 0 && !is_lock_step(p))
		r = parse_statement(p, statement);
	else if (p->task)
		r = parse_step(p);
	else if (p->in_schedule)
		return fail(
			p, "'%s' is neither TASK.LABEL nor a statement", p->word.text);
	else if (find_word(p, WORDS(steps)) >= 0)
		return fail(p, "'%s' is a step; steps stand below a task", p->word.text);
	else
		return fail_list(p, "a statement", WORDS(statements));
	if (!r && next_word(p))
		return fail(p, "'%s' is one word too many", p->word.text);
	return r;
}

static int check_bytes(struct parser *p)
{
	p->word = (struct word){.line = 1, .column = 1};
	if (p->text_end - p->text > MAX_SIZE)
		return fail(p, "a scenario has at most %d bytes", MAX_SIZE);
	while (next_line(p)) {
		for (const char *at = p->begin; at < p->end; at++) {
			if (((unsigned char)*at >= ' ' || is_space(*at)) && *at != 0x7f)
				continue;
			set_word(p, at, at);
			return fail(p, "the byte 0x%02x is no text", (unsigned char)*at);
		}
	}
	p->next = p->text;
	p->line = 0;
	return 0;
}

static int resolve_kill(struct parser *p, struct bhi_lab_step *step)
{
	const char *at = p->text + step->size;

	p->next = at;
	while (p->next > p->text && p->next[-1] != '\n')
		p->next--;
	p->line = step->line - 1;
	next_line(p);
	p->pos = at;
	step->size = 0;
	return lookup_next(p, TASK, &step->object);
}

static int resolve_kills(struct parser *p)
{
	for (unsigned i = 0; i < p->scenario->nr_tasks; i++) {
		struct bhi_lab_task *task = &p->scenario->tasks[i];

		for (unsigned j = 0; j < task->nr_steps; j++) {
			int r = task->steps[j].op == BHI_LAB_KILL
					? resolve_kill(p, &task->steps[j])
					: 0;

			if (r)
				return r;
		}
	}
	return 0;
}

static int check_complete(struct parser *p)
{
	p->word = (struct word){.line = 1, .column = 1};
	if (!p->scenario->zone)
		return fail(p, "a zone is missing, as: zone 64M");
	if (!p->scenario->nr_tasks)
		return fail(p, "a task is missing, as: task writer");
	return 0;
}

int bhi_lab_parse(const char *name, const char *text, size_t size,
	struct bhi_lab_scenario *ret, struct bhi_lab_error *ret_error)
{
	struct parser parser = {
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
	while (!r && next_line(&parser))
		r = parse_line(&parser);
	if (!r)
		r = end_task(&parser);
	if (!r)
		r = resolve_kills(&parser);
	return r ? r : check_complete(&parser);
}
