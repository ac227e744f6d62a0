/* SPDX-License-Identifier: MIT */
/* Injected failures: what callers set and read. */
#include <errno.h>

#include "alloc/cache.h"
#include "api/start.h"
#include "base/thread.h"
#include "debug/inject.h"

BHI_API int bh_fault_set(const char *settings)
{
	struct bhi_fault_changes changes;
	int r = bhi_start();

	if (r)
		return r;
	if (bhi_process_inert())
		return -EINVAL;
	r = bhi_inject_read("bh_fault_set", settings ? settings : "off", &changes);
	if (!r)
		bhi_inject_set(&changes);
	return r;
}

/* A thread that is registered takes its number back when it ends. */
BHI_API int bh_fault_nth(unsigned nth)
{
	int r = bhi_start();

	if (r)
		return r;
	if (!bhi_thread_self())
		return -ENOMEM;
	bhi_inject_set_nth(nth);
	return 0;
}

BHI_API unsigned bh_fault_left(void)
{
	return bhi_inject_nth();
}

BHI_API int bh_fault_mark(struct bh_task *task, int is_marked)
{
	if (is_marked != 0 && is_marked != 1)
		return -EINVAL;
	if (task)
		bhi_store(&task->fault_marked, (uint32_t)is_marked);
	else
		bhi_inject_marked = is_marked;
	return 0;
}

BHI_API int bh_fault_mark_cache(struct bh_cache *cache, int is_marked)
{
	if (!cache || (is_marked != 0 && is_marked != 1))
		return -EINVAL;
	bhi_store(&cache->fault_flags, is_marked ? BHI_FAULT_IN_MARKED : 0);
	return 0;
}

BHI_API int bh_fault_stat(enum bh_fault_kind kind, struct bh_fault_stat *ret)
{
	int r = bhi_start();

	if (r)
		return r;
	if ((unsigned)kind >= BHI_FAULT_KINDS || !ret)
		return -EINVAL;
	bhi_inject_stat(kind, ret);
	return 0;
}
