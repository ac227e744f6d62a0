/* SPDX-License-Identifier: MIT */
/* On standard error: one line that is rewritten on a terminal, a line now and then
 * elsewhere. */
#ifndef BHI_CHECK_PROGRESS_H
#define BHI_CHECK_PROGRESS_H

#include "session.h"

/* With .lock held. Context of all: may wait. */
void bhi_check_progress(struct bhi_check_work *work);
void bhi_check_progress_end(struct bhi_check_work *work);

#endif
