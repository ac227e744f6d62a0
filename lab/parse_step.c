/* SPDX-License-Identifier: MIT */
/* The steps of tasks. */
#include <string.h>

#include "bulkhead.h"
#include "base/parse.h"

#include "parse_words.h"

static const char *const error_actions[] = {"return", "ignore", "retry"};
static const char *const end_actions[] = {"signal", "free"};

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

static int option_as(struct bhi_lab_parser *p, void *member)
{
	struct bhi_lab_step *step = member;
	int r = bhi_lab_need_word(p, "a name"), memory;

	if (r)
		return r;
	memory = bhi_lab_find_name(p, BHI_LAB_NAME_OF_MEMORY);
	if (memory < 0)
		return bhi_lab_declare(p, BHI_LAB_NAME_OF_MEMORY, &step->memory);
	if (kind_of_memory(p->task, memory) != step->op)
		return bhi_lab_fail(p,
			"'%s' is memory from %s; that from %s needs another name",
			p->word.text, request_name(kind_of_memory(p->task, memory)),
			request_name(step->op));
	step->memory = memory;
	return 0;
}

static int option_or(struct bhi_lab_parser *p, void *member)
{
	return bhi_lab_need_choice(p, member, "an action", BHI_LAB_TABLE(error_actions));
}

static const struct bhi_lab_option alloc_options[] = {
	{"noretry", NULL, BHI_LAB_MEMBER(step, flags), BH_NORETRY},
	{"retry-mayfail", NULL, BHI_LAB_MEMBER(step, flags), BH_RETRY_MAYFAIL},
	{"nofail", NULL, BHI_LAB_MEMBER(step, flags), BH_NOFAIL},
	{"atomic", NULL, BHI_LAB_MEMBER(step, flags), BH_ATOMIC},
	{"nowait", NULL, BHI_LAB_MEMBER(step, flags), BH_NOWAIT},
	{"noreclaim", NULL, BHI_LAB_MEMBER(step, flags), BH_NORECLAIM},
	{"as", option_as, 0, 0},
	{"or", option_or, BHI_LAB_MEMBER(step, on_error), 0},
};

static const struct bhi_lab_option malloc_options[] = {
	{"as", option_as, 0, 0},
	{"or", option_or, BHI_LAB_MEMBER(step, on_error), 0},
};

static int step_plain(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	(void)p;
	(void)step;
	return 0;
}

static int step_lock(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	return bhi_lab_lookup_next(p, BHI_LAB_NAME_OF_LOCK, &step->object);
}

static int step_rdlock(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = step_lock(p, step);

	if (!r && !p->scenario->locks[step->object].is_rwlock)
		return bhi_lab_fail(
			p, "'%s' is a mutex; rdlock takes a rwlock", p->word.text);
	return r;
}

static int step_alloc(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = bhi_lab_need_size(p, &step->size);

	return r ? r : bhi_lab_parse_options(p, BHI_LAB_TABLE(alloc_options), step);
}

static int step_malloc(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = bhi_lab_need_size(p, &step->size);

	return r ? r : bhi_lab_parse_options(p, BHI_LAB_TABLE(malloc_options), step);
}

static int step_map(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = bhi_lab_need_size(p, &step->size);

	if (!r)
		r = bhi_lab_need_exactly(p, "as");
	return r ? r : option_as(p, step);
}

static int step_memory(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	return bhi_lab_lookup_next(p, BHI_LAB_NAME_OF_MEMORY, &step->memory);
}

static int need_memory_of(
	struct bhi_lab_parser *p, struct bhi_lab_step *step, enum bhi_lab_op named_by)
{
	int r = step_memory(p, step);

	if (!r && kind_of_memory(p->task, step->memory) != named_by)
		return bhi_lab_fail(p, "'%s' is memory from %s, not from %s",
			p->word.text, request_name(kind_of_memory(p->task, step->memory)),
			request_name(named_by));
	return r;
}

static int step_discard(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	return need_memory_of(p, step, BHI_LAB_MAP);
}

static int step_touch(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = need_memory_of(p, step, BHI_LAB_MAP);

	if (r || !bhi_lab_next_word(p))
		return r;
	r = bhi_lab_size_of_word(p, &step->size);
	if (!r && !step->size)
		return bhi_lab_fail(p,
			"'%s' touches nothing; without a size it is all of the map",
			p->word.text);
	return r;
}

static int step_event(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	return bhi_lab_lookup_next(p, BHI_LAB_NAME_OF_EVENT, &step->object);
}

static int step_until(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = bhi_lab_need_exactly(p, "until");

	return r ? r : step_event(p, step);
}

static int step_loop(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	uint64_t count = 0;

	p->loops[p->nr_loops++] = p->word;
	if (!bhi_lab_next_word(p))
		return 0;
	if (bhi_parse_u64(p->word.text, UINT32_MAX, &count) || !count)
		return bhi_lab_fail(p,
			"'%s' is no number of rounds; without one they never end",
			p->word.text);
	step->count = (unsigned)count;
	return 0;
}

static int step_end(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	(void)step;
	if (!p->nr_loops)
		return bhi_lab_fail(p, "no loop is open here");
	p->nr_loops--;
	return 0;
}

/* Until bhi_lab_resolve_kills(), .size is where in the text the name is. */
static int step_kill(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r = bhi_lab_need_word(p, "a name");

	step->size = (size_t)(p->word.at - p->text);
	return r;
}

static int step_on(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	unsigned action = 0;
	int r = bhi_lab_need_exactly(p, "end");

	if (!r)
		r = bhi_lab_need_choice(
			p, &action, "an action", BHI_LAB_TABLE(end_actions));
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
	int (*parse)(struct bhi_lab_parser *p, struct bhi_lab_step *step);
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

bool bhi_lab_is_step(const struct bhi_lab_parser *p)
{
	return bhi_lab_find_word(p, BHI_LAB_WORDS(steps)) >= 0;
}

int bhi_lab_find_label(const struct bhi_lab_task *task, const char *label)
{
	for (unsigned i = 0; i < task->nr_steps; i++) {
		if (!strcmp(task->steps[i].label, label))
			return (int)i;
	}
	return -1;
}

/* The word at hand ends with ':'. */
static int parse_label(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	int r;

	bhi_lab_set_word(p, p->word.at, p->word.at + p->word.len - 1);
	r = bhi_lab_check_name(p);
	if (r)
		return r;
	if (bhi_lab_find_label(p->task, p->word.text) >= 0)
		return bhi_lab_fail(
			p, "another step of the task has the label '%s'", p->word.text);
	strcpy(step->label, p->word.text);
	return bhi_lab_need_word(p, "the step behind its label");
}

int bhi_lab_parse_step(struct bhi_lab_parser *p)
{
	struct bhi_lab_step *step = &p->task->steps[p->task->nr_steps];
	int i, r;

	if (p->task->nr_steps == BHI_LAB_STEPS)
		return bhi_lab_fail(p,
			"'%s' is one step too many; a task has room for %d", p->word.text,
			BHI_LAB_STEPS);
	step->line = p->line;
	step->object = step->memory = BHI_LAB_NONE;
	if (p->word.at[p->word.len - 1] == ':') {
		r = parse_label(p, step);
		if (r)
			return r;
	}
	i = bhi_lab_find_word(p, BHI_LAB_WORDS(steps));
	if (i < 0)
		return bhi_lab_fail(
			p, "'%s' is neither a step nor a statement", p->word.text);
	step->op = steps[i].op;
	r = steps[i].parse(p, step);
	if (!r)
		p->task->nr_steps++;
	return r;
}

static int resolve_kill(struct bhi_lab_parser *p, struct bhi_lab_step *step)
{
	const char *at = p->text + step->size;

	p->next = at;
	while (p->next > p->text && p->next[-1] != '\n')
		p->next--;
	p->line = step->line - 1;
	bhi_lab_next_line(p);
	p->pos = at;
	step->size = 0;
	return bhi_lab_lookup_next(p, BHI_LAB_NAME_OF_TASK, &step->object);
}

int bhi_lab_resolve_kills(struct bhi_lab_parser *p)
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
