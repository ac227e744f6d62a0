/* SPDX-License-Identifier: MIT */
/*
 * The decision that comes when reclaim is hopeless and the group's policy is to kill: one
 * at a time, and only if memory is still short (Linux mm/page_alloc.c,
 * __alloc_pages_may_oom(); mm/memcontrol.c, mem_cgroup_out_of_memory()).
 */
#ifndef BHI_OOM_OOM_H
#define BHI_OOM_OOM_H

#include "account/group.h"

/* What is asked for, and whence: for the report. */
struct bhi_oom_request {
	int64_t size;
	unsigned flags; /* enum bh_flags */
	bool is_private;
	enum bh_oom_origin origin;
	bool ends_self; /* it cannot fail: with nobody else to kill the asker is ended */
};

/* A decision, on the stack of the thread that makes it; the killer fills it in. */
struct bhi_oom_decision {
	/* immutable after init */
	const struct bhi_oom_request *request;
	/* this thread only */
	struct bh_task *claimed; /* to be told that they are killed; each with a reference
				  */
	bool has_event;
	struct bh_oom_event event;
};

extern struct bhi_lock bhi_oom_lock;

/* The decision that is being made. Protected by the lock. */
extern struct bhi_oom_decision *bhi_oom_decision;

/*
 * The last look: whether @over has room for @size bytes after all, and in the zone up to
 * the high mark. Context: any, no allocation.
 */
bool bhi_oom_has_room(const struct bh_group *over, int64_t size);

/* Chooses and kills; whether somebody was killed or is dying already, or memory came
 * back. NULL: there is nobody to kill. Called with bhi_oom_lock held. */
extern bool (*bhi_oom_killer)(struct bh_group *over, int64_t size);

/*
 * @over cannot take what is asked for. True: trying again makes sense, because memory
 * came back, a victim was found, or somebody else is deciding (then a tick has passed);
 * or the caller is killed and may be unwound: it does not wait, and must not try for
 * ever. False: nobody can be killed. Context: may wait.
 */
bool bhi_oom(struct bh_group *over, const struct bhi_oom_request *request);

/* Begin and end a decision without waiting. False: somebody else is deciding; a tick has
 * passed. The end tells the victims, with no lock held, and then the host. Context: any,
 * no allocation. */
bool bhi_oom_try_begin(struct bhi_oom_decision *decision,
	const struct bhi_oom_request *request) BHI_TRY_ACQUIRE(bhi_oom_lock);
void bhi_oom_end(struct bhi_oom_decision *decision) BHI_RELEASES(bhi_oom_lock);

#endif
