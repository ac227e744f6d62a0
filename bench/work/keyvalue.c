/* SPDX-License-Identifier: MIT */
/*
 * A key/value server without its sockets: requests arrive as text, are parsed into
 * argument objects, run against a hash table of strings and lists with expiry, and
 * answered into reply blocks. The table rehashes a few buckets a request, so two bucket
 * arrays live at a time. Popular keys are asked for far more often than others.
 */
#include "common.h"

#define NR_KEYS      200000
#define MAX_ARGS     8
#define REPLY_BLOCK  16384
#define REHASH_STEPS 4
#define MAX_LIST     64

/* A counted string; room to grow, as appending is common. */
struct string {
	uint32_t len, capacity;
	char bytes[];
};

struct list_node {
	struct list_node *next, *prev;
	struct string *value;
};

struct list {
	struct list_node *first, *last;
	uint32_t len;
};

enum type {
	TYPE_STRING,
	TYPE_LIST,
};

/* Shared between the table and the requests that use it. */
struct object {
	uint32_t refs;
	enum type type;
	union {
		struct string *string;
		struct list *list;
	};
};

struct entry {
	struct entry *next;
	struct string *key;
	struct object *value;
	uint64_t expires; /* in requests served; 0: never */
};

struct table {
	struct entry **buckets;
	size_t nr_buckets, nr_entries;
};

static struct {
	struct table
		tables[2]; /* [1] only while rehashing, and then all new keys go there */
	size_t rehashed;   /* buckets of [0] moved so far */
	uint64_t now;      /* requests served */
	uint64_t sum;
} server;

/* A connection: its request buffer, and a chain of reply blocks. */
struct reply_block {
	struct reply_block *next;
	uint32_t used;
	char bytes[REPLY_BLOCK];
};

struct client {
	struct string *query;
	struct object *args[MAX_ARGS];
	unsigned nr_args;
	struct reply_block *first, *last;
};

static struct string *string_new(const char *bytes, size_t len)
{
	struct string *string = must(malloc(sizeof(*string) + len + 1));

	string->len = (uint32_t)len;
	string->capacity = (uint32_t)len;
	memcpy(string->bytes, bytes, len);
	string->bytes[len] = 0;
	return string;
}

/* Doubles small strings so that a run of appends costs few copies. */
static struct string *string_append(struct string *string, const char *bytes, size_t len)
{
	if (string->len + len > string->capacity) {
		string->capacity = (uint32_t)(string->len + len) * 2;
		string = must(realloc(string, sizeof(*string) + string->capacity + 1));
	}
	memcpy(string->bytes + string->len, bytes, len);
	string->len += (uint32_t)len;
	string->bytes[string->len] = 0;
	return string;
}

static int string_equal(const struct string *a, const struct string *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static uint64_t string_hash(const struct string *string)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < string->len; i++)
		hash = (hash ^ (unsigned char)string->bytes[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

static struct object *object_new(enum type type)
{
	struct object *object = must(malloc(sizeof(*object)));

	object->refs = 1;
	object->type = type;
	return object;
}

static struct object *object_from(const char *bytes, size_t len)
{
	struct object *object = object_new(TYPE_STRING);

	object->string = string_new(bytes, len);
	return object;
}

static struct object *object_get(struct object *object)
{
	object->refs++;
	return object;
}

static struct string *list_pop(struct list *list)
{
	struct list_node *node = list->last;
	struct string *value = node->value;

	list->last = node->prev;
	if (node->prev)
		node->prev->next = NULL;
	else
		list->first = NULL;
	list->len--;
	free(node);
	return value;
}

static void list_push(struct list *list, struct string *value)
{
	struct list_node *node = must(malloc(sizeof(*node)));

	node->value = value;
	node->prev = NULL;
	node->next = list->first;
	if (list->first)
		list->first->prev = node;
	else
		list->last = node;
	list->first = node;
	list->len++;
}

static void object_put(struct object *object)
{
	if (--object->refs)
		return;
	if (object->type == TYPE_STRING) {
		free(object->string);
	} else {
		while (object->list->len)
			free(list_pop(object->list));
		free(object->list);
	}
	free(object);
}

static void table_init(struct table *table, size_t nr_buckets)
{
	table->buckets = must(calloc(nr_buckets, sizeof(struct entry *)));
	table->nr_buckets = nr_buckets;
	table->nr_entries = 0;
}

static void rehash_step(void)
{
	struct table *from = &server.tables[0], *to = &server.tables[1];

	for (unsigned i = 0; i < REHASH_STEPS && to->buckets; i++) {
		struct entry *entry = from->buckets[server.rehashed], *next;

		for (; entry; entry = next) {
			size_t slot = string_hash(entry->key) & (to->nr_buckets - 1);

			next = entry->next;
			entry->next = to->buckets[slot];
			to->buckets[slot] = entry;
			from->nr_entries--;
			to->nr_entries++;
		}
		from->buckets[server.rehashed++] = NULL;
		if (server.rehashed == from->nr_buckets) {
			free(from->buckets);
			*from = *to;
			*to = (struct table){0};
		}
	}
}

static void rehash_start_if_full(void)
{
	struct table *table = &server.tables[0];

	if (server.tables[1].buckets || table->nr_entries < table->nr_buckets)
		return;
	table_init(&server.tables[1], table->nr_buckets * 2);
	server.rehashed = 0;
}

/* Where the entry of @key hangs, and in which table; NULL if there is none. */
static struct entry **entry_find(const struct string *key, struct table **ret_table)
{
	uint64_t hash = string_hash(key);

	for (unsigned t = 0; t < 2; t++) {
		struct table *table = &server.tables[t];
		struct entry **link;

		if (!table->buckets)
			continue;
		link = &table->buckets[hash & (table->nr_buckets - 1)];
		for (; *link; link = &(*link)->next) {
			if (string_equal((*link)->key, key)) {
				*ret_table = table;
				return link;
			}
		}
	}
	return NULL;
}

static void entry_remove(struct entry **link, struct table *table)
{
	struct entry *entry = *link;

	*link = entry->next;
	table->nr_entries--;
	free(entry->key);
	object_put(entry->value);
	free(entry);
}

/* The live entry of @key: an expired one is removed on the way. */
static struct entry *entry_lookup(const struct string *key)
{
	struct table *table;
	struct entry **link = entry_find(key, &table);

	if (!link)
		return NULL;
	if ((*link)->expires && (*link)->expires <= server.now) {
		entry_remove(link, table);
		return NULL;
	}
	return *link;
}

/* Takes the reference to @value. */
static struct entry *entry_set(const struct string *key, struct object *value)
{
	struct entry *entry = entry_lookup(key);
	struct table *table;
	size_t slot;

	if (entry) {
		object_put(entry->value);
		entry->value = value;
		entry->expires = 0;
		return entry;
	}
	rehash_start_if_full();
	table = &server.tables[server.tables[1].buckets ? 1 : 0];
	slot = string_hash(key) & (table->nr_buckets - 1);
	entry = must(malloc(sizeof(*entry)));
	*entry = (struct entry){
		table->buckets[slot], string_new(key->bytes, key->len), value, 0};
	table->buckets[slot] = entry;
	table->nr_entries++;
	return entry;
}

/* Looks into one bucket at each request for what has expired. */
static void expire_some(void)
{
	struct table *table = &server.tables[0];
	struct entry **link = &table->buckets[server.now & (table->nr_buckets - 1)];

	while (*link) {
		if ((*link)->expires && (*link)->expires <= server.now)
			entry_remove(link, table);
		else
			link = &(*link)->next;
	}
}

static void reply_add(struct client *client, const char *bytes, size_t len)
{
	while (len) {
		struct reply_block *block = client->last;
		size_t part;

		if (!block || block->used == REPLY_BLOCK) {
			block = must(malloc(sizeof(*block)));
			block->next = NULL;
			block->used = 0;
			if (client->last)
				client->last->next = block;
			else
				client->first = block;
			client->last = block;
		}
		part = REPLY_BLOCK - block->used < len ? REPLY_BLOCK - block->used : len;
		memcpy(block->bytes + block->used, bytes, part);
		block->used += (uint32_t)part;
		bytes += part;
		len -= part;
	}
}

static void reply_string(struct client *client, const struct string *string)
{
	char head[24];
	int len = snprintf(head, sizeof(head), "$%u\r\n", string->len);

	reply_add(client, head, (size_t)len);
	reply_add(client, string->bytes, string->len);
	reply_add(client, "\r\n", 2);
}

static void reply_number(struct client *client, unsigned long long number)
{
	char text[32];
	int len = snprintf(text, sizeof(text), ":%llu\r\n", number);

	reply_add(client, text, (size_t)len);
}

/* "Sent": the blocks are summed and freed. */
static void reply_flush(struct client *client)
{
	while (client->first) {
		struct reply_block *block = client->first;

		for (uint32_t i = 0; i < block->used; i += 16)
			server.sum = sum_mix(server.sum, (unsigned char)block->bytes[i]);
		server.sum = sum_mix(server.sum, block->used);
		client->first = block->next;
		free(block);
	}
	client->last = NULL;
}

static void run_set(struct client *client)
{
	struct entry *entry =
		entry_set(client->args[1]->string, object_get(client->args[2]));

	if (client->nr_args > 3)
		entry->expires =
			server.now + strtoul(client->args[3]->string->bytes, NULL, 10);
	reply_add(client, "+OK\r\n", 5);
}

static void run_get(struct client *client)
{
	struct entry *entry = entry_lookup(client->args[1]->string);

	if (entry && entry->value->type == TYPE_STRING)
		reply_string(client, entry->value->string);
	else
		reply_add(client, "$-1\r\n", 5);
}

static void run_del(struct client *client)
{
	struct table *table;
	struct entry **link = entry_find(client->args[1]->string, &table);

	if (link)
		entry_remove(link, table);
	reply_number(client, link != NULL);
}

static void run_append(struct client *client)
{
	struct entry *entry = entry_lookup(client->args[1]->string);
	struct string *more = client->args[2]->string;
	struct object *value;

	if (!entry || entry->value->type != TYPE_STRING ||
		entry->value->string->len > 2000) {
		entry_set(client->args[1]->string, object_get(client->args[2]));
		reply_number(client, more->len);
		return;
	}
	value = entry->value;
	value->string = string_append(value->string, more->bytes, more->len);
	reply_number(client, value->string->len);
}

static void run_push(struct client *client)
{
	struct entry *entry = entry_lookup(client->args[1]->string);
	struct list *list;

	if (!entry || entry->value->type != TYPE_LIST) {
		struct object *value = object_new(TYPE_LIST);

		value->list = must(calloc(1, sizeof(*value->list)));
		entry = entry_set(client->args[1]->string, value);
	}
	list = entry->value->list;
	for (unsigned i = 2; i < client->nr_args; i++) {
		struct string *value = client->args[i]->string;

		list_push(list, string_new(value->bytes, value->len));
		if (list->len > MAX_LIST)
			free(list_pop(list));
	}
	reply_number(client, list->len);
}

static void run_range(struct client *client)
{
	struct entry *entry = entry_lookup(client->args[1]->string);

	if (!entry || entry->value->type != TYPE_LIST) {
		reply_add(client, "*0\r\n", 4);
		return;
	}
	for (struct list_node *node = entry->value->list->first; node; node = node->next)
		reply_string(client, node->value);
}

static const struct {
	const char *name;
	unsigned min_args;
	void (*run)(struct client *client);
} commands[] = {
	{"SET", 3, run_set},
	{"GET", 2, run_get},
	{"DEL", 2, run_del},
	{"APPEND", 3, run_append},
	{"LPUSH", 3, run_push},
	{"LRANGE", 2, run_range},
};

/* Splits one line of the query at spaces; returns the start of the next. */
static const char *request_parse(struct client *client, const char *at)
{
	client->nr_args = 0;
	while (*at != '\n') {
		size_t len = strcspn(at, " \n");

		if (client->nr_args == MAX_ARGS)
			die("too many arguments");
		client->args[client->nr_args++] = object_from(at, len);
		at += len;
		if (*at == ' ')
			at++;
	}
	return at + 1;
}

static void request_run(struct client *client)
{
	server.now++;
	rehash_step();
	expire_some();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(client->args[0]->string->bytes, commands[i].name) == 0) {
			if (client->nr_args < commands[i].min_args)
				die("too few arguments");
			commands[i].run(client);
			break;
		}
	}
	for (unsigned i = 0; i < client->nr_args; i++)
		object_put(client->args[i]);
}

/* Runs the pipeline of requests that has arrived. */
static void client_serve(struct client *client)
{
	const char *at = client->query->bytes;

	while (*at) {
		at = request_parse(client, at);
		request_run(client);
	}
	free(client->query);
	client->query = NULL;
	reply_flush(client);
}

static void client_send(struct client *client, const char *text, int len)
{
	if (!client->query)
		client->query = string_new("", 0);
	client->query = string_append(client->query, text, (size_t)len);
}

/* Half of the requests go to a hundredth of the keys. */
static uint32_t key_random(struct rng *rng)
{
	return rng_below(rng, rng_percent(rng, 50) ? NR_KEYS / 100 : NR_KEYS);
}

static void request_random(struct client *client, struct rng *rng)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"
				      "yzabcdefghijklmnopqrstuv"
				      "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"
				      "yzabcdefghijklmnopqrstuv";
	uint32_t kind = rng_below(rng, 100), key = key_random(rng);
	int len = 4 + (int)rng_below(rng, rng_percent(rng, 20) ? 140 : 40);
	char line[512];
	int n;

	if (kind < 25)
		n = snprintf(
			line, sizeof(line), "SET user:%u:name %.*s\n", key, len, letters);
	else if (kind < 35)
		n = snprintf(line, sizeof(line), "SET session:%u %.*s %u\n", key, len,
			letters, 10000 + rng_below(rng, 200000));
	else if (kind < 70)
		n = snprintf(line, sizeof(line), "GET user:%u:name\n", key);
	else if (kind < 75)
		n = snprintf(line, sizeof(line), "DEL user:%u:name\n", key);
	else if (kind < 82)
		n = snprintf(
			line, sizeof(line), "APPEND log:%u %.*s\n", key, len, letters);
	else if (kind < 96)
		n = snprintf(line, sizeof(line), "LPUSH queue:%u %.*s %u %u\n", key / 8,
			len, letters, key, kind);
	else
		n = snprintf(line, sizeof(line), "LRANGE queue:%u\n", key / 8);
	client_send(client, line, n);
}

static void table_fini(struct table *table)
{
	for (size_t slot = 0; slot < table->nr_buckets; slot++) {
		while (table->buckets[slot]) {
			server.sum += table->buckets[slot]->key->len;
			entry_remove(&table->buckets[slot], table);
		}
	}
	free(table->buckets);
}

int main(int argc, char **argv)
{
	unsigned nr_requests = work_units(argc, argv, 1500000);
	struct rng rng = {.state = 6379};
	struct client client = {0};

	table_init(&server.tables[0], 1024);
	for (unsigned i = 0; i < nr_requests; i++) {
		request_random(&client, &rng);
		if (i % 16 == 15)
			client_serve(&client);
	}
	if (client.query)
		client_serve(&client);
	table_fini(&server.tables[0]);
	table_fini(&server.tables[1]);
	return finish(server.sum);
}
