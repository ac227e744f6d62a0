/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

const char *const lang_names[NR_LANGS] = {"lua", "js"};
__thread struct script *script_current;

void *script_open(enum lang lang, size_t collect_at, struct budget *budget)
{
	return (lang == LANG_LUA ? lua_open : js_open)(collect_at, budget);
}

enum script_result script_run(enum lang lang, void *interpreter)
{
	return (lang == LANG_LUA ? lua_run : js_run)(interpreter);
}

void script_close(enum lang lang, void *interpreter)
{
	(lang == LANG_LUA ? lua_end : js_end)(interpreter);
}

void *budget_realloc(struct budget *budget, void *ptr, size_t size)
{
	size_t old = malloc_usable_size(ptr);
	void *p;

	if (size > old && budget->used - old + size > budget->max)
		return NULL;
	p = realloc(ptr, size);
	if (p)
		budget->used = budget->used - old + malloc_usable_size(p);
	return p;
}

void budget_free(struct budget *budget, void *ptr)
{
	budget->used -= malloc_usable_size(ptr);
	free(ptr);
}

void script_sleeps(enum script_wait wait)
{
	if (script_current)
		script_current->wait = wait;
}

const char *script_print(const char *bytes, size_t size)
{
	switch (output_add(script_current->output, bytes, size)) {
	case 0:
		return NULL;
	case -E2BIG:
		return "print: too much output";
	default:
		return "print: not enough memory";
	}
}

const char *script_emit(const char *bytes, size_t size)
{
	struct script *script = script_current;

	if (!script->open_stream)
		return script_print(bytes, size);
	if (!script->stream) {
		const char *reason = script->open_stream(script);

		if (reason)
			return reason;
	}
	return stream_write(script->stream, bytes, size) ? "emit: the client has gone"
							 : NULL;
}

enum script_result script_fail(const char *message, size_t size)
{
	struct script *script = script_current;
	size_t max = sizeof(script->error) - 1;

	if (size > max)
		size = max;
	memcpy(script->error, message, size);
	script->error[size] = 0;
	if (strstr(script->error, "not enough memory") ||
		strstr(script->error, "alloc failed"))
		return SCRIPT_NO_MEMORY;
	return SCRIPT_ERROR;
}
