/* SPDX-License-Identifier: MIT */
/* What bh_free does with private memory. */
#ifndef BHI_API_PRIVATE_H
#define BHI_API_PRIVATE_H

/* Free @ptr, which lies in the private window, or report it. Context: owner thread only,
 * may wait. */
void bhi_api_free_private(void *ptr, const void *where);

#endif
