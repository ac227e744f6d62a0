/* SPDX-License-Identifier: MIT */
/* Starting the library, once, at the first use of whatever comes first. */
#ifndef BHI_API_START_H
#define BHI_API_START_H

#include "account/group.h"

/* 0 when the library runs, or the error of starting it. Context: may wait. */
int bhi_start(void);

/* The group that a public call means: @group, or the root for NULL. NULL when the
 * library cannot start (errno is set). Context: may wait. */
static inline struct bh_group *bhi_api_group(struct bh_group *group)
{
	return bhi_likely(group != NULL) ? group : bh_root();
}

#endif
