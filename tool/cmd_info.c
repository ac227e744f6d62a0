/* SPDX-License-Identifier: MIT */
/*
 * `bulkhead info`: the zone that a program started here would get, where it comes from,
 * and what the machine allows. The same code as in the library finds it out.
 */
#include <errno.h>
#include <string.h>

#include "account/zone.h"
#include "account/zone_probe.h"
#include "base/env.h"
#include "bulkhead.h"

#include "command.h"
#include "machine.h"

#define SCHEMA_VERSION 1

/* Width of the first column of text. */
#define NAME_WIDTH 16

struct info {
	struct bhi_option_value options[BHI_OPTION_NR];
	struct bhi_probe probe;
	struct bhi_machine_row machine[BHI_MACHINE_ROWS];
};

struct mark {
	const char *name, *key, *meaning;
	uint64_t size;
};

enum {
	NR_MARKS = 6
};

static void list_marks(struct mark ret[NR_MARKS])
{
	const struct bhi_watermarks *marks = &bhi_zone.marks;
	const struct mark list[NR_MARKS] = {
		{"high", "high", "the background reclaimer works until this much is free",
			marks->high},
		{"low", "low", "below this it starts to work", marks->low},
		{"min", "min", "an ordinary request leaves this much free", marks->min},
		{"BH_NOFAIL", "nofail", "a request that must not fail leaves this much",
			(uint64_t)bhi_zone_floor(marks, BHI_RESERVE_HALF)},
		{"BH_ATOMIC", "atomic", "a request that may not wait leaves this much",
			(uint64_t)bhi_zone_floor(marks, BHI_RESERVE_ATOMIC)},
		{"reclaim", "reclaim", "inside shrinkers the last byte may go",
			(uint64_t)bhi_zone_floor(marks, BHI_RESERVE_ALL)},
	};

	memcpy(ret, list, sizeof(list));
}

/* What the size was taken from: a variable, a file, or "RAM". */
static const char *zone_source(const struct info *info)
{
	if (bhi_zone.origin == BHI_ZONE_FROM_ENV)
		return "BULKHEAD_SIZE";
	for (unsigned i = 0; i < info->probe.nr_limits; i++) {
		const struct bhi_probe_limit *limit = &info->probe.limits[i];

		if (limit->origin == bhi_zone.origin &&
			limit->size == info->probe.smallest)
			return limit->path;
	}
	return "RAM";
}

static void print_heading(struct bhi_out *out, const char *text)
{
	bhi_outf(out, bhi_has_colours() ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

static void print_row(struct bhi_out *out, const char *name, uint64_t size)
{
	bhi_outf(out, "  %-*s ", NAME_WIDTH, name);
	if (size == BH_UNLIMITED)
		bhi_outf(out, "%8s", "none");
	else
		bhi_out_size(out, size, 8);
}

static void print_zone(struct bhi_out *out, const struct info *info)
{
	const struct bhi_probe *probe = &info->probe;
	struct mark marks[NR_MARKS];

	print_heading(out, "Zone");
	print_row(out, "size", bhi_zone.size);
	if (bhi_zone.origin == BHI_ZONE_FROM_ENV)
		bhi_outf(out, "  from BULKHEAD_SIZE\n");
	else
		bhi_outf(out, "  %s %s\n",
			bhi_zone.size < probe->smallest ? "95 % of"
							: "the least there is, above",
			zone_source(info));
	list_marks(marks);
	for (size_t i = 0; i < bhi_array_size(marks); i++) {
		print_row(out, marks[i].name, marks[i].size);
		bhi_outf(out, "  %s\n", marks[i].meaning);
	}
	if (bhi_zone.size > probe->smallest)
		bhi_outf(out,
			"  The zone is larger than the smallest limit below: the "
			"kernel's OOM killer\n  may come before Bulkhead's limits do.\n");
}

static void print_limits(struct bhi_out *out, const struct info *info)
{
	print_heading(out, "Limits of the machine");
	print_row(out, "RAM", info->probe.ram);
	bhi_outf(out, "\n");
	for (unsigned i = 0; i < info->probe.nr_limits; i++) {
		const struct bhi_probe_limit *limit = &info->probe.limits[i];

		print_row(out,
			limit->origin == BHI_ZONE_FROM_CGROUP2 ? "cgroup v2"
							       : "cgroup v1",
			limit->size);
		bhi_outf(out, "  %s\n", limit->path);
	}
	if (!info->probe.nr_limits)
		bhi_outf(out, "  no cgroup with a memory limit is visible\n");
}

static void print_machine(struct bhi_out *out, const struct info *info)
{
	bool colours = bhi_has_colours();
	int width = 0;

	for (size_t i = 0; i < BHI_MACHINE_ROWS; i++)
		width = bhi_max(width, (int)strlen(info->machine[i].state));
	print_heading(out, "What the machine allows, and what follows");
	for (size_t i = 0; i < BHI_MACHINE_ROWS; i++) {
		const struct bhi_machine_row *row = &info->machine[i];

		bhi_outf(out, "  %-*s %s%-*s%s  %s\n", NAME_WIDTH, row->name,
			!colours    ? ""
			: row->good ? "\033[32m"
				    : "\033[33m",
			width, row->state, colours ? "\033[0m" : "", row->follows);
	}
}

static void print_text(struct bhi_out *out, const struct info *info)
{
	print_zone(out, info);
	bhi_outf(out, "\n");
	print_limits(out, info);
	bhi_outf(out, "\n");
	print_machine(out, info);
}

static void json_zone(struct bhi_out *out, const struct info *info)
{
	struct mark marks[NR_MARKS];

	bhi_json_begin(out, "zone", '{');
	bhi_json_u64(out, "size", bhi_zone.size);
	bhi_json_str(out, "origin", bhi_zone_origin_name(bhi_zone.origin));
	bhi_json_str(out, "source", zone_source(info));
	list_marks(marks);
	bhi_json_begin(out, "free_after_request", '{');
	for (size_t i = 0; i < bhi_array_size(marks); i++)
		bhi_json_u64(out, marks[i].key, marks[i].size);
	bhi_json_end(out, '}');
	bhi_json_end(out, '}');
}

static void json_limits(struct bhi_out *out, const struct info *info)
{
	bhi_json_u64(out, "ram", info->probe.ram);
	bhi_json_begin(out, "limits", '[');
	for (unsigned i = 0; i < info->probe.nr_limits; i++) {
		const struct bhi_probe_limit *limit = &info->probe.limits[i];

		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "origin", bhi_zone_origin_name(limit->origin));
		bhi_json_str(out, "path", limit->path);
		if (limit->size == UINT64_MAX)
			bhi_json_str(out, "size", NULL);
		else
			bhi_json_u64(out, "size", limit->size);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

static void print_json(struct bhi_out *out, const struct info *info)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-info");
	bhi_json_u64(out, "schema_version", SCHEMA_VERSION);
	json_zone(out, info);
	json_limits(out, info);
	bhi_json_begin(out, "machine", '[');
	for (size_t i = 0; i < BHI_MACHINE_ROWS; i++) {
		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "name", info->machine[i].name);
		bhi_json_str(out, "state", info->machine[i].state);
		bhi_json_bool(out, "good", info->machine[i].good);
		bhi_json_str(out, "follows", info->machine[i].follows);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}

static int collect(struct info *info)
{
	const struct bhi_option_value *options = info->options;
	const struct bhi_option_value *size = &options[BHI_OPTION_SIZE];
	int r;

	r = bhi_zone_probe("", &info->probe);
	if (r)
		return r;
	bhi_machine_probe(&options[BHI_OPTION_PAGEFAULT], info->machine);
	return bhi_zone_init(size->set ? size->value : 0, BHI_ZONE_FROM_ENV,
		options[BHI_OPTION_MIN_FREE].value,
		(unsigned)options[BHI_OPTION_WATERMARK_SCALE].value);
}

static enum bhi_exit run(const struct bhi_options *options)
{
	struct info info = {.machine = {{.name = NULL}}};
	struct bhi_out out;
	int r;

	if (bhi_env_read(info.options))
		return BHI_EXIT_USAGE;
	r = collect(&info);
	if (r) {
		bhi_errf("bulkhead: info: asking the machine: %s\n", strerror(-r));
		return BHI_EXIT_FAILED;
	}
	if (!options->json) {
		bhi_out_init(&out, 1);
		print_text(&out, &info);
	} else if (bhi_open_file(&out, &bhi_command_info, options->json_file)) {
		return BHI_EXIT_USAGE;
	} else {
		print_json(&out, &info);
	}
	return bhi_finish(&out);
}

const struct bhi_command bhi_command_info = {
	.name = "info",
	.summary = "show the zone a program would get here, and what the machine allows",
	.usage = "Usage: bulkhead info [--json[=FILE]]\n"
		 "\n"
		 "Show the zone that a program started here would get and where its size "
		 "comes from,\n"
		 "its watermarks and reserves, every memory limit found, and what the "
		 "machine allows.\n"
		 "BULKHEAD_* variables count as they would for the program.\n"
		 "\n"
		 "Options:\n"
		 "  --json[=FILE]  print a JSON object, or write it to FILE; "
		 "bulkhead-info(1)\n"
		 "                 describes it\n",
	.has_json = true,
	.run = run,
};
