/* SPDX-License-Identifier: MIT */
/*
 * A first touch of a map. The thread charges and populates the page itself, with some
 * around it, and the instruction runs again. When the charge does not fit, the group that
 * is over is recorded, everything is left, and only then somebody is killed or waited for
 * (Linux 3.12); the record is dropped when the next try fits. Called in a signal handler:
 * nothing here allocates, takes a lock of the host or runs its code, but for on_kill and
 * on_oom.
 */
#ifndef BHI_ALLOC_PAGEFAULT_H
#define BHI_ALLOC_PAGEFAULT_H

#include "task/signal.h"

/* Context: any; once. */
void bhi_pagefault_init(void);

/* Context: signal-safe, may wait. @addr lies in an area of @task, the current one. */
enum bhi_pagefault_end bhi_pagefault(struct bh_task *task, void *addr);

#endif
