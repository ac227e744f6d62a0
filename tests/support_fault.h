/* SPDX-License-Identifier: MIT */
/* What the failure loops and the tests of injected failures share. */
#ifndef BHI_TESTS_SUPPORT_FAULT_H
#define BHI_TESTS_SUPPORT_FAULT_H

#include "debug/inject.h"

/*
 * bhi_failpoint_arm(), and with BHI_FP_NTH requests of every kind are eligible too,
 * ordinary ones, single pages and private memory among them. No @kinds: nothing is
 * refused.
 */
void support_arm(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds);

/* Settings with which every request of a kind fails. */
#define EVERY         "probability=100,times=-1,ignore-gfp-wait=N"
#define EVERY_SLAB    "slab:" EVERY
#define EVERY_PAGE    "page:" EVERY ",min-order=0"
#define EVERY_PRIVATE EVERY_PAGE ",ignore-gfp-highmem=N"

/* bh_fault_set() and bh_fault_stat(), which succeed. */
void support_inject(const char *settings);
struct bh_fault_stat support_injected(enum bh_fault_kind kind);

/* @p, just returned, is NULL, with ENOMEM in errno. */
void support_check_failed(void *p);

#endif
