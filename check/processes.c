/* SPDX-License-Identifier: MIT */
/*
 * Which orphan belongs to which run? A subject starts in a session of its own, so the
 * session says it, unless a daemon made another one for itself. Those are ended when no
 * other run is under way, to which they might belong. Processes of our own session are
 * never touched, and neither are those that were our children before the first run (of
 * the shell that we were executed by), nor what is in their sessions.
 */
#include "processes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <linux/futex.h>

#include "base/compiler.h"

/* Of runs, and of their copies behind them. */
#define MAX_RUNS      256
#define MAX_SLOTS     (2 * MAX_RUNS)
#define MAX_PROCESSES 1024
#define MAX_STRANGERS 64

static struct {
	pthread_once_t once;
	/* atomic: children that are not in .leaders yet. Goes up before there is a child
	 * and down when it is in the table, so who has seen the child sees one or both.
	 */
	int nr_announced;
	/* protected by .lock, and read by the signal handler: atomic */
	pid_t leaders[MAX_SLOTS]; /* 0: the slot is free */
	int pidfds[MAX_SLOTS];
	/* protected by .lock */
	pid_t sessions[MAX_SLOTS]; /* the leader's number, but for copies */
	pthread_mutex_t lock;
	/* immutable after the start: the sessions of children that are not of runs */
	pid_t strangers[MAX_STRANGERS];
	unsigned nr_strangers;
} state = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

struct pids {
	unsigned nr;
	pid_t pids[MAX_PROCESSES];
};

/* A file of /proc that fits in @size; the length, or -1. */
static ssize_t read_file(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, ret, size - 1);
	(void)close(fd);
	if (length >= 0)
		ret[length] = 0;
	return length;
}

/* What comes after the name in /proc/PID/stat, which may have anything in it. */
static const char *read_stat(const char *path, char *buffer, size_t size)
{
	const char *end;

	if (read_file(path, buffer, size) < 0)
		return NULL;
	end = strrchr(buffer, ')');
	return end && end[1] == ' ' ? end + 2 : NULL;
}

static pid_t session_of(pid_t pid)
{
	char path[64], buffer[1024];
	const char *rest;
	int session;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	rest = read_stat(path, buffer, sizeof(buffer));
	/* state, parent, group, session */
	if (!rest || sscanf(rest, "%*c %*d %*d %d", &session) != 1)
		return -1;
	return session;
}

static void add_children_of_thread(pid_t pid, const char *tid, struct pids *pids)
{
	char path[320], buffer[4096];
	char *at = buffer;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, tid);
	if (read_file(path, buffer, sizeof(buffer)) <= 0)
		return;
	while (pids->nr < MAX_PROCESSES) {
		char *end;
		long child = strtol(at, &end, 10);

		if (end == at || !child)
			return;
		pids->pids[pids->nr++] = (pid_t)child;
		at = end;
	}
}

/* Calls @fn for each thread's name. */
static void for_each_thread(
	pid_t pid, void (*fn)(pid_t pid, const char *tid, void *arg), void *arg)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			fn(pid, entry->d_name, arg);
	}
	(void)closedir(dir);
}

static void add_children(pid_t pid, const char *tid, void *arg)
{
	add_children_of_thread(pid, tid, arg);
}

struct sampling {
	struct bhi_check_sample *sample;
	pid_t preferred;
	int rank; /* of the thread to ask: the highest one wins */
};

enum what {
	OTHER,
	RUNS,
	LOCKED,
	WAITS,
};

/* "number arg arg …" in hexadecimal but for the number, "running", or "-1 …" */
static enum what parse_syscall(const char *text)
{
	unsigned long args[6];
	int number;

	if (!strncmp(text, "running", 7))
		return RUNS;
	if (sscanf(text, "%d %lx %lx %lx %lx %lx %lx", &number, &args[0], &args[1],
		    &args[2], &args[3], &args[4], &args[5]) != 7)
		return OTHER;
	if (number == SYS_wait4 || number == SYS_waitid)
		return WAITS;
	if (number != SYS_futex || args[3])
		return OTHER;
	switch (args[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return LOCKED;
	default:
		return OTHER;
	}
}

static void add_fingerprint(struct bhi_check_sample *sample, const char *text)
{
	uint64_t hash = sample->fingerprint;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	sample->fingerprint = hash;
}

/* On a processor or in the queue for one: on a machine with more to do than processors,
 * who spins may get little of them. */
static uint64_t active_time(pid_t pid, const char *tid)
{
	char path[320], buffer[256];
	unsigned long long ran = 0, queued = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, tid);
	if (read_file(path, buffer, sizeof(buffer)) > 0)
		(void)sscanf(buffer, "%llu %llu", &ran, &queued);
	return ran + queued;
}

static void choose(struct sampling *sampling, pid_t pid, pid_t tid, enum what what)
{
	int rank = what == RUNS                 ? 4
		   : tid == sampling->preferred ? 3
		   : what == LOCKED             ? 2
						: 1;

	if (rank <= sampling->rank)
		return;
	sampling->rank = rank;
	sampling->sample->ask_pid = pid;
	sampling->sample->ask_tid = tid;
}

static void sample_thread(pid_t pid, const char *tid, void *arg)
{
	struct sampling *sampling = arg;
	struct bhi_check_sample *sample = sampling->sample;
	char path[320], buffer[1024];
	const char *rest;
	enum what what = OTHER;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, tid);
	rest = read_stat(path, buffer, sizeof(buffer));
	if (!rest || *rest == 'Z' || *rest == 'X')
		return;
	if (*rest == 'R')
		what = RUNS;
	sample->nr_threads++;
	sample->active_ns += active_time(pid, tid);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/syscall", (int)pid, tid);
	if (what != RUNS && read_file(path, buffer, sizeof(buffer)) > 0) {
		what = parse_syscall(buffer);
		add_fingerprint(sample, buffer);
	}
	add_fingerprint(sample, tid);
	sample->nr_locked += what == LOCKED;
	sample->nr_waiting += what == WAITS;
	choose(sampling, pid, (pid_t)atoi(tid), what);
}

void bhi_check_sample(pid_t leader, pid_t preferred, struct bhi_check_sample *ret)
{
	struct pids tree = {.nr = 1, .pids = {leader}};
	struct sampling sampling = {.sample = ret, .preferred = preferred};
	struct pids orphans = {.nr = 0};

	*ret = (struct bhi_check_sample){.nr_threads = 0};
	for_each_thread(getpid(), add_children, &orphans);
	for (unsigned i = 0; i < orphans.nr; i++) {
		if (orphans.pids[i] != leader && session_of(orphans.pids[i]) == leader &&
			tree.nr < MAX_PROCESSES)
			tree.pids[tree.nr++] = orphans.pids[i];
	}
	for (unsigned i = 0; i < tree.nr; i++) {
		for_each_thread(tree.pids[i], add_children, &tree);
		for_each_thread(tree.pids[i], sample_thread, &sampling);
	}
}

bool bhi_check_sample_is_locked(const struct bhi_check_sample *sample)
{
	return sample->nr_locked &&
	       sample->nr_locked + sample->nr_waiting == sample->nr_threads;
}

static void start(void)
{
	struct pids pids = {.nr = 0};

	for_each_thread(getpid(), add_children, &pids);
	for (unsigned i = 0; i < pids.nr && state.nr_strangers < MAX_STRANGERS; i++)
		state.strangers[state.nr_strangers++] = session_of(pids.pids[i]);
	/* Inherited as ignored, it would take from us how children end. */
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void bhi_check_processes_announce(void)
{
	(void)bhi_add_return(&state.nr_announced, 1);
}

/* With the lock held. */
static void put(int place, pid_t leader, int pidfd, pid_t session)
{
	state.sessions[place] = session;
	bhi_store(&state.pidfds[place], pidfd);
	bhi_store_release(&state.leaders[place], leader);
}

void bhi_check_processes_begin(int slot, pid_t leader, int pidfd)
{
	(void)pthread_mutex_lock(&state.lock);
	put(slot % MAX_RUNS, leader, pidfd, leader);
	(void)bhi_sub_return(&state.nr_announced, 1);
	(void)pthread_mutex_unlock(&state.lock);
}

void bhi_check_processes_begin_copy(int slot, pid_t copy, int pidfd)
{
	(void)pthread_mutex_lock(&state.lock);
	put(MAX_RUNS + slot % MAX_RUNS, copy, pidfd, state.sessions[slot % MAX_RUNS]);
	(void)pthread_mutex_unlock(&state.lock);
}

enum owner {
	NOBODY,
	US,
	THIS_RUN,
	OTHER_RUN,
};

/* With the lock held; @place: MAX_SLOTS when it is nobody's turn. */
static enum owner find_owner(pid_t pid, int place)
{
	pid_t session = session_of(pid);
	enum owner owner = bhi_load_acquire(&state.nr_announced) ? OTHER_RUN : NOBODY;

	if (session < 0 || session == getsid(0))
		return US;
	for (unsigned i = 0; i < state.nr_strangers; i++) {
		if (state.strangers[i] == session)
			return US;
	}
	for (int i = 0; i < MAX_SLOTS; i++) {
		if (state.leaders[i] == pid)
			return OTHER_RUN;
	}
	if (place < MAX_SLOTS && session == state.sessions[place])
		return THIS_RUN;
	for (int i = 0; i < MAX_SLOTS; i++) {
		/* The leader that a copy is of waits, and had nobody like that. */
		if (!state.leaders[i] || i == place || i + MAX_RUNS == place)
			continue;
		if (state.sessions[i] == session)
			return OTHER_RUN;
		owner = OTHER_RUN;
	}
	return owner;
}

/* Whether there was one. What a child of ours leaves behind becomes ours in turn. */
static bool end_orphans(int place)
{
	struct pids pids = {.nr = 0};
	bool found = false;

	for_each_thread(getpid(), add_children, &pids);
	for (unsigned i = 0; i < pids.nr; i++) {
		enum owner owner;

		(void)pthread_mutex_lock(&state.lock);
		owner = find_owner(pids.pids[i], place);
		(void)pthread_mutex_unlock(&state.lock);
		if (owner == US || owner == OTHER_RUN)
			continue;
		(void)kill(pids.pids[i], SIGKILL);
		while (waitpid(pids.pids[i], NULL, 0) < 0 && errno == EINTR)
			;
		found = true;
	}
	return found;
}

bool bhi_check_processes_has_orphans(int slot)
{
	struct pids pids = {.nr = 0};
	bool found = false;

	for_each_thread(getpid(), add_children, &pids);
	(void)pthread_mutex_lock(&state.lock);
	for (unsigned i = 0; i < pids.nr && !found; i++) {
		enum owner owner = find_owner(pids.pids[i], slot % MAX_RUNS);

		found = owner == THIS_RUN || owner == NOBODY;
	}
	(void)pthread_mutex_unlock(&state.lock);
	return found;
}

static void end(int place, int *ret_status, struct rusage *ret_usage)
{
	pid_t leader = state.leaders[place];

	/* Its process group first: while the leader is not waited for, its number is not
	 * given to another one. */
	(void)kill(-leader, SIGKILL);
	(void)kill(leader, SIGKILL);
	while (wait4(leader, ret_status, 0, ret_usage) < 0 && errno == EINTR)
		;
	while (end_orphans(place))
		;
	(void)pthread_mutex_lock(&state.lock);
	bhi_store(&state.leaders[place], 0);
	(void)pthread_mutex_unlock(&state.lock);
}

void bhi_check_processes_end(int slot, int *ret_status, struct rusage *ret_usage)
{
	end(slot % MAX_RUNS, ret_status, ret_usage);
}

void bhi_check_processes_end_copy(int slot, int *ret_status, struct rusage *ret_usage)
{
	end(MAX_RUNS + slot % MAX_RUNS, ret_status, ret_usage);
}

void bhi_check_processes_sweep(void)
{
	while (end_orphans(MAX_SLOTS))
		;
}

void bhi_check_processes_kill_leaders(void)
{
	for (int i = 0; i < MAX_SLOTS; i++) {
		if (bhi_load_acquire(&state.leaders[i]))
			(void)syscall(SYS_pidfd_send_signal, bhi_load(&state.pidfds[i]),
				SIGKILL, NULL, 0);
	}
}

void bhi_check_processes_start(void)
{
	(void)pthread_once(&state.once, start);
}
