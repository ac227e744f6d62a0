/* SPDX-License-Identifier: MIT */
#ifndef BHI_CHECK_FAST_H
#define BHI_CHECK_FAST_H

#include "session.h"

/* What a worker of `--fast` does: take points and test them, until there are no more or
 * the session is to end. Several threads, with different @slot. Context: may wait. */
void bhi_check_fast_work(struct bhi_check_work *work, int slot);

#endif
