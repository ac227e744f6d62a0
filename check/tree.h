/* SPDX-License-Identifier: MIT */
/* Folders: their private copies, and what is in them. Links are not followed. */
#ifndef BHI_CHECK_TREE_H
#define BHI_CHECK_TREE_H

#include <stdint.h>

/* Copy what is in @from to the new folder @to. 0 or -errno. */
int bhi_check_tree_copy(const char *from, const char *to);

/*
 * One line a file, sorted by name: hash of the content, or of where a link leads; size;
 * mode; name below @path. @ret_list is from malloc(3). 0 or -errno.
 */
int bhi_check_tree_list(const char *path, char **ret_list);

/* Remove the folder and all in it; what cannot be removed stays. */
void bhi_check_tree_remove(const char *path);

#endif
