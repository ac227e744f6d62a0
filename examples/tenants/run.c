/* SPDX-License-Identifier: MIT */
/*
 * The pool: requests wait in one queue; a thread is started when one waits and nobody is
 * idle. Threads are many, since one may sleep in a script for as long as the deadline
 * allows.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"
#include "run.h"
#include "session.h"

/* Duktape and the matching of patterns recurse. Only what is used is ever touched. */
#define STACK_SIZE ((size_t)4 << 20)

static struct {
	/* immutable after init */
	const struct options *options;

	pthread_mutex_t lock;
	pthread_cond_t more, fewer; /* something waits; a thread or request has ended */

	/* protected by .lock */
	struct request *first, **last;
	struct request **running; /* by thread */
	uint64_t nr_threads, nr_idle, nr_queued, nr_running;
	bool is_ending;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.fewer = PTHREAD_COND_INITIALIZER};

static void count(struct request *request, uint64_t ns)
{
	static const enum tenant_count counts[NR_OUTCOMES] = {
		[OUTCOME_OK] = TENANT_ANSWERS,
		[OUTCOME_KILLED] = TENANT_KILLS,
		[OUTCOME_SESSION_LOST] = TENANT_KILLS,
		[OUTCOME_SCRIPT_ERROR] = TENANT_ERRORS,
		[OUTCOME_NO_MEMORY] = TENANT_ERRORS,
		[OUTCOME_SESSION_BUSY] = TENANT_ERRORS,
		[OUTCOME_FAILED] = TENANT_ERRORS,
	};

	metrics_outcome(request->outcome, ns);
	tenant_count(request->tenant, counts[request->outcome]);
	if (request->report.reason)
		metrics_kill(&request->report, request->wait);
}

/* A hold section, for those that run in a task: the stream is shared memory that the
 * request owns from here on. */
const char *run_open_stream(struct script *script)
{
	struct run *run = script->owner;
	const char *reason;

	bh_hold();
	reason = request_open_stream(run->request, run->wake_fd);
	script->stream = run->request->stream;
	bh_release();
	return reason;
}

/* A kill may have come too late for the last script. */
static void forget_wakes(int wake_fd)
{
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
	uint64_t nr;

	if (poll(&wake, 1, 0) == 1 && read(wake_fd, &nr, sizeof(nr)) < 0)
		return;
}

static void run_one(struct request *request, int wake_fd)
{
	struct run run = {
		.request = request, .wake_fd = wake_fd, .options = pool.options};
	struct tenant *tenant = request->tenant;
	uint64_t start = now_ns();

	forget_wakes(wake_fd);
	request->deadline_ns = __atomic_load_n(&tenant->deadline_ns, __ATOMIC_RELAXED);
	run.collect_at = __atomic_load_n(&tenant->max, __ATOMIC_RELAXED) / 4 * 3;
	run.script.source = request->body.size ? request->body.text : "";
	run.script.size = request->body.size;
	run.script.output = &request->output;
	run.script.owner = &run;
	run.script.has_drills = pool.options->drills;
	switch ((enum contain)pool.options->contain) {
	case CONTAIN_TASK:
		run_in_task(&run);
		break;
	case CONTAIN_LIMIT:
		run_with_limit(&run);
		break;
	case CONTAIN_PROCESS:
		run_in_process(&run);
		break;
	}
	request->wait = run.script.wait;
	request->ran_ns = now_ns() - start;
	memcpy(request->error, run.script.error, sizeof(request->error));
	count(request, request->ran_ns);
	tenant_end(tenant);
	request_done(request);
}

static struct request *next_locked(void)
{
	struct request *request = pool.first;

	pool.first = request->next;
	pool.nr_queued--;
	if (!pool.first)
		pool.last = &pool.first;
	return request;
}

static void *worker_main(void *arg)
{
	size_t number = (size_t)arg;
	int wake_fd = eventfd(0, EFD_CLOEXEC);

	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct request *request;

		pool.nr_idle++;
		while (!pool.first && !pool.is_ending)
			pthread_cond_wait(&pool.more, &pool.lock);
		pool.nr_idle--;
		if (!pool.first)
			break;
		request = next_locked();
		pool.running[number] = request;
		pool.nr_running++;
		pthread_mutex_unlock(&pool.lock);
		run_one(request, wake_fd);
		pthread_mutex_lock(&pool.lock);
		pool.running[number] = NULL;
		pool.nr_running--;
		pthread_cond_broadcast(&pool.fewer);
	}
	pool.nr_threads--;
	pthread_cond_broadcast(&pool.fewer);
	pthread_mutex_unlock(&pool.lock);
	close(wake_fd);
	return NULL;
}

/* One that cannot be started is missed only when there is no other. */
static bool start_thread_locked(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, worker_main, (void *)pool.nr_threads);
	pthread_attr_destroy(&attr);
	if (!r)
		pool.nr_threads++;
	return !r;
}

void run_submit(struct request *request)
{
	bool is_refused = false;

	request_get(request);
	request->next = NULL;
	pthread_mutex_lock(&pool.lock);
	/* Those that were woken for others count as idle until they run. */
	if (pool.nr_queued >= pool.nr_idle && pool.nr_threads < pool.options->nr_workers)
		start_thread_locked();
	if (pool.nr_threads && !pool.is_ending) {
		*pool.last = request;
		pool.last = &request->next;
		pool.nr_queued++;
		pthread_cond_signal(&pool.more);
	} else {
		is_refused = true;
	}
	pthread_mutex_unlock(&pool.lock);
	if (is_refused) {
		request->outcome = OUTCOME_FAILED;
		tenant_end(request->tenant);
		request_done(request);
	}
}

/* Until nothing runs or waits, or @deadline_ns; false: it is the deadline. */
static bool wait_until_quiet_locked(uint64_t deadline_ns)
{
	struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000)};

	while (pool.first || pool.nr_running) {
		if (pthread_cond_clockwait(&pool.fewer, &pool.lock, CLOCK_MONOTONIC,
			    &deadline) == ETIMEDOUT)
			return false;
	}
	return true;
}

uint64_t run_fini(uint64_t grace_ns)
{
	uint64_t nr_left;

	pthread_mutex_lock(&pool.lock);
	if (!wait_until_quiet_locked(now_ns() + grace_ns)) {
		for (struct request *request = pool.first; request;
			request = request->next)
			request_abandon(request);
		for (size_t i = 0; i < pool.nr_threads; i++) {
			if (pool.running[i])
				request_abandon(pool.running[i]);
		}
		wait_until_quiet_locked(now_ns() + grace_ns);
	}
	pool.is_ending = true;
	pthread_cond_broadcast(&pool.more);
	while (pool.nr_threads > pool.nr_running)
		pthread_cond_wait(&pool.fewer, &pool.lock);
	nr_left = pool.nr_running;
	pthread_mutex_unlock(&pool.lock);
	if (!nr_left)
		free(pool.running);
	return nr_left;
}

int run_init(const struct options *options)
{
	pool.options = options;
	pool.first = NULL;
	pool.last = &pool.first;
	pool.nr_threads = pool.nr_idle = pool.nr_queued = pool.nr_running = 0;
	pool.is_ending = false;
	pool.running = calloc(options->nr_workers, sizeof(*pool.running));
	return pool.running ? 0 : -ENOMEM;
}
