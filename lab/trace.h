/* SPDX-License-Identifier: MIT */
/* The events of a run, as they happen. */
#ifndef BHI_LAB_TRACE_H
#define BHI_LAB_TRACE_H

#include "run.h"

void bhi_lab_trace(enum bhi_lab_event_kind kind, const struct bhi_lab_run_task *task,
	uint64_t value);

/* Look at all tasks and note what others did to them: kills, zaps, the reaper's tries. */
void bhi_lab_trace_look(void);

#endif
