/* SPDX-License-Identifier: MIT */
#include "task/keep.h"

#include "task/end.h"

uint64_t (*bhi_keep_zap_hook)(struct bh_task *task);

/* How often a walk begins anew because the task it had come to has parted. */
#define MAX_RESTARTS 16

static struct {
	/* protected by bhi_tasks_lock */
	struct bhi_list keepers;
	/* atomic; written under the lock */
	uint32_t nr;
} state = {.keepers = {&state.keepers, &state.keepers}};

void bhi_keep_join(struct bh_task *task)
{
	if (task->keeps)
		return;
	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_append(&state.keepers, &task->keep_node);
	bhi_store(&state.nr, state.nr + 1);
	bhi_lock_release(&bhi_tasks_lock);
	task->keeps = true;
}

void bhi_keep_part(struct bh_task *task)
{
	if (!task->keeps)
		return;
	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_unlink(&task->keep_node);
	bhi_store(&state.nr, state.nr - 1);
	bhi_lock_release(&bhi_tasks_lock);
	task->keeps = false;
}

struct walk {
	const struct bh_group *target;
	unsigned nr_restarts;
};

static struct bh_task *find_from(const struct walk *walk, struct bhi_list *node)
	BH_REQUIRES(bhi_tasks_lock)
{
	bhi_assert_held(&bhi_tasks_lock);
	for (; node != &state.keepers; node = node->next) {
		struct bh_task *task = bhi_list_entry(node, struct bh_task, keep_node);

		/* pairs with the release in give_back() */
		if (bhi_load_acquire(&task->region.nr_idle) &&
			bhi_group_is_within(task->group, walk->target) &&
			bhi_task_try_get(task))
			return task;
	}
	return NULL;
}

/* The next task with idle pages, and a reference to it; the one to @task is put. */
static struct bh_task *next_keeper(struct walk *walk, struct bh_task *task)
{
	struct bhi_list *node;
	struct bh_task *next;

	bhi_lock_acquire(&bhi_tasks_lock);
	node = state.keepers.next;
	if (task && bhi_list_linked(&task->keep_node))
		node = task->keep_node.next;
	else if (task && walk->nr_restarts++ == MAX_RESTARTS)
		node = &state.keepers;
	next = find_from(walk, node);
	bhi_lock_release(&bhi_tasks_lock);
	if (task)
		bhi_task_put(task);
	return next;
}

uint64_t bhi_keep_trim(struct bh_group *target, uint64_t want)
{
	struct walk walk = {.target = target};
	struct bh_task *task = NULL;
	uint64_t sum = 0;

	if (!bhi_load(&state.nr))
		return 0;
	while ((task = next_keeper(&walk, task))) {
		sum += bhi_task_trim(task);
		if (sum >= want) {
			bhi_task_put(task);
			break;
		}
	}
	return sum;
}
