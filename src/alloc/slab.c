/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "alloc/buddy.h"
#include "alloc/freed.h"
#include "alloc/page_batch.h"
#include "alloc/slab.h"
#include "base/pool.h"
#include "task/section.h"

/* Descriptors are committed so many bytes at a time. */
#define COMMIT_STEP ((size_t)256 * 1024)

/* Fresh objects are linked a page's worth at a time: what is not needed stays untouched.
 */
#define EXTEND_BYTES BHI_PAGE_SIZE

struct bhi_slabs bhi_slabs;

static struct {
	/* immutable after init */
	uint32_t most;
	/* protected by .lock */
	struct bhi_lock lock;
	struct bhi_slab *free; /* linked by .node.next */
	size_t committed;      /* bytes */
} state = {.lock = BHI_LOCK_INIT(BHI_RANK_POOL)};

int bhi_slabs_init(void)
{
	size_t nr_pages = bhi_window.size >> BHI_PAGE_SHIFT;
	void *p;
	int r;

	r = bhi_sys_reserve(
		bhi_page_align(nr_pages * sizeof(struct bhi_slab)), BHI_PAGE_SIZE, &p);
	if (r)
		return r;
	bhi_slabs.array = p;
	bhi_slabs.nr = 0;
	state.most = (uint32_t)nr_pages;
	state.committed = 0;
	state.free = NULL;
	return 0;
}

static bool commit_more(void) BH_REQUIRES(state.lock)
{
	size_t used = (size_t)bhi_slabs.nr * sizeof(struct bhi_slab);

	bhi_assert_held(&state.lock);
	if (used + sizeof(struct bhi_slab) <= state.committed)
		return true;
	if (bhi_slabs.nr >= state.most)
		return false;
	if (bhi_sys_commit((char *)bhi_slabs.array + state.committed, COMMIT_STEP))
		return false;
	state.committed += COMMIT_STEP;
	return true;
}

/* One that was never used. Its memory is there before the count says so, for those who
 * walk all descriptors without the lock. */
static struct bhi_slab *next_descriptor(void) BH_REQUIRES(state.lock)
{
	struct bhi_slab *slab = &bhi_slabs.array[bhi_slabs.nr];

	bhi_assert_held(&state.lock);
	bhi_store_release(&bhi_slabs.nr, bhi_slabs.nr + 1);
	return slab;
}

static struct bhi_slab *next_free(const struct bhi_slab *slab)
{
	return (void *)slab->node.next;
}

/* Descriptors in a chain are on no list. */
static void set_next_free(struct bhi_slab *slab, struct bhi_slab *next)
{
	slab->node.next = (void *)next;
}

static struct bhi_slab *descriptor_new(void)
{
	struct bhi_slab *slab;

	bhi_lock_acquire(&state.lock);
	slab = state.free;
	if (slab)
		state.free = next_free(slab);
	else if (commit_more())
		slab = next_descriptor();
	bhi_lock_release(&state.lock);
	return slab;
}

/* Free the descriptors of a chain, linked as free ones are. */
static void descriptors_free(struct bhi_slab *first, struct bhi_slab *last)
{
	bhi_lock_acquire(&state.lock);
	set_next_free(last, state.free);
	state.free = first;
	bhi_lock_release(&state.lock);
}

static void mark_pages(struct bhi_slab *slab, enum bhi_page_type type)
{
	struct bhi_page *page = bhi_page_of(slab->base);

	for (size_t i = 0; i < (size_t)1 << slab->order; i++) {
		page[i].owner = (uint32_t)(slab - bhi_slabs.array);
		/* after .owner, for those who look at wild pointers */
		bhi_store_release(&page[i].type, (uint8_t)type);
	}
}

static void unmark_pages(struct bhi_slab *slab)
{
	struct bhi_page *page = bhi_page_of(slab->base);

	bhi_store(&page->type, (uint8_t)BHI_PAGE_TAKEN);
	for (size_t i = 1; i < (size_t)1 << slab->order; i++)
		bhi_store(&page[i].type, (uint8_t)BHI_PAGE_UNUSED);
}

#if BH_DEBUG
struct bhi_slab_debug {
	const void *freed_from;
	bool live;
};

static size_t debug_bytes(const struct bhi_slab *slab)
{
	return slab->nr_objects * sizeof(struct bhi_slab_debug);
}

static struct bhi_slab_debug *debug_of(struct bhi_slab *slab, const void *object)
{
	return &slab->debug[(size_t)((const char *)object - slab->base) / slab->size];
}

static bool debug_init(struct bhi_slab *slab)
{
	slab->debug = bhi_meta_map(debug_bytes(slab));
	return slab->debug;
}

/* What the slab knows of its objects is remembered a little longer. */
static void debug_fini(struct bhi_slab *slab)
{
	for (uint32_t i = 0; i < slab->nr_objects; i++) {
		const void *object = slab->base + (size_t)i * slab->size;

		if (bhi_load(&slab->debug[i].live))
			bhi_freed_note_drop(object);
		else if (slab->debug[i].freed_from)
			bhi_freed_note(object, slab->debug[i].freed_from);
	}
	bhi_meta_unmap(slab->debug, debug_bytes(slab));
}

void bhi_slab_note_alloc(struct bhi_slab *slab, const void *object)
{
	bhi_freed_note(object, NULL);
	bhi_store(&debug_of(slab, object)->live, true);
}

void bhi_slab_note_drop(struct bhi_slab *slab, const void *object)
{
	debug_of(slab, object)->freed_from = bhi_freed_dropping;
	bhi_store(&debug_of(slab, object)->live, false);
}

const void *bhi_slab_freed_from(struct bhi_slab *slab, const void *object)
{
	return debug_of(slab, object)->freed_from;
}

bool bhi_slab_note_free(struct bhi_slab *slab, const void *object, const void *where)
{
	struct bhi_slab_debug *debug;

	if (!bhi_slab_has_object(slab, object)) {
		bhi_misuse("free of the inside of an object", object, where, NULL);
		return false;
	}
	debug = debug_of(slab, object);
	if (!bhi_exchange(&debug->live, false)) {
		bhi_misuse("double free", object, where, debug->freed_from);
		return false;
	}
	debug->freed_from = where;
	return true;
}
#else
static bool debug_init(struct bhi_slab *slab)
{
	(void)slab;
	return true;
}
static void debug_fini(struct bhi_slab *slab)
{
	(void)slab;
}
#endif

/* Owner arrays come in powers of two from 32 bytes to 2 KiB: one entry for each of at
 * most 512 objects. */
#define OWNERS_POOL(bytes)                                            \
	{                                                             \
		.lock = BHI_LOCK_INIT(BHI_RANK_POOL), .size = (bytes) \
	}

static struct bhi_pool owners_pools[] = {OWNERS_POOL(32), OWNERS_POOL(64),
	OWNERS_POOL(128), OWNERS_POOL(256), OWNERS_POOL(512), OWNERS_POOL(1024),
	OWNERS_POOL(2048)};

static struct bhi_pool *owners_pool(const struct bhi_slab *slab)
{
	size_t bytes = slab->nr_objects * sizeof(*slab->owners);
	size_t i = 0;

	while (owners_pools[i].size < bytes)
		i++;
	bh_assert(i < bhi_array_size(owners_pools));
	return &owners_pools[i];
}

static bool owners_init(struct bhi_slab *slab, bool shared)
{
	slab->owners = NULL;
	slab->sharers = 0;
	if (!shared)
		return true;
	slab->owners = bhi_pool_alloc(owners_pool(slab));
	for (uint32_t i = 0; slab->owners && i < slab->nr_objects; i++)
		slab->owners[i] = BHI_NO_OWNER;
	return slab->owners;
}

static void owners_fini(struct bhi_slab *slab)
{
	if (slab->owners)
		bhi_pool_free(owners_pool(slab), slab->owners);
	slab->owners = NULL;
}

/* Reports and the end of a cache look at all descriptors, used or not: what they look at
 * is written atomically. The state stays unused until the slab is somebody's. */
static void describe(struct bhi_slab *slab, const struct bhi_slab_spec *spec, char *base)
{
	uint32_t nr_objects = (uint32_t)((BHI_PAGE_SIZE << spec->order) / spec->size);

	slab->free = NULL;
	bhi_store(&slab->needed, 0);
	slab->nr_fresh = nr_objects;
	bhi_store(&slab->thread, &bhi_thread_nobody);
	slab->size = spec->size;
	slab->link = spec->link;
	bhi_store(&slab->nr_objects, nr_objects);
	bhi_store(&slab->class_id, spec->class_id);
	bhi_store(&slab->order, spec->order);
	slab->kept = false;
	slab->base = base;
	slab->group = spec->group;
	bhi_store(&slab->remote, 0);
	bhi_store(&slab->heap, NULL);
	bhi_store(&slab->cache, spec->cache);
	bhi_list_init(&slab->node);
}

/*
 * Constructed objects are made all at once, before anybody can see the slab; the links
 * lie behind them, so they may be linked in portions like others. Constructors are code
 * of the host, and unwound in the middle of one the slab would be lost: for a task this
 * is a hold section. False: it is being reaped, and none can begin.
 */
static bool construct(struct bhi_slab *slab, void (*ctor)(void *object))
{
	struct bh_task *task = bhi_task_current;

	if (task && !bhi_task_try_hold(task))
		return false;
	for (uint32_t i = 0; i < slab->nr_objects; i++)
		ctor(slab->base + (size_t)i * slab->size);
	if (task)
		bhi_task_unhold(task);
	return true;
}

struct bhi_slab *bhi_slab_new(const struct bhi_slab_spec *spec)
{
	struct bhi_slab *slab = descriptor_new();
	bool zeroed;
	char *base;

	if (!slab)
		return NULL;
	base = bhi_pages_alloc(spec->order, &zeroed);
	if (!base)
		goto err_descriptor;
	describe(slab, spec, base);
	if (!owners_init(slab, spec->shared))
		goto err_pages;
	if (!debug_init(slab))
		goto err_owners;
	if (spec->ctor && !construct(slab, spec->ctor))
		goto err_debug;
	mark_pages(slab, spec->shared || spec->ctor ? BHI_PAGE_SLAB_ODD : BHI_PAGE_SLAB);
	return slab;
err_debug:
	debug_fini(slab);
err_owners:
	owners_fini(slab);
err_pages:
	bhi_pages_free(base, spec->order);
err_descriptor:
	bhi_store(&slab->cache, NULL);
	descriptors_free(slab, slab);
	return NULL;
}

/* The descriptor of a slab without pages is nobody's. */
static void undescribe(struct bhi_slab *slab)
{
	bhi_store(&slab->state, (uint8_t)BHI_SLAB_UNUSED);
	bhi_store(&slab->cache, NULL);
}

void bhi_slab_free(struct bhi_slab *slab)
{
	unmark_pages(slab);
	debug_fini(slab);
	owners_fini(slab);
	bhi_pages_free(slab->base, slab->order);
	undescribe(slab);
	descriptors_free(slab, slab);
}

size_t bhi_slabs_free(struct bhi_list *slabs)
{
	struct bhi_slab *first = bhi_list_first(slabs, struct bhi_slab, node);
	struct bhi_slab *chain = NULL, *slab;
	struct bhi_list *node = slabs->next;
	struct bhi_page_batch batch;
	size_t bytes = 0;

	bhi_page_batch_init(&batch);
	while (node != slabs) {
		slab = bhi_list_entry(node, struct bhi_slab, node);
		if (slab->group != first->group)
			break;
		node = node->next;
		bytes += bhi_slab_bytes(slab);
		bhi_page_batch_add(&batch, slab->base, slab->order);
		debug_fini(slab);
		owners_fini(slab);
		undescribe(slab);
		set_next_free(slab, chain);
		chain = slab;
	}
	bhi_list_cut(slabs, node);
	bhi_page_batch_fini(&batch);
	descriptors_free(chain, first);
	return bytes;
}

bool bhi_slab_extend(struct bhi_slab *slab)
{
	void **tail = &slab->free;
	uint32_t nr;
	char *object;

	if (!slab->nr_fresh)
		return false;
	bh_assert(!slab->free);
	nr = bhi_min(slab->nr_fresh, (uint32_t)(EXTEND_BYTES / slab->size + 1));
	object = slab->base + (size_t)(slab->nr_objects - slab->nr_fresh) * slab->size;
	for (uint32_t i = 0; i < nr; i++, object += slab->size) {
		*tail = object;
		tail = bhi_slab_link(slab, object);
	}
	*tail = NULL;
	slab->nr_fresh -= nr;
	return true;
}
