/* SPDX-License-Identifier: MIT */
/* page.html, as text. */
#ifndef TENANTS_PAGE_H
#define TENANTS_PAGE_H

extern const char page_html[];

#endif
