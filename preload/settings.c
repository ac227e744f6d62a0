/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "debug/fault_parse.h"
#include "real.h"
#include "table.h"

struct kind {
	struct bhi_fault_attr attr;
	struct bhi_fault_filter filter;
};

struct call {
	enum bhi_check_function function;
	size_t size;
	uint64_t number;
};

/* Written by the start, and then changed by decisions alone. */
static struct kind kinds[BHI_FAULT_KINDS];

static BHI_TLS uint32_t nth;

static BHI_COLD void refuse_settings(size_t where, const char *what)
{
	struct bhi_check_shared *shared = bhi_subject.shared;

	if (bhi_subject.pid != shared->first_pid)
		return;
	shared->refused_at = (uint32_t)where;
	(void)strncpy(shared->refused, what, sizeof(shared->refused) - 1);
	bhi_real._exit(2);
}

static bool apply(const struct bhi_fault_changes *changes)
{
	for (unsigned i = 0; i < changes->nr; i++) {
		const struct bhi_fault_change *change = &changes->array[i];

		if (change->kind == BH_FAULT_PAGE) {
			refuse_settings(0, "pages fail in programs that use the library "
					   "alone, with --library");
			return false;
		}
		bhi_fault_apply(
			change, &kinds[change->kind].attr, &kinds[change->kind].filter);
	}
	return true;
}

void bhi_settings_start(void)
{
	const struct bhi_check_shared *shared = bhi_subject.shared;
	struct bhi_fault_changes changes;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	for (unsigned i = 0; i < BHI_FAULT_KINDS; i++) {
		bhi_fault_reset(&kinds[i].attr, &kinds[i].filter);
		kinds[i].attr.random = (uint64_t)now.tv_nsec << 32 ^
				       (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 40;
	}
	if (bhi_fault_parse(shared->settings, &changes)) {
		refuse_settings(changes.where, changes.what);
		return;
	}
	if (!apply(&changes))
		return;
	if (bhi_subject.pid == shared->first_pid)
		nth = shared->settings_nth;
	bhi_subject.has_settings = true;
}

static unsigned capture(uintptr_t *frames, unsigned most, void *arg)
{
	(void)arg;
	return bhi_stack_addresses(frames, most);
}

static void record(const struct bhi_fault_attr *attr, const struct bhi_fault_call *call,
	int32_t times)
{
	const struct call *asked = call->arg;
	struct bhi_stack stack;

	(void)attr;
	(void)times;
	bhi_stack_capture(&stack);
	bhi_table_record(&stack, asked->number, asked->function, asked->size);
}

static bool decide(enum bh_fault_kind kind, unsigned flags, struct call *asked)
{
	struct bhi_fault_call call = {
		.size = asked->size,
		.is_marked = true,
		.nth = &nth,
		.capture = capture,
		.report = record,
		.arg = asked,
	};

	if (!bhi_subject.has_settings ||
		!bhi_fault_is_eligible(kind, &kinds[kind].filter, asked->size, flags) ||
		!bhi_fault_should_fail(&kinds[kind].attr, &call))
		return false;
	bhi_add(&bhi_subject.shared->nr_injected, 1);
	return true;
}

bool bhi_settings_fail(enum bhi_check_function function, size_t size, uint64_t call)
{
	struct call asked = {.function = function, .size = size, .number = call};

	return decide(BH_FAULT_SLAB, BH_NOWAIT, &asked);
}

BHI_COLD bool bhi_settings_refuse_slow(enum bhi_check_function function, size_t size)
{
	unsigned which = function == BHI_CHECK_MMAP     ? BHI_FAULT_MMAP
			 : function == BHI_CHECK_MREMAP ? BHI_FAULT_MREMAP
							: BHI_FAULT_BRK;
	struct call asked = {
		.function = function,
		.size = size,
		.number = __atomic_add_fetch(
			&bhi_subject.shared->nr_calls, 1, __ATOMIC_RELAXED),
	};

	if (!decide(BH_FAULT_SYSCALL, which, &asked))
		return false;
	/* The C library sees from the old break, which is what brk(2) returns, that it
	 * failed. */
	errno = ENOMEM;
	return true;
}
