/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom. Found from what each task is doing when nobody goes on any more: a
 * lock leads to its holders, memory to the victims that are to give it back, an event to
 * those that could still signal it.
 */
#ifndef BHI_LAB_WAITS_H
#define BHI_LAB_WAITS_H

#include "run.h"

/* Say in the outcome, a sentence a task, who waits for whom, and first of all the cycle
 * or what nobody can give. */
void bhi_lab_waits_explain(void);

/* The group whose memory @task is waiting for. */
struct bh_group *bhi_lab_waits_for_memory_of(const struct bhi_lab_run_task *task);

#endif
