/* SPDX-License-Identifier: MIT */
/* What is wrong with a file that somebody gave us: one line that says where. */
#ifndef BHI_CHECK_ERROR_H
#define BHI_CHECK_ERROR_H

#include "base/compiler.h"

struct bhi_check_error {
	char text[512]; /* "FILE:LINE:COLUMN: what", no newline */
};

/* "FILE:LINE:COLUMN: " and the rest; without what is 0 of line and column. What cannot be
 * printed in @file and in the rest becomes '?'. Returns -EINVAL. */
int bhi_check_error_set(struct bhi_check_error *error, const char *file, unsigned line,
	unsigned column, const char *format, ...) BHI_PRINTF(5, 6);

/* The whole file, followed by a 0 that is not counted, to be freed. -errno after an error
 * that names the file; -EFBIG when it has more than @max bytes. */
int bhi_check_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size,
	struct bhi_check_error *error);

#endif
