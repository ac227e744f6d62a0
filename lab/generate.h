/* SPDX-License-Identifier: MIT */
/*
 * Random scenarios. They use what can lock up for want of memory, and nothing that locks
 * up by itself: locks are taken in rising order, events are not waited for, and every
 * section is closed. So a lockup is the memory's, and where the rules promise that there
 * is none it is a bug.
 */
#ifndef BHI_LAB_GENERATE_H
#define BHI_LAB_GENERATE_H

#include "scenario.h"

/* The scenario of @seed; the same for the same seed. */
void bhi_lab_generate(uint64_t seed, struct bhi_lab_scenario *ret);

#endif
