/* SPDX-License-Identifier: MIT */
/*
 * A killer may call session_wake() while the last reference goes, so that sessions are
 * never freed: they go to a list and are used again. At worst a stranger's worker is
 * woken once for nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

#define NR_BUCKETS 4096u

/* In thousandths of whatever is short: among tasks of about the same size it is sessions
 * that go, and not requests that somebody waits for. */
#define SESSION_ADJ 100

static struct {
	pthread_mutex_t lock;

	/* protected by .lock */
	struct session *buckets[NR_BUCKETS];
	struct session *unused;
	uint64_t nr, nr_max; /* in the table */
} sessions = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* on_kill: whoever is inside may wait in a system call. */
static void session_wake(void *arg)
{
	struct session *session = arg;
	int fd = __atomic_load_n(&session->wake_fd, __ATOMIC_SEQ_CST);
	uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return; /* it is awake already */
}

static struct session **find_locked(struct tenant *tenant, const char *id)
{
	uintptr_t hash = (uintptr_t)tenant >> 4;
	struct session **at;

	for (const char *p = id; *p; p++)
		hash = hash * 33 + (unsigned char)*p;
	at = &sessions.buckets[hash % NR_BUCKETS];
	while (*at && ((*at)->tenant != tenant || strcmp((*at)->id, id) != 0))
		at = &(*at)->next;
	return at;
}

static struct session *new_locked(struct tenant *tenant, const char *id, enum lang lang)
{
	struct session *session = sessions.unused;
	struct bh_task_attr attr = {.name = tenant->name,
		.oom_score_adj = SESSION_ADJ,
		.on_kill = session_wake};

	if (sessions.nr >= sessions.nr_max)
		return NULL;
	if (session)
		sessions.unused = session->next;
	else
		session = malloc(sizeof(*session));
	if (!session)
		return NULL;
	memset(session, 0, sizeof(*session));
	session->wake_fd = -1;
	session->tenant = tenant;
	session->lang = lang;
	snprintf(session->id, sizeof(session->id), "%s", id);
	attr.on_kill_arg = session;
	session->deadline_ns = __atomic_load_n(&tenant->deadline_ns, __ATOMIC_RELAXED);
	attr.deadline_ns = session->deadline_ns;
	session->task = bh_task_new(tenant->group, &attr);
	if (!session->task) {
		session->next = sessions.unused;
		sessions.unused = session;
		return NULL;
	}
	sessions.nr++;
	__atomic_fetch_add(&tenant->nr_sessions, 1, __ATOMIC_RELAXED);
	return session;
}

struct session *session_get(struct tenant *tenant, const char *id, enum lang lang)
{
	struct session **at, *session;

	pthread_mutex_lock(&sessions.lock);
	at = find_locked(tenant, id);
	session = *at;
	if (!session) {
		session = new_locked(tenant, id, lang);
		if (session) {
			*at = session;
			session->refs = 1; /* the table's */
		}
	}
	if (session)
		session->refs++;
	pthread_mutex_unlock(&sessions.lock);
	return session;
}

/* The task, for the caller to put without the lock: its memory may be much; or NULL. */
static struct bh_task *put_locked(struct session *session)
{
	struct bh_task *task = session->task;

	if (--session->refs)
		return NULL;
	session->task = NULL;
	session->next = sessions.unused;
	sessions.unused = session;
	return task;
}

/* Take it out of the table: from here on it does not count, although the request that was
 * inside last may not yet have let go of it. As put_locked(). */
static struct bh_task *remove_locked(struct session **at)
{
	struct session *session = *at;

	*at = session->next;
	session->next = NULL;
	sessions.nr--;
	__atomic_fetch_sub(&session->tenant->nr_sessions, 1, __ATOMIC_RELAXED);
	return put_locked(session);
}

void session_put(struct session *session)
{
	struct bh_task *task;

	if (!session)
		return;
	pthread_mutex_lock(&sessions.lock);
	task = put_locked(session);
	pthread_mutex_unlock(&sessions.lock);
	bh_task_put(task);
}

bool session_remove(struct tenant *tenant, const char *id, const struct session *only)
{
	struct session **at, *session;
	struct bh_task *task = NULL;

	pthread_mutex_lock(&sessions.lock);
	at = find_locked(tenant, id);
	session = !only || *at == only ? *at : NULL;
	if (session)
		task = remove_locked(at);
	pthread_mutex_unlock(&sessions.lock);
	bh_task_put(task);
	return session != NULL;
}

void sessions_init(uint64_t nr_max)
{
	sessions.nr_max = nr_max;
}

/* Nobody else is left. */
void sessions_fini(void)
{
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		while (sessions.buckets[i])
			bh_task_put(remove_locked(&sessions.buckets[i]));
	}
}

uint64_t sessions_count(void)
{
	uint64_t nr;

	pthread_mutex_lock(&sessions.lock);
	nr = sessions.nr;
	pthread_mutex_unlock(&sessions.lock);
	return nr;
}
