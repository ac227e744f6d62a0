/* SPDX-License-Identifier: MIT */
/* What the kernel allows this process, found out by trying it. */
#ifndef BHI_TOOL_MACHINE_H
#define BHI_TOOL_MACHINE_H

#include "base/compiler.h"

#define BHI_MACHINE_ROWS 7

struct bhi_machine_row {
	const char *name;
	char state[24]; /* "yes", "no (EPERM)", or the mode it is in */
	bool good;      /* nothing is lost */
	const char
		*follows; /* what follows for Bulkhead: a sentence without a full stop */
};

/* Fill all rows. Descriptors opened on the way are closed again. */
void bhi_machine_probe(struct bhi_machine_row ret[BHI_MACHINE_ROWS]);

#endif
