/* SPDX-License-Identifier: MIT */
/* A finding again, by its ID. */
#ifndef BHI_CHECK_REPLAY_H
#define BHI_CHECK_REPLAY_H

#include "session.h"

/*
 * Find a point that shows finding @id: in what an earlier session left, else by running
 * the plan until one does. The clean runs are done. *@ret_found is false when there is
 * none, after a line that says so. Context of all: may wait, owner thread only.
 */
enum bhi_check_exit bhi_check_replay_find(struct bhi_check_work *work, const char *id,
	bool *ret_found, struct bhi_check_point *ret);

/* Run the point, which becomes the session's only test. */
enum bhi_check_exit bhi_check_replay_run(
	struct bhi_check_work *work, const struct bhi_check_point *point);

/* Run gdb on the terminal, with the subject stopped at the failing call. */
enum bhi_check_exit bhi_check_replay_gdb(
	const struct bhi_check_work *work, const struct bhi_check_point *point);

#endif
