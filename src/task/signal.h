/* SPDX-License-Identifier: MIT */
/*
 * The handlers of SIGSEGV and SIGBUS. What is a touch of the current task's private
 * memory goes to the pagefault path; what overflows the stack of the thread inside ends
 * the task; everything else goes to the handler that was there before, with the context
 * as it came.
 *
 * Handlers run on an alternate stack, which a thread gets when it enters its first task,
 * unless it has one that is large enough. A synchronous signal of these kinds interrupts
 * code that touches private memory: the host's, or ours with no lock held and in no
 * section. So the pagefault path may take locks of the library, and it may wait; it calls
 * no host code but on_kill and on_oom.
 */
#ifndef BHI_TASK_SIGNAL_H
#define BHI_TASK_SIGNAL_H

#include "task/task.h"

enum bhi_pagefault_end {
	BHI_PAGEFAULT_RESTART, /* the instruction runs again */
	BHI_PAGEFAULT_UNWIND,  /* the task is killed */
	BHI_PAGEFAULT_FOREIGN, /* no page that could be there */
};

/* What to do about a touch of @addr, an address in an area of @task. Set at start by the
 * alloc floor. Context: signal-safe, may wait. */
extern enum bhi_pagefault_end (*bhi_pagefault_hook)(struct bh_task *task, void *addr);

/* Install the handlers. 0 or -errno. Context: any; once. */
int bhi_signal_init(void);

/* Make this thread ready to enter tasks. 0 or -ENOMEM. Context: any, may allocate. */
int bhi_signal_thread_init(void);

#endif
