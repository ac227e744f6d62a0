/* SPDX-License-Identifier: MIT */
/* The table of stacks in the shared file. */
#ifndef BHI_PRELOAD_TABLE_H
#define BHI_PRELOAD_TABLE_H

#include <stddef.h>

#include "stack.h"

/* Note that call number @call of @function for @size bytes had @stack. Signal-safe. */
void bhi_table_record(const struct bhi_stack *stack, uint64_t call,
	enum bhi_check_function function, size_t size);

#endif
