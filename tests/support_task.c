/* SPDX-License-Identifier: MIT */
#include "support_task.h"

#include <check.h>
#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/window.h"

void support_start_tasks(uint64_t size, uint32_t tries)
{
	/* As support_start(): the decay clock stands still. */
	struct bh_config config = {
		.size = size,
		.decay_ms = 3600000,
		.reap_tries = tries,
		.reap_interval_ms = tries ? 1 : 0,
	};

	ck_assert_int_eq(bh_init(&config), 0);
	ck_assert(bh_features() & BH_FEATURE_PAGEFAULT);
	ck_assert(bh_features() & BH_FEATURE_REAPER);
}

struct bh_group *support_limited(struct bh_group *parent, const char *name, uint64_t max)
{
	struct bh_group *group = support_group(parent, name);

	support_set(group, BH_MAX, max);
	return group;
}

struct bh_task *support_task(struct bh_group *group, const char *name, int adj)
{
	const struct bh_task_attr attr = {.name = name, .oom_score_adj = adj};
	struct bh_task *task = bh_task_new(group, &attr);

	ck_assert_ptr_nonnull(task);
	return task;
}

struct bh_task_stat support_task_stat(struct bh_task *task)
{
	struct bh_task_stat stat;

	ck_assert_int_eq(bh_task_stat(task, &stat), 0);
	return stat;
}

static void *enter(void *arg)
{
	struct support_entry *entry = arg;

	entry->result = bh_task_enter(entry->task, entry->fn, entry->arg, &entry->report);
	return NULL;
}

void support_enter(struct support_entry *entry, struct bh_task *task,
	int (*fn)(void *arg), void *arg)
{
	*entry = (struct support_entry){.task = task, .fn = fn, .arg = arg};
	entry->thread = support_thread(enter, entry);
}

int support_enter_end(struct support_entry *entry)
{
	support_join(entry->thread);
	return entry->result;
}

char *support_filled_map(size_t size, char with)
{
	char *p = bh_map(size, 0);

	ck_assert_ptr_nonnull(p);
	memset(p, with, size);
	return p;
}

bool support_is_filled(const char *p, size_t size, char with)
{
	return *p == with && !memcmp(p, p + 1, size - 1);
}

static int fill(void *arg)
{
	support_filled_map(*(const uint64_t *)arg, 1);
	return 0;
}

struct bh_task *support_idle_task(
	struct bh_group *group, const char *name, int adj, uint64_t size)
{
	struct bh_task *task = support_task(group, name, adj);

	ck_assert_int_eq(bh_task_enter(task, fill, &size, NULL), 0);
	return task;
}

int support_spin_touching(void *arg)
{
	volatile char *p = support_filled_map(MIB, 1);

	bhi_store_release((uint32_t *)arg, 1);
	for (;;) {
		for (size_t i = 0; i < MIB; i += PAGE)
			p[i]++;
	}
}

int support_spin_checking(void *arg)
{
	bhi_store_release((uint32_t *)arg, 1);
	while (!bh_check())
		sched_yield();
	return 1;
}

void support_await_refs(const struct bh_task *task, uint32_t nr)
{
	while (__atomic_load_n(&task->refs, __ATOMIC_SEQ_CST) > nr)
		sched_yield();
}

uint64_t support_private_rss(void)
{
	uintptr_t base = (uintptr_t)bhi_private.base, from, to;
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;
	uint64_t sum = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		uint64_t kib;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			inside = from >= base && to <= base + bhi_private.size;
		else if (inside && sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
			sum += kib * KIB;
	}
	fclose(file);
	return sum;
}

uint64_t support_status_bytes(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t len = strlen(name);
	char line[256];
	uint64_t kib = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, len) && line[len] == ':')
			kib = strtoull(line + len + 1, NULL, 10);
	}
	fclose(file);
	ck_assert_uint_gt(kib, 0);
	return kib * KIB;
}

unsigned support_nr_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned nr = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

struct bh_oom_event support_last_oom(void)
{
	struct bh_oom_event event;

	ck_assert(bhi_oom_events_read(0, &event));
	return event;
}

unsigned support_nr_hopeless_ooms(void)
{
	struct bh_oom_event event;
	unsigned nr = 0;

	for (unsigned i = 0; bhi_oom_events_read(i, &event); i++)
		nr += !event.has_victim;
	return nr;
}

unsigned long support_number(const char *variable, unsigned long otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoul(text, NULL, 10) : otherwise;
}
