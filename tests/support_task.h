/* SPDX-License-Identifier: MIT */
/*
 * Tasks, threads that enter them, and what is left of their memory, for the tests of the
 * contained-task floor. The backend is the one that BULKHEAD_PAGEFAULT says: the build
 * runs these programs once with each.
 */
#ifndef BHI_TESTS_SUPPORT_TASK_H
#define BHI_TESTS_SUPPORT_TASK_H

#include "oom/events.h"
#include "support_locks.h"
#include "task/task.h"

/* The zone of most of these tests. */
#define TASK_ZONE (256 * MIB)

/* Start the library in a zone of @size bytes, with victims tried @tries times, 1 ms
 * apart; 0: the defaults. */
void support_start_tasks(uint64_t size, uint32_t tries);

/* A group with a max. */
struct bh_group *support_limited(struct bh_group *parent, const char *name, uint64_t max);

/* A task with the name @name in @group; @adj is its oom_score_adj. Never NULL. */
struct bh_task *support_task(struct bh_group *group, const char *name, int adj);
struct bh_task_stat support_task_stat(struct bh_task *task);

/* A task that is entered on a thread of its own. */
struct support_entry {
	struct bh_task *task;
	int (*fn)(void *arg);
	void *arg;
	pthread_t thread;
	int result;
	struct bh_report report;
};

void support_enter(struct support_entry *entry, struct bh_task *task,
	int (*fn)(void *arg), void *arg);

/* Wait for its end; what bh_task_enter() returned, which is in @entry too. */
int support_enter_end(struct support_entry *entry);

/* An idle task that has @size bytes of private memory, filled with ones. */
struct bh_task *support_idle_task(
	struct bh_group *group, const char *name, int adj, uint64_t size);

/* For the current task: a map of @size bytes, filled with @with. */
char *support_filled_map(size_t size, char with);
bool support_is_filled(const char *p, size_t size, char with);

/* What to give a task to do: @arg is a word. Each says 1 in it, and goes on for ever. */
int support_spin_touching(void *arg); /* touches private memory */
int support_spin_checking(void *arg); /* calls bh_check() */

/* The reaper has put its reference: only @nr are left. */
void support_await_refs(const struct bh_task *task, uint32_t nr);

/* Resident bytes of the private window, of all tasks, by /proc/self/smaps. */
uint64_t support_private_rss(void);

/* Field @name of /proc/self/status, which is in kB, in bytes; open descriptors. */
uint64_t support_status_bytes(const char *name);
unsigned support_nr_descriptors(void);

/* The newest OOM; fails if there was none. */
struct bh_oom_event support_last_oom(void);

/* How many of the OOMs in the ring found no killable task. */
unsigned support_nr_hopeless_ooms(void);

/* A number from the environment, or @otherwise. */
unsigned long support_number(const char *variable, unsigned long otherwise);

#endif
