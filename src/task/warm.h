/* SPDX-License-Identifier: MIT */
/*
 * Warm areas: what small tasks leave behind for the next ones, so that a task that uses
 * little memory makes no system call. An area is kept with the pages that are populated
 * in it, zeroed; their bytes stay charged to the root.
 */
#ifndef BHI_TASK_WARM_H
#define BHI_TASK_WARM_H

#include "task/task.h"

/* As many areas as many small requests at a time use, with so many pages each: 4 MiB. */
#define BHI_WARM_AREAS 64
#define BHI_WARM_PAGES 16

/*
 * Keep the only area of @task, which ends, if it is small. The bytes are no longer
 * charged to its group, but to the root. False: it is not to be kept. Context: any, no
 * allocation.
 */
bool bhi_warm_put(struct bh_task *task);

/* A kept area for @task, or BHI_NO_AREA. Its pages are charged to the root; the caller
 * charges its group for them or zaps them. Context: any, no allocation. */
uint32_t bhi_warm_take(struct bh_task *task);

/* Zap all that are kept; returns the bytes, for the caller to uncharge from the root.
 * Context: any, no allocation. */
uint64_t bhi_warm_purge(void);

/* Bytes that are kept. Context: any. */
uint64_t bhi_warm_bytes(void);

/* Pages of an area that are populated. Context: owner thread only. */
uint32_t bhi_area_populated(const struct bhi_area *area);

#endif
