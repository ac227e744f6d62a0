/* SPDX-License-Identifier: MIT */
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
