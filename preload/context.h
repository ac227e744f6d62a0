/* SPDX-License-Identifier: MIT */
/* What differs between machines in the context that a signal handler gets. */
#ifndef BHI_PRELOAD_CONTEXT_H
#define BHI_PRELOAD_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

static inline mcontext_t *bhi_context_registers(void *context)
{
	return &((ucontext_t *)context)->uc_mcontext;
}

#if defined(__x86_64__)

static inline uintptr_t bhi_context_pc(const void *context)
{
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

static inline uintptr_t bhi_context_sp(const void *context)
{
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
}

/* As if the function whose first instruction is due had returned. */
static inline bool bhi_context_return(void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uintptr_t sp = (uintptr_t)registers[REG_RSP];

	if (sp % sizeof(uintptr_t))
		return false;
	registers[REG_RIP] = (greg_t) * (const uintptr_t *)sp;
	registers[REG_RSP] += (greg_t)sizeof(uintptr_t);
	return true;
}

#elif defined(__aarch64__)

static inline uintptr_t bhi_context_pc(const void *context)
{
	return ((const ucontext_t *)context)->uc_mcontext.pc;
}

static inline uintptr_t bhi_context_sp(const void *context)
{
	return ((const ucontext_t *)context)->uc_mcontext.sp;
}

static inline bool bhi_context_return(void *context)
{
	mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;

	machine->pc = machine->regs[30];
	return true;
}

#else
#error "not ported to this machine"
#endif
#endif
