/* SPDX-License-Identifier: MIT */
/* Scenario files: bulkhead-lab(5). */
#ifndef BHI_LAB_PARSE_H
#define BHI_LAB_PARSE_H

#include "scenario.h"

/* Where and what is wrong; line and column count from 1. */
struct bhi_lab_error {
	int line, column;
	char text[160];
};

/*
 * Read the scenario called @name from @size bytes of text. Returns 0, or -EINVAL and the
 * first error; then *@ret is unspecified.
 */
int bhi_lab_parse(const char *name, const char *text, size_t size,
	struct bhi_lab_scenario *ret, struct bhi_lab_error *ret_error);

#endif
