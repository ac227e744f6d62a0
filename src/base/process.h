/* SPDX-License-Identifier: MIT */
/* Whether this is still the process in which the library was started. */
#ifndef BHI_BASE_PROCESS_H
#define BHI_BASE_PROCESS_H

#include "base/compiler.h"

/*
 * Points at 1 in the process that called bhi_process_init. The page is wiped on fork
 * (any fork, a raw clone(2) included), so a child reads 0: its copies of our locks may be
 * held by threads it does not have, and no slow path may touch them.
 */
extern const uint32_t *bhi_process_alive;

/* 0 or -ENOMEM. Context: any; once. */
int bhi_process_init(void);

/* Whether the kernel wipes the page, or only fork(3) is noticed. Context: any. */
bool bhi_process_wipes_on_fork(void);

/* Context: any, no allocation, signal-safe. */
static inline bool bhi_process_inert(void)
{
	/* pairs with bhi_process_init() in another thread that starts the library */
	return bhi_unlikely(!bhi_load(bhi_load_acquire(&bhi_process_alive)));
}

#endif
