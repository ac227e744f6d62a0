/* SPDX-License-Identifier: MIT */
/* Scenarios as text that parse.c reads back to the same scenario. */
#ifndef BHI_LAB_PRINT_H
#define BHI_LAB_PRINT_H

#include "base/fmt.h"

#include "scenario.h"

void bhi_lab_print(struct bhi_out *out, const struct bhi_lab_scenario *scenario);

/* One step as the language writes it, without its label: "alloc 2M as page". Returns
 * @buf, cut to @size bytes. */
char *bhi_lab_step_text(const struct bhi_lab_scenario *scenario, int task, int step,
	char *buf, size_t size);

#endif
