/* SPDX-License-Identifier: MIT */
/*
 * Lua 5.4 for tenants: the libraries that only compute, no bytecode (Lua does not verify
 * it), and the functions of the host.
 *
 * Functions below raise errors, and are unwound, with nothing held.
 */
#include <string.h>
#include <time.h>

#include <bulkhead/lua.h>
#include <lualib.h>

#include "cache.h"
#include "script.h"

/* Instructions between two looks at the clock, where the host must look at it. */
#define HOOK_COUNT 10000

static int host_print(lua_State *L)
{
	int nr = lua_gettop(L);
	const char *message = NULL;

	for (int i = 1; i <= nr && !message; i++) {
		size_t size;
		const char *bytes = luaL_tolstring(L, i, &size);

		if (i > 1)
			message = script_print("\t", 1);
		if (!message)
			message = script_print(bytes, size);
		lua_pop(L, 1);
	}
	if (!message)
		message = script_print("\n", 1);
	return message ? luaL_error(L, "%s", message) : 0;
}

static int host_emit(lua_State *L)
{
	size_t size;
	const char *bytes = luaL_checklstring(L, 1, &size);
	const char *message;

	/* The block section in there does not touch the string, so a copy is not needed:
	 * bytes go to the ring before and after. */
	message = script_emit(bytes, size);
	return message ? luaL_error(L, "%s", message) : 0;
}

static int host_cache_get(lua_State *L)
{
	char value[CACHE_VALUE_MAX];
	size_t key_size;
	const char *key = luaL_checklstring(L, 1, &key_size);
	ssize_t size = cache_get(key, key_size, value);

	if (size < 0)
		lua_pushnil(L);
	else
		lua_pushlstring(L, value, (size_t)size);
	return 1;
}

static int host_cache_set(lua_State *L)
{
	size_t key_size, size;
	const char *key = luaL_checklstring(L, 1, &key_size);
	const char *value = luaL_checklstring(L, 2, &size);

	lua_pushboolean(L, cache_set(key, key_size, value, size));
	return 1;
}

/* The same for drills. */
static int host_cache_set_slowly(lua_State *L)
{
	size_t key_size, size;
	const char *key = luaL_checklstring(L, 1, &key_size);
	const char *value = luaL_checklstring(L, 2, &size);

	lua_pushboolean(L, cache_set_slowly(key, key_size, value, size));
	return 1;
}

/* load() as it is, but for text only. */
static int host_load(lua_State *L)
{
	lua_settop(L, 4);
	if (lua_isnil(L, 4))
		lua_settop(L, 3);
	lua_pushliteral(L, "t");
	lua_replace(L, 3);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int open_libraries(lua_State *L)
{
	static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
		{LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
		{LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},
		{LUA_COLIBNAME, luaopen_coroutine}, {NULL, NULL}};
	static const luaL_Reg functions[] = {{"print", host_print}, {"emit", host_emit},
		{"cache_get", host_cache_get}, {"cache_set", host_cache_set},
		{NULL, NULL}};
	static const char *const unwanted[] = {"dofile", "loadfile", NULL};

	for (const luaL_Reg *library = libraries; library->func; library++) {
		luaL_requiref(L, library->name, library->func, 1);
		lua_pop(L, 1);
	}
	for (const luaL_Reg *function = functions; function->func; function++)
		lua_register(L, function->name, function->func);
	if (script_current->has_drills)
		lua_register(L, "cache_set_slowly", host_cache_set_slowly);
	for (const char *const *name = unwanted; *name; name++) {
		lua_pushnil(L);
		lua_setglobal(L, *name);
	}
	lua_getglobal(L, "load");
	lua_pushcclosure(L, host_load, 1);
	lua_setglobal(L, "load");
	return 0;
}

static void *budget_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	(void)osize;
	if (nsize)
		return budget_realloc(ud, ptr, nsize);
	budget_free(ud, ptr);
	return NULL;
}

/* Where nobody else ends scripts: an error at the deadline. The script may catch it. */
static void look_at_clock(lua_State *L, lua_Debug *where)
{
	struct budget *budget;
	struct timespec now;
	void *ud;

	(void)where;
	lua_getallocf(L, &ud);
	budget = ud;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec >
		budget->deadline_ns)
		luaL_error(L, "deadline");
}

void *lua_open(size_t collect_at, struct budget *budget)
{
	lua_State *L =
		budget ? lua_newstate(budget_alloc, budget) : bh_lua_new(collect_at);

	if (!L)
		return NULL;
	lua_pushcfunction(L, open_libraries);
	if (lua_pcall(L, 0, 0, 0)) {
		if (budget)
			lua_close(L);
		return NULL;
	}
	if (budget)
		lua_sethook(L, look_at_clock, LUA_MASKCOUNT, HOOK_COUNT);
	return L;
}

/* The message of the error on the top, whatever was raised. */
static enum script_result fail(lua_State *L)
{
	size_t size;
	const char *message;

	if (!lua_isstring(L, -1))
		return script_fail("(an error that is no string)", 28);
	message = lua_tolstring(L, -1, &size);
	return script_fail(message, size);
}

enum script_result lua_run(void *interpreter)
{
	struct script *script = script_current;
	lua_State *L = interpreter;
	enum script_result result = SCRIPT_OK;

	lua_settop(L, 0);
	if (luaL_loadbufferx(L, script->source, script->size, "=script", "t") ||
		lua_pcall(L, 0, 0, 0))
		result = fail(L);
	lua_settop(L, 0);
	return result;
}

void lua_end(void *interpreter)
{
	lua_close(interpreter);
}
