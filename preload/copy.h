/* SPDX-License-Identifier: MIT */
/*
 * `bulkhead check --fast`: at each of the order's points the process is copied, and the
 * call fails in the copy. The protocol is in protocol.h.
 *
 * The copy is made by clone(2), not by fork(3): handlers of pthread_atfork() would run,
 * which a process that goes on as itself need not hear, and which wait for locks that the
 * caller may hold. The copy keeps what the C library believes to be the number of the
 * thread: it is the owner of recursive mutexes that are held. It is a child of the runner
 * (CLONE_PARENT), so the subject has none more than it had.
 *
 * A copy is made only where the subject cannot tell afterwards that there was one; see
 * bhi_check_copy_reason for what is in the way. The copy itself could tell by its number,
 * by not being the leader of its session, and by what no child has of its parent: signals
 * that are pending, times that were used, memory that is locked. So what it shows is
 * believed only after an ordinary run has shown it once (check/fast.c).
 */
#ifndef BHI_PRELOAD_COPY_H
#define BHI_PRELOAD_COPY_H

#include <stddef.h>

#include "subject.h"

/* At the start of a subject that is to be copied. */
void bhi_copy_start(void);

/* The call has come to the number of the next point. Whether it is to fail: this is a
 * copy then. */
bool bhi_copy_meet(enum bhi_check_function function, size_t size, uint64_t call);

/* The subject ends. Signal-safe. */
void bhi_copy_end(void);

#endif
