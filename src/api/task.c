/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/names.h"
#include "api/start.h"
#include "debug/inject.h"
#include "task/end.h"
#include "task/enter.h"
#include "task/kill.h"
#include "task/section.h"

static bool attr_is_valid(const struct bh_task_attr *attr)
{
	for (size_t i = 0; i < bhi_array_size(attr->reserved); i++) {
		if (attr->reserved[i])
			return false;
	}
	return attr->oom_score_adj >= BHI_ADJ_UNKILLABLE &&
	       attr->oom_score_adj <= BHI_ADJ_MAX &&
	       !(attr->flags & ~(unsigned)BH_TASK_COOPERATIVE) &&
	       attr->deadline_ns <= INT64_MAX;
}

BHI_API struct bh_task *bh_task_new(
	struct bh_group *group, const struct bh_task_attr *attr)
{
	struct bh_task_attr own = {0};
	char name[BHI_GROUP_NAME_SIZE];
	struct bh_task *task;

	group = bhi_api_group(group);
	if (!group)
		return NULL;
	/* Read before anything is taken, as bhi_name_read() says. */
	if (attr)
		own = *attr;
	if ((own.name && !bhi_name_read(name, own.name)) || !attr_is_valid(&own) ||
		bhi_load(&group->offline)) {
		errno = EINVAL;
		return NULL;
	}
	if (own.name)
		own.name = name;
	task = bhi_process_inert() ? NULL : bhi_task_new(group, &own);
	if (!task)
		errno = ENOMEM;
	else if (bhi_inject_is_marked())
		bhi_store(&task->fault_marked, 1);
	return task;
}

BHI_API struct bh_task *bh_task_get(struct bh_task *task)
{
	if (task && !bhi_process_inert())
		bhi_task_get(task);
	return task;
}

BHI_API void bh_task_put(struct bh_task *task)
{
	if (task && !bhi_process_inert())
		bhi_task_put(task);
}

BHI_API int bh_task_enter(
	struct bh_task *task, int (*fn)(void *arg), void *arg, struct bh_report *ret)
{
	struct bh_report report;

	if (!ret)
		ret = &report;
	*ret = (struct bh_report){0};
	if (!task || !fn)
		return -EINVAL;
	if (bhi_process_inert())
		return -ENOMEM;
	return bhi_task_enter(task, fn, arg, ret);
}

BHI_API int bh_task_run(struct bh_group *group, const struct bh_task_attr *attr,
	int (*fn)(void *arg), void *arg, struct bh_report *ret)
{
	struct bh_task *task;
	int r;

	if (ret)
		*ret = (struct bh_report){0};
	if (!fn)
		return -EINVAL;
	if (bhi_task_current)
		return -EBUSY;
	task = bh_task_new(group, attr);
	if (!task)
		return -errno;
	r = bh_task_enter(task, fn, arg, ret);
	bh_task_put(task);
	return r;
}

BHI_API struct bh_task *bh_current(void)
{
	return bhi_task_current;
}

BHI_API int bh_task_kill(struct bh_task *task)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};

	if (!task || bhi_process_inert())
		return -EINVAL;
	if (!bhi_task_kill(task, &cause))
		return -ESRCH;
	if (task == bhi_task_current)
		(void)bhi_task_check(task);
	return 0;
}

BHI_API int bh_task_stat(struct bh_task *task, struct bh_task_stat *ret)
{
	if (!task || !ret || bhi_process_inert())
		return -EINVAL;
	bhi_task_stat(task, ret);
	return 0;
}

BHI_API int bh_task_dump_begin(struct bh_task *task)
{
	if (!task || bhi_process_inert())
		return -EINVAL;
	return bhi_task_dump_begin(task);
}

BHI_API void bh_task_dump_end(struct bh_task *task)
{
	if (!task || bhi_process_inert())
		return;
	if (WARN_ONCE(!bhi_load(&task->dumping), "bh_task_dump_end without begin"))
		return;
	bhi_task_dump_end(task);
}

BHI_API int bh_check(void)
{
	return bhi_task_current ? bhi_task_check(bhi_task_current) : 0;
}

BHI_API void bh_hold(void)
{
	if (bhi_task_current)
		bhi_task_hold(bhi_task_current);
}

BHI_API void bh_release(void)
{
	struct bh_task *task = bhi_task_current;

	if (!task || WARN_ONCE(!task->region.hold, "bh_release without bh_hold"))
		return;
	bhi_task_release(task);
}

BHI_API void bh_block_enter(void)
{
	if (bhi_task_current)
		bhi_task_block_enter(bhi_task_current);
}

BHI_API void bh_block_leave(void)
{
	if (bhi_task_current)
		bhi_task_block_leave(bhi_task_current);
}

BHI_API int bh_defer(void (*fn)(void *arg), void *arg)
{
	struct bh_task *task = bhi_task_current;

	if (!task)
		return -EPERM;
	if (!fn)
		return -EINVAL;
	if (task->nr_defers == BHI_TASK_MAX_DEFERS)
		return -ENOMEM;
	task->defers[task->nr_defers] = (struct bhi_defer){.fn = fn, .arg = arg};
	/* A kill may unwind from anywhere: it finds the entry whole or not at all. */
	bhi_compiler_fence();
	task->nr_defers++;
	return 0;
}

BHI_API int bh_undefer(void (*fn)(void *arg), void *arg)
{
	struct bh_task *task = bhi_task_current;
	const struct bhi_defer *newest;

	if (!task)
		return -EPERM;
	if (!task->nr_defers)
		return -ENOENT;
	newest = &task->defers[task->nr_defers - 1];
	if (newest->fn != fn || newest->arg != arg)
		return -ENOENT;
	task->nr_defers--;
	return 0;
}
