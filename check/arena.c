/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT  16
#define BLOCK_SIZE ((size_t)64 << 10)

struct bhi_check_arena_block {
	struct bhi_check_arena_block *next;
	size_t used, size; /* of .data */
	char data[] BHI_ALIGNED(ALIGNMENT);
};

static struct bhi_check_arena_block *add_block(struct bhi_check_arena *arena, size_t size)
{
	struct bhi_check_arena_block *block;

	size = bhi_max(size, BLOCK_SIZE);
	block = calloc(1, sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *bhi_check_arena_alloc(struct bhi_check_arena *arena, size_t nr, size_t size)
{
	struct bhi_check_arena_block *block = arena->blocks;
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(nr, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + !bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!block || block->size - block->used < bytes)
		block = add_block(arena, bytes);
	if (!block)
		return NULL;
	p = block->data + block->used;
	block->used += bytes;
	return p;
}

char *bhi_check_arena_copy(struct bhi_check_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = bhi_check_arena_alloc(arena, size, 1);

	return copy ? memcpy(copy, text, size) : NULL;
}

void bhi_check_arena_fini(struct bhi_check_arena *arena)
{
	struct bhi_check_arena_block *block;

	while ((block = arena->blocks)) {
		arena->blocks = block->next;
		free(block);
	}
}
