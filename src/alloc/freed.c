/* SPDX-License-Identifier: MIT */
#include "alloc/freed.h"

#if BH_DEBUG
#define NR_ENTRIES 65536u

BHI_TLS const void *bhi_freed_dropping;

/* Both words atomic. Two threads that write one entry at the same time may leave the
 * pointer of one with the place of the other: it is for reports only. */
static struct entry {
	const void *ptr, *where;
} entries[NR_ENTRIES];

static struct entry *entry_of(const void *ptr)
{
	/* Fibonacci hashing; objects are 8 bytes apart at least. */
	return &entries[((uintptr_t)ptr >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 48];
}

void bhi_freed_note(const void *ptr, const void *where)
{
	struct entry *entry = entry_of(ptr);

	if (!where && bhi_load(&entry->ptr) != ptr)
		return;
	bhi_store(&entry->where, where);
	bhi_store(&entry->ptr, ptr);
}

const void *bhi_freed_where(const void *ptr)
{
	const struct entry *entry = entry_of(ptr);

	return bhi_load(&entry->ptr) == ptr ? bhi_load(&entry->where) : NULL;
}
#endif
