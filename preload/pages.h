/* SPDX-License-Identifier: MIT */
/*
 * Mode pages: a call that may make the C library ask the system for pages has a *window*
 * (struct bhi_check_window) while it lasts. The runner hears of each page call before the
 * system does; by the window it knows what the call is for, and whether to refuse it.
 *
 * One call, one answer: when the first page call of a window is refused all that follow
 * are. An allocator whose request for the heap was refused tries a mapping of its own and
 * a new arena, and the program would see nothing otherwise.
 *
 * A window is open only while the real function runs, and a thread has one at most: what
 * is called inside belongs to the outermost call, which is the one that the program made.
 */
#ifndef BHI_PRELOAD_PAGES_H
#define BHI_PRELOAD_PAGES_H

/* Once: tell the runner how large the loader is, whose page calls have no window. */
void bhi_pages_start(void);

/* The calling thread is about to make a call on behalf of @caller, NULL: ours; has made
 * it. When pages were asked for in it, it is recorded then. errno stays. Signal-safe. */
void bhi_pages_enter(const void *caller);
void bhi_pages_leave(void);

#endif
