/* SPDX-License-Identifier: MIT */
#ifndef BHI_PRELOAD_LINES_H
#define BHI_PRELOAD_LINES_H

#include <stdbool.h>

/* Calls @fn for each line of a file, without its end; one that is very long is cut.
 * Whether the file could be read and @fn said true to all. Signal-safe. */
bool bhi_every_line(const char *path, bool (*fn)(const char *line));

#endif
