/* SPDX-License-Identifier: MIT */
/* Wait for the subject, within its limits. */
#ifndef BHI_CHECK_WATCH_H
#define BHI_CHECK_WATCH_H

#include "launch.h"
#include "run.h"

/* Returns when the leader has ended by itself (BHI_CHECK_EXITED) or has to be ended, and
 * why; it is neither killed nor waited for. @out, @err: its output files. */
enum bhi_check_end bhi_check_watch(const struct bhi_check_setup *setup,
	const struct bhi_check_child *child, int out, int err,
	struct bhi_check_shared *shared);

#endif
