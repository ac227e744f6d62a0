/* SPDX-License-Identifier: MIT */
#include "api/report_injected.h"

#include "api/report_tasks.h"
#include "base/sys.h"

/* "libfoo.so.1+0x1234" */
#define PLACE_SIZE 128

void bhi_report_walk_injecting(
	struct bhi_out *out, const struct bhi_report_rendering *rendering)
{
	struct bhi_report_injecting item = {.is_first = true};

	for (unsigned i = 0; i < BHI_FAULT_KINDS; i++) {
		item.kind = (enum bh_fault_kind)i;
		bhi_inject_stat(item.kind, &item.stat);
		if (!item.stat.probability && !item.stat.nr_failed)
			continue;
		rendering->injecting(out, &item);
		item.is_first = false;
	}
}

void bhi_report_walk_injections(
	struct bhi_out *out, const struct bhi_report_rendering *rendering)
{
	struct bhi_report_injection item;
	uint64_t last = UINT64_MAX;

	for (unsigned i = 0; !out->error && i < BHI_INJECTIONS; i++) {
		uint64_t now = bhi_sys_now_ns();

		/* Some were left out, and new ones came in front of those that were read.
		 */
		if (!bhi_injection_read(i, &item.injection) ||
			item.injection.number >= last)
			continue;
		last = item.injection.number;
		item.ago_ns = now - bhi_min(now, item.injection.time_ns);
		rendering->injection(out, &item);
	}
}

void bhi_report_text_injecting(
	struct bhi_out *out, const struct bhi_report_injecting *item)
{
	const struct bh_fault_stat *stat = &item->stat;

	if (item->is_first)
		bhi_outf(out, "\nInjected failures\n");
	bhi_outf(out, "  %s: %lu of %lu eligible requests made to fail; ",
		bhi_fault_kind_name(item->kind), stat->nr_failed, stat->nr_calls);
	if (!stat->probability) {
		bhi_outf(out, "off now\n");
		return;
	}
	bhi_outf(out, "probability %u %%, interval %u, space %lu, times ",
		stat->probability, stat->interval, stat->space);
	if (stat->times < 0)
		bhi_outf(out, "without end\n");
	else
		bhi_outf(out, "%ld left\n", (long)stat->times);
}

void bhi_report_json_injecting(
	struct bhi_out *out, const struct bhi_report_injecting *item)
{
	const struct bh_fault_stat *stat = &item->stat;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "kind", bhi_fault_kind_name(item->kind));
	bhi_json_u64(out, "eligible", stat->nr_calls);
	bhi_json_u64(out, "failed", stat->nr_failed);
	bhi_json_u64(out, "probability", stat->probability);
	bhi_json_u64(out, "interval", stat->interval);
	bhi_json_u64(out, "space", stat->space);
	bhi_json_i64(out, "times", stat->times);
	bhi_json_end(out, '}');
}

/* The banner, the names and the order are the kernel's. */
void bhi_report_text_injection(
	struct bhi_out *out, const struct bhi_report_injection *item)
{
	const struct bhi_injection *injection = &item->injection;
	char place[PLACE_SIZE];

	bhi_outf(out, "  #%lu, ", injection->number);
	bhi_report_text_ns(out, item->ago_ns, 0);
	bhi_outf(out, " ago, thread %u", injection->thread);
	if (injection->asker[0])
		bhi_outf(out, ", task '%s'", injection->asker);
	bhi_outf(out, ": forcing a failure\n");
	bhi_outf(out,
		"      name %s, interval %u, probability %u, space %lu, times %d; size "
		"%lu\n",
		bhi_fault_kind_name(injection->kind), injection->interval,
		injection->probability, injection->space, injection->times,
		injection->size);
	for (unsigned i = 0; i < injection->nr_frames; i++)
		bhi_outf(out, "        %s\n",
			bhi_stack_describe(injection->frames[i], place, sizeof(place)));
}

void bhi_report_json_injection(
	struct bhi_out *out, const struct bhi_report_injection *item)
{
	const struct bhi_injection *injection = &item->injection;
	char place[PLACE_SIZE];

	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "number", injection->number);
	bhi_json_u64(out, "ago_ns", item->ago_ns);
	bhi_json_str(out, "kind", bhi_fault_kind_name(injection->kind));
	bhi_json_u64(out, "thread", injection->thread);
	bhi_json_str(out, "asker", injection->asker[0] ? injection->asker : NULL);
	bhi_json_u64(out, "size", injection->size);
	bhi_json_u64(out, "interval", injection->interval);
	bhi_json_u64(out, "probability", injection->probability);
	bhi_json_u64(out, "space", injection->space);
	bhi_json_i64(out, "times", injection->times);
	bhi_json_begin(out, "stack", '[');
	for (unsigned i = 0; i < injection->nr_frames; i++)
		bhi_json_str(out, NULL,
			bhi_stack_describe(injection->frames[i], place, sizeof(place)));
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}
