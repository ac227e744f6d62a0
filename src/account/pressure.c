/* SPDX-License-Identifier: MIT */
#include "account/pressure.h"
#include "base/sys.h"

struct work {
	/* protected by the section of the thread; read outside of it by the thread itself
	 */
	struct bh_group *group;
	/* this thread only */
	unsigned depth;
};

static BHI_TLS struct work work;

static void change_chain(struct bh_group *group, int working, int waiting)
{
	uint64_t now = bhi_sys_now_ns();

	for (; group; group = group->parent)
		bhi_stall_clock_change(&group->stall, working, waiting, now);
}

/* Move the thread's work without touching the clocks that see no difference. */
static void move_work(struct work *w, struct bh_group *to)
{
	struct bh_group *from = w->group;

	if (from == to)
		return;
	change_chain(to, 1, 0);
	change_chain(from, -1, 0);
	bhi_store(&w->group, to);
}

static void thread_exit(struct bhi_thread *self)
{
	if (!bhi_thread_enter(self))
		return;
	move_work(&work, NULL);
	self->data[BHI_SLOT_STALL] = NULL;
	bhi_thread_leave(self);
}

static struct bhi_thread_hook hook = {.exit = thread_exit};

void bhi_pressure_init(void)
{
	bhi_thread_hook_register(&hook);
}

void bhi_pressure_work_for(struct bh_group *group)
{
	struct bhi_thread *self = bhi_thread_self();

	if (bhi_load(&work.group) == group || work.depth || !self ||
		!bhi_thread_enter(self))
		return;
	self->data[BHI_SLOT_STALL] = &work;
	/* Seen inside the section: a group that goes offline later is forgotten later. */
	while (bhi_load_acquire(&group->offline))
		group = group->parent;
	move_work(&work, group);
	bhi_thread_leave(self);
}

void bhi_pressure_enter(struct bh_group *group)
{
	struct bhi_thread *self = bhi_thread_self();

	bhi_pressure_work_for(group);
	if (work.depth++ || !self || !bhi_thread_enter(self))
		return;
	change_chain(work.group, 0, 1);
	bhi_thread_leave(self);
}

void bhi_pressure_leave(void)
{
	struct bhi_thread *self = bhi_thread_current;

	if (--work.depth || !self || !bhi_thread_enter(self))
		return;
	change_chain(work.group, 0, -1);
	bhi_thread_leave(self);
}

/* A thread that waits for @group holds a reference or a charge there, so it does not
 * wait for one that is forgotten: only its working count moves. */
static void forget(struct bhi_thread *thread, void *arg)
{
	struct work *w = thread->data[BHI_SLOT_STALL];
	struct bh_group *group = arg;

	if (w && w->group == group)
		move_work(w, group->parent);
}

void bhi_pressure_forget(struct bh_group *group)
{
	bhi_threads_claim(forget, group);
}
