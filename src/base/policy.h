/* SPDX-License-Identifier: MIT */
/*
 * The switches by which kernel eras differ, and those by which a test shows what goes
 * wrong without a mechanism. Only the lab and tests set them; the library runs under the
 * bulkhead row. None is looked at on a fast path.
 */
#ifndef BHI_BASE_POLICY_H
#define BHI_BASE_POLICY_H

#include "base/compiler.h"

/* What a call does when reclaim is hopeless. */
enum bhi_policy_call {
	BHI_CALL_BY_GROUP,       /* what the group's BH_ON_LIMIT says */
	BHI_CALL_FAILS_IN_GROUP, /* fails at a group's limit; kills for the zone */
	BHI_CALL_KILLS,          /* kills and waits, whatever locks the caller holds */
};

/* Mechanisms that are missing; none in any era, and none in the library. */
struct bhi_policy_without {
	/* A victim that the reaper gives up still is one that is waited for. */
	bool skip_of_given_up;
	/* The reaper is handed one victim at a time; who finds another one there is
	 * forgotten. */
	bool victim_list;
	/* Who kills a task, and who takes its memory back, is whoever saw that nobody
	 * does, and not the one of them whose exchange came first. */
	bool exclusive_claims;
	/* The reaper does not mark a region unstable before it zaps it. */
	bool unstable;
	/* A victim that is not finished keeps nobody from being chosen. */
	bool wait_for_victim;
	/* Nobody looks at memory once more under the OOM lock. */
	bool last_look;
	/* Hold sections take what they want past the limits of groups. */
	bool overdraft_cap;
	/* A lock that is left held is handed over as if it had been given up. */
	bool owner_died;
};

struct bhi_policy {
	/*
	 * An ordinary request of at most 8 pages keeps trying while reclaim or the OOM
	 * killer helps; off, it fails after one round like a costly one.
	 */
	bool small_must_succeed;
	enum bhi_policy_call call;
	/* A request with BH_NORECLAIM that is hopeless fails; off, one that is small
	 * waits for others to kill for it, for the zone's memory. */
	bool noreclaim_gives_up;
	/* A pagefault in a hold section puts the decision off to the section's end; off,
	 * it kills and waits where it is. */
	bool pagefault_defers;
	/* Victims are reaped; off, their memory comes back when they have unwound. */
	bool reaper;
	/* Waits for locks end when the task is killed. */
	bool killable_waits;
	struct bhi_policy_without without;
};

extern struct bhi_policy bhi_policy;

#endif
