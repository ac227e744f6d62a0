/* SPDX-License-Identifier: MIT */
/* The options are one table: what help prints is what is parsed. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "text.h"

#define MIB        ((uint64_t)1 << 20)
#define NR_OPTIONS (sizeof(table) / sizeof(table[0]))

enum kind {
	KIND_COUNT,
	KIND_SIZE,
	KIND_TIME,
	KIND_HOST,
	KIND_CONTAIN,
	KIND_SWITCH,
};

static const struct option_row {
	const char *name, *value, *fallback;
	enum kind kind;
	size_t offset;
	uint64_t least, most;
	const char *help;
} table[] = {
#define AT(field) offsetof(struct options, field)
	{"host", "ADDR", "127.0.0.1", KIND_HOST, AT(host), 0, 0,
		"IPv4 address to listen on"},
	{"port", "N", "8080", KIND_COUNT, AT(port), 0, 65535, "0: any free one"},
	{"size", "SIZE", "256M", KIND_SIZE, AT(zone_size), MIB, UINT64_MAX,
		"the zone: bytes that all tenants together may have"},
	{"tenant-max", "SIZE", "16M", KIND_SIZE, AT(tenant_max), 65536, UINT64_MAX,
		"memory limit of a new tenant"},
	{"cache-max", "SIZE", "32M", KIND_SIZE, AT(cache_max), 65536, UINT64_MAX,
		"limit of the cache that tenants share"},
	{"deadline", "TIME", "2s", KIND_TIME, AT(deadline_ns), 1000000, UINT64_MAX,
		"how long a script of a new tenant may run"},
	{"grace", "TIME", "2s", KIND_TIME, AT(grace_ns), 1000000, UINT64_MAX,
		"how long scripts may run on, and clients read, when the server ends"},
	{"body-max", "SIZE", "256K", KIND_SIZE, AT(body_max), 1, 1024 * MIB,
		"longest script; a longer one is answered 413"},
	{"output-max", "SIZE", "1M", KIND_SIZE, AT(output_max), 1, 1024 * MIB,
		"longest output of a script"},
	{"connections", "N", "512", KIND_COUNT, AT(nr_connections), 1, 65536,
		"connections at a time; the next is answered 503"},
	{"per-client", "N", "512", KIND_COUNT, AT(nr_per_client), 1, 65536,
		"of them from one address; the next is closed at once"},
	{"workers", "N", "64", KIND_COUNT, AT(nr_workers), 1, 4096,
		"threads that run scripts"},
	{"at-once", "N", "16", KIND_COUNT, AT(nr_at_once), 1, 65536,
		"requests of one tenant at a time; the next is answered 429"},
	{"tenants", "N", "1024", KIND_COUNT, AT(nr_tenants), 1, 65536,
		"tenants; the next is answered 429"},
	{"sessions", "N", "4096", KIND_COUNT, AT(nr_sessions), 1, 1000000,
		"sessions of all tenants; the next is answered 429"},
	{"contain", "HOW", "task", KIND_CONTAIN, AT(contain), 0, 0,
		"task (Bulkhead), limit (the interpreter's allocator fails)\n"
		"or process (one for each request); for comparison"},
	{"drills", NULL, NULL, KIND_SWITCH, AT(drills), 0, 0,
		"let anybody hold the cache lock: POST /drill/cache-lock?for=1s"},
	{"help", NULL, NULL, KIND_SWITCH, 0, 0, 0, "this text"},
#undef AT
};

/* A non-negative decimal number without an exponent, and what follows it. */
static bool parse_number(const char *text, double *ret, const char **ret_unit)
{
	size_t size = strspn(text, "0123456789.");
	char digits[32], *end;

	if (size == 0 || size >= sizeof(digits) || text[0] == '.')
		return false;
	memcpy(digits, text, size);
	digits[size] = 0;
	*ret = strtod(digits, &end);
	*ret_unit = text + size;
	return !*end;
}

bool parse_size(const char *text, uint64_t *ret)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	const char *unit;
	double value;

	if (!parse_number(text, &value, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcasecmp(unit, units[i]) && ldexp(value, 10 * (int)i) < 0x1p62) {
			*ret = (uint64_t)ldexp(value, 10 * (int)i);
			return true;
		}
	}
	return false;
}

bool parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}};
	const char *unit;
	double value;

	if (!parse_number(text, &value, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(unit, units[i].name) && value * units[i].ns < 0x1p62) {
			*ret_ns = (uint64_t)(value * units[i].ns);
			return true;
		}
	}
	return false;
}

static bool parse_count(const char *text, uint64_t *ret)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && !*end;
}

static bool parse_contain(const char *text, uint64_t *ret)
{
	static const char *const names[] = {"task", "limit", "process"};

	for (uint64_t i = 0; i < 3; i++) {
		if (!strcmp(text, names[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static const char *range_of(const struct option_row *row)
{
	static char text[64];
	char sizes[2][16];

	if (row->kind == KIND_TIME)
		snprintf(text, sizeof(text), "at least %s",
			text_time(sizes[0], row->least));
	else if (row->kind == KIND_COUNT)
		snprintf(text, sizeof(text), "from %u to %u", (unsigned)row->least,
			(unsigned)row->most);
	else if (row->most == UINT64_MAX)
		snprintf(text, sizeof(text), "at least %s",
			text_size(sizes[0], row->least));
	else
		snprintf(text, sizeof(text), "from %s to %s",
			text_size(sizes[0], row->least), text_size(sizes[1], row->most));
	return text;
}

/* NULL, or what the value should have been. */
static const char *option_set(
	const struct option_row *row, const char *text, struct options *options)
{
	void *field = (char *)options + row->offset;
	struct in_addr address;
	uint64_t value = 0;

	switch (row->kind) {
	case KIND_SWITCH:
		*(bool *)field = true;
		return NULL;
	case KIND_HOST:
		if (inet_pton(AF_INET, text, &address) != 1)
			return "an IPv4 address, such as 0.0.0.0";
		snprintf(options->host, sizeof(options->host), "%s", text);
		return NULL;
	case KIND_CONTAIN:
		if (!parse_contain(text, &value))
			return "task, limit or process";
		break;
	case KIND_SIZE:
		if (!parse_size(text, &value))
			return "a size, such as 16M";
		break;
	case KIND_TIME:
		if (!parse_time(text, &value))
			return "a time, such as 2s or 500ms";
		break;
	case KIND_COUNT:
		if (!parse_count(text, &value))
			return "a number";
		break;
	}
	if (row->most && (value < row->least || value > row->most))
		return range_of(row);
	*(uint64_t *)field = value;
	return NULL;
}

void options_default(struct options *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		if (table[i].fallback)
			option_set(&table[i], table[i].fallback, ret);
	}
}

static void print_help(void)
{
	printf("Usage: tenants [options]\n"
	       "\n"
	       "An HTTP server that runs scripts of its tenants, in Lua or JavaScript, "
	       "in one\n"
	       "process. Each script runs in a task of Bulkhead: one that takes too much "
	       "memory\n"
	       "or time is ended, its memory is back at once, and nobody else notices.\n"
	       "\n");
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		const struct option_row *row = &table[i];
		const char *line = row->help;
		char left[32];

		snprintf(left, sizeof(left), "--%s%s%s", row->name, row->value ? "=" : "",
			row->value ? row->value : "");
		printf("  %-18s ", left);
		for (const char *end; (end = strchr(line, '\n')); line = end + 1)
			printf("%.*s\n%21s", (int)(end - line), line, "");
		printf("%s", line);
		printf(row->fallback ? " (%s)\n" : "\n", row->fallback);
	}
	printf("\n"
	       "Sizes: 4096, 64K, 16M, 1.5G. Times: 500ms, 2s, 1min.\n"
	       "\n"
	       "Try it:\n"
	       "  curl --data-binary 'print(6 * 7)' "
	       "'http://127.0.0.1:8080/run/alice?lang=lua'\n"
	       "  curl --data-binary 'var a = []; for (;;) a.push(a.join())' \\\n"
	       "      'http://127.0.0.1:8080/run/mallory?lang=js'\n"
	       "  curl -X PUT "
	       "'http://127.0.0.1:8080/tenants/alice?max=64M&deadline=10s'\n"
	       "and look at http://127.0.0.1:8080/ in a browser. docs/tenants.md has the "
	       "rest.\n");
}

enum options_verdict options_parse(int argc, char **argv, struct options *ret)
{
	struct option options[NR_OPTIONS + 1] = {{0}};
	int i, which;

	for (size_t k = 0; k < NR_OPTIONS; k++) {
		options[k].name = table[k].name;
		options[k].has_arg = table[k].value ? required_argument : no_argument;
	}
	options_default(ret);
	optind = 0;
	while ((i = getopt_long(argc, argv, "h", options, &which)) != -1) {
		const char *wanted;

		if (i == 'h' || (i == 0 && !strcmp(table[which].name, "help"))) {
			print_help();
			return OPTIONS_HELP;
		}
		if (i != 0)
			return OPTIONS_BAD;
		wanted = option_set(&table[which], optarg, ret);
		if (wanted) {
			fprintf(stderr, "tenants: --%s=%s: it should be %s\n",
				table[which].name, optarg, wanted);
			return OPTIONS_BAD;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tenants: %s: only options are expected; see --help\n",
			argv[optind]);
		return OPTIONS_BAD;
	}
	return OPTIONS_RUN;
}
