/* SPDX-License-Identifier: MIT */
/* The scenarios that come with the command, and those in files. */
#ifndef BHI_LAB_LIBRARY_H
#define BHI_LAB_LIBRARY_H

#include "scenario.h"

/* The number of scenarios that come with the command. */
unsigned bhi_lab_library_count(void);

/* Number @number of these, by name; they are right, or the build's tests fail. */
const struct bhi_lab_scenario *bhi_lab_library_get(unsigned number);

/*
 * A scenario by its name, or by the path of a file where the name has a '/' or ends in
 * ".lab". NULL after a line on standard error that says where and what is wrong. Valid
 * until the next call.
 */
const struct bhi_lab_scenario *bhi_lab_library_find(const char *name);

#endif
