/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/pool.h"
#include "base/testpoint.h"
#include "task/end.h"
#include "task/overdraft.h"
#include "task/task.h"

BHI_TLS struct bh_task *bhi_task_current;
struct bhi_lock bhi_tasks_lock = BHI_LOCK_INIT(BHI_RANK_TASKS);
struct bhi_list bhi_tasks = {&bhi_tasks, &bhi_tasks};
void (*bhi_task_end_hook)(struct bh_task *task);

static struct bhi_pool pool = BHI_POOL_INIT(struct bh_task);
static unsigned nr_tasks;

struct bh_task *bhi_task_new(struct bh_group *group, const struct bh_task_attr *attr)
{
	struct bh_task *task = bhi_pool_alloc(&pool);

	if (!task)
		return NULL;
	bhi_testpoint(BHI_TP_TASK_NEW);
	bhi_group_get(group);
	task->group = group;
	strncpy(task->name, attr->name ? attr->name : "task", sizeof(task->name) - 1);
	task->flags = attr->flags;
	task->deadline_ns = attr->deadline_ns;
	task->on_kill = attr->on_kill;
	task->on_kill_arg = attr->on_kill_arg;
	task->refs = 1;
	task->adj = attr->oom_score_adj;
	bhi_region_init(&task->region);
	bhi_list_init(&task->locks);
	bhi_list_init(&task->deadline_node);
	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_push(&bhi_tasks, &task->node);
	nr_tasks++;
	bhi_lock_release(&bhi_tasks_lock);
	return task;
}

bool bhi_task_try_get(struct bh_task *task)
{
	uint32_t refs = bhi_load(&task->refs);

	do {
		if (!refs)
			return false;
	} while (!bhi_compare_exchange(&task->refs, &refs, refs + 1));
	return true;
}

void bhi_task_put(struct bh_task *task)
{
	struct bh_group *group = task->group;

	if (bhi_sub_return(&task->refs, 1))
		return;
	bhi_testpoint(BHI_TP_ENDING);
	/* On the list until its memory is back: nobody else is to be killed instead. */
	bhi_task_end(task);
	bhi_overdraft_end(task);
	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_unlink(&task->node);
	nr_tasks--;
	bhi_lock_release(&bhi_tasks_lock);
	bhi_pool_free(&pool, task);
	bhi_group_put(group);
}

unsigned bhi_tasks_count(void)
{
	unsigned nr;

	bhi_lock_acquire(&bhi_tasks_lock);
	nr = nr_tasks;
	bhi_lock_release(&bhi_tasks_lock);
	return nr;
}

bool bhi_tasks_have_private(const struct bh_group *group)
{
	bool found = false;

	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks) {
		const struct bh_task *task = bhi_list_entry(node, struct bh_task, node);

		found = bhi_load(&task->region.bytes) &&
			bhi_group_is_within(task->group, group);
		if (found)
			break;
	}
	bhi_lock_release(&bhi_tasks_lock);
	return found;
}

void bhi_task_stat(const struct bh_task *task, struct bh_task_stat *ret)
{
	*ret = (struct bh_task_stat){
		.bytes = bhi_load(&task->region.bytes),
		.peak = bhi_load(&task->region.peak),
		.nr_enters = bhi_load(&task->nr_enters),
		.oom_score_adj = bhi_load(&task->adj),
		.killed = bhi_task_killed(task),
		.is_inside = bhi_load(&task->inside) != 0,
		.is_reaped = bhi_load(&task->skip),
	};
	memcpy(ret->name, task->name, sizeof(ret->name));
}
