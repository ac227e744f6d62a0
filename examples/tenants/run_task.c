/* SPDX-License-Identifier: MIT */
/*
 * A script in a task: the one of its session, or one for this request alone. The
 * interpreter is in the task's private memory and is never closed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "session.h"

/* on_kill: the script may sleep in a system call. */
static void wake(void *arg)
{
	uint64_t one = 1;

	if (write((int)(intptr_t)arg, &one, sizeof(one)) < 0)
		return; /* it is awake already */
}

/* Inside the task. */
static int run_inside(void *arg)
{
	struct run *run = arg;
	struct request *request = run->request;
	struct session *session = request->session;
	void *interpreter = session ? session->interpreter : NULL;

	if (!interpreter)
		interpreter = script_open(request->lang, run->collect_at, NULL);
	if (!interpreter)
		return SCRIPT_NO_MEMORY;
	if (session)
		session->interpreter = interpreter;
	return script_run(request->lang, interpreter);
}

/* Whoever gives the request up may kill the task from here on; false: it was given up
 * before. */
static bool publish(struct request *request, struct bh_task *task)
{
	bool is_wanted;

	pthread_mutex_lock(&request->lock);
	is_wanted = !request->is_abandoned;
	request->task = is_wanted ? task : NULL;
	pthread_mutex_unlock(&request->lock);
	return is_wanted;
}

static enum outcome outcome_of(int r, const struct bh_report *report)
{
	static const enum outcome of_result[] = {[SCRIPT_OK] = OUTCOME_OK,
		[SCRIPT_ERROR] = OUTCOME_SCRIPT_ERROR,
		[SCRIPT_NO_MEMORY] = OUTCOME_NO_MEMORY};

	if (r == 0)
		return of_result[report->value];
	if (r == -ECANCELED)
		return report->victim_state == BH_VICTIM_IDLE ? OUTCOME_SESSION_LOST
							      : OUTCOME_KILLED;
	return r == -EBUSY    ? OUTCOME_SESSION_BUSY
	       : r == -ENOMEM ? OUTCOME_NO_MEMORY
			      : OUTCOME_FAILED;
}

static void enter(struct run *run, struct bh_task *task)
{
	struct request *request = run->request;
	struct bh_report *report = &request->report;
	int r;

	script_current = &run->script;
	r = bh_task_enter(task, run_inside, run, report);
	script_current = NULL;
	request->outcome = outcome_of(r, report);
	if (r == -ENOMEM)
		snprintf(run->script.error, sizeof(run->script.error),
			"no memory to begin with");
}

static void run_alone(struct run *run)
{
	struct request *request = run->request;
	struct tenant *tenant = request->tenant;
	struct bh_task_attr attr = {.name = tenant->name,
		.deadline_ns = request->deadline_ns,
		.on_kill = wake,
		.on_kill_arg = (void *)(intptr_t)run->wake_fd};
	struct bh_task *task = bh_task_new(tenant->group, &attr);

	if (!task) {
		request->outcome = errno == ENOMEM ? OUTCOME_NO_MEMORY : OUTCOME_FAILED;
		snprintf(run->script.error, sizeof(run->script.error),
			"no task could be made");
		return;
	}
	if (publish(request, task))
		enter(run, task);
	else
		request->outcome = OUTCOME_FAILED;
	publish(request, NULL);
	if (request->outcome == OUTCOME_SESSION_LOST)
		request->outcome = OUTCOME_KILLED; /* before its first instruction */
	bh_task_put(task);
}

static void run_session(struct run *run)
{
	struct request *request = run->request;
	struct session *session = request->session;

	request->deadline_ns = session->deadline_ns;
	if (publish(request, session->task)) {
		__atomic_store_n(&session->wake_fd, run->wake_fd, __ATOMIC_SEQ_CST);
		enter(run, session->task);
		__atomic_store_n(&session->wake_fd, -1, __ATOMIC_SEQ_CST);
	} else {
		request->outcome = OUTCOME_FAILED;
	}
	publish(request, NULL);
	if (request->outcome == OUTCOME_KILLED ||
		request->outcome == OUTCOME_SESSION_LOST)
		session_remove(request->tenant, session->id, session);
}

void run_in_task(struct run *run)
{
	run->script.open_stream = run_open_stream;
	if (run->request->session)
		run_session(run);
	else
		run_alone(run);
}
