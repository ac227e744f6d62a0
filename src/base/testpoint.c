/* SPDX-License-Identifier: MIT */
#include "base/testpoint.h"

void (*bhi_testpoint_hook)(enum bhi_testpoint point);
