/* SPDX-License-Identifier: MIT */
/*
 * Memory of the runner. It is a command with nothing to save that a state file does not
 * hold already, so a refusal ends it: subjects are ended, a line is said, status 4.
 */
#ifndef BHI_CHECK_ALLOCATE_H
#define BHI_CHECK_ALLOCATE_H

#include <stddef.h>

#include "base/compiler.h"

#define BHI_CHECK_EXIT_BROKEN 4 /* an error of our own */

/* @nr objects of @size, zeroed; never NULL, not even for none. Context: may wait. */
void *bhi_check_alloc(size_t nr, size_t size);

/* Room for @nr objects where @*capacity are now. Context: may wait. */
void *bhi_check_grow(void *array, size_t *capacity, size_t nr, size_t size);

/* Context: may wait. */
char *bhi_check_strdup(const char *text);
char *bhi_check_strndup(const char *text, size_t len);
char *bhi_check_format(const char *format, ...) BHI_PRINTF(1, 2);

#endif
