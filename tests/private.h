/* SPDX-License-Identifier: MIT */
/* Both backends of private memory, for the tests that look into it. */
#ifndef BHI_TESTS_PRIVATE_H
#define BHI_TESTS_PRIVATE_H

#include <stdlib.h>
#include <string.h>

#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"
#include "task/task.h"

/* Loop tests run once with each. */
#define NR_BACKENDS 2

static inline bool has_uffd(void)
{
	return bh_features() & BH_FEATURE_UFFD;
}

/* The test is about the @backend-th backend, 0 is userfaultfd: it is skipped where the
 * system does not allow that. */
static inline void need_backend(int backend)
{
	if (!backend && !support_has_uffd())
		support_skip(SUPPORT_NO_UFFD);
}

/* Start with it. */
static inline void start_private(int backend, uint64_t size)
{
	need_backend(backend);
	setenv("BULKHEAD_PAGEFAULT", backend ? "mprotect" : "uffd", 1);
	support_start(size);
	ck_assert_int_eq(has_uffd(), !backend);
}

static inline struct bh_task *task_in(struct bh_group *group, const char *name)
{
	struct bh_task_attr attr = {.name = name};
	struct bh_task *task = bh_task_new(group, &attr);

	ck_assert_ptr_nonnull(task);
	return task;
}

/* Run fn(arg) in a task of its own, from which it returns. */
static inline void in_task(struct bh_group *group, int (*fn)(void *arg), void *arg)
{
	ck_assert_int_eq(bh_task_run(group, NULL, fn, arg, NULL), 0);
}

static inline void enter(struct bh_task *task, int (*fn)(void *arg), void *arg)
{
	ck_assert_int_eq(bh_task_enter(task, fn, arg, NULL), 0);
}

static inline struct bh_task_stat stat_of(struct bh_task *task)
{
	struct bh_task_stat stat;

	ck_assert_int_eq(bh_task_stat(task, &stat), 0);
	return stat;
}

/* Areas that tasks have; what small ones left behind goes. */
static inline uint32_t areas_taken(void)
{
	bhi_reclaim_hooks.collect(bh_root());
	return bhi_areas_taken();
}

/* Bytes of private memory that the current task has. */
static inline uint64_t bytes_here(void)
{
	return stat_of(bh_current()).bytes;
}

static inline bool is_filled(const char *p, size_t size, char with)
{
	for (size_t i = 0; i < size; i++) {
		if (p[i] != with)
			return false;
	}
	return true;
}

#endif
