/* SPDX-License-Identifier: MIT */
/* The client of those who are not hostile: libcurl. */
#ifndef TENANTS_CURL_H
#define TENANTS_CURL_H

#include <curl/curl.h>

#include "client.h"

/* A handle that keeps its connection, for one thread; NULL: no memory. Gone with
 * curl_easy_cleanup(). */
CURL *curl_open(int timeout_ms);

/* POST @body, and the reply as of client_call(). */
bool curl_post(
	CURL *curl, unsigned port, const char *path, const char *body, struct reply *ret);

#endif
