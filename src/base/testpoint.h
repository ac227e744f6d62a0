/* SPDX-License-Identifier: MIT */
/*
 * Places in the library where a test can hold a thread and the lab can run another one,
 * so that an interleaving is forced and not hoped for. All of them are off the fast
 * paths.
 */
#ifndef BHI_BASE_TESTPOINT_H
#define BHI_BASE_TESTPOINT_H

#include "base/compiler.h"

enum bhi_testpoint {
	BHI_TP_FIND_HEAP,     /* heap.c: in the section, the table was looked at */
	BHI_TP_ALLOC_PINNED,  /* heap.c: in the section, the group was online */
	BHI_TP_FREE_LAST,     /* heap.c: the owner is about to empty a slab */
	BHI_TP_EXIT,          /* heap.c: an ending thread is about to claim */
	BHI_TP_REMOTE_GIVE,   /* remote.c: in the section, the group was online */
	BHI_TP_REMOTE_ORPHAN, /* remote.c: no heap was seen, the lock not yet taken */
	BHI_TP_REMOTE_PUSHED, /* remote.c: the object is remote, the heap not yet told */
	BHI_TP_SLAB_RELEASE,  /* heap.c: doomed slabs are about to be freed */
	BHI_TP_CHARGE,        /* charge.c: the slow path begins */
	BHI_TP_LOCK,          /* holder.c: a lock of the host is about to be taken */
	BHI_TP_CLAIM,   /* region.c: the reaper has said unstable, guards not yet seen */
	BHI_TP_REAP,    /* end.c: the region is claimed, nothing zapped yet */
	BHI_TP_ZAPPED,  /* end.c: one span is zapped */
	BHI_TP_FAULT,   /* pagefault.c: charged, the region not yet entered */
	BHI_TP_LEAVING, /* enter.c: fn has returned, the task is still entered */
	BHI_TP_LEFT,   /* enter.c: nobody is inside any more, the reference not yet put */
	BHI_TP_KILLED, /* kill.c: the reason is set, the reaper not yet told */
	BHI_TP_WOKEN, /* holder.c: a waiter has seen whether it is killed, not the lock */
	BHI_TP_TASK_NEW,  /* task.c: its memory is taken, nothing in it yet */
	BHI_TP_UNCLAIMED, /* kill.c: it was seen that nobody kills the task */
	BHI_TP_DELIVER,   /* kill.c: the kill is claimed, the reason not yet set */
	BHI_TP_ENTERED,   /* enter.c: inside is set, a kill not yet looked for */
	BHI_TP_UNKILLED,  /* enter.c: no kill was seen at the end, inside is still set */
	BHI_TP_BACK_OFF,  /* end.c: the reaper met a guard, the region is still taken */
	BHI_TP_SHORT,     /* oom.c: memory is short, the OOM lock not yet tried */
	BHI_TP_LOOKED,    /* oom.c: it still is, the tasks are not yet looked at */
	BHI_TP_LIVE,      /* end.c: the region was seen live, and is not yet taken */
	BHI_TP_UNMARKED,  /* region.c: pages are gone, and are still marked populated */
	BHI_TP_ENDING,    /* task.c: no references are left, the task is on the list */
	BHI_TP_KEEP_WARM, /* warm.c: an area is zeroed, not yet on the list */
	BHI_TP_GUARD, /* region.c: a guard is up, unstable not yet looked at; only where
			 that needs a fence, the other way is a fast path */
	BHI_TP_EVENT_COPIED, /* events.c: an event is copied, not yet known to be whole */
	BHI_TP_STEP,         /* private_pages.c: a step is about to begin */
	BHI_TP_BUSY,         /* private_pages.c: in a step, which is done */
	BHI_TP_ACCESS,       /* access.c: in the region, access not yet given */
	BHI_TP_TRIM,         /* end.c: trimming is said, the guard not yet looked at */
	BHI_TP_QUIET,        /* end.c: nobody else changes pages, none is taken yet */
	BHI_TP_AUDIT_WAITS,  /* audit.c: an end was seen, and is not yet waited for */
};

/* Called on the thread that passes a point, with the locks and sections it is in.
 * Atomic. */
extern void (*bhi_testpoint_hook)(enum bhi_testpoint point);

static inline void bhi_testpoint(enum bhi_testpoint point)
{
	void (*hook)(enum bhi_testpoint point) = bhi_load_acquire(&bhi_testpoint_hook);

	if (bhi_unlikely(hook != NULL))
		hook(point);
}

#endif
