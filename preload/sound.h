/* SPDX-License-Identifier: MIT */
/* Whether a copy of the process would be as good as the process itself. */
#ifndef BHI_PRELOAD_SOUND_H
#define BHI_PRELOAD_SOUND_H

#include "open_files.h"

/* What is in the way, or BHI_CHECK_COPY_SOUND; then @ret has what is to be put back after
 * the copy. Signal-safe. */
enum bhi_check_copy_reason bhi_sound_look(struct bhi_open_files *ret);

#endif
