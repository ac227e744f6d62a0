/* SPDX-License-Identifier: MIT */
/*
 * mimalloc, loaded by hand: linking the library would replace the malloc of the whole
 * program.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <dlfcn.h>

#include "work/common.h"

static struct {
	void *(*malloc)(size_t size);
	void *(*realloc)(void *ptr, size_t size);
	void (*free)(void *ptr);
	void *(*heap_new)(void);
	void *(*heap_malloc)(void *heap, size_t size);
	void (*heap_destroy)(void *heap);
} mi;

static inline void *peer_symbol(void *library, const char *name)
{
	void *symbol = dlsym(library, name);

	if (!symbol)
		die(dlerror());
	return symbol;
}

static inline void peer_load(void)
{
	void *library = dlopen("libmimalloc.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		die(dlerror());
	*(void **)&mi.malloc = peer_symbol(library, "mi_malloc");
	*(void **)&mi.realloc = peer_symbol(library, "mi_realloc");
	*(void **)&mi.free = peer_symbol(library, "mi_free");
	*(void **)&mi.heap_new = peer_symbol(library, "mi_heap_new");
	*(void **)&mi.heap_malloc = peer_symbol(library, "mi_heap_malloc");
	*(void **)&mi.heap_destroy = peer_symbol(library, "mi_heap_destroy");
}

#endif
