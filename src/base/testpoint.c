/* SPDX-License-Identifier: MIT */
#include "base/testpoint.h"

#if BH_DEBUG
void (*bhi_testpoint_hook)(enum bhi_testpoint point);
#endif
