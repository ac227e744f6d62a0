/* SPDX-License-Identifier: MIT */
/*
 * Tenants: a name, a group with a limit, a deadline and some counters. One is made at its
 * first request, and stays until the server ends.
 */
#ifndef TENANTS_TENANT_H
#define TENANTS_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead.h>

#include "options.h"
#include "text.h"

#define TENANT_NAME_SIZE 32

enum tenant_count {
	TENANT_REQUESTS,
	TENANT_ANSWERS,
	TENANT_ERRORS,
	TENANT_KILLS,
	NR_TENANT_COUNTS,
};

struct tenant {
	/* immutable after init */
	struct tenant *next;
	char name[TENANT_NAME_SIZE];
	struct bh_group *group;

	/* atomic */
	uint64_t max, deadline_ns;
	uint64_t counts[NR_TENANT_COUNTS];
	uint32_t nr_running, nr_sessions;
};

/* Returns 0 or a negative errno. */
int tenants_init(const struct options *options);
void tenants_fini(void);

/* Whether @name may be one: 1 to 31 of letters, digits, '.', '_' and '-'. */
bool tenant_name_valid(const char *name);

/* The tenant of that name, or NULL. */
struct tenant *tenant_find(const char *name);

/* The tenant of that name, made if it is new. NULL: there are too many. */
struct tenant *tenant_get(const char *name);

/* Set limits from "max", "deadline" as given in a query or in JSON; NULL leaves one as it
 * is. NULL, or what is wrong. */
const char *tenant_set(struct tenant *tenant, const char *max, const char *deadline);

/* The same from a JSON object in @size bytes. */
const char *tenant_set_json(struct tenant *tenant, const char *json, size_t size);

/* Count a request in; false: it has as many as it may. */
bool tenant_begin(struct tenant *tenant);
void tenant_end(struct tenant *tenant);

void tenant_count(struct tenant *tenant, enum tenant_count which);

/* All tenants, as JSON: what the live page draws. */
void tenants_write_json(struct text *text);

/* One tenant, as JSON. */
void tenant_write_json(struct text *text, struct tenant *tenant);

/* Call @fn for every tenant. */
void tenants_each(void (*fn)(struct tenant *tenant, void *arg), void *arg);

#endif
