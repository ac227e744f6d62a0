/* SPDX-License-Identifier: MIT */
/*
 * HTTP: one thread of libmicrohttpd reads requests and writes answers; scripts run
 * elsewhere. A request is answered only after all of its body was read, so that clients
 * that write first and read then see the answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "cache.h"
#include "drill.h"
#include "http.h"
#include "metrics.h"
#include "routes.h"
#include "run.h"
#include "session.h"

/* Connections that say nothing, and clients that do not read. */
#define IDLE_SECONDS    30u
/* Connections beyond the limit that are told so; the next waits until it is accepted. */
#define NR_SURPLUS      64u
#define SURPLUS_SECONDS 5u
/* A body longer than this many times the limit is not even read to its end. */
#define PATIENCE        16u

static struct {
	/* immutable after init */
	struct options options;
	struct MHD_Daemon *daemon;

	/* the daemon's thread only */
	uint64_t nr_connections; /* that are not surplus */

	pthread_mutex_t lock;
	pthread_cond_t fewer;

	/* protected by .lock */
	uint64_t nr_open; /* requests whose answer is not yet sent */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .fewer = PTHREAD_COND_INITIALIZER};

static bool is_surplus(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

static enum MHD_Result queue(struct request *request, unsigned status,
	struct MHD_Response *response, const char *type)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == 405)
		MHD_add_response_header(
			response, MHD_HTTP_HEADER_ALLOW, route_methods(request->route));
	if (status == 503 && is_surplus(request->connection))
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == 429 || status == 503)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	r = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	metrics_answer(status);
	return r;
}

enum MHD_Result http_answer_text(
	struct request *request, unsigned status, struct text *text, const char *type)
{
	struct MHD_Response *response = NULL;

	if (!text->failed)
		response = MHD_create_response_from_buffer(
			text->size, text->data, MHD_RESPMEM_MUST_COPY);
	text_fini(text);
	return queue(request, status, response, type);
}

enum MHD_Result http_answer_fd(
	struct request *request, int fd, uint64_t size, const char *type)
{
	return queue(request, 200, MHD_create_response_from_fd(size, fd), type);
}

enum MHD_Result http_refuse(struct request *request, unsigned status, const char *message)
{
	struct text text = {0};

	answer_write_refusal(&text, status, message);
	return http_answer_text(request, status, &text, "application/json");
}

/* The stream, then what was printed or went wrong. What went wrong also ends the
 * connection early, so that nobody takes the part for the whole. */
static ssize_t read_stream(void *arg, uint64_t at, char *buffer, size_t size)
{
	struct request *request = arg;
	ssize_t nr = stream_read(request->stream, buffer, size);
	size_t left;

	(void)at;
	if (nr >= 0)
		return nr;
	if (!request->has_tail) {
		request->has_tail = true;
		if (request->outcome == OUTCOME_OK)
			text_add_bytes(&request->tail, request->output.text,
				request->output.size);
		else
			answer_write(&request->tail, request);
	}
	left = request->tail.size - request->tail_sent;
	if (!left)
		return request->outcome == OUTCOME_OK ? MHD_CONTENT_READER_END_OF_STREAM
						      : MHD_CONTENT_READER_END_WITH_ERROR;
	if (left > size)
		left = size;
	memcpy(buffer, request->tail.data + request->tail_sent, left);
	request->tail_sent += left;
	return (ssize_t)left;
}

/* The script has ended, or has opened its stream. */
static enum MHD_Result answer_script(struct request *request)
{
	struct text text = {0};

	if (request->stream)
		return queue(request, 200,
			MHD_create_response_from_callback(
				MHD_SIZE_UNKNOWN, 4096, read_stream, request, NULL),
			"text/plain; charset=utf-8");
	if (request->outcome == OUTCOME_OK) {
		struct MHD_Response *response =
			MHD_create_response_from_buffer_with_free_callback(
				request->output.size, request->output.text, bh_free);

		if (response)
			request->output.text = NULL; /* the answer's now */
		return queue(request, 200, response, "text/plain; charset=utf-8");
	}
	answer_write(&text, request);
	return http_answer_text(
		request, answer_status(request), &text, "application/json");
}

static void take_body(struct request *request, const char *bytes, size_t size)
{
	const char *message;
	int r;

	if (request->status) {
		request->dropped += size;
		return;
	}
	r = output_add(&request->body, bytes, size);
	if (!r)
		return;
	message =
		r == -E2BIG ? "the body is too large" : "there is no memory for the body";
	request->status = r == -E2BIG ? 413 : 507;
	request->message = message;
}

/* One that finds all connections taken is marked: it is accepted, told so, and closed,
 * instead of left to wait without a word. */
static void on_connection(void *unused, struct MHD_Connection *connection, void **mark,
	enum MHD_ConnectionNotificationCode how)
{
	(void)unused;
	if (how == MHD_CONNECTION_NOTIFY_CLOSED) {
		server.nr_connections -= !*mark;
	} else if (server.nr_connections < server.options.nr_connections) {
		server.nr_connections++;
	} else {
		*mark = &server;
		MHD_set_connection_option(
			connection, MHD_CONNECTION_OPTION_TIMEOUT, SURPLUS_SECONDS);
	}
}

static enum MHD_Result begin(struct MHD_Connection *connection, const char *url,
	const char *method, void **arg)
{
	struct request *request = request_new(
		connection, server.options.body_max, server.options.output_max);

	*arg = request;
	if (!request)
		return MHD_NO;
	pthread_mutex_lock(&server.lock);
	server.nr_open++;
	pthread_mutex_unlock(&server.lock);
	if (is_surplus(connection)) {
		request->status = 503;
		request->message = "there are too many connections";
	} else {
		route_find(request, url, method);
	}
	return MHD_YES;
}

/* MHD calls this once for the header, again for each part of the body, and in the end
 * without one: then it waits for an answer, and is called again when resumed. */
static enum MHD_Result on_request(void *unused, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *body,
	size_t *body_size, void **arg)
{
	struct request *request = *arg;

	(void)unused;
	(void)version;
	if (!request)
		return begin(connection, url, method, arg);
	if (*body_size) {
		take_body(request, body, *body_size);
		*body_size = 0;
		return request->dropped > PATIENCE * server.options.body_max ? MHD_NO
									     : MHD_YES;
	}
	if (request->ready) {
		struct text text = {0};

		text_add(&text, "%s", request->ready);
		return http_answer_text(request, 200, &text, "application/json");
	}
	if (request->is_submitted)
		return answer_script(request);
	if (request->status)
		return http_refuse(request, request->status, request->message);
	return route_run(request);
}

/* From here on the worker must not find the connection. */
static void on_completed(void *unused, struct MHD_Connection *connection, void **arg,
	enum MHD_RequestTerminationCode how)
{
	struct request *request = *arg;

	(void)unused;
	(void)connection;
	(void)how;
	*arg = NULL;
	if (!request)
		return;
	request_abandon(request);
	request_put(request);
	pthread_mutex_lock(&server.lock);
	server.nr_open--;
	pthread_cond_broadcast(&server.fewer);
	pthread_mutex_unlock(&server.lock);
}

/* Until every answer that was begun is sent, but for clients that are slow to ask or to
 * read no longer than @ns. */
static void wait_for_answers(uint64_t ns)
{
	uint64_t end_ns = now_ns() + ns;
	struct timespec end = {.tv_sec = (time_t)(end_ns / 1000000000),
		.tv_nsec = (long)(end_ns % 1000000000)};

	pthread_mutex_lock(&server.lock);
	while (server.nr_open && pthread_cond_clockwait(&server.fewer, &server.lock,
					 CLOCK_MONOTONIC, &end) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&server.lock);
}

enum MHD_Result http_submit(struct request *request)
{
	request->is_submitted = true;
	MHD_suspend_connection(request->connection);
	run_submit(request);
	return MHD_YES;
}

static int start_daemon(unsigned *ret_port)
{
	const struct options *options = &server.options;
	const union MHD_DaemonInfo *info;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
	/* 0: none. Who may have all of them is told so when there are too many. */
	unsigned per_client = options->nr_per_client < options->nr_connections
				      ? (unsigned)options->nr_per_client
				      : 0;

	inet_pton(AF_INET, options->host, &address.sin_addr);
	errno = 0;
	server.daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
						 MHD_USE_INTERNAL_POLLING_THREAD |
						 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC,
		(uint16_t)options->port, NULL, NULL, on_request, NULL,
		MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
		MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)options->nr_connections + NR_SURPLUS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_client,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_END);
	if (!server.daemon) {
		int r = errno ? -errno : -EIO;

		fprintf(stderr, "tenants: cannot listen on %s port %u: %s\n",
			options->host, (unsigned)options->port, strerror(-r));
		return r;
	}
	info = MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT);
	*ret_port = info ? info->port : (unsigned)options->port;
	return 0;
}

int server_start(const struct options *options, unsigned *ret_port)
{
	struct bh_config config = {.size = options->zone_size};
	int r;

	server.options = *options;
	r = bh_init(&config);
	if (r) {
		fprintf(stderr, "tenants: the library does not start: %s\n",
			strerror(-r));
		return r;
	}
	/* When the zone is short, scripts go, and what the server itself needs is there.
	 */
	bh_group_set(bh_root(), BH_ON_LIMIT, BH_KILL);
	sessions_init(options->nr_sessions);
	r = tenants_init(&server.options);
	if (!r)
		r = cache_init(options->cache_max);
	if (!r)
		r = run_init(&server.options);
	if (r) {
		fprintf(stderr, "tenants: %s\n", strerror(-r));
		return r;
	}
	routes_init(&server.options);
	return start_daemon(ret_port);
}

/* No new connections; then scripts; then what was answered is written: a connection that
 * was only just resumed has written nothing yet. */
unsigned server_stop(void)
{
	MHD_socket listening = MHD_quiesce_daemon(server.daemon);
	uint64_t nr_left;

	drill_fini();
	nr_left = run_fini(server.options.grace_ns);
	if (nr_left)
		return (unsigned)nr_left;
	wait_for_answers(server.options.grace_ns);
	MHD_stop_daemon(server.daemon);
	if (listening != MHD_INVALID_SOCKET)
		close(listening);
	sessions_fini();
	cache_fini();
	tenants_fini();
	return 0;
}
