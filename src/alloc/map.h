/* SPDX-License-Identifier: MIT */
/* Maps: spans of private memory that are populated when they are touched. */
#ifndef BHI_ALLOC_MAP_H
#define BHI_ALLOC_MAP_H

#include "task/task.h"

/* A map of @size bytes in the current task. NULL: no address space. May unwind. Context:
 * owner thread only. */
void *bhi_map_new(struct bh_task *task, size_t size);

/* 0, or -EINVAL when [ptr, ptr + size) is not one whole map. May unwind. Context: owner
 * thread only. */
int bhi_map_free(struct bh_task *task, void *ptr, size_t size);

/* These two: -EINVAL when the range is not within one map; touch: -ENOMEM. May unwind.
 * Context: owner thread only, may wait. */
int bhi_map_discard(struct bh_task *task, void *ptr, size_t size);
int bhi_map_touch(struct bh_task *task, void *ptr, size_t size);

#endif
