/* SPDX-License-Identifier: MIT */
#include "page.h"

const char page_html[] =
#include "page.inc"
	;
