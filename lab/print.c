/* SPDX-License-Identifier: MIT */
/*
 * The writer of scenarios. Whatever can be left out is: what is written is the shortest
 * text that parse.c reads back to the same scenario, with groups by their paths and sizes
 * in bytes where a unit would round them.
 */
#include <stdio.h>
#include <string.h>

#include "bulkhead.h"
#include "base/parse.h"

#include "print.h"

/* Longer than any step: 8 names and a number. */
#define STEP_SIZE 256
#define SIZE_TEXT 24

/* Where a line of points is broken. */
#define POINTS_WIDTH 72

/* What follows the word of a step. */
enum operands {
	NOTHING,
	A_LOCK,
	AN_EVENT,
	A_TASK,
	A_MEMORY,
	A_REQUEST,
	A_COUNT,
};

static const struct {
	const char *word;
	enum operands operands;
} steps[] = {
	[BHI_LAB_LOCK] = {"lock", A_LOCK},
	[BHI_LAB_RDLOCK] = {"rdlock", A_LOCK},
	[BHI_LAB_TRYLOCK] = {"trylock", A_LOCK},
	[BHI_LAB_UNLOCK] = {"unlock", A_LOCK},
	[BHI_LAB_HOLD] = {"hold", NOTHING},
	[BHI_LAB_RELEASE] = {"release", NOTHING},
	[BHI_LAB_ALLOC] = {"alloc", A_REQUEST},
	[BHI_LAB_MALLOC] = {"malloc", A_REQUEST},
	[BHI_LAB_MAP] = {"map", A_REQUEST},
	[BHI_LAB_TOUCH] = {"touch", A_MEMORY},
	[BHI_LAB_USE] = {"use", A_MEMORY},
	[BHI_LAB_FREE] = {"free", A_MEMORY},
	[BHI_LAB_DISCARD] = {"discard", A_MEMORY},
	[BHI_LAB_WAIT] = {"wait", AN_EVENT},
	[BHI_LAB_BLOCK] = {"block until", AN_EVENT},
	[BHI_LAB_SIGNAL] = {"signal", AN_EVENT},
	[BHI_LAB_IDLE] = {"idle until", AN_EVENT},
	[BHI_LAB_LOOP] = {"loop", A_COUNT},
	[BHI_LAB_END] = {"end", NOTHING},
	[BHI_LAB_DUMP] = {"dump", NOTHING},
	[BHI_LAB_DUMPED] = {"dumped", NOTHING},
	[BHI_LAB_KILL] = {"kill", A_TASK},
	[BHI_LAB_ON_SIGNAL] = {"on end signal", AN_EVENT},
	[BHI_LAB_ON_FREE] = {"on end free", A_MEMORY},
};

static const struct {
	unsigned flag;
	const char *word;
} flags[] = {
	{BH_NORETRY, "noretry"},
	{BH_RETRY_MAYFAIL, "retry-mayfail"},
	{BH_NOFAIL, "nofail"},
	{BH_ATOMIC, "atomic"},
	{BH_NOWAIT, "nowait"},
	{BH_NORECLAIM, "noreclaim"},
};

static const char *const error_actions[] = {
	[BHI_LAB_RETURN] = "return",
	[BHI_LAB_IGNORE] = "ignore",
	[BHI_LAB_RETRY] = "retry",
};

/* Nobody expects BHI_LAB_BROKEN. */
static const char *const verdicts[] = {
	[BHI_LAB_COMPLETES] = "completes",
	[BHI_LAB_LOCKUP] = "lockup",
	[BHI_LAB_CRASH] = "crash",
};

struct text {
	char *buf;
	size_t len, size;
};

static BHI_PRINTF(2, 3) void add(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text->buf + text->len, room, format, args);
	va_end(args);
	text->len += bhi_min((size_t)len, room - 1);
}

/* With a unit if that says it to the byte. @buf has SIZE_TEXT bytes. */
static const char *exact_size(uint64_t size, char *buf)
{
	uint64_t back;

	if (!bhi_parse_size(bhi_format_size(size, buf), &back) && back == size)
		return buf;
	return bhi_format(buf, SIZE_TEXT, "%lu", (unsigned long)size);
}

static void add_size(struct text *text, uint64_t size)
{
	char buf[SIZE_TEXT];

	add(text, " %s", exact_size(size, buf));
}

static void add_request(struct text *text, const struct bhi_lab_task *task,
	const struct bhi_lab_step *step)
{
	add_size(text, step->size);
	for (size_t i = 0; i < bhi_array_size(flags); i++) {
		if (step->flags & flags[i].flag)
			add(text, " %s", flags[i].word);
	}
	if (step->memory != BHI_LAB_NONE)
		add(text, " as %s", task->memories[step->memory]);
	if (step->on_error != BHI_LAB_RETURN)
		add(text, " or %s", error_actions[step->on_error]);
}

static void add_step(struct text *text, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_task *task, const struct bhi_lab_step *step)
{
	add(text, "%s", steps[step->op].word);
	switch (steps[step->op].operands) {
	case NOTHING:
		break;
	case A_LOCK:
		add(text, " %s", scenario->locks[step->object].name);
		break;
	case AN_EVENT:
		add(text, " %s", scenario->events[step->object]);
		break;
	case A_TASK:
		add(text, " %s", scenario->tasks[step->object].name);
		break;
	case A_MEMORY:
		add(text, " %s", task->memories[step->memory]);
		if (step->size)
			add_size(text, step->size);
		break;
	case A_REQUEST:
		add_request(text, task, step);
		break;
	case A_COUNT:
		if (step->count)
			add(text, " %u", step->count);
		break;
	}
}

char *bhi_lab_step_text(const struct bhi_lab_scenario *scenario, int task, int step,
	char *buf, size_t size)
{
	const struct bhi_lab_task *of = &scenario->tasks[task];
	struct text text = {.buf = buf, .size = size};

	add_step(&text, scenario, of, &of->steps[step]);
	return buf;
}

static void print_about(struct bhi_out *out, const char *about)
{
	bhi_outf(out, "about\n");
	while (*about) {
		size_t len = strcspn(about, "\n");

		if (len)
			bhi_outf(out, "\t");
		for (size_t i = 0; i < len; i++)
			bhi_outf(out, "%c", about[i]);
		bhi_outf(out, "\n");
		about += len + (about[len] == '\n');
	}
}

/* Parents stand before their children, so a path ends. */
static void print_path(
	struct bhi_out *out, const struct bhi_lab_scenario *scenario, int group)
{
	int path[BHI_LAB_GROUPS], depth = 0;

	for (; group != BHI_LAB_NONE; group = scenario->groups[group].parent)
		path[depth++] = group;
	while (depth) {
		bhi_outf(out, "%s%s", scenario->groups[path[depth - 1]].name,
			depth > 1 ? "/" : "");
		depth--;
	}
}

static void print_in(
	struct bhi_out *out, const struct bhi_lab_scenario *scenario, int group)
{
	if (group == BHI_LAB_NONE)
		return;
	bhi_outf(out, " in ");
	print_path(out, scenario, group);
}

static void print_limit(
	struct bhi_out *out, const char *word, uint64_t limit, uint64_t unset)
{
	char buf[SIZE_TEXT];

	if (limit != unset)
		bhi_outf(out, " %s %s", word, exact_size(limit, buf));
}

static void print_group(
	struct bhi_out *out, const struct bhi_lab_scenario *scenario, unsigned i)
{
	const struct bhi_lab_group *group = &scenario->groups[i];

	bhi_outf(out, "group ");
	print_path(out, scenario, (int)i);
	print_limit(out, "min", group->min, 0);
	print_limit(out, "low", group->low, 0);
	print_limit(out, "high", group->high, BH_UNLIMITED);
	print_limit(out, "max", group->max, BH_UNLIMITED);
	if (group->has_on_limit)
		bhi_outf(out, " on-limit %s",
			group->on_limit == BH_KILL ? "kill" : "fail");
	bhi_outf(out, "%s\n", group->oom_group ? " oom-group" : "");
}

static void print_cache(struct bhi_out *out, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_cache *cache)
{
	char buf[SIZE_TEXT];

	bhi_outf(out, "cache %s %s", cache->name, exact_size(cache->size, buf));
	print_in(out, scenario, cache->group);
	if (cache->lock != BHI_LAB_NONE)
		bhi_outf(out, " lock %s", scenario->locks[cache->lock].name);
	bhi_outf(out, "\n");
}

static void print_task(
	struct bhi_out *out, const struct bhi_lab_scenario *scenario, unsigned i)
{
	const struct bhi_lab_task *task = &scenario->tasks[i];
	char buf[STEP_SIZE];
	int depth = 1;

	bhi_outf(out, "task %s", task->name);
	print_in(out, scenario, task->group);
	if (task->adj)
		bhi_outf(out, " adj %d", task->adj);
	if (task->cooperative)
		bhi_outf(out, " cooperative");
	if (task->deadline_ms)
		bhi_outf(out, " deadline %ums", task->deadline_ms);
	bhi_outf(out, "\n");
	for (unsigned j = 0; j < task->nr_steps; j++) {
		const struct bhi_lab_step *step = &task->steps[j];

		depth -= step->op == BHI_LAB_END;
		for (int tab = 0; tab < depth; tab++)
			bhi_outf(out, "\t");
		bhi_outf(out, "%s%s%s\n", step->label, *step->label ? ": " : "",
			bhi_lab_step_text(scenario, (int)i, (int)j, buf, sizeof(buf)));
		depth += step->op == BHI_LAB_LOOP;
	}
}

static void print_schedule(struct bhi_out *out, const struct bhi_lab_scenario *scenario)
{
	size_t width = 0;

	if (scenario->nr_points)
		bhi_outf(out, "schedule");
	for (unsigned i = 0; i < scenario->nr_points; i++) {
		const struct bhi_lab_point *point = &scenario->points[i];
		const struct bhi_lab_task *task = &scenario->tasks[point->task];
		const char *label = task->steps[point->step].label;
		size_t len = strlen(task->name) + strlen(label) + 2;

		width += len;
		if (!i || width > POINTS_WIDTH) {
			bhi_outf(out, "\n\t%s.%s", task->name, label);
			width = len;
		} else {
			bhi_outf(out, " %s.%s", task->name, label);
		}
	}
	if (scenario->nr_points)
		bhi_outf(out, "\n");
}

static bool is_expected(const struct bhi_lab_expect *expect)
{
	return expect->is_set && expect->verdict < bhi_array_size(verdicts);
}

static bool expect_same(const struct bhi_lab_expect *a, const struct bhi_lab_expect *b)
{
	return a->verdict == b->verdict && a->errors == b->errors &&
	       a->any_victims == b->any_victims && a->nr_victims == b->nr_victims &&
	       !memcmp(a->victims, b->victims, a->nr_victims);
}

static void print_outcome(struct bhi_out *out, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_expect *expect)
{
	bool completes = expect->verdict == BHI_LAB_COMPLETES;

	bhi_outf(
		out, " %s%s", verdicts[expect->verdict], expect->errors ? " errors" : "");
	for (unsigned i = 0; i < scenario->nr_tasks; i++) {
		if (expect->errors & 1u << i)
			bhi_outf(out, " %s", scenario->tasks[i].name);
	}
	if (expect->any_victims && completes)
		bhi_outf(out, " victims any");
	else if (expect->nr_victims)
		bhi_outf(out, " victims");
	else if (!expect->any_victims && !completes)
		bhi_outf(out, " victims none");
	for (unsigned i = 0; i < expect->nr_victims; i++)
		bhi_outf(out, " %s", scenario->tasks[expect->victims[i]].name);
	bhi_outf(out, "\n");
}

/* A line for all eras of which the same is expected. */
static void print_expect(struct bhi_out *out, const struct bhi_lab_scenario *scenario)
{
	uint32_t printed = 0;

	for (int i = 0; i < BHI_LAB_ERAS; i++) {
		const struct bhi_lab_expect *expect = &scenario->expect[i];
		const char *before = "expect ";

		if (!is_expected(expect) || (printed & 1u << i))
			continue;
		for (int j = i; j < BHI_LAB_ERAS; j++) {
			if (!is_expected(&scenario->expect[j]) ||
				!expect_same(expect, &scenario->expect[j]))
				continue;
			printed |= 1u << j;
			bhi_outf(out, "%s%s", before, bhi_lab_eras[j].name);
			before = ",";
		}
		print_outcome(out, scenario, expect);
	}
}

void bhi_lab_print(struct bhi_out *out, const struct bhi_lab_scenario *scenario)
{
	char buf[SIZE_TEXT];

	if (*scenario->title)
		bhi_outf(out, "title %s\n", scenario->title);
	if (*scenario->about)
		print_about(out, scenario->about);
	bhi_outf(out, "zone %s\n", exact_size(scenario->zone, buf));
	if (scenario->has_seed)
		bhi_outf(out, "seed %lu\n", (unsigned long)scenario->seed);
	for (unsigned i = 0; i < scenario->nr_groups; i++)
		print_group(out, scenario, i);
	for (unsigned i = 0; i < scenario->nr_locks; i++)
		bhi_outf(out, "lock %s %s\n", scenario->locks[i].name,
			scenario->locks[i].is_rwlock ? "rwlock" : "mutex");
	for (unsigned i = 0; i < scenario->nr_events; i++)
		bhi_outf(out, "event %s\n", scenario->events[i]);
	for (unsigned i = 0; i < scenario->nr_caches; i++)
		print_cache(out, scenario, &scenario->caches[i]);
	for (unsigned i = 0; i < scenario->nr_tasks; i++)
		print_task(out, scenario, i);
	print_schedule(out, scenario);
	print_expect(out, scenario);
}
