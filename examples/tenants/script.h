/* SPDX-License-Identifier: MIT */
/*
 * Scripts and their interpreters. A script can compute, print(), emit() and use the
 * shared cache; it has no files, no processes and no network.
 */
#ifndef TENANTS_SCRIPT_H
#define TENANTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"

enum lang {
	LANG_LUA,
	LANG_JS,
	NR_LANGS,
};

extern const char *const lang_names[NR_LANGS];

/* The interpreter's allocator for comparison: malloc(3) that fails over a limit. */
struct budget {
	size_t used, max;
	uint64_t
		deadline_ns; /* by CLOCK_MONOTONIC; looked at where the interpreter can */
};

enum script_result {
	SCRIPT_OK,
	SCRIPT_ERROR,     /* .error says which */
	SCRIPT_NO_MEMORY, /* an allocation failed and the script did not cope */
};

/* What a script may sleep in. */
enum script_wait {
	WAIT_NONE,
	WAIT_LOCK,   /* that of the cache */
	WAIT_CLIENT, /* read(2), until its client reads */
};

/* One run of a script. Not in private memory. */
struct script {
	const char *source;
	size_t size;
	struct output *output;
	/* Give script->stream, or a reason why there is none; NULL: emit() prints. */
	const char *(*open_stream)(struct script *script);
	struct stream *stream;
	void *owner;
	bool has_drills;       /* Lua also has cache_set_slowly() */
	enum script_wait wait; /* what it slept in last */
	char error[600];
};

/* The script that this thread runs; set around script_run(). */
extern __thread struct script *script_current;

/*
 * An interpreter with its libraries, for script_current. With @budget NULL it lives in
 * the private memory of the current task, collects garbage at @collect_at bytes, and
 * needs no close. NULL: no memory.
 */
void *script_open(enum lang lang, size_t collect_at, struct budget *budget);

/* Run script_current. */
enum script_result script_run(enum lang lang, void *interpreter);

/* Only for interpreters with a budget. */
void script_close(enum lang lang, void *interpreter);

/* The budget's allocator. */
void *budget_realloc(struct budget *budget, void *ptr, size_t size);
void budget_free(struct budget *budget, void *ptr);

/* Around what the script of this thread sleeps in. One that is killed there does not come
 * to the second call. */
void script_sleeps(enum script_wait wait);

/* What print() and emit() do; NULL, or the message of an error. */
const char *script_print(const char *bytes, size_t size);
const char *script_emit(const char *bytes, size_t size);

/* Keep @message as the reason of the failure. */
enum script_result script_fail(const char *message, size_t size);

/* The interpreters, each in its own file. */
void *lua_open(size_t collect_at, struct budget *budget);
enum script_result lua_run(void *interpreter);
void lua_end(void *interpreter);
void *js_open(size_t collect_at, struct budget *budget);
enum script_result js_run(void *interpreter);
void js_end(void *interpreter);

#endif
