/* SPDX-License-Identifier: MIT */
/*
 * A script in an interpreter whose memory is that of a task, through the adapters
 * bulkhead/lua.h and bulkhead/duktape.h, against the same interpreter with malloc and
 * free of glibc and of mimalloc. They take turns. Each state is made, runs the script and
 * goes: by lua_close or duk_destroy_heap, but in a task with the task.
 *
 *	task_script PROGRAM.lua|PROGRAM.js [percent of the work]
 *
 * Prints CPU milliseconds: task, glibc and mimalloc; fails when results differ.
 */
#include <duktape.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "bulkhead.h"
#include "bulkhead/duktape.h"
#include "bulkhead/lua.h"
#include "peer.h"
#include "stats.h"

#define NR_ROUNDS   3
#define NR_LEVELS   3
#define SOURCE_SIZE 16384
#define LIMIT       ((uint64_t)1 << 30)

enum memory {
	MEMORY_TASK,
	MEMORY_GLIBC,
	MEMORY_MIMALLOC,
	NR_MEMORIES,
};

static const char *const memory_names[] = {"task", "glibc", "mimalloc"};
static char source[SOURCE_SIZE];
static unsigned percent;
/* What the script printed, which is no longer there when its task has ended. */
static char printed[64], expected[64];
static enum memory memory;

static void note(const char *text)
{
	snprintf(printed, sizeof(printed), "%s", text ? text : "nothing");
}

static int note_lua(lua_State *L)
{
	note(lua_tostring(L, 1));
	return 0;
}

static void *alloc_lua(void *ud, void *ptr, size_t osize, size_t nsize)
{
	(void)ud, (void)osize;
	if (nsize)
		return memory == MEMORY_GLIBC ? realloc(ptr, nsize)
					      : mi.realloc(ptr, nsize);
	if (memory == MEMORY_GLIBC)
		free(ptr);
	else
		mi.free(ptr);
	return NULL;
}

static int run_lua(void *arg)
{
	lua_State *L =
		memory == MEMORY_TASK ? bh_lua_new(0) : lua_newstate(alloc_lua, NULL);

	(void)arg;
	must(L);
	luaL_openlibs(L);
	lua_register(L, "print", note_lua);
	lua_createtable(L, 1, 0);
	lua_pushinteger(L, percent);
	lua_rawseti(L, -2, 1);
	lua_setglobal(L, "arg");
	if (luaL_dostring(L, source))
		die(lua_tostring(L, -1));
	/* The end of the task is the end of the state. */
	if (memory != MEMORY_TASK)
		lua_close(L);
	return 0;
}

static duk_ret_t note_js(duk_context *ctx)
{
	note(duk_safe_to_string(ctx, 0));
	return 0;
}

static void *js_alloc(void *ud, duk_size_t size)
{
	(void)ud;
	return memory == MEMORY_GLIBC ? malloc(size) : mi.malloc(size);
}

static void *js_realloc(void *ud, void *ptr, duk_size_t size)
{
	(void)ud;
	return memory == MEMORY_GLIBC ? realloc(ptr, size) : mi.realloc(ptr, size);
}

static void js_free(void *ud, void *ptr)
{
	(void)ud;
	if (memory == MEMORY_GLIBC)
		free(ptr);
	else
		mi.free(ptr);
}

static int run_duktape(void *arg)
{
	duk_context *ctx = memory == MEMORY_TASK ? bh_duktape_new(0)
						 : duk_create_heap(js_alloc, js_realloc,
							   js_free, NULL, NULL);

	(void)arg;
	must(ctx);
	duk_push_c_function(ctx, note_js, 1);
	duk_put_global_string(ctx, "print");
	duk_push_uint(ctx, percent);
	duk_put_global_string(ctx, "percent");
	if (duk_peval_string(ctx, source))
		die(duk_safe_to_string(ctx, -1));
	if (memory != MEMORY_TASK)
		duk_destroy_heap(ctx);
	return 0;
}

static double sample(struct bh_group *group, int (*run)(void *arg))
{
	uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	printed[0] = '\0';
	if (memory != MEMORY_TASK)
		run(NULL);
	else if (bh_task_run(group, NULL, run, NULL, NULL))
		die("a task did not end well");
	return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e6;
}

static void check_result(void)
{
	if (!expected[0])
		memcpy(expected, printed, sizeof(expected));
	if (strncmp(printed, "checksum ", 9) || strcmp(printed, expected))
		die("the results of a script differ");
}

static void read_source(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t size;

	if (!file)
		die("the script cannot be opened");
	size = fread(source, 1, sizeof(source), file);
	if (!size || size == sizeof(source))
		die("the script is empty or too long");
	fclose(file);
}

int main(int argc, char **argv)
{
	double samples[NR_MEMORIES][NR_ROUNDS];
	struct bh_group *group = NULL;
	int (*run)(void *arg);

	if (argc < 2)
		die("usage: task_script PROGRAM [percent]");
	read_source(argv[1]);
	percent = work_units(argc - 1, argv + 1, 100);
	run = strstr(argv[1], ".js") ? run_duktape : run_lua;
	if (bh_init(NULL))
		die("the library does not start");
	peer_load();
	for (unsigned i = 0; i < NR_LEVELS; i++) {
		group = must(bh_group_new(group, "level"));
		if (bh_group_set(group, BH_MAX, LIMIT))
			die("no limit");
	}
	for (unsigned round = 0; round < NR_ROUNDS; round++) {
		for (unsigned turn = 0; turn < NR_MEMORIES; turn++) {
			memory = (enum memory)((round + turn) % NR_MEMORIES);
			samples[memory][round] = sample(group, run);
			check_result();
		}
	}
	for (unsigned m = 0; m < NR_MEMORIES; m++)
		printf("%s %.3f\n", memory_names[m],
			samples_quantile(samples[m], NR_ROUNDS, 0.5));
	return 0;
}
