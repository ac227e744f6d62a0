/* SPDX-License-Identifier: MIT */
/*
 * The text that sets injected failures, of BULKHEAD_FAIL and of bh_fault_set():
 *
 *	text	item { ";" item }
 *	item	"" | "off" | kind ":" setting { "," setting } | kind "=" boot
 *	kind	"slab" | "page" | "syscall"; also "failslab" and "fail_page_alloc"
 *	setting	"off" | knob "=" value
 *	boot	interval "," probability "," space "," times: the kernel's boot form
 *	value	by the knob: a number, a size, Y or N, a place, calls
 *	place	"module:" name | "function:" name | name, which is a function
 *		| "0x" start "-0x" end
 *	calls	("mmap" | "mremap" | "brk") { "+" ... }
 *
 * What is not named stays as it was; "off" is all defaults. The first require and the
 * first reject of an item replace what was there, further ones are added.
 */
#ifndef BHI_DEBUG_FAULT_PARSE_H
#define BHI_DEBUG_FAULT_PARSE_H

#include "debug/fault.h"

#define BHI_FAULT_KINDS   3
#define BHI_FAULT_CHANGES 64

enum bhi_fault_knob {
	BHI_FAULT_OFF,
	BHI_FAULT_PROBABILITY,
	BHI_FAULT_INTERVAL,
	BHI_FAULT_TIMES,
	BHI_FAULT_SPACE,
	BHI_FAULT_VERBOSE,
	BHI_FAULT_RATELIMIT_INTERVAL,
	BHI_FAULT_RATELIMIT_BURST,
	BHI_FAULT_TASK_FILTER,
	BHI_FAULT_DEPTH,
	BHI_FAULT_REQUIRE,
	BHI_FAULT_REJECT,
	BHI_FAULT_SEED,
	BHI_FAULT_IGNORE_WAIT,
	BHI_FAULT_IGNORE_PRIVATE,
	BHI_FAULT_CACHE_FILTER,
	BHI_FAULT_MIN_ORDER,
	BHI_FAULT_CALLS,
};

struct bhi_fault_change {
	enum bh_fault_kind kind;
	enum bhi_fault_knob knob;
	uint64_t value; /* of a place: how many stand before it in its item */
	struct bhi_range range;
};

struct bhi_fault_changes {
	unsigned nr;
	struct bhi_fault_change array[BHI_FAULT_CHANGES];
	/* When the text is refused. Static storage. */
	size_t where; /* bytes of the text before what is wrong */
	const char *what;
};

/*
 * Read all of @text; nothing is set yet. 0, or -EINVAL with .where and .what in @ret.
 * Context: may wait, no allocation; any for a text without names of places.
 */
int bhi_fault_parse(const char *text, struct bhi_fault_changes *ret);

/* The defaults of a kind. Context: signal-safe. */
void bhi_fault_reset(struct bhi_fault_attr *attr, struct bhi_fault_filter *filter);

/* Make the change to the attributes and the filter of its kind, which others may be
 * deciding by. One thread at a time. Context: signal-safe. */
void bhi_fault_apply(const struct bhi_fault_change *change, struct bhi_fault_attr *attr,
	struct bhi_fault_filter *filter);

/* "slab", "page" or "syscall". Context: signal-safe. */
const char *bhi_fault_kind_name(enum bh_fault_kind kind);

#endif
