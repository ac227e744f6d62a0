/* SPDX-License-Identifier: MIT */
/* The server as a whole. One at a time in a process. */
#ifndef TENANTS_HTTP_H
#define TENANTS_HTTP_H

#include "options.h"

/* Start Bulkhead and the server. 0, with the port in *@ret_port; on failure one line on
 * standard error says why, and it is a negative errno. */
int server_start(const struct options *options, unsigned *ret_port);

/* Answer what was begun, kill what takes more than two seconds, give clients as long
 * again to read what was answered, and end. Returns how many scripts could not be ended,
 * which only happens without tasks: then nothing is freed, and all that can be done is to
 * exit. */
unsigned server_stop(void);

#endif
