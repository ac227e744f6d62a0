/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of a process that is about to be copied. A copy shares what they refer
 * to: offset and flags, which can be put back, and more where it is no plain file.
 */
#ifndef BHI_PRELOAD_OPEN_FILES_H
#define BHI_PRELOAD_OPEN_FILES_H

#include <sys/types.h>

#include "protocol.h"

#define BHI_MAX_OPEN_FILES 64

struct bhi_open_files {
	unsigned nr;
	struct bhi_open_file {
		int fd, flags;
		off_t offset;
	} files[BHI_MAX_OPEN_FILES];
};

/* BHI_CHECK_COPY_SOUND, _FILES, _LOCKS or _OTHERS. @copies says which files are the
 * output. Signal-safe. */
enum bhi_check_copy_reason bhi_open_files_look(
	const struct bhi_check_copies *copies, struct bhi_open_files *ret);

/* Signal-safe. */
void bhi_open_files_put_back(const struct bhi_open_files *files);

#endif
