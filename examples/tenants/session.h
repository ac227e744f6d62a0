/* SPDX-License-Identifier: MIT */
/*
 * Sessions: an interpreter that stays alive between requests, in a task that is entered
 * again and again. While nobody is inside it is the easiest victim there is; the next
 * request finds out.
 */
#ifndef TENANTS_SESSION_H
#define TENANTS_SESSION_H

#include <stdint.h>

#include "script.h"
#include "tenant.h"

struct session {
	/* protected by the table's lock */
	struct session *next;
	unsigned refs;

	/* immutable while it has references */
	struct tenant *tenant;
	char id[TENANT_NAME_SIZE];
	enum lang lang;
	struct bh_task *task;
	uint64_t deadline_ns; /* the task's */

	/* of the thread that is inside the task */
	void *interpreter; /* in private memory */

	/* atomic: the eventfd of the worker inside, or -1; see session_wake() */
	int wake_fd;
};

/* The session of that name, made if it is new; with a reference. NULL: too many, or no
 * memory. */
struct session *session_get(struct tenant *tenant, const char *id, enum lang lang);
void session_put(struct session *session);

/* Forget the session, if it is @only (NULL: whichever it is): the next session_get()
 * makes a new one. False: it was not there. */
bool session_remove(struct tenant *tenant, const char *id, const struct session *only);

void sessions_init(uint64_t nr_max);
void sessions_fini(void);
uint64_t sessions_count(void);

#endif
