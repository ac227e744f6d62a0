/* SPDX-License-Identifier: MIT */
/*
 * The switches by which kernel eras differ. Only the lab and tests set them; the library
 * runs under the bulkhead row.
 */
#ifndef BHI_BASE_POLICY_H
#define BHI_BASE_POLICY_H

#include "base/compiler.h"

struct bhi_policy {
	/*
	 * An ordinary request of at most 8 pages keeps trying while reclaim or the OOM
	 * killer helps; off, it fails after one round like a costly one.
	 */
	bool small_must_succeed;
	/* Victims are reaped; off, their memory comes back when they have unwound. */
	bool reaper;
	/* Waits for locks and for memory end when the task is killed. */
	bool killable_waits;
};

extern struct bhi_policy bhi_policy;

#endif
