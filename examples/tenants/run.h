/* SPDX-License-Identifier: MIT */
/*
 * Threads that run the scripts of requests, in tasks or in one of the two ways that tasks
 * are compared with.
 */
#ifndef TENANTS_RUN_H
#define TENANTS_RUN_H

#include <stdbool.h>

#include "options.h"
#include "request.h"

/* Returns 0 or a negative errno. */
int run_init(const struct options *options);

/* Run the script of @request on some thread; request_done() is called at its end. */
void run_submit(struct request *request);

/* End what runs, by killing what has not ended by itself after @grace_ns, and the
 * threads. No request is submitted any more. Returns how many cannot be ended: their
 * threads still use everything. */
uint64_t run_fini(uint64_t grace_ns);

/* What the three ways are given. */
struct run {
	struct request *request;
	struct script script;
	size_t collect_at;
	int wake_fd; /* an eventfd of this thread */
	const struct options *options;
};

/* For script.open_stream, where the script is in this process. */
const char *run_open_stream(struct script *script);

/* Each fills in the outcome, report and error of the request. */
void run_in_task(struct run *run);
void run_with_limit(struct run *run);
void run_in_process(struct run *run);

#endif
