/* SPDX-License-Identifier: MIT */
/*
 * bhi_fault_parse() over any text. What it takes is applied and decided by; what it
 * refuses is refused inside of the text, with a reason. Names of functions are looked up
 * in files, which is slow: texts with any are cut there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "debug/fault_parse.h"

#define TEXT_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void decide(struct bhi_fault_attr *attr)
{
	const struct bhi_fault_call call = {.size = 64, .is_marked = true};

	for (int i = 0; i < 8; i++) {
		int32_t times = attr->times;
		uint64_t space = attr->space;
		bool fails = bhi_fault_should_fail(attr, &call);

		require(!fails || (attr->probability && times && attr->space == space));
		require(attr->times == (fails && times > 0 ? times - 1 : times));
		require(attr->space == space || attr->space == space - call.size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bhi_fault_filter filter = BHI_FAULT_FILTER_INIT;
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	struct bhi_fault_changes changes;
	char text[TEXT_MAX + 1];
	char *place;
	int r;

	/* Seeds are files of lines. */
	size -= size && data[size - 1] == '\n';
	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	place = strstr(text, "require");
	if (place)
		*place = '\0';
	place = strstr(text, "reject");
	if (place)
		*place = '\0';
	r = bhi_fault_parse(text, &changes);
	require(r == 0 || r == -EINVAL);
	if (r) {
		require(changes.what && changes.where <= strlen(text));
		return 0;
	}
	require(changes.nr <= BHI_FAULT_CHANGES);
	for (unsigned i = 0; i < changes.nr; i++) {
		require((unsigned)changes.array[i].kind < BHI_FAULT_KINDS);
		bhi_fault_apply(&changes.array[i], &attr, &filter);
	}
	require(attr.probability <= 100 && attr.times >= BHI_FAULT_UNLIMITED);
	decide(&attr);
	return 0;
}
