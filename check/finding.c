/* SPDX-License-Identifier: MIT */
/* Names that all of a session's outputs share. */
#include <stdio.h>
#include <string.h>

#include "finding.h"

static const char *const class_names[BHI_CHECK_NR_CLASSES] = {
	[BHI_CHECK_CORRUPTION] = "memory-corruption",
	[BHI_CHECK_CRASH] = "crash",
	[BHI_CHECK_REPORTER_CRASH] = "reporter-crash",
	[BHI_CHECK_DEADLOCK] = "deadlock",
	[BHI_CHECK_BUSY_HANG] = "busy-hang",
	[BHI_CHECK_RUNAWAY_OUTPUT] = "runaway-output",
	[BHI_CHECK_WRONG_SILENT] = "wrong-output-silent",
	[BHI_CHECK_WRONG_MESSAGE] = "wrong-output",
	[BHI_CHECK_LEAK] = "leak",
	[BHI_CHECK_LOCK_HELD] = "lock-held",
	[BHI_CHECK_SILENT_ERROR] = "silent-error",
	[BHI_CHECK_POLICY_ABORT] = "policy-abort",
	[BHI_CHECK_HANDLED] = "handled",
	[BHI_CHECK_ABSORBED] = "absorbed",
	[BHI_CHECK_UNREACHED] = "unreached",
};

static const char *const function_names[BHI_CHECK_NR_FUNCTIONS] = {
	[BHI_CHECK_MALLOC] = "malloc",
	[BHI_CHECK_CALLOC] = "calloc",
	[BHI_CHECK_REALLOC] = "realloc",
	[BHI_CHECK_REALLOCARRAY] = "reallocarray",
	[BHI_CHECK_POSIX_MEMALIGN] = "posix_memalign",
	[BHI_CHECK_ALIGNED_ALLOC] = "aligned_alloc",
	[BHI_CHECK_MEMALIGN] = "memalign",
	[BHI_CHECK_VALLOC] = "valloc",
	[BHI_CHECK_PVALLOC] = "pvalloc",
	[BHI_CHECK_NEW] = "operator new",
	[BHI_CHECK_NEW_NOTHROW] = "operator new(nothrow)",
	[BHI_CHECK_MMAP] = "mmap",
	[BHI_CHECK_MREMAP] = "mremap",
	[BHI_CHECK_BRK] = "brk",
};

const char *bhi_check_class_name(enum bhi_check_class class)
{
	return class < BHI_CHECK_NR_CLASSES ? class_names[class] : "none";
}

int bhi_check_class_parse(const char *name)
{
	for (int i = 0; i < BHI_CHECK_NR_CLASSES; i++) {
		if (!strcmp(class_names[i], name))
			return i;
	}
	return -1;
}

bool bhi_check_class_is_finding(enum bhi_check_class class)
{
	return class < BHI_CHECK_HANDLED;
}

const char *bhi_check_function_name(enum bhi_check_function function)
{
	return function < BHI_CHECK_NR_FUNCTIONS ? function_names[function]
						 : "allocation";
}

const char *bhi_check_place_name(
	const struct bhi_check_place *place, char *buf, size_t size)
{
	if (place->function)
		snprintf(buf, size, "%s", place->function);
	else
		snprintf(buf, size, "%s+0x%lx", place->module, place->offset);
	return buf;
}

bool bhi_check_is_hang(enum bhi_check_class class)
{
	return class == BHI_CHECK_DEADLOCK || class == BHI_CHECK_BUSY_HANG ||
	       class == BHI_CHECK_RUNAWAY_OUTPUT;
}
