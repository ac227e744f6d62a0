/* SPDX-License-Identifier: MIT */
/* The file that a run and its runner share, preload/protocol.h. */
#ifndef BHI_CHECK_SHARED_H
#define BHI_CHECK_SHARED_H

#include "../preload/protocol.h"

/* What the subject finds it by: the longest name. */
#define BHI_CHECK_SHARED_NAME_SIZE 64

/*
 * A new one, all zeros, mapped, and the descriptor that keeps its name valid: the
 * caller's to unmap and close. 0 or -errno. Context: may wait.
 */
int bhi_check_shared_make(struct bhi_check_shared **ret, int *ret_fd);

/* Its name while this process has @fd open; of the same length for all files of a process
 * that has less than 900 of them. */
void bhi_check_shared_name(int fd, char ret[BHI_CHECK_SHARED_NAME_SIZE]);

#endif
