/* SPDX-License-Identifier: MIT */
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "cache.h"
#include "drill.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t ended;

	/* protected by .lock */
	unsigned nr;
	uint64_t nr_ends; /* how often those that were there were told to end */
	bool is_ending;
} drills = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

struct drill {
	struct request *request;
	uint64_t ns;
};

/* Until the time is up, or it is told to end, or the server ends. */
static void wait_locked(uint64_t ns)
{
	uint64_t nr_ends = drills.nr_ends;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	while (!drills.is_ending && drills.nr_ends == nr_ends &&
		!pthread_cond_clockwait(
			&drills.ended, &drills.lock, CLOCK_MONOTONIC, &until))
		;
}

static void *drill_main(void *arg)
{
	struct drill *drill = arg;

	cache_lock();
	/* Who reads the answer may ask for the end at once: not before this waits. */
	pthread_mutex_lock(&drills.lock);
	drill->request->ready = "{\"held\":true}\n";
	MHD_resume_connection(drill->request->connection);
	wait_locked(drill->ns);
	pthread_mutex_unlock(&drills.lock);
	cache_unlock();
	free(drill);
	pthread_mutex_lock(&drills.lock);
	drills.nr--;
	pthread_cond_broadcast(&drills.ended);
	pthread_mutex_unlock(&drills.lock);
	return NULL;
}

bool drill_start(struct request *request, uint64_t ns)
{
	struct drill *drill = malloc(sizeof(*drill));
	pthread_t thread;

	if (!drill)
		return false;
	drill->request = request;
	drill->ns = ns;
	pthread_mutex_lock(&drills.lock);
	drills.nr++;
	pthread_mutex_unlock(&drills.lock);
	if (!pthread_create(&thread, NULL, drill_main, drill)) {
		pthread_detach(thread);
		return true;
	}
	pthread_mutex_lock(&drills.lock);
	drills.nr--;
	pthread_mutex_unlock(&drills.lock);
	free(drill);
	return false;
}

void drill_end(void)
{
	pthread_mutex_lock(&drills.lock);
	drills.nr_ends++;
	pthread_cond_broadcast(&drills.ended);
	pthread_mutex_unlock(&drills.lock);
}

void drill_fini(void)
{
	pthread_mutex_lock(&drills.lock);
	drills.is_ending = true;
	pthread_cond_broadcast(&drills.ended);
	while (drills.nr)
		pthread_cond_wait(&drills.ended, &drills.lock);
	drills.is_ending = false;
	pthread_mutex_unlock(&drills.lock);
}
