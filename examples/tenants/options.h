/* SPDX-License-Identifier: MIT */
/* What the server is told on its command line; nothing of it changes afterwards. */
#ifndef TENANTS_OPTIONS_H
#define TENANTS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* How tenants are kept apart. */
enum contain {
	CONTAIN_TASK,    /* tasks of Bulkhead */
	CONTAIN_LIMIT,   /* the interpreter's allocator returns NULL over the limit */
	CONTAIN_PROCESS, /* a process for each request */
};

struct options {
	char host[64];
	uint64_t port;
	uint64_t zone_size;
	uint64_t tenant_max; /* BH_MAX of a new tenant's group */
	uint64_t cache_max;
	uint64_t deadline_ns; /* of a new tenant's requests */
	uint64_t grace_ns;    /* for what is begun when the server ends */
	uint64_t body_max, output_max;
	uint64_t nr_connections, nr_workers, nr_tenants, nr_sessions;
	uint64_t nr_per_client; /* connections from one address */
	uint64_t nr_at_once;    /* of one tenant, waiting ones included */
	uint64_t contain;       /* enum contain */
	bool drills;
};

enum options_verdict {
	OPTIONS_RUN,
	OPTIONS_HELP, /* help was printed: exit 0 */
	OPTIONS_BAD,  /* one line said what is wrong: exit 2 */
};

/* The values without any option. */
void options_default(struct options *ret);

enum options_verdict options_parse(int argc, char **argv, struct options *ret);

/* "16M" as bytes, "1.5s" or "200ms" as nanoseconds. False: not of that form. */
bool parse_size(const char *text, uint64_t *ret);
bool parse_time(const char *text, uint64_t *ret_ns);

#endif
