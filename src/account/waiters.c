/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>

#include "account/waiters.h"
#include "base/sys.h"

struct bhi_waiters bhi_waiters;

void bhi_waiters_wake_all(void)
{
	(void)bhi_add_return(&bhi_waiters.sequence, 1);
	bhi_sys_futex_wake(&bhi_waiters.sequence, INT_MAX);
}

void bhi_waiters_enter(void)
{
	(void)bhi_add_return(&bhi_waiters.nr, 1);
}

void bhi_waiters_leave(void)
{
	(void)bhi_sub_return(&bhi_waiters.nr, 1);
}

uint32_t bhi_waiters_sequence(void)
{
	return __atomic_load_n(&bhi_waiters.sequence, __ATOMIC_SEQ_CST);
}

bool bhi_waiters_wait(uint32_t sequence, uint64_t timeout_ns)
{
	return bhi_sys_futex_wait(&bhi_waiters.sequence, sequence, timeout_ns) !=
	       -ETIMEDOUT;
}
