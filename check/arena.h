/* SPDX-License-Identifier: MIT */
/* Memory that goes all at once: what a session that was read from a file is made of. */
#ifndef BHI_CHECK_ARENA_H
#define BHI_CHECK_ARENA_H

#include "base/compiler.h"

struct bhi_check_arena {
	struct bhi_check_arena_block *blocks; /* NULL: empty */
};

/* Zeroed memory for @nr objects of @size bytes, also for none; NULL: out of memory. */
void *bhi_check_arena_alloc(struct bhi_check_arena *arena, size_t nr, size_t size);

/* A copy of @text; NULL: out of memory. */
char *bhi_check_arena_copy(struct bhi_check_arena *arena, const char *text);

void bhi_check_arena_fini(struct bhi_check_arena *arena);

#endif
