/* SPDX-License-Identifier: MIT */
/*
 * What many small tenants cost: 1,024 groups, each with 38 KiB of live objects, and the
 * memory they take for each live byte. The objects are those of mix.h, written whole. By
 * default they come in random order over the groups, as requests of many clients do;
 * "sequential" fills one group after the other.
 *
 *	groups bulkhead|mimalloc|malloc [sequential]
 *
 * mimalloc: a heap for each group. malloc: the same objects without any groups.
 */
#include "bulkhead.h"
#include "mix.h"
#include "peer.h"

#define NR_GROUPS 1024
#define LIVE_SIZE (38 * 1024)

enum backend {
	BACKEND_BULKHEAD,
	BACKEND_MIMALLOC,
	BACKEND_MALLOC,
};

struct tenant {
	void *owner; /* a group or a heap */
	void *newest;
	size_t live;
	struct rng rng;
};

static struct tenant tenants[NR_GROUPS];

/* Exact, unlike statm, which reads counters that each CPU keeps for itself. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Rss: %lu kB", &kib) == 1)
			break;
	}
	if (!kib)
		die("cannot read /proc/self/smaps_rollup");
	fclose(file);
	return (uint64_t)kib * 1024;
}

static void *owner_new(enum backend backend)
{
	switch (backend) {
	case BACKEND_BULKHEAD:
		return must(bh_group_new(NULL, "tenant"));
	case BACKEND_MIMALLOC:
		return must(mi.heap_new());
	default:
		return NULL;
	}
}

static void tenant_alloc(struct tenant *tenant, enum backend backend)
{
	uint32_t size = mix_size(&tenant->rng, LIVE_SIZE - tenant->live);
	void *object;

	if (backend == BACKEND_BULKHEAD)
		object = bh_alloc(tenant->owner, size, 0);
	else if (backend == BACKEND_MIMALLOC)
		object = mi.heap_malloc(tenant->owner, size);
	else
		object = malloc(size);
	tenant->newest = must(object);
	memset(tenant->newest, 1, size);
	tenant->live += size;
}

static void tenants_fill(enum backend backend, int sequential)
{
	struct rng rng = {.state = 1};
	unsigned left = NR_GROUPS;
	unsigned order[NR_GROUPS];

	for (unsigned i = 0; i < NR_GROUPS; i++)
		order[i] = i;
	while (left) {
		unsigned pick = sequential ? left - 1 : rng_below(&rng, left);
		struct tenant *tenant = &tenants[order[pick]];

		tenant_alloc(tenant, backend);
		if (tenant->live == LIVE_SIZE)
			order[pick] = order[--left];
	}
}

/* Bytes that the groups say they use, their shares of the thread's stock included. */
static uint64_t charged_bytes(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < NR_GROUPS; i++) {
		struct bh_group_stat stat;

		if (bh_group_stat(tenants[i].owner, &stat))
			die("no statistics of a group");
		sum += stat.usage;
	}
	return sum;
}

static enum backend backend_parse(int argc, char **argv)
{
	static const char *const names[] = {"bulkhead", "mimalloc", "malloc"};

	for (unsigned i = 0; i < 3; i++) {
		if (argc > 1 && strcmp(argv[1], names[i]) == 0)
			return (enum backend)i;
	}
	fprintf(stderr, "usage: groups bulkhead|mimalloc|malloc [sequential]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	enum backend backend = backend_parse(argc, argv);
	int sequential = argc > 2 && strcmp(argv[2], "sequential") == 0;
	uint64_t before, after, live = (uint64_t)NR_GROUPS * LIVE_SIZE;

	if (backend == BACKEND_BULKHEAD && bh_init(NULL))
		die("the library does not start");
	if (backend == BACKEND_MIMALLOC)
		peer_load();
	before = resident_bytes();
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		tenants[i].rng.state = i;
		tenants[i].owner = owner_new(backend);
	}
	tenants_fill(backend, sequential);
	after = resident_bytes();
	printf("live %" PRIu64 "\nresident %" PRIu64 "\n", live, after - before);
	if (backend == BACKEND_BULKHEAD)
		printf("charged %" PRIu64 "\n", charged_bytes());
	return 0;
}
