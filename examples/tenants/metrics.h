/* SPDX-License-Identifier: MIT */
/* What is counted for GET /metrics, and the times of kills. */
#ifndef TENANTS_METRICS_H
#define TENANTS_METRICS_H

#include <bulkhead.h>

#include "request.h"
#include "text.h"

extern const char *const victim_state_names[BH_VICTIM_IDLE + 1];
extern const char *const kill_reason_names[BH_KILLED_STACK + 1];

/* A script has ended. */
void metrics_outcome(enum outcome outcome, uint64_t ns);

/* A task was killed, and while it was in @wait if it was blocked. */
void metrics_kill(const struct bh_report *report, enum script_wait wait);

/* Requests that were answered without a script. */
void metrics_answer(unsigned status);

/* All of it in the text format of Prometheus. */
void metrics_write(struct text *text);

#endif
