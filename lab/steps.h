/* SPDX-License-Identifier: MIT */
/* What each step of a scenario does in the library. */
#ifndef BHI_LAB_STEPS_H
#define BHI_LAB_STEPS_H

#include "run.h"

/*
 * Do the step that @task is at, on its thread, inside of its task. May be unwound.
 * Returns the next step's number; BHI_LAB_STEPS: the task is to leave.
 */
int bhi_lab_step(struct bhi_lab_run_task *task);

/* Sleep until event @number is signalled. */
void bhi_lab_await(int number);

/* Free the memory of a slot, if it is of @kind. */
void bhi_lab_memory_free(struct bhi_lab_memory *memory, enum bhi_lab_memory_kind kind);

/* Give up all locks and hold sections that @task has. */
void bhi_lab_let_go(struct bhi_lab_run_task *task);

#endif
