/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "support_fault.h"

/* Records with stacks would be most of a run. */
#define EVERY_REQUEST                                                        \
	"slab:ignore-gfp-wait=N,verbose=0;"                                  \
	"page:ignore-gfp-wait=N,ignore-gfp-highmem=N,min-order=0,verbose=0;" \
	"syscall:verbose=0"

void support_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds)
{
	struct bhi_fault_changes changes;

	if (mode == BHI_FP_NTH) {
		if (bhi_inject_read("support_arm", EVERY_REQUEST, &changes))
			abort();
		bhi_inject_set(&changes);
	}
	bhi_failpoint_arm(kinds ? nth : 0, mode, kinds);
}

void support_inject(const char *settings)
{
	ck_assert_int_eq(bh_fault_set(settings), 0);
}

struct bh_fault_stat support_injected(enum bh_fault_kind kind)
{
	struct bh_fault_stat stat;

	ck_assert_int_eq(bh_fault_stat(kind, &stat), 0);
	return stat;
}

void support_check_failed(void *p)
{
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(p);
	errno = 0;
}
