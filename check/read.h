/* SPDX-License-Identifier: MIT */
/* A session from a JSON report (docs/check-format.md). */
#ifndef BHI_CHECK_READ_H
#define BHI_CHECK_READ_H

#include "arena.h"
#include "error.h"
#include "finding.h"

/* All that @ret points to is in @arena. @file is for errors. 0, or -EINVAL, -ENOMEM after
 * an error; then @ret is not touched. */
int bhi_check_session_parse(const char *file, const char *text, size_t size,
	struct bhi_check_session *ret, struct bhi_check_arena *arena,
	struct bhi_check_error *error);

/* The same from a file. */
int bhi_check_session_read(const char *file, struct bhi_check_session *ret,
	struct bhi_check_arena *arena, struct bhi_check_error *error);

#endif
