/* SPDX-License-Identifier: MIT */
/*
 * Debug builds: from where what no longer exists was freed. Slabs that live know it of
 * their own objects; this is about everything else, pages, private memory, and the
 * objects of slabs that are gone. A table with room for so many that the last few
 * thousand are remembered; an object that is made at the same place is forgotten, so that
 * what is said is never the place of an earlier one.
 */
#ifndef BHI_ALLOC_FREED_H
#define BHI_ALLOC_FREED_H

#include "base/bug.h"

#if BH_DEBUG
/* From where this thread is dropping a group; NULL: it is not. */
extern BHI_TLS const void *bhi_freed_dropping;

/* @ptr is freed from @where, or there is a new object at it (NULL). Context: any, no
 * allocation. */
void bhi_freed_note(const void *ptr, const void *where);

/* From where; NULL: not known. Context: any, no allocation. */
const void *bhi_freed_where(const void *ptr);

/* Context: any. Around the drop of a group; NULL: it is over. */
static inline void bhi_freed_drop_from(const void *where)
{
	bhi_freed_dropping = where;
}

/* Context: any. */
static inline void bhi_freed_note_drop(const void *ptr)
{
	if (bhi_freed_dropping)
		bhi_freed_note(ptr, bhi_freed_dropping);
}
#else
static inline void bhi_freed_note(const void *ptr, const void *where)
{
	(void)ptr, (void)where;
}
static inline const void *bhi_freed_where(const void *ptr)
{
	(void)ptr;
	return NULL;
}
static inline void bhi_freed_drop_from(const void *where)
{
	(void)where;
}
static inline void bhi_freed_note_drop(const void *ptr)
{
	(void)ptr;
}
#endif

#endif
