/* SPDX-License-Identifier: MIT */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "session.h"

struct request *request_new(
	struct MHD_Connection *connection, size_t body_max, size_t output_max)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->connection = connection;
	request->body.max = body_max;
	request->output.max = output_max;
	request->refs = 1;
	pthread_mutex_init(&request->lock, NULL);
	return request;
}

struct request *request_get(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->refs++;
	pthread_mutex_unlock(&request->lock);
	return request;
}

void request_put(struct request *request)
{
	unsigned refs;

	pthread_mutex_lock(&request->lock);
	refs = --request->refs;
	pthread_mutex_unlock(&request->lock);
	if (refs)
		return;
	session_put(request->session);
	stream_free(request->stream);
	output_fini(&request->body);
	output_fini(&request->output);
	text_fini(&request->tail);
	pthread_mutex_destroy(&request->lock);
	free(request);
}

/* A suspended connection stays until it is resumed, so that it is there to be resumed. */
void request_done(struct request *request)
{
	struct stream *stream;

	pthread_mutex_lock(&request->lock);
	request->is_done = true;
	stream = request->stream;
	pthread_mutex_unlock(&request->lock);
	if (stream)
		stream_end(stream);
	else
		MHD_resume_connection(request->connection);
	request_put(request);
}

static void suspend(void *arg)
{
	struct request *request = arg;

	MHD_suspend_connection(request->connection);
}

static void resume(void *arg)
{
	struct request *request = arg;

	MHD_resume_connection(request->connection);
}

const char *request_open_stream(struct request *request, int wake_fd)
{
	struct stream *stream =
		stream_new(request->tenant->group, wake_fd, suspend, resume, request);

	if (!stream)
		return "emit: not enough memory";
	pthread_mutex_lock(&request->lock);
	request->stream = stream;
	pthread_mutex_unlock(&request->lock);
	MHD_resume_connection(request->connection);
	return NULL;
}

/* The task's life ends with request->task, which the worker takes away under the lock. */
void request_abandon(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	request->is_abandoned = true;
	if (!request->is_done && request->task)
		bh_task_kill(request->task);
	if (request->stream)
		stream_leave(request->stream);
	pthread_mutex_unlock(&request->lock);
}
