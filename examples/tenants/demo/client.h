/* SPDX-License-Identifier: MIT */
/* As much of an HTTP client as tests need, and hostile clients: it can send and not read.
 * Good ones have libcurl, in demo/curl.h. */
#ifndef TENANTS_CLIENT_H
#define TENANTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client {
	unsigned port;
	int fd; /* -1: not connected; it is connected when needed, and kept */
	int timeout_ms;
	bool is_narrow; /* takes little before it is read */
};

struct reply {
	int status; /* 0: none came in time, or the connection broke */
	bool is_whole;
	size_t size;
	char *body; /* ended by 0; from malloc(3) */
};

void client_init(struct client *client, unsigned port, int timeout_ms);
void client_fini(struct client *client);

/* One request and its reply; false: reply->status is 0. */
bool client_call(struct client *client, const char *method, const char *path,
	const char *body, size_t size, struct reply *ret);

/* The two halves of it. What is sent and not yet read stays with the server. */
bool client_send(struct client *client, const char *method, const char *path,
	const char *body, size_t size);
bool client_receive(struct client *client, struct reply *ret);

/* Whether something of the reply comes in time. */
bool client_wait(struct client *client);

void reply_fini(struct reply *reply);

/* The number behind "@key": in the JSON of the reply, or @otherwise. */
double reply_number(const struct reply *reply, const char *key, double otherwise);

/* Whether "@key":"@value" is in it. */
bool reply_says(const struct reply *reply, const char *key, const char *value);

#endif
