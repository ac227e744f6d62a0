/* SPDX-License-Identifier: MIT */
/* Where in the program an address lies, for people who read a report. */
#ifndef BHI_BASE_WHERE_H
#define BHI_BASE_WHERE_H

#include "base/compiler.h"

#define BHI_WHERE_SIZE 96

/*
 * "0x55d0c0ffee (server+0x1234)": the address, and the file that is mapped there with the
 * offset in it, which addr2line(1) and a debugger understand whatever the address
 * randomisation did. The address alone where no file is mapped or /proc is not there.
 * Reads /proc/self/maps: no loader lock is taken. Returns @buf. Context: may wait, no
 * allocation.
 */
char *bhi_where(const void *address, char buf[BHI_WHERE_SIZE]);

#endif
