/* SPDX-License-Identifier: MIT */
/* Which path and method does what. */
#ifndef TENANTS_ROUTES_H
#define TENANTS_ROUTES_H

#include <microhttpd.h>

#include "options.h"
#include "request.h"
#include "text.h"

void routes_init(const struct options *options);

/* Set the request's route and name, or its status and message. */
void route_find(struct request *request, const char *url, const char *method);

/* The body is complete: do what the route says. */
enum MHD_Result route_run(struct request *request);

/* "GET, PUT": what there is at the path of @route. */
const char *route_methods(const struct route *route);

/* How routes answer; in http.c. The text is the answer's afterwards. */
enum MHD_Result http_answer_text(
	struct request *request, unsigned status, struct text *text, const char *type);
enum MHD_Result http_answer_fd(
	struct request *request, int fd, uint64_t size, const char *type);
enum MHD_Result http_refuse(
	struct request *request, unsigned status, const char *message);

/* Run the script in the body; the answer follows. */
enum MHD_Result http_submit(struct request *request);

#endif
