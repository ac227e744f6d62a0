/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "debug/fault_parse.h"

/* No word is longer: names of C++ functions are. */
#define WORD_SIZE 512

enum form {
	FORM_NUMBER,
	FORM_TIMES,
	FORM_SIZE,
	FORM_BOOL,
	FORM_PLACE,
	FORM_CALLS,
};

#define SLAB    (1u << BH_FAULT_SLAB)
#define PAGE    (1u << BH_FAULT_PAGE)
#define SYSCALL (1u << BH_FAULT_SYSCALL)
#define ALL     (SLAB | PAGE | SYSCALL)

static const struct knob {
	const char *name;
	enum bhi_fault_knob knob;
	unsigned kinds;
	enum form form;
	uint64_t most;        /* of a number */
	const char *expected; /* instead of what cannot be read */
} knobs[] = {
	{"probability", BHI_FAULT_PROBABILITY, ALL, FORM_NUMBER, 100,
		"expected a percentage, 0 to 100"},
	{"interval", BHI_FAULT_INTERVAL, ALL, FORM_NUMBER, UINT32_MAX,
		"expected a number, 0 to 4294967295"},
	{"times", BHI_FAULT_TIMES, ALL, FORM_TIMES, INT32_MAX,
		"expected a number up to 2147483647, or -1 for no end"},
	{"space", BHI_FAULT_SPACE, ALL, FORM_SIZE, 0, "expected a size"},
	{"verbose", BHI_FAULT_VERBOSE, ALL, FORM_NUMBER, 2, "expected 0, 1 or 2"},
	{"verbose-ratelimit-interval-ms", BHI_FAULT_RATELIMIT_INTERVAL, ALL, FORM_NUMBER,
		UINT32_MAX, "expected milliseconds, 0 to 4294967295"},
	{"verbose-ratelimit-burst", BHI_FAULT_RATELIMIT_BURST, ALL, FORM_NUMBER,
		UINT32_MAX, "expected a number, 0 to 4294967295"},
	{"task-filter", BHI_FAULT_TASK_FILTER, ALL, FORM_BOOL, 0, "expected Y or N"},
	{"stacktrace-depth", BHI_FAULT_DEPTH, ALL, FORM_NUMBER, UINT32_MAX,
		"expected a number, 0 to 4294967295; above 32 is 32"},
	{"require", BHI_FAULT_REQUIRE, ALL, FORM_PLACE, 0,
		"no function or module of this name is loaded"},
	{"reject", BHI_FAULT_REJECT, ALL, FORM_PLACE, 0,
		"no function or module of this name is loaded"},
	{"seed", BHI_FAULT_SEED, ALL, FORM_NUMBER, UINT64_MAX, "expected a number"},
	{"ignore-gfp-wait", BHI_FAULT_IGNORE_WAIT, SLAB | PAGE, FORM_BOOL, 0,
		"expected Y or N"},
	{"ignore-gfp-highmem", BHI_FAULT_IGNORE_PRIVATE, PAGE, FORM_BOOL, 0,
		"expected Y or N"},
	{"cache-filter", BHI_FAULT_CACHE_FILTER, SLAB, FORM_BOOL, 0, "expected Y or N"},
	{"min-order", BHI_FAULT_MIN_ORDER, PAGE, FORM_NUMBER, UINT32_MAX,
		"expected an order, 0 to 4294967295"},
	{"calls", BHI_FAULT_CALLS, SYSCALL, FORM_CALLS, 0,
		"expected mmap, mremap or brk, several with '+' between"},
};

static const struct {
	const char *name;
	enum bh_fault_kind kind;
} kinds[] = {
	{"slab", BH_FAULT_SLAB},
	{"page", BH_FAULT_PAGE},
	{"syscall", BH_FAULT_SYSCALL},
	{"failslab", BH_FAULT_SLAB},
	{"fail_page_alloc", BH_FAULT_PAGE},
};

struct reader {
	const char *text;
	size_t at;    /* of the character read next */
	size_t start; /* of .word */
	char word[WORD_SIZE];
	struct bhi_fault_changes *ret;
	/* of the item */
	enum bh_fault_kind kind;
	unsigned nr_require, nr_reject;
};

static int refuse(struct reader *reader, const char *what)
{
	reader->ret->where = reader->start;
	reader->ret->what = what;
	return -EINVAL;
}

/* Up to one of @ends. */
static int read_word(struct reader *reader, const char *ends)
{
	size_t len = strcspn(reader->text + reader->at, ends);

	reader->start = reader->at;
	if (len >= sizeof(reader->word))
		return refuse(reader, "this is too long");
	memcpy(reader->word, reader->text + reader->at, len);
	reader->word[len] = '\0';
	reader->at += len;
	return 0;
}

/* The character behind a word, if it is @c. */
static bool skip(struct reader *reader, char c)
{
	if (reader->text[reader->at] != c)
		return false;
	reader->at++;
	return true;
}

static int add(struct reader *reader, enum bhi_fault_knob knob, uint64_t value,
	const struct bhi_range *range)
{
	struct bhi_fault_changes *ret = reader->ret;

	if (ret->nr == BHI_FAULT_CHANGES)
		return refuse(reader, "these are too many settings");
	ret->array[ret->nr++] = (struct bhi_fault_change){
		.kind = reader->kind,
		.knob = knob,
		.value = value,
		.range = range ? *range : (struct bhi_range){0},
	};
	return 0;
}

static int parse_times(const char *text, uint64_t *ret)
{
	if (strcmp(text, "-1") != 0)
		return bhi_parse_u64(text, INT32_MAX, ret);
	*ret = (uint64_t)BHI_FAULT_UNLIMITED;
	return 0;
}

static int parse_bool(const char *text, uint64_t *ret)
{
	static const char words[] = "YyNn10";
	const char *word = text[0] && !text[1] ? strchr(words, text[0]) : NULL;

	if (!word)
		return -EINVAL;
	*ret = *word == 'Y' || *word == 'y' || *word == '1';
	return 0;
}

static int parse_calls(const char *text, uint64_t *ret)
{
	static const struct {
		const char *name;
		unsigned call;
	} calls[] = {
		{"mmap", BHI_FAULT_MMAP},
		{"mremap", BHI_FAULT_MREMAP},
		{"brk", BHI_FAULT_BRK},
	};
	uint64_t mask = 0;

	for (;;) {
		size_t i = 0, len = strcspn(text, "+");

		while (i < bhi_array_size(calls) &&
			(strlen(calls[i].name) != len ||
				strncmp(calls[i].name, text, len) != 0))
			i++;
		if (i == bhi_array_size(calls))
			return -EINVAL;
		mask |= calls[i].call;
		if (!text[len])
			break;
		text += len + 1;
	}
	*ret = mask;
	return 0;
}

/* "0x" and digits, up to the end of the text or @end. */
static int parse_hex(const char **text, char end, uintptr_t *ret)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *p = *text;
	uintptr_t value = 0;

	if (strncmp(p, "0x", 2) != 0 || p[2] == end)
		return -EINVAL;
	for (p += 2; *p != end; p++) {
		const char *digit = *p ? strchr(digits, *p) : NULL;

		if (!digit || value >> (8 * sizeof(value) - 4))
			return -EINVAL;
		value = value << 4 | (uintptr_t)((digit - digits) & 15);
	}
	*text = p;
	*ret = value;
	return 0;
}

static int parse_place(const char *text, struct bhi_range *ret)
{
	static const char module[] = "module:", function[] = "function:";

	if (!strncmp(text, module, sizeof(module) - 1))
		return bhi_stack_find_module(text + sizeof(module) - 1, ret);
	if (!strncmp(text, function, sizeof(function) - 1))
		return bhi_stack_find_function(text + sizeof(function) - 1, ret);
	if (strncmp(text, "0x", 2) != 0)
		return bhi_stack_find_function(text, ret);
	if (parse_hex(&text, '-', &ret->start))
		return -EINVAL;
	text++;
	return parse_hex(&text, '\0', &ret->end);
}

static int read_place(struct reader *reader, const struct knob *knob)
{
	unsigned *nr = knob->knob == BHI_FAULT_REQUIRE ? &reader->nr_require
						       : &reader->nr_reject;
	struct bhi_range range;

	if (*nr == BHI_FAULT_RANGES)
		return refuse(reader, "these are more than 4 of one kind");
	if (parse_place(reader->word, &range))
		return refuse(reader, knob->expected);
	return add(reader, knob->knob, (*nr)++, &range);
}

static int parse_value(const struct knob *knob, const char *text, uint64_t *ret)
{
	switch (knob->form) {
	case FORM_NUMBER:
		return bhi_parse_u64(text, knob->most, ret);
	case FORM_TIMES:
		return parse_times(text, ret);
	case FORM_SIZE:
		return bhi_parse_size(text, ret);
	case FORM_BOOL:
		return parse_bool(text, ret);
	default:
		return parse_calls(text, ret);
	}
}

/* The word is the value. */
static int read_value(struct reader *reader, const struct knob *knob)
{
	uint64_t value;

	if (knob->form == FORM_PLACE)
		return read_place(reader, knob);
	if (parse_value(knob, reader->word, &value))
		return refuse(reader, knob->expected);
	return add(reader, knob->knob, value, NULL);
}

static const struct knob *find_knob(const struct reader *reader)
{
	for (size_t i = 0; i < bhi_array_size(knobs); i++) {
		if (!strcmp(reader->word, knobs[i].name) &&
			(knobs[i].kinds & 1u << reader->kind))
			return &knobs[i];
	}
	return NULL;
}

static int read_setting(struct reader *reader)
{
	const struct knob *knob;
	int r = read_word(reader, "=,;");

	if (r)
		return r;
	if (!strcmp(reader->word, "off") && reader->text[reader->at] != '=')
		return add(reader, BHI_FAULT_OFF, 0, NULL);
	knob = find_knob(reader);
	if (!knob)
		return refuse(reader, "there is no such setting here");
	if (!skip(reader, '='))
		return refuse(reader, "expected '=' and a value behind this");
	r = read_word(reader, ",;");
	return r ? r : read_value(reader, knob);
}

/* In the order of the kernel's command line; all four. */
static int read_boot(struct reader *reader)
{
	static const uint8_t order[] = {BHI_FAULT_INTERVAL, BHI_FAULT_PROBABILITY,
		BHI_FAULT_SPACE, BHI_FAULT_TIMES};

	for (size_t i = 0; i < bhi_array_size(order); i++) {
		const struct knob *knob = knobs;
		int r;

		if (i && !skip(reader, ','))
			return refuse(reader,
				"expected interval,probability,space,times, all four");
		while (knob->knob != order[i])
			knob++;
		r = read_word(reader, ",;");
		if (!r)
			r = read_value(reader, knob);
		if (r)
			return r;
	}
	return 0;
}

static int read_settings(struct reader *reader)
{
	int r;

	reader->nr_require = reader->nr_reject = 0;
	do
		r = read_setting(reader);
	while (!r && skip(reader, ','));
	return r;
}

static int turn_all_off(struct reader *reader)
{
	int r = 0;

	for (unsigned i = 0; !r && i < BHI_FAULT_KINDS; i++) {
		reader->kind = (enum bh_fault_kind)i;
		r = add(reader, BHI_FAULT_OFF, 0, NULL);
	}
	return r;
}

static int read_item(struct reader *reader)
{
	int r = read_word(reader, ":=,;");
	char end = reader->text[reader->at];

	if (r)
		return r;
	if (!reader->word[0] && (!end || end == ';'))
		return 0;
	if (!strcmp(reader->word, "off") && (!end || end == ';'))
		return turn_all_off(reader);
	for (size_t i = 0; i < bhi_array_size(kinds); i++) {
		if (strcmp(reader->word, kinds[i].name) != 0)
			continue;
		reader->kind = kinds[i].kind;
		if (skip(reader, ':'))
			return read_settings(reader);
		if (skip(reader, '='))
			return read_boot(reader);
		return refuse(reader, "expected ':' and settings behind this");
	}
	return refuse(reader, "expected slab, page, syscall or off");
}

int bhi_fault_parse(const char *text, struct bhi_fault_changes *ret)
{
	struct reader reader = {.text = text, .ret = ret};

	ret->nr = 0;
	ret->where = 0;
	ret->what = NULL;
	do {
		int r = read_item(&reader);

		if (r)
			return r;
	} while (skip(&reader, ';'));
	if (!text[reader.at])
		return 0;
	reader.start = reader.at;
	return refuse(&reader, "expected ';' or the end here");
}

/* The counts are no settings, and stay. */
void bhi_fault_reset(struct bhi_fault_attr *attr, struct bhi_fault_filter *filter)
{
	static const struct bhi_fault_attr defaults = BHI_FAULT_ATTR_INIT;
	static const struct bhi_fault_filter filter_defaults = BHI_FAULT_FILTER_INIT;

	bhi_store(&attr->probability, defaults.probability);
	bhi_store(&attr->interval, defaults.interval);
	bhi_store(&attr->times, defaults.times);
	bhi_store(&attr->space, defaults.space);
	bhi_store(&attr->verbose, defaults.verbose);
	bhi_store(&attr->ratelimit_interval_ms, defaults.ratelimit_interval_ms);
	bhi_store(&attr->ratelimit_burst, defaults.ratelimit_burst);
	bhi_store(&attr->task_filter, defaults.task_filter);
	bhi_store(&attr->stack_depth, defaults.stack_depth);
	bhi_store(&attr->nr_require, defaults.nr_require);
	bhi_store(&attr->nr_reject, defaults.nr_reject);
	bhi_store(&attr->count, defaults.count);
	bhi_store(&filter->ignore_wait, filter_defaults.ignore_wait);
	bhi_store(&filter->ignore_private, filter_defaults.ignore_private);
	bhi_store(&filter->cache_filter, filter_defaults.cache_filter);
	bhi_store(&filter->min_order, filter_defaults.min_order);
	bhi_store(&filter->calls, filter_defaults.calls);
}

/* The range before the number that says that it is there. */
static void set_range(
	struct bhi_range *ranges, uint32_t *nr, const struct bhi_fault_change *change)
{
	if (!change->value)
		bhi_store(nr, 0u);
	bhi_store(&ranges[change->value].start, change->range.start);
	bhi_store(&ranges[change->value].end, change->range.end);
	bhi_store_release(nr, (uint32_t)change->value + 1);
}

static uint32_t *word_of(enum bhi_fault_knob knob, struct bhi_fault_attr *attr,
	struct bhi_fault_filter *filter)
{
	uint32_t *const words[] = {
		[BHI_FAULT_PROBABILITY] = &attr->probability,
		[BHI_FAULT_INTERVAL] = &attr->interval,
		[BHI_FAULT_VERBOSE] = &attr->verbose,
		[BHI_FAULT_RATELIMIT_INTERVAL] = &attr->ratelimit_interval_ms,
		[BHI_FAULT_RATELIMIT_BURST] = &attr->ratelimit_burst,
		[BHI_FAULT_TASK_FILTER] = &attr->task_filter,
		[BHI_FAULT_DEPTH] = &attr->stack_depth,
		[BHI_FAULT_IGNORE_WAIT] = &filter->ignore_wait,
		[BHI_FAULT_IGNORE_PRIVATE] = &filter->ignore_private,
		[BHI_FAULT_CACHE_FILTER] = &filter->cache_filter,
		[BHI_FAULT_MIN_ORDER] = &filter->min_order,
		[BHI_FAULT_CALLS] = &filter->calls,
	};

	return words[knob];
}

void bhi_fault_apply(const struct bhi_fault_change *change, struct bhi_fault_attr *attr,
	struct bhi_fault_filter *filter)
{
	switch (change->knob) {
	case BHI_FAULT_OFF:
		bhi_fault_reset(attr, filter);
		break;
	case BHI_FAULT_TIMES:
		bhi_store(&attr->times, (int32_t)change->value);
		break;
	case BHI_FAULT_SPACE:
		bhi_store(&attr->space, change->value);
		break;
	case BHI_FAULT_SEED:
		bhi_store(&attr->random, change->value);
		break;
	case BHI_FAULT_REQUIRE:
		set_range(attr->require, &attr->nr_require, change);
		break;
	case BHI_FAULT_REJECT:
		set_range(attr->reject, &attr->nr_reject, change);
		break;
	default:
		bhi_store(word_of(change->knob, attr, filter), (uint32_t)change->value);
		break;
	}
}

const char *bhi_fault_kind_name(enum bh_fault_kind kind)
{
	return kinds[kind].name;
}
