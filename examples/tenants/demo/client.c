/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "../text.h"

/* What was received and not yet looked at. */
struct input {
	struct client *client;
	char bytes[16384];
	size_t at, size;
};

void client_init(struct client *client, unsigned port, int timeout_ms)
{
	client->port = port;
	client->fd = -1;
	client->timeout_ms = timeout_ms;
	client->is_narrow = false;
}

void client_fini(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static bool client_connect(struct client *client)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)client->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, little = 4096;

	if (client->fd >= 0)
		return true;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return false;
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (client->is_narrow)
		setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	if (!connect(client->fd, (struct sockaddr *)&address, sizeof(address)))
		return true;
	client_fini(client);
	return false;
}

static bool send_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t nr = send(fd, bytes, size, MSG_NOSIGNAL);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			return false;
		bytes += nr;
		size -= (size_t)nr;
	}
	return true;
}

bool client_send(struct client *client, const char *method, const char *path,
	const char *body, size_t size)
{
	struct text text = {0};
	bool is_sent;

	if (!client_connect(client))
		return false;
	text_add(&text,
		"%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: %zu\r\n\r\n",
		method, path, client->port, size);
	text_add_bytes(&text, body ? body : "", size);
	is_sent = !text.failed && send_all(client->fd, text.data, text.size);
	text_fini(&text);
	if (!is_sent)
		client_fini(client);
	return is_sent;
}

bool client_wait(struct client *client)
{
	struct pollfd ready = {.fd = client->fd, .events = POLLIN};

	return client->fd >= 0 && poll(&ready, 1, client->timeout_ms) == 1;
}

/* Have something in the input; false: nothing came in time, or never will. */
static bool fill(struct input *input)
{
	ssize_t nr;

	if (input->at < input->size)
		return true;
	if (!client_wait(input->client))
		return false;
	nr = recv(input->client->fd, input->bytes, sizeof(input->bytes), 0);
	if (nr <= 0)
		return false;
	input->at = 0;
	input->size = (size_t)nr;
	return true;
}

static bool read_line(struct input *input, char *line, size_t size)
{
	size_t length = 0;

	while (fill(input)) {
		char c = input->bytes[input->at++];

		if (c == '\n') {
			line[length] = 0;
			return true;
		}
		if (c != '\r' && length + 1 < size)
			line[length++] = c;
	}
	return false;
}

static bool read_bytes(struct input *input, size_t size, struct text *body)
{
	while (size) {
		size_t nr;

		if (!fill(input))
			return false;
		nr = input->size - input->at;
		if (nr > size)
			nr = size;
		text_add_bytes(body, input->bytes + input->at, nr);
		input->at += nr;
		size -= nr;
	}
	return true;
}

static bool read_chunks(struct input *input, struct text *body)
{
	char line[64];

	for (;;) {
		size_t size;

		if (!read_line(input, line, sizeof(line)))
			return false;
		size = strtoul(line, NULL, 16);
		if (!size)
			return read_line(input, line, sizeof(line));
		if (!read_bytes(input, size, body) ||
			!read_line(input, line, sizeof(line)))
			return false;
	}
}

/* The status line and the header: the status, or 0. */
static int read_head(
	struct input *input, size_t *ret_size, bool *ret_chunked, bool *ret_closes)
{
	char line[512];
	int status;

	if (!read_line(input, line, sizeof(line)) || strlen(line) < 12)
		return 0;
	status = (int)strtol(line + 9, NULL, 10);
	while (read_line(input, line, sizeof(line))) {
		if (!line[0])
			return status;
		if (!strncasecmp(line, "Content-Length:", 15))
			*ret_size = strtoul(line + 15, NULL, 10);
		else if (!strncasecmp(line, "Transfer-Encoding: chunked", 26))
			*ret_chunked = true;
		else if (!strncasecmp(line, "Connection: close", 17))
			*ret_closes = true;
	}
	return 0;
}

bool client_receive(struct client *client, struct reply *ret)
{
	struct input input = {.client = client};
	struct text body = {0};
	bool is_chunked = false, closes = false;
	size_t size = 0;

	memset(ret, 0, sizeof(*ret));
	ret->status = read_head(&input, &size, &is_chunked, &closes);
	if (ret->status)
		ret->is_whole = is_chunked ? read_chunks(&input, &body)
					   : read_bytes(&input, size, &body);
	ret->is_whole = ret->is_whole && !body.failed;
	if (!ret->is_whole || closes)
		client_fini(client);
	text_add(&body, "%s", "");
	ret->body = body.data;
	ret->size = body.size;
	return ret->status != 0;
}

bool client_call(struct client *client, const char *method, const char *path,
	const char *body, size_t size, struct reply *ret)
{
	memset(ret, 0, sizeof(*ret));
	return client_send(client, method, path, body, size) &&
	       client_receive(client, ret);
}

void reply_fini(struct reply *reply)
{
	free(reply->body);
	memset(reply, 0, sizeof(*reply));
}

static const char *find_key(const struct reply *reply, const char *key)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), "\"%s\":", key);
	at = reply->body ? strstr(reply->body, wanted) : NULL;
	return at ? at + strlen(wanted) : NULL;
}

double reply_number(const struct reply *reply, const char *key, double otherwise)
{
	const char *at = find_key(reply, key);

	return at ? strtod(at, NULL) : otherwise;
}

bool reply_says(const struct reply *reply, const char *key, const char *value)
{
	const char *at = find_key(reply, key);
	size_t size = strlen(value);

	return at && at[0] == '"' && !strncmp(at + 1, value, size) && at[1 + size] == '"';
}
