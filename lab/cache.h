/* SPDX-License-Identifier: MIT */
/* The caches of a scenario: objects of shared memory, and a shrinker that frees them. */
#ifndef BHI_LAB_CACHE_H
#define BHI_LAB_CACHE_H

#include "run.h"

/* Fill and register all. 0 or -ENOMEM. */
int bhi_lab_caches_start(void);

/* Unregister and empty all. */
void bhi_lab_caches_stop(void);

#endif
