/* SPDX-License-Identifier: MIT */
/*
 * What a session leaves for later ones: which points were tried and what they showed, so
 * that an interrupted session goes on and a finding is repeated by its ID. Points are
 * named by the hashes of their stacks, so the file is good in another environment too.
 */
#ifndef BHI_CHECK_STATE_H
#define BHI_CHECK_STATE_H

#include "session.h"

/* The file that belongs to this command, folder and what was given, from malloc(3); its
 * folders are made. NULL: there is no place for it, or no HOME. Context of all: may wait.
 */
char *bhi_check_state_path(const struct bhi_check_options *options);

/* Whole or not at all. 0 or -errno. */
int bhi_check_state_save(
	const struct bhi_check_work *work, const char *path, bool is_complete);

/* Take over the tests of points of the plan, when the session that left them did not come
 * to its end. Returns how many. */
size_t bhi_check_state_load(struct bhi_check_work *work, const char *path);

/* The points whose finding has this ID, in stacks that the session knows: *@ret from
 * bhi_check_alloc(). */
size_t bhi_check_state_find(const struct bhi_check_work *work, const char *path,
	const char *id, struct bhi_check_point **ret);

#endif
