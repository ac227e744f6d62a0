/* SPDX-License-Identifier: MIT */
/*
 * Where a task that is unwound lands: the frame of bhi_landing_call(). It saved the
 * registers that a function preserves on its stack, and the stack pointer in *@landing;
 * the landing pad needs nothing but that. A signal handler does not jump: it makes the
 * interrupted context continue at the pad, and returns.
 */
#ifndef BHI_TASK_LANDING_H
#define BHI_TASK_LANDING_H

#include <signal.h>
#include <ucontext.h>

#include "base/compiler.h"

/* Call @fn(@arg). True: it returned, *@ret is its value. False: it was unwound. Context:
 * may wait, runs code of the host. */
bool bhi_landing_call(void **landing, int (*fn)(void *arg), void *arg, int *ret);

/* Continue at the pad. Context: any; the frames between are lost. */
__attribute__((noreturn)) void bhi_landing_unwind(void *landing);

/* Make an interrupted context continue at the pad. Context: signal-safe. */
void bhi_landing_redirect(ucontext_t *context, void *landing);

/* The stack pointer of an interrupted context, and the instruction. Context: signal-safe.
 */
uintptr_t bhi_landing_stack(const ucontext_t *context);
const void *bhi_landing_place(const ucontext_t *context);

#endif
