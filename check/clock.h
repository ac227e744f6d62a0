/* SPDX-License-Identifier: MIT */
#ifndef BHI_CHECK_CLOCK_H
#define BHI_CHECK_CLOCK_H

#include <stdint.h>

/* Nanoseconds of a clock that does not jump. Context: any. */
uint64_t bhi_check_now(void);

#endif
