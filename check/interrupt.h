/* SPDX-License-Identifier: MIT */
/*
 * Being asked to end: SIGINT, SIGTERM and SIGHUP, but for those that were ignored when we
 * started. The subjects, which are in sessions of their own, are ended at once; what was
 * seen of their runs says nothing then. The second time, half a second later or more, the
 * signal does what it does by default.
 */
#ifndef BHI_CHECK_INTERRUPT_H
#define BHI_CHECK_INTERRUPT_H

/* Context of both: one thread. */
void bhi_check_interrupts_catch(void);
void bhi_check_interrupts_release(void);

/* The signal that came since they are caught, 0: none. Context: any. */
int bhi_check_interrupted(void);

#endif
