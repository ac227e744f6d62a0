/* SPDX-License-Identifier: MIT */
/*
 * The audit adds up, for each group, what it owns: slabs, runs, its objects in shared
 * slabs, the populated pages of its tasks, bytes of bh_charge, what stocks hold. With the
 * sums of its descendants that must be its usage; shared slabs are the exception
 * (alloc/small.h): their pages are the root's, their objects count below the root.
 *
 * Held during the audit: the locks of the tasks and of the tree, so that neither come or
 * go. What other threads charged but have not yet turned into pages would show as a
 * disagreement: the audit is for moments in which nobody else allocates. The end of a
 * task is of no caller's making, and waited for: the reaper may let go of a victim after
 * bh_task_run() has returned, and takes its region apart then.
 */
#include <errno.h>

#include "account/stock.h"
#include "alloc/buddy.h"
#include "alloc/run.h"
#include "alloc/slab.h"
#include "alloc/small.h"
#include "api/start.h"
#include "base/fmt.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "oom/reaper.h"
#include "task/warm.h"

/* How long ends are waited for: as long as the reaper tries a victim that holds. */
#define ENDS_NS BHI_NS_PER_SEC

struct sums {
	int64_t pages;    /* bytes of slabs, runs and tasks */
	int64_t small;    /* bytes of objects in shared slabs, as counted there */
	int64_t external; /* bytes of bh_charge in stocks */
	int64_t total;    /* all that must be charged, descendants included */
};

struct audit {
	struct sums *groups; /* by id */
	uint32_t nr_ids;
	int64_t shared_slabs, slabs, runs;
	int nr_wrong;
};

static void disagree(struct audit *audit, const char *what, const struct bh_group *group,
	int64_t found, int64_t expected)
{
	audit->nr_wrong++;
	bhi_errf("bulkhead: audit: %s of group '%s' is %ld, counted %ld\n", what,
		group ? group->name : "/", (long)expected, (long)found);
}

static void check(struct audit *audit, const char *what, const struct bh_group *group,
	int64_t found, int64_t expected)
{
	if (found != expected)
		disagree(audit, what, group, found, expected);
}

static uint32_t count_free(const struct bhi_slab *slab)
{
	uint32_t nr = 0;

	for (void *object = slab->free; object && nr <= slab->nr_objects; nr++) {
		if (!bhi_slab_has_object(slab, object))
			return UINT32_MAX;
		object = *bhi_slab_link(slab, object);
	}
	return nr;
}

/* Free, fresh and handed out objects make up a slab. Another thread's may be looked at
 * only by that thread: it changes the list outside of its section. */
static void check_slab(struct audit *audit, const struct bhi_slab *slab)
{
	const struct bhi_thread *thread = bhi_load(&slab->thread);
	uint32_t out = bhi_load(&slab->needed);

	if (thread != bhi_thread_current && thread != &bhi_thread_nobody && !slab->owners)
		return;
	/* What others freed into it was not collected. */
	if (bhi_load(&slab->state) == BHI_SLAB_DOOMED)
		return;
	if (slab->state == BHI_SLAB_FULL)
		out = slab->nr_objects;
	check(audit, "objects of a slab", slab->group,
		(int64_t)count_free(slab) + slab->nr_fresh + out, slab->nr_objects);
}

static void add_shared(struct audit *audit, const struct bhi_slab *slab)
{
	audit->shared_slabs += (int64_t)bhi_slab_bytes(slab);
	for (uint32_t i = 0; i < slab->nr_objects; i++) {
		uint32_t owner = bhi_load(&slab->owners[i]);

		if (owner < audit->nr_ids)
			audit->groups[owner].small += bhi_class_sizes[slab->class_id];
		else if (owner != BHI_NO_OWNER)
			disagree(audit, "owner in a shared slab", NULL, owner,
				audit->nr_ids);
	}
}

static void add_slabs(struct audit *audit)
{
	uint32_t nr = bhi_load(&bhi_slabs.nr);

	for (uint32_t i = 0; i < nr; i++) {
		const struct bhi_slab *slab = &bhi_slabs.array[i];

		if (bhi_load(&slab->state) == BHI_SLAB_UNUSED)
			continue;
		audit->slabs += (int64_t)bhi_slab_bytes(slab);
		check_slab(audit, slab);
		if (slab->owners)
			add_shared(audit, slab);
		else
			audit->groups[slab->group->id].pages +=
				(int64_t)bhi_slab_bytes(slab);
	}
}

static void add_runs(struct audit *audit, struct bh_group *group)
{
	uint32_t number;

	bhi_lock_acquire(&group->owned_lock);
	for (number = group->runs; number != BHI_NO_PAGE;) {
		const struct bhi_page *page = &bhi_window.pages[number];
		int64_t bytes = (int64_t)(bhi_run_nr_pages(page) << BHI_PAGE_SHIFT);

		if (page->owner != group->id)
			disagree(audit, "owner of a run", group, page->owner, group->id);
		audit->groups[group->id].pages += bytes;
		audit->runs += bytes;
		number = page->next;
	}
	bhi_lock_release(&group->owned_lock);
}

static uint32_t count_populated(uint32_t first, uint32_t nr_areas)
{
	uint32_t nr = 0;

	for (uint32_t i = first; i < first + nr_areas; i++) {
		const struct bhi_area *area = &bhi_private.areas[i];

		for (unsigned w = 0; w < bhi_array_size(area->populated); w++)
			nr += (uint32_t)__builtin_popcountll(
				bhi_load(&area->populated[w]));
	}
	return nr;
}

/* The thread inside may be changing the list: no further than what is the task's. */
static void add_task(struct audit *audit, const struct bh_task *task)
{
	uint32_t nr_areas = 0, nr_pages = 0, nr;

	for (uint32_t first = bhi_load(&task->region.spans); first != BHI_NO_AREA;
		first = bhi_load(&bhi_private.areas[first].next)) {
		if (bhi_load(&bhi_private.areas[first].task) != task)
			break;
		nr = bhi_load(&bhi_private.areas[first].nr_areas);
		nr_areas += nr;
		nr_pages += count_populated(first, nr);
	}
	check(audit, "areas of a task", task->group, nr_areas,
		bhi_load(&task->region.nr_areas));
	check(audit, "pages of a task", task->group, nr_pages,
		(int64_t)(bhi_load(&task->region.bytes) >> BHI_PAGE_SHIFT));
	audit->groups[task->group->id].pages += (int64_t)nr_pages << BHI_PAGE_SHIFT;
}

static void add_tasks(struct audit *audit) BH_REQUIRES(bhi_tasks_lock)
{
	bhi_assert_held(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks)
		add_task(audit, bhi_list_entry(node, struct bh_task, node));
}

static void add_stock(struct bh_group *group, int64_t size, int64_t external, void *arg)
{
	struct audit *audit = arg;

	audit->groups[group->id].pages += size;
	audit->groups[group->id].external += external;
}

/* The root is charged for shared slabs and not for the objects in them. */
static void add_to_chain(struct audit *audit, const struct bh_group *group)
{
	const struct sums *own = &audit->groups[group->id];
	int64_t external = own->external + bhi_load(&group->external);
	const struct bh_group *level;

	for (level = group; level->parent; level = level->parent)
		audit->groups[level->id].total += own->pages + own->small + external;
	audit->groups[level->id].total += own->pages + external;
	if (external < 0)
		disagree(audit, "bytes of bh_charge", group, external, 0);
}

static void check_group(struct audit *audit, struct bh_group *group)
{
	const struct sums *sums = &audit->groups[group->id];
	int64_t expected = sums->total;

	if (!group->parent)
		expected += audit->shared_slabs + (int64_t)bhi_warm_bytes();
	check(audit, "usage", group, expected, bhi_load(&group->counter.usage));
	check(audit, "bytes in shared slabs", group, sums->small, bhi_small_bytes(group));
}

static void for_each_group(
	struct audit *audit, void (*fn)(struct audit *audit, struct bh_group *group))
{
	for (uint32_t id = 0; id < audit->nr_ids; id++) {
		struct bh_group *group = bhi_group_by_id(id);

		if (group)
			fn(audit, group);
	}
}

static void add_group(struct audit *audit, struct bh_group *group)
{
	add_to_chain(audit, group);
}

static void check_pages(struct audit *audit)
{
	struct bhi_buddy_stat stat;

	bhi_buddy_stat(&stat);
	check(audit, "pages taken", NULL, audit->slabs + audit->runs,
		(int64_t)(stat.taken - stat.cached));
	check(audit, "bytes of shared slabs", NULL, audit->shared_slabs,
		bhi_small_slab_bytes());
}

static int recount(struct audit *audit) BH_REQUIRES(bhi_tasks_lock)
	BH_REQUIRES(bhi_group_tree_lock)
{
	size_t bytes;

	bhi_assert_held(&bhi_tasks_lock);
	bhi_assert_held(&bhi_group_tree_lock);
	audit->nr_ids = bhi_group_nr_ids();
	bytes = audit->nr_ids * sizeof(*audit->groups);
	audit->groups = bhi_meta_map(bytes);
	if (!audit->groups)
		return -ENOMEM;
	add_slabs(audit);
	for_each_group(audit, add_runs);
	add_tasks(audit);
	bhi_stock_for_each(add_stock, audit);
	for_each_group(audit, add_group);
	for_each_group(audit, check_group);
	check_pages(audit);
	bhi_meta_unmap(audit->groups, bytes);
	return audit->nr_wrong;
}

static bool some_task_ends(void)
{
	bool found = false;

	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_list_for_each (node, &bhi_tasks) {
		found = !bhi_load(&bhi_list_entry(node, struct bh_task, node)->refs);
		if (found)
			break;
	}
	bhi_lock_release(&bhi_tasks_lock);
	return found;
}

/* The reaper comes first: it may be what lets go of a task last. */
static void wait_for_ends(void)
{
	uint64_t until = bhi_sys_now_ns() + ENDS_NS;

	while ((!bhi_reaper_is_idle() || some_task_ends()) && bhi_sys_now_ns() < until) {
		bhi_testpoint(BHI_TP_AUDIT_WAITS);
		bhi_sys_pause(BHI_NS_PER_MS / 10);
	}
}

BHI_API int bh_audit(void)
{
	struct audit audit = {0};
	int r = bhi_start();

	if (r)
		return r;
	if (bhi_process_inert())
		return -EINVAL;
	wait_for_ends();
	bhi_group_sweep();
	bhi_lock_acquire(&bhi_tasks_lock);
	bhi_lock_acquire(&bhi_group_tree_lock);
	r = recount(&audit);
	bhi_lock_release(&bhi_group_tree_lock);
	bhi_lock_release(&bhi_tasks_lock);
	return r < 0 ? r : r + (int)bhi_buddy_audit();
}
