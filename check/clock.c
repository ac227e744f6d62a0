/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <time.h>

uint64_t bhi_check_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
