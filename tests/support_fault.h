/* SPDX-License-Identifier: MIT */
/* What the failure loops share: which refusals they are about. */
#ifndef BHI_TESTS_SUPPORT_FAULT_H
#define BHI_TESTS_SUPPORT_FAULT_H

#include "debug/inject.h"

/*
 * bhi_failpoint_arm(), and with BHI_FP_NTH requests of every kind are eligible too,
 * ordinary ones, single pages and private memory among them. No @kinds: nothing is
 * refused.
 */
void support_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds);

#endif
