/* SPDX-License-Identifier: MIT */
/* A failing scenario made smaller while it still fails. */
#ifndef BHI_LAB_SHRINK_H
#define BHI_LAB_SHRINK_H

#include "outcome.h"

/*
 * Take tasks, steps, locks, groups and caches out of *@scenario one by one, as long as
 * some seed close to its own still gives the verdict that it gives under @era; sizes come
 * down as well. *@scenario gets the seed that fails. Returns the number of runs it took,
 * or -errno. Source: delta debugging, Zeller and Hildebrandt, IEEE TSE 28(2), 2002, with
 * parts of one, which is enough for programs of this size.
 */
int bhi_lab_shrink(struct bhi_lab_scenario *scenario, int era);

#endif
