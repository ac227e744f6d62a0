/* SPDX-License-Identifier: MIT */
/* What the kernel allows this process, found out by trying it. */
#ifndef BHI_TOOL_MACHINE_H
#define BHI_TOOL_MACHINE_H

#include "base/env.h"

#define BHI_MACHINE_ROWS 8

struct bhi_machine_row {
	const char *name;
	char state[24]; /* "yes", "no (EPERM)", or the mode it is in */
	bool good;      /* nothing is lost */
	const char
		*follows; /* what follows for Bulkhead: a sentence without a full stop */
};

/*
 * Fill all rows. @pagefault: the value of BULKHEAD_PAGEFAULT. Descriptors opened on the
 * way are closed again.
 */
void bhi_machine_probe(const struct bhi_option_value *pagefault,
	struct bhi_machine_row ret[BHI_MACHINE_ROWS]);

#endif
