/* SPDX-License-Identifier: MIT */
/* The server as a child process, and what it weighs. */
#ifndef TENANTS_SERVER_H
#define TENANTS_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
	pid_t pid;
	unsigned port;
	bool has_children; /* --contain=process */
	pthread_t sampler;
	bool is_ending; /* atomic */

	/* valid after server_end() */
	uint64_t peak_pss; /* of it and its children together, as far as was seen */
	uint64_t peak_rss; /* of the largest of these processes, as the kernel knows it */
	uint64_t nr_processes; /* at most, as far as was seen */
	bool was_killed;       /* it did not end when it was told to */
	int exit_status;       /* -1: a signal ended it */
};

/* Start @program with a zone of 256 MiB and --contain=@contain. */
bool server_begin(struct server *server, const char *program, const char *contain);

/* Tell it to end, and wait for that. */
void server_end(struct server *server);

#endif
