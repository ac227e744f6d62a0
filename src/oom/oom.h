/* SPDX-License-Identifier: MIT */
/*
 * The decision that comes when reclaim is hopeless and the group's policy is to kill: one
 * at a time, and only if memory is still short (Linux mm/page_alloc.c,
 * __alloc_pages_may_oom(); mm/memcontrol.c, mem_cgroup_out_of_memory()).
 */
#ifndef BHI_OOM_OOM_H
#define BHI_OOM_OOM_H

#include "account/group.h"

extern struct bhi_lock bhi_oom_lock;

/* Chooses and kills; whether somebody was killed or is dying already. NULL: there is
 * nobody to kill. Called with bhi_oom_lock held. */
extern bool (*bhi_oom_killer)(struct bh_group *over, int64_t size);

/*
 * @over cannot take @size bytes. True: trying again makes sense, because memory came
 * back, a victim was found, or somebody else is deciding (then a tick has passed); or the
 * caller is killed and may be unwound: it does not wait, and must not try for ever.
 * False: nobody can be killed. Context: may wait.
 */
bool bhi_oom(struct bh_group *over, int64_t size);

#endif
