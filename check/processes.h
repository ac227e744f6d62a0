/* SPDX-License-Identifier: MIT */
/*
 * The processes of a run, from /proc: what they wait for, and how all of them are ended.
 * The runner is a subreaper, so whatever loses its parent becomes a child of ours.
 */
#ifndef BHI_CHECK_PROCESSES_H
#define BHI_CHECK_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* All threads of the subject's processes at one moment. */
struct bhi_check_sample {
	unsigned nr_threads;
	unsigned nr_locked;   /* in a futex, without a time limit */
	unsigned nr_waiting;  /* for a child */
	uint64_t active_ns;   /* until now: on a processor, or ready for one */
	uint64_t fingerprint; /* of which thread waits in which call */
	/* The thread to ask where the subject is: one that runs; else @preferred, when it
	 * is one of them; else a main thread. */
	pid_t ask_pid, ask_tid;
};

void bhi_check_sample(pid_t leader, pid_t preferred, struct bhi_check_sample *ret);

/* Whether every thread waits for ever, and at least one for a lock. */
bool bhi_check_sample_is_locked(const struct bhi_check_sample *sample);

/* Become the one that orphans go to; before the first run. */
void bhi_check_processes_start(void);

/* A child of ours is about to be made, and was made: until bhi_check_processes_end() its
 * session is not taken for what another run left behind. @leader 0: there is none. */
void bhi_check_processes_announce(void);
void bhi_check_processes_begin(int slot, pid_t leader, int pidfd);

/* The leader has ended or is to end: end all that it started and wait for it. Gives what
 * wait4(2) gives of the leader. */
struct rusage;
void bhi_check_processes_end(int slot, int *ret_status, struct rusage *ret_usage);

/* The same for a copy of the leader in @slot, which is a child of ours in the leader's
 * session. Its descendants are those in the session, so the leader has none itself. */
void bhi_check_processes_begin_copy(int slot, pid_t copy, int pidfd);
void bhi_check_processes_end_copy(int slot, int *ret_status, struct rusage *ret_usage);

/* Whether there is a process that the leader in @slot has started and that is no longer
 * its child, so that it would be taken for one of a copy. Context: may wait. */
bool bhi_check_processes_has_orphans(int slot);

/* No run is under way: end what is left of them, such as daemons that two of them left at
 * the same time. */
void bhi_check_processes_sweep(void);

/* Signal-safe. */
void bhi_check_processes_kill_leaders(void);

#endif
