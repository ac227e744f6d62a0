/* SPDX-License-Identifier: MIT */
/*
 * The signals that end a program which went wrong. Our handler stands in front of the
 * program's own: it notes where it happened and goes on to whatever the program wanted,
 * which sees no difference.
 */
#ifndef BHI_PRELOAD_CRASH_H
#define BHI_PRELOAD_CRASH_H

void bhi_crash_start(void);

/* The calling thread gets an alternate signal stack in @memory, unless it has one. */
void bhi_crash_enter_thread(void *memory, unsigned long size);
void bhi_crash_leave_thread(void);

#endif
