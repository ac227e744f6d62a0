/* SPDX-License-Identifier: MIT */
/*
 * Duktape (JavaScript) on Bulkhead: an unmodified Duktape whose whole heap lives in the
 * private memory of the current task, so that it needs no duk_destroy_heap() when the
 * task is killed: the memory goes, whatever the script was doing. Header-only; link with
 * Bulkhead and the system's Duktape (as it comes; written for 2.7).
 *
 *	static int run(void *source)
 *	{
 *		duk_context *ctx = bh_duktape_new(0);
 *
 *		return duk_peval_string(ctx, source);
 *	}
 *
 *	bh_task_run(group, NULL, run, source, &report);
 *
 * Units are bytes. Functions that return a pointer give NULL as bh_malloc() does. No
 * function here may be called from a signal handler.
 *
 * Where it may be called. bh_duktape_new() and every function of Duktape that is given
 * the context: inside the task that made it, on whichever thread entered, in this
 * bh_task_enter() or in a later one. The pointer may be kept anywhere.
 *
 * At the limit. The script never sees "alloc failed": it gets memory or the task is
 * unwound, so that neither try/catch nor a retry loop holds on to anything. Two
 * exceptions follow from bh_malloc(): in a group that says BH_FAIL, and in a hold
 * section, requests may fail, and Duktape throws. It throws by longjmp(3), so do not call
 * what may throw between bh_hold() and bh_release(), nor with a bh_mutex held: copy out
 * of the heap first, or push the result afterwards.
 *
 * What C functions owe. A task can be unwound in every function that touches the heap, as
 * if an error were thrown: what is held outside private memory then needs a bh_defer().
 * A system call that may wait belongs into a block section, where nothing of the heap may
 * be touched; strings of Duktape are private memory, so copy them first. stdio locks its
 * files while it reads the bytes: do not hand it such strings unless inside of bh_hold().
 *
 * Run time. Debian's Duktape is built without a time limit for scripts; the deadline_ns
 * of the task is one.
 *
 * Garbage. Duktape counts references; what is part of a cycle (every function that could
 * be a constructor is) waits for a collection, which comes late. The budget of
 * bh_duktape_new() brings it forward: a request that would grow the heap past it is
 * refused once, upon which Duktape collects all garbage and asks again, and gets it. The
 * budget is no limit; the group has that. Three quarters of the group's BH_MAX is a good
 * one for a heap that has the group to itself.
 *
 * Errors outside of any protected call are fatal to a Duktape heap; the default is to
 * abort(3) the process. The handler set here kills the task instead (BH_KILLED_CALLER).
 */
#ifndef BULKHEAD_DUKTAPE_H
#define BULKHEAD_DUKTAPE_H

#include <stdlib.h>

#include <duktape.h>

#include <bulkhead.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a heap uses; in private memory, too. .used may be read and .budget be changed
 * inside the task.
 */
struct bh_duktape {
	size_t used;       /* usable bytes of the objects that Duktape has */
	size_t budget;     /* as given to bh_duktape_new() */
	size_t collect_at; /* growth past this is refused once */
	size_t nr_refused; /* how often it was */
	int is_refused_;   /* the last growth was */
};

/* What the refused request is followed by: let it in, and set the next mark a quarter
 * above what is in use, so that a heap that is really full does not collect each time. */
static inline void bh_duktape_grant_(struct bh_duktape *heap, size_t used)
{
	heap->is_refused_ = 0;
	heap->collect_at = used + used / 4;
	if (heap->collect_at < heap->budget)
		heap->collect_at = heap->budget;
}

static inline int bh_duktape_refuses_(struct bh_duktape *heap, size_t used)
{
	if (heap->is_refused_) {
		bh_duktape_grant_(heap, used);
		return 0;
	}
	if (used <= heap->collect_at)
		return 0;
	heap->is_refused_ = 1;
	heap->nr_refused++;
	return 1;
}

/* The three memory functions. @udata is a struct bh_duktape in private memory of the
 * current task. A @size of 0 may give NULL. */
static inline void *bh_duktape_alloc(void *udata, duk_size_t size)
{
	struct bh_duktape *heap = (struct bh_duktape *)udata;
	void *p;

	if (!size || bh_duktape_refuses_(heap, heap->used + size))
		return NULL;
	p = bh_malloc(size);
	heap->used += bh_usable_size(p);
	return p;
}

static inline void bh_duktape_free(void *udata, void *ptr)
{
	struct bh_duktape *heap = (struct bh_duktape *)udata;

	heap->used -= bh_usable_size(ptr);
	bh_free(ptr);
}

static inline void *bh_duktape_realloc(void *udata, void *ptr, duk_size_t size)
{
	struct bh_duktape *heap = (struct bh_duktape *)udata;
	size_t old;
	void *p;

	if (!ptr)
		return bh_duktape_alloc(udata, size);
	if (!size) {
		bh_duktape_free(udata, ptr);
		return NULL;
	}
	old = bh_usable_size(ptr);
	if (size > old && bh_duktape_refuses_(heap, heap->used - old + size))
		return NULL;
	p = bh_realloc(ptr, size);
	if (p)
		heap->used = heap->used - old + bh_usable_size(p);
	return p;
}

/* Only a cooperative task, or one in a hold section, comes back from its own kill. */
static inline void bh_duktape_fatal_(void *udata, const char *message)
{
	(void)udata;
	(void)message;
	bh_task_kill(bh_current());
	abort();
}

/*
 * A heap and its first context in the private memory of the current task, with the
 * budget described above (0: none). NULL outside of a task, and where bh_malloc() may
 * fail.
 *
 * It ends with the task, or by bh_duktape_close() for a task that goes on without it.
 */
static inline duk_context *bh_duktape_new(size_t budget)
{
	struct bh_duktape *heap = (struct bh_duktape *)bh_calloc(1, sizeof(*heap));
	duk_context *ctx;

	if (!heap)
		return NULL;
	heap->budget = budget ? budget : SIZE_MAX;
	heap->collect_at = heap->budget;
	ctx = duk_create_heap(bh_duktape_alloc, bh_duktape_realloc, bh_duktape_free, heap,
		bh_duktape_fatal_);
	if (!ctx)
		bh_free(heap);
	return ctx;
}

/* What the heap that @ctx belongs to uses. */
static inline struct bh_duktape *bh_duktape_of(duk_context *ctx)
{
	duk_memory_functions functions;

	duk_get_memory_functions(ctx, &functions);
	return (struct bh_duktape *)functions.udata;
}

/* Run the finalizers, which may be unwound, and free the heap. NULL is fine. */
static inline void bh_duktape_close(duk_context *ctx)
{
	struct bh_duktape *heap;

	if (!ctx)
		return;
	heap = bh_duktape_of(ctx);
	duk_destroy_heap(ctx);
	bh_free(heap);
}

#ifdef __cplusplus
}
#endif

#endif
