/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/start.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"
#include "task/window.h"

/* Private memory goes with its task, and only code inside may touch it. */
static bool is_private(const void *ptr)
{
	return bhi_private.base && bhi_private_contains(ptr);
}

BHI_API int bh_shrinker_register(struct bh_shrinker *shrinker)
{
	int r = bhi_start();

	if (r)
		return r;
	if (!shrinker || is_private(shrinker) || is_private(shrinker->name))
		return -EINVAL;
	if (!shrinker->name || !shrinker->count || !shrinker->scan ||
		(shrinker->flags & ~(unsigned)BH_SHRINKER_LAST_RESORT) ||
		bhi_process_inert())
		return -EINVAL;
	return bhi_shrinker_register(shrinker);
}

BHI_API int bh_shrinker_unregister(struct bh_shrinker *shrinker)
{
	if (!shrinker || bhi_start() || bhi_process_inert())
		return -EINVAL;
	return bhi_shrinker_unregister(shrinker);
}

/*
 * The depth lives in a word of its own, not in struct bhi_thread: entering a scope must
 * work where a thread cannot be attached.
 */
BHI_API unsigned bh_noreclaim_enter(void)
{
	return bhi_noreclaim_depth++;
}

BHI_API void bh_noreclaim_leave(unsigned previous)
{
	bhi_noreclaim_depth = previous;
}
