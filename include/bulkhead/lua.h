/* SPDX-License-Identifier: MIT */
/*
 * Lua on Bulkhead: an unmodified Lua whose whole state lives in the private memory of
 * the current task, so that the state needs no lua_close() when the task is killed: the
 * memory goes, whatever the script was doing. Header-only; link with Bulkhead and the
 * system's Lua (5.4 built as C, as it comes; written for 5.4.4).
 *
 *	static int run(void *source)
 *	{
 *		lua_State *L = bh_lua_new(0);
 *
 *		luaL_requiref(L, "_G", luaopen_base, 1);
 *		return luaL_dostring(L, source);
 *	}
 *
 *	bh_task_run(group, NULL, run, source, &report);
 *
 * Units are bytes. Functions that return a pointer give NULL as bh_malloc() does. No
 * function here may be called from a signal handler.
 *
 * Where it may be called. bh_lua_new() and every function of Lua that is given the state:
 * inside the task that made it, on whichever thread entered, in this bh_task_enter() or
 * in a later one. The pointer to the state may be kept anywhere.
 *
 * At the limit. The script never sees "not enough memory": it gets memory or the task is
 * unwound, so that neither pcall() nor a retry loop holds on to anything. Two exceptions
 * follow from bh_malloc(): in a group that says BH_FAIL, and in a hold section, requests
 * may fail, and Lua raises its memory error. Lua raises errors by longjmp(3), so do not
 * call what may raise one between bh_hold() and bh_release(), nor with a bh_mutex held:
 * copy out of the state first, or push the result afterwards.
 *
 * What C functions owe. A task can be unwound in every function that touches the state,
 * as if an error were raised: what is held outside private memory then needs a
 * bh_defer(). A system call that may wait belongs into a block section, where nothing of
 * the state may be touched; strings of Lua are private memory, so copy them first. stdio
 * locks its files while it reads the bytes: do not hand it strings of Lua unless inside
 * of bh_hold(). The print() of Lua does just that, so give scripts one of your own.
 *
 * Garbage. Lua collects when its heap has doubled, and would be killed with a heap half
 * of which is garbage. The budget of bh_lua_new() prevents that: a new object that would
 * grow the state past it is refused once, upon which Lua collects all garbage and asks
 * again, and gets it. The budget is no limit; the group has that. Three quarters of the
 * group's BH_MAX is a good one for a state that has the group to itself.
 *
 * Errors outside of any lua_pcall() call the panic function, and then abort(3) the
 * process. The one set here kills the task instead (BH_KILLED_CALLER).
 */
#ifndef BULKHEAD_LUA_H
#define BULKHEAD_LUA_H

#ifdef __cplusplus
#include <lua.hpp>
#else
#include <lauxlib.h>
#include <lua.h>
#endif

#include <bulkhead.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a state uses; in private memory, too. .used may be read and .budget be changed
 * inside the task.
 */
struct bh_lua {
	size_t used;       /* bytes that Lua has, as Lua counts them */
	size_t budget;     /* as given to bh_lua_new() */
	size_t collect_at; /* a new object past this is refused once */
	size_t nr_refused; /* how often one was */
	int is_refused_;   /* the last one was */
};

/* What the refused request is followed by: let it in, and set the next mark a quarter
 * above what is in use, so that a heap that is really full does not collect each time. */
static inline void bh_lua_grant_(struct bh_lua *heap, size_t used)
{
	heap->is_refused_ = 0;
	heap->collect_at = used + used / 4;
	if (heap->collect_at < heap->budget)
		heap->collect_at = heap->budget;
}

static inline int bh_lua_refuses_(struct bh_lua *heap, size_t used)
{
	if (heap->is_refused_) {
		bh_lua_grant_(heap, used);
		return 0;
	}
	if (used <= heap->collect_at)
		return 0;
	heap->is_refused_ = 1;
	heap->nr_refused++;
	return 1;
}

/*
 * The lua_Alloc. @ud is a struct bh_lua in private memory of the current task.
 *
 * A block that shrinks keeps its place if there is no memory for a smaller one: Lua
 * relies on that. Without @ptr, @osize is no size but the type of a new object, or 0 for
 * other blocks. Only objects are refused for the sake of garbage: the buffers of lauxlib
 * are other blocks, and would raise an error at once.
 */
static inline void *bh_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct bh_lua *heap = (struct bh_lua *)ud;
	size_t old = ptr ? osize : 0, used = heap->used - old + nsize;
	void *p;

	if (!nsize) {
		heap->used = used;
		bh_free(ptr);
		return NULL;
	}
	if (!ptr && osize && bh_lua_refuses_(heap, used))
		return NULL;
	p = ptr ? bh_realloc(ptr, nsize) : bh_malloc(nsize);
	if (!p && nsize <= old)
		p = ptr;
	if (p)
		heap->used = used;
	return p;
}

static inline int bh_lua_panic_(lua_State *L)
{
	(void)L;
	bh_task_kill(bh_current());
	return 0;
}

/*
 * A state in the private memory of the current task, without libraries, with the budget
 * described above (0: none). NULL outside of a task, and where bh_malloc() may fail.
 *
 * It ends with the task, or by bh_lua_close() for a task that goes on without it.
 */
static inline lua_State *bh_lua_new(size_t budget)
{
	struct bh_lua *heap = (struct bh_lua *)bh_calloc(1, sizeof(*heap));
	lua_State *L;

	if (!heap)
		return NULL;
	heap->budget = budget ? budget : SIZE_MAX;
	heap->collect_at = heap->budget;
	L = lua_newstate(bh_lua_alloc, heap);
	if (L)
		lua_atpanic(L, bh_lua_panic_);
	else
		bh_free(heap);
	return L;
}

/* What the state @L, or the one that the coroutine @L belongs to, uses. */
static inline struct bh_lua *bh_lua_of(lua_State *L)
{
	void *heap;

	lua_getallocf(L, &heap);
	return (struct bh_lua *)heap;
}

/* Run the finalizers, which may be unwound, and free the state. NULL is fine. */
static inline void bh_lua_close(lua_State *L)
{
	struct bh_lua *heap;

	if (!L)
		return;
	heap = bh_lua_of(L);
	lua_close(L);
	bh_free(heap);
}

#ifdef __cplusplus
}
#endif

#endif
