/* SPDX-License-Identifier: MIT */
/*
 * From the kill of a task to its bytes being back, as the library reports it, for what
 * the victim may be doing, against madvise(MADV_DONTNEED) of as many resident bytes, of
 * the thread's own touching or, as those of a victim are, of another's. The victim has 16
 * MiB, half of it a map, half objects. Kills and madvise take turns.
 *
 *	running	writes to its memory
 *	retrying	asks for memory in a group that is full and says BH_FAIL, for ever
 *	mutex	waits for a bh_mutex
 *	read	is in read(2) of a pipe that nobody writes
 *	idle	nobody is inside
 *
 *	task_kill [percent of the rounds]
 *
 * Prints STATE_p50, _p99 and _max in nanoseconds, and how many bytes were taken.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bulkhead.h"
#include "stats.h"

#define NR_ROUNDS      200
#define MAP_SIZE       ((size_t)8 << 20)
#define OBJECT_SIZE    ((size_t)2048)
#define NR_OBJECTS     (MAP_SIZE / OBJECT_SIZE)
#define PAGE_BYTES     ((size_t)4096)
/* What a full group leaves for retries to fail on. */
#define FULL_SIZE      ((uint64_t)2 * MAP_SIZE + ((uint64_t)1 << 20))
/* Until a thread that is about to block has done so. */
#define SETTLE_US      1000
/* Between two looks at whether a victim is reaped: on two processors each look may
 * interrupt the reaper. */
#define REAPED_POLL_US 1000
/* A victim caught in another state than the one meant is killed again, so often. */
#define TRIES          50

enum state {
	STATE_RUNNING,
	STATE_RETRYING,
	STATE_MUTEX,
	STATE_READ,
	STATE_IDLE,
	NR_STATES,
};

static const char *const state_names[] = {"running", "retrying", "mutex", "read", "idle"};

static struct {
	struct bh_task *task; /* to be entered */
	char *memory;         /* if there is no task: to be touched */
	enum state state;
	struct bh_report report;
	int result;
	sem_t start, ready, done;
	int pipe[2];
} victim;

static struct bh_mutex mutex;
static struct bh_group *plain, *full;
static double kill_ns[NR_STATES][NR_ROUNDS], madvise_ns[NR_ROUNDS];
static double madvise_other_ns[NR_ROUNDS];
static uint64_t victim_bytes;

static void fill(void)
{
	char *map = bh_map(MAP_SIZE, 0);

	if (!map || bh_touch(map, MAP_SIZE))
		die("no map");
	for (size_t i = 0; i < NR_OBJECTS; i++)
		memset(must(bh_malloc(OBJECT_SIZE)), 1, OBJECT_SIZE);
}

static void run_on(void)
{
	volatile char *map = must(bh_map(MAP_SIZE, 0));

	for (size_t i = 0;; i = (i + 64) % PAGE_BYTES)
		map[i]++;
}

static void retry(void)
{
	for (;;)
		(void)bh_malloc(OBJECT_SIZE);
}

static void block_in_read(void)
{
	char byte;

	bh_block_enter();
	if (read(victim.pipe[0], &byte, 1) != 1)
		die("read failed");
	bh_block_leave();
}

static int inside(void *arg)
{
	(void)arg;
	fill();
	sem_post(&victim.ready);
	switch (victim.state) {
	case STATE_RUNNING:
		run_on();
		break;
	case STATE_RETRYING:
		retry();
		break;
	case STATE_MUTEX:
		(void)bh_mutex_lock(&mutex);
		break;
	case STATE_READ:
		block_in_read();
		break;
	default:
		return 0;
	}
	die("a victim went on");
	return 0;
}

static void *worker_main(void *arg)
{
	(void)arg;
	for (;;) {
		sem_wait(&victim.start);
		if (victim.task)
			victim.result =
				bh_task_enter(victim.task, inside, NULL, &victim.report);
		else if (victim.memory)
			memset(victim.memory, 1, victim_bytes);
		else
			return NULL;
		sem_post(&victim.done);
	}
}

static void wait_until_reaped(void)
{
	struct bh_task_stat stat;

	do {
		usleep(REAPED_POLL_US);
		bh_task_stat(victim.task, &stat);
	} while (!stat.is_reaped);
}

static int is_expected(enum state state, enum bh_victim_state found)
{
	switch (state) {
	case STATE_RUNNING:
		return found == BH_VICTIM_RUNNING;
	case STATE_RETRYING:
		return found == BH_VICTIM_IN_CALL || found == BH_VICTIM_RUNNING;
	case STATE_IDLE:
		return found == BH_VICTIM_IDLE;
	default:
		return found == BH_VICTIM_BLOCKED;
	}
}

/* Kill one victim; false: it was not yet what it should be. */
static int kill_one(enum state state, double *ret_ns)
{
	struct bh_report *report = &victim.report;

	victim.state = state;
	victim.task = must(bh_task_new(state == STATE_RETRYING ? full : plain, NULL));
	sem_post(&victim.start);
	sem_wait(&victim.ready);
	if (state == STATE_IDLE)
		sem_wait(&victim.done);
	else
		usleep(SETTLE_US);
	if (bh_task_kill(victim.task))
		die("a kill failed");
	wait_until_reaped();
	if (state == STATE_READ && write(victim.pipe[1], "", 1) != 1)
		die("no pipe");
	if (state == STATE_IDLE)
		victim.result = bh_task_enter(victim.task, inside, NULL, report);
	else
		sem_wait(&victim.done);
	bh_task_put(victim.task);
	victim.task = NULL;
	if (victim.result != -ECANCELED || report->reason != BH_KILLED_CALLER)
		die("a victim was not killed");
	if (!is_expected(state, report->victim_state))
		return 0;
	if (!report->kill_to_bytes_ns || report->reaped < 2 * MAP_SIZE)
		die("bytes are not back");
	victim_bytes = report->bytes;
	*ret_ns = (double)report->kill_to_bytes_ns;
	return 1;
}

static void kill_state(enum state state, double *ret_ns)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (kill_one(state, ret_ns))
			return;
	}
	die("a victim is never in the state that is to be measured");
}

static double advise_once(size_t size, bool by_another)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t start, end;

	if (memory == MAP_FAILED)
		die("no mapping");
	madvise(memory, size, MADV_NOHUGEPAGE);
	if (by_another) {
		victim.memory = memory;
		sem_post(&victim.start);
		sem_wait(&victim.done);
		victim.memory = NULL;
		usleep(SETTLE_US);
	} else {
		memset(memory, 1, size);
	}
	start = clock_ns(CLOCK_MONOTONIC);
	if (madvise(memory, size, MADV_DONTNEED))
		die("madvise failed");
	end = clock_ns(CLOCK_MONOTONIC);
	munmap(memory, size);
	return (double)(end - start);
}

static void print(const char *name, double *samples, unsigned nr)
{
	printf("%s_p50 %.0f\n", name, samples_quantile(samples, nr, 0.5));
	printf("%s_p99 %.0f\n", name, samples_quantile(samples, nr, 0.99));
	printf("%s_max %.0f\n", name, samples_quantile(samples, nr, 1));
}

static void prepare(void)
{
	if (bh_init(NULL))
		die("the library does not start");
	if (!(bh_features() & BH_FEATURE_REAPER))
		die("victims are not reaped here");
	plain = must(bh_group_new(NULL, "plain"));
	full = must(bh_group_new(NULL, "full"));
	if (bh_group_set(full, BH_ON_LIMIT, BH_FAIL) ||
		bh_group_set(full, BH_MAX, FULL_SIZE))
		die("no limit");
	if (pipe(victim.pipe) || sem_init(&victim.start, 0, 0) ||
		sem_init(&victim.ready, 0, 0) || sem_init(&victim.done, 0, 0))
		die("no pipe");
	bh_mutex_lock(&mutex);
}

int main(int argc, char **argv)
{
	unsigned nr_rounds = work_units(argc, argv, NR_ROUNDS);
	pthread_t worker;
	double warm;

	if (nr_rounds > NR_ROUNDS)
		nr_rounds = NR_ROUNDS;
	prepare();
	if (pthread_create(&worker, NULL, worker_main, NULL))
		die("no thread");
	for (unsigned s = 0; s < NR_STATES; s++)
		kill_state((enum state)s, &warm);
	for (unsigned round = 0; round < nr_rounds; round++) {
		for (unsigned s = 0; s < NR_STATES; s++)
			kill_state((enum state)s, &kill_ns[s][round]);
		madvise_ns[round] = advise_once((size_t)victim_bytes, false);
		madvise_other_ns[round] = advise_once((size_t)victim_bytes, true);
	}
	sem_post(&victim.start);
	pthread_join(worker, NULL);
	bh_mutex_unlock(&mutex);
	for (unsigned s = 0; s < NR_STATES; s++)
		print(state_names[s], kill_ns[s], nr_rounds);
	print("madvise", madvise_ns, nr_rounds);
	print("madvise_other", madvise_other_ns, nr_rounds);
	printf("uffd %d\n", !!(bh_features() & BH_FEATURE_UFFD));
	printf("bytes %.0f\n", (double)victim_bytes);
	return 0;
}
