/* SPDX-License-Identifier: MIT */
/*
 * Whose stall clock runs when a thread waits for memory. A thread works for the group
 * that it last charged on the slow path, and for all ancestors of it; when it waits, the
 * clocks of that group and its ancestors count it as waiting.
 */
#ifndef BHI_ACCOUNT_PRESSURE_H
#define BHI_ACCOUNT_PRESSURE_H

#include "account/group.h"

/* Context: any; once. */
void bhi_pressure_init(void);

/* This thread now works for @group (while it waits: still for the one it waits for).
 * Context: any, no allocation; in no section. */
void bhi_pressure_work_for(struct bh_group *group);

/* Between these two this thread waits for memory of @group. They nest; only the outermost
 * pair counts. Context: any, no allocation; in no section. */
void bhi_pressure_enter(struct bh_group *group);
void bhi_pressure_leave(void);

/* No thread works for @group any more: those that did work for its parent. Context: may
 * wait. */
void bhi_pressure_forget(struct bh_group *group);

#endif
