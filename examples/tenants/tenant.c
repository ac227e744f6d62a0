/* SPDX-License-Identifier: MIT */
/*
 * A hash table that only grows, so that tenants are found without a reference and lists
 * are read without the lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenant.h"

#define NR_BUCKETS 256u
#define LEAST_MAX  65536

static struct {
	/* immutable after init */
	const struct options *options;
	struct bh_group *parent;

	pthread_mutex_t lock;

	/* protected by .lock for writing; atomic */
	struct tenant *buckets[NR_BUCKETS];

	/* protected by .lock */
	uint64_t nr;
} tenants = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define LOAD(field)         __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

bool tenant_name_valid(const char *name)
{
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._-");

	return size > 0 && size < TENANT_NAME_SIZE && !name[size];
}

static struct tenant **bucket_of(const char *name)
{
	unsigned hash = 5381;

	for (const char *p = name; *p; p++)
		hash = hash * 33 + (unsigned char)*p;
	return &tenants.buckets[hash % NR_BUCKETS];
}

struct tenant *tenant_find(const char *name)
{
	struct tenant *tenant = __atomic_load_n(bucket_of(name), __ATOMIC_ACQUIRE);

	while (tenant && strcmp(tenant->name, name) != 0)
		tenant = tenant->next;
	return tenant;
}

static struct tenant *tenant_new(const char *name)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	if (!tenant)
		return NULL;
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->group = bh_group_new(tenants.parent, name);
	if (!tenant->group) {
		free(tenant);
		return NULL;
	}
	tenant->max = tenants.options->tenant_max;
	tenant->deadline_ns = tenants.options->deadline_ns;
	bh_group_set(tenant->group, BH_MAX, tenant->max);
	/* For bodies and output, too, an idle session of the tenant makes room. */
	bh_group_set(tenant->group, BH_ON_LIMIT, BH_KILL);
	return tenant;
}

struct tenant *tenant_get(const char *name)
{
	struct tenant *tenant = tenant_find(name), **bucket = bucket_of(name);

	if (tenant)
		return tenant;
	pthread_mutex_lock(&tenants.lock);
	tenant = tenant_find(name);
	if (!tenant && tenants.nr < tenants.options->nr_tenants)
		tenant = tenant_new(name);
	else
		bucket = NULL;
	if (tenant && bucket) {
		tenant->next = *bucket;
		__atomic_store_n(
			bucket, tenant, __ATOMIC_RELEASE); /* pairs with tenant_find() */
		tenants.nr++;
	}
	pthread_mutex_unlock(&tenants.lock);
	return tenant;
}

const char *tenant_set(struct tenant *tenant, const char *max, const char *deadline)
{
	uint64_t size = LOAD(tenant->max), ns = LOAD(tenant->deadline_ns);

	if (max && (!parse_size(max, &size) || size < LEAST_MAX))
		return "max should be a size of at least 64K, such as 16M";
	if (deadline && (!parse_time(deadline, &ns) || ns < 1000000))
		return "deadline should be a time of at least 1ms, such as 2s";
	STORE(tenant->max, size);
	STORE(tenant->deadline_ns, ns);
	/* Below the usage, this kills until it fits. */
	if (max)
		bh_group_set(tenant->group, BH_MAX, size);
	return NULL;
}

const char *tenant_set_json(struct tenant *tenant, const char *json, size_t size)
{
	json_t *object = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
	const char *max = NULL, *deadline = NULL, *wrong = NULL, *key;
	char number[32];
	json_t *value;

	if (!json_is_object(object))
		wrong = "the body should be a JSON object with max, deadline or both";
	/* NOLINTNEXTLINE(bugprone-assignment-in-if-condition): the macro's */
	json_object_foreach(object, key, value)
	{
		if (!strcmp(key, "max") && json_is_integer(value)) {
			snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
				json_integer_value(value));
			max = number;
		} else if (!strcmp(key, "max") && json_is_string(value)) {
			max = json_string_value(value);
		} else if (!strcmp(key, "deadline") && json_is_string(value)) {
			deadline = json_string_value(value);
		} else {
			wrong = "only max (bytes, or as \"16M\") and deadline (as \"2s\")"
				" are known";
		}
	}
	if (!wrong)
		wrong = tenant_set(tenant, max, deadline);
	json_decref(object);
	return wrong;
}

bool tenant_begin(struct tenant *tenant)
{
	tenant_count(tenant, TENANT_REQUESTS);
	if (__atomic_fetch_add(&tenant->nr_running, 1, __ATOMIC_RELAXED) <
		tenants.options->nr_at_once)
		return true;
	tenant_end(tenant);
	return false;
}

void tenant_end(struct tenant *tenant)
{
	__atomic_fetch_sub(&tenant->nr_running, 1, __ATOMIC_RELAXED);
}

void tenant_count(struct tenant *tenant, enum tenant_count which)
{
	__atomic_fetch_add(&tenant->counts[which], 1, __ATOMIC_RELAXED);
}

void tenant_write_json(struct text *text, struct tenant *tenant)
{
	struct bh_group_stat stat;

	if (bh_group_stat(tenant->group, &stat))
		return;
	text_add(text,
		"{\"name\":\"%s\",\"usage\":%" PRIu64 ",\"peak\":%" PRIu64
		",\"max\":%" PRIu64 ",\"deadline_ms\":%" PRIu64 ",\"running\":%u"
		",\"sessions\":%u,\"requests\":%" PRIu64 ",\"answers\":%" PRIu64
		",\"errors\":%" PRIu64 ",\"kills\":%" PRIu64 "}",
		tenant->name, stat.usage, stat.peak, LOAD(tenant->max),
		LOAD(tenant->deadline_ns) / 1000000, LOAD(tenant->nr_running),
		LOAD(tenant->nr_sessions), LOAD(tenant->counts[TENANT_REQUESTS]),
		LOAD(tenant->counts[TENANT_ANSWERS]), LOAD(tenant->counts[TENANT_ERRORS]),
		LOAD(tenant->counts[TENANT_KILLS]));
}

void tenants_each(void (*fn)(struct tenant *tenant, void *arg), void *arg)
{
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct tenant *tenant =
			__atomic_load_n(&tenants.buckets[i], __ATOMIC_ACQUIRE);

		for (; tenant; tenant = tenant->next)
			fn(tenant, arg);
	}
}

static void write_next(struct tenant *tenant, void *arg)
{
	struct text *text = arg;

	if (text->data[text->size - 1] != '[')
		text_add(text, ",");
	tenant_write_json(text, tenant);
}

void tenants_write_json(struct text *text)
{
	struct bh_group_stat zone = {0};

	bh_group_stat(bh_root(), &zone);
	text_add(text,
		"{\"zone\":{\"size\":%" PRIu64 ",\"usage\":%" PRIu64 ",\"peak\":%" PRIu64
		"},\"tenants\":[",
		zone.max, zone.usage, zone.peak);
	if (!text->failed)
		tenants_each(write_next, text);
	text_add(text, "]}\n");
}

int tenants_init(const struct options *options)
{
	tenants.options = options;
	tenants.nr = 0;
	tenants.parent = bh_group_new(NULL, "tenants");
	return tenants.parent ? 0 : -errno;
}

void tenants_fini(void)
{
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		while (tenants.buckets[i]) {
			struct tenant *tenant = tenants.buckets[i];

			tenants.buckets[i] = tenant->next;
			bh_group_put(tenant->group);
			free(tenant);
		}
	}
	bh_group_put(tenants.parent);
}
