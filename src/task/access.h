/* SPDX-License-Identifier: MIT */
/*
 * Debug builds: who may touch private memory, and when. What is populated in a task has
 * access while a thread is inside and in no block section. A touch at another time, or
 * by a thread that is not inside that task, is told with its place, and ends the process.
 * Release builds have none of this.
 *
 * Access is mprotect(2)'s, which is the same for all threads: a touch of what another
 * thread's task has populated, while that one runs, goes unseen. System calls are as
 * much without access as instructions, and fail with EFAULT.
 *
 * region.access goes from one state to another by way of CHANGING, which whoever comes
 * meanwhile waits for; it lasts for some calls of mprotect(2).
 *
 *	open	the thread inside: CLOSED or SHOWN to OPEN, between enter and leave of
 *		the region: what the reaper has zapped is not populated, and gets no
 *		access. Refused like any change of pages, when the region is being reaped.
 *	close	the thread inside: OPEN to CLOSED. Needs no guard, for a zap takes away
 *		too. Not during a dump.
 *	show	a dump: CLOSED to SHOWN, what is populated can be read. The thread inside
 *		changes no pages then, and the reaper stays away. It stays shown until
 *		the next enter.
 *
 * close says CHANGING and then looks for dumps, a dump announces itself and then looks at
 * the state: so what was open, or shown, when a dump began stays so until its end.
 *
 * With userfaultfd the window has no access but in spans of open regions, the pages that
 * are not populated in them too: they raise SIGBUS. With mprotect only populated pages
 * ever have it.
 */
#ifndef BHI_TASK_ACCESS_H
#define BHI_TASK_ACCESS_H

#include <ucontext.h>

#include "task/task.h"

enum bhi_access {
	BHI_ACCESS_CLOSED,
	BHI_ACCESS_OPEN,
	BHI_ACCESS_CHANGING,
	BHI_ACCESS_SHOWN,
};

#if BH_DEBUG
/* Before the task runs. 0, also when it is being reaped and nothing is opened; -ENOMEM:
 * the kernel has no more mappings. Context: owner thread only, may wait. */
int bhi_access_open(struct bh_task *task);

/* Context: owner thread only, may wait. */
void bhi_access_close(struct bh_task *task);

/* The two ends of a block section. A task that is being reaped gets nothing back, and
 * unwinds. Context: owner thread only, may wait. */
void bhi_access_block(struct bh_task *task);
void bhi_access_unblock(struct bh_task *task);

/* A dump of @task has begun. Context: any, may wait. */
void bhi_access_show(struct bh_task *task);

/* The thread inside is about to take everything back: nothing is opened nor shown any
 * more. Context: owner thread only, may wait. */
void bhi_access_forget(struct bhi_region *region);

/* A span becomes part of a region, or leaves it. join: false: the kernel has no more
 * mappings. Context: owner thread only, no allocation. */
bool bhi_access_join(const struct bhi_region *region, uint32_t first);
void bhi_access_part(const struct bhi_region *region, uint32_t first);

/* The caller at @place asks for private memory, or gives some back. Does not return from
 * a block section. Context: owner thread only, or outside of tasks. */
void bhi_access_request(const void *place);

/* A touch of private memory raised a signal. Does not return if it was out of order.
 * Context: signal-safe. */
void bhi_access_check(const void *addr, const ucontext_t *context);
#else
static inline int bhi_access_open(struct bh_task *task)
{
	(void)task;
	return 0;
}

static inline void bhi_access_close(struct bh_task *task)
{
	(void)task;
}

static inline void bhi_access_block(struct bh_task *task)
{
	(void)task;
}

static inline void bhi_access_unblock(struct bh_task *task)
{
	(void)task;
}

static inline void bhi_access_show(struct bh_task *task)
{
	(void)task;
}

static inline void bhi_access_forget(struct bhi_region *region)
{
	(void)region;
}

static inline bool bhi_access_join(const struct bhi_region *region, uint32_t first)
{
	(void)region, (void)first;
	return true;
}

static inline void bhi_access_part(const struct bhi_region *region, uint32_t first)
{
	(void)region, (void)first;
}

static inline void bhi_access_request(const void *place)
{
	(void)place;
}

static inline void bhi_access_check(const void *addr, const ucontext_t *context)
{
	(void)addr, (void)context;
}
#endif

#endif
