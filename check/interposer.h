/* SPDX-License-Identifier: MIT */
/* Where the interposer is. */
#ifndef BHI_CHECK_INTERPOSER_H
#define BHI_CHECK_INTERPOSER_H

#include <stddef.h>

/*
 * The path of the interposer that belongs to the running command: that of its build tree
 * when it runs from one, else the installed one, next to the command or where it was
 * configured to be. 0, or -ENOENT when there is none, or -ENAMETOOLONG.
 */
int bhi_check_interposer_find(char *ret, size_t size);

/* The value of LD_PRELOAD with @interposer in front of what our own environment has, from
 * malloc(3). Context: may wait. */
char *bhi_check_interposer_preload(const char *interposer);

#endif
