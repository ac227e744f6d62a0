/* SPDX-License-Identifier: MIT */
/*
 * A request from its first header to its answer, and what became of its script.
 *
 * Two may use one: the connection, and the worker that runs the script; the last of them
 * frees it. While the worker has it, the connection is suspended, or reads its stream.
 */
#ifndef TENANTS_REQUEST_H
#define TENANTS_REQUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <bulkhead.h>

#include "output.h"
#include "script.h"
#include "tenant.h"

struct MHD_Connection;
struct session;

enum outcome {
	OUTCOME_PENDING,
	OUTCOME_OK,
	OUTCOME_SCRIPT_ERROR,
	OUTCOME_NO_MEMORY, /* refused, not killed */
	OUTCOME_KILLED,
	OUTCOME_SESSION_LOST, /* it was killed while idle */
	OUTCOME_SESSION_BUSY,
	OUTCOME_FAILED, /* the server could not run it */
	NR_OUTCOMES,
};

struct request {
	/* this thread only: the connection's, until the request is handed to a worker */
	struct MHD_Connection *connection;
	const struct route *route;
	char name[TENANT_NAME_SIZE]; /* the rest of the path */
	unsigned status;             /* an answer without a script; 0: none yet */
	const char *message;
	bool is_submitted;
	const char *ready; /* what a drill answers */
	size_t dropped;    /* bytes of the body that nobody wants */
	struct text tail;  /* what follows a stream */
	size_t tail_sent;
	bool has_tail;

	/* the pool's */
	struct request *next;

	/* immutable once handed to a worker */
	struct tenant *tenant; /* counted in */
	struct session *session;
	enum lang lang;
	struct output body;

	/* the worker's until the request is done, then the connection's */
	struct output output;
	enum outcome outcome;
	struct bh_report report;
	enum script_wait wait;
	uint64_t ran_ns, deadline_ns; /* how long it ran, and might have */
	char error[600];

	pthread_mutex_t lock;

	/* protected by .lock */
	struct stream *stream;
	bool is_done, is_abandoned; /* the worker's, and the connection's end of it */
	bool is_queued;             /* the answer was begun */
	struct bh_task *task;       /* while the script runs */
	unsigned refs;
};

struct request *request_new(
	struct MHD_Connection *connection, size_t body_max, size_t output_max);
void request_put(struct request *request);
struct request *request_get(struct request *request);

/* The worker is through: answer. */
void request_done(struct request *request);

/* Called from inside the script: the answer begins now. NULL, or why not. */
const char *request_open_stream(struct request *request, int wake_fd);

/* The connection is gone, or the server ends: kill the script if it runs. */
void request_abandon(struct request *request);

#endif
