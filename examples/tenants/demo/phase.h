/* SPDX-License-Identifier: MIT */
/* What the demonstration runs, one after the other, and what came of it. */
#ifndef TENANTS_PHASE_H
#define TENANTS_PHASE_H

#include "client.h"
#include "load.h"
#include "server.h"

#define ZONE ((uint64_t)256 << 20)

enum {
	PHASE_ALONE,
	PHASE_TASK,
	PHASE_LIMIT,
	PHASE_PROCESS,
	NR_PHASES,
};

struct phase {
	const char *title, *contain;
	bool has_hogs;

	/* results */
	struct load load;
	struct server server;
	struct reply metrics;
};

extern struct phase phases[NR_PHASES];

/* Print them. */
void show_results(void);

#endif
