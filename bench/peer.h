/* SPDX-License-Identifier: MIT */
/*
 * mimalloc's first-class heaps, loaded by hand: linking the library would replace the
 * malloc of the whole program.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <dlfcn.h>

#include "work/common.h"

static struct {
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
	*(void **)&mi.heap_new = peer_symbol(library, "mi_heap_new");
	*(void **)&mi.heap_malloc = peer_symbol(library, "mi_heap_malloc");
	*(void **)&mi.heap_destroy = peer_symbol(library, "mi_heap_destroy");
}

#endif
