/* SPDX-License-Identifier: MIT */
#include "support_locks.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/testpoint.h"

static void *enter(void *arg)
{
	struct support_visit *visit = arg;

	visit->result = bh_task_enter(visit->task, visit->fn, visit->arg, &visit->report);
	return NULL;
}

void support_visit(struct support_visit *visit, const char *name, unsigned flags,
	int (*fn)(void *arg), void *arg)
{
	const struct bh_task_attr attr = {.name = name, .flags = flags};

	*visit = (struct support_visit){.fn = fn, .arg = arg};
	visit->task = bh_task_new(NULL, &attr);
	ck_assert_ptr_nonnull(visit->task);
	visit->thread = support_thread(enter, visit);
}

int support_visit_end(struct support_visit *visit)
{
	support_join(visit->thread);
	bh_task_put(visit->task);
	visit->task = NULL;
	return visit->result;
}

/* The letter behind the name, which is in parentheses, is the state. */
bool support_is_asleep(uint32_t thread)
{
	char path[64], line[256] = "";
	const char *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	return end && end[1] && end[2] == 'S';
}

/* Between saying so and sleeping a waiter sleeps for nothing else. */
void support_await_asleep(const struct bh_task *task)
{
	while (!bhi_load(&task->blocked) || !support_is_asleep(bhi_load(&task->inside)))
		sched_yield();
}

void support_await_inside_asleep(const struct bh_task *task)
{
	uint32_t thread;

	while (!(thread = bhi_load(&task->inside)) || !support_is_asleep(thread))
		sched_yield();
}

void support_await_reaped(const struct bh_task *task)
{
	support_await(&task->skip, 1);
}

static struct {
	/* atomic */
	struct bh_task *task;
	uint32_t stopped, go_on;
} stop;

static void stop_when_woken(enum bhi_testpoint point)
{
	if (point != BHI_TP_WOKEN || !bhi_task_current ||
		bhi_task_current != bhi_load_acquire(&stop.task))
		return;
	bhi_store(&stop.task, NULL);
	bhi_store_release(&stop.stopped, 1);
	support_await(&stop.go_on, 1);
}

void support_stop_when_woken(struct bh_task *task)
{
	bhi_store(&stop.stopped, 0);
	bhi_store(&stop.go_on, 0);
	bhi_store_release(&stop.task, task);
	bhi_store_release(&bhi_testpoint_hook, stop_when_woken);
}

void support_await_stopped(void)
{
	support_await(&stop.stopped, 1);
}

void support_go_on(void)
{
	bhi_store_release(&stop.go_on, 1);
}
