/* SPDX-License-Identifier: MIT */
/*
 * JavaScript (ES5.1 and some of ES2015, by Duktape) for tenants, with the functions of
 * the host.
 *
 * Functions below throw errors, and are unwound, with nothing held.
 */
#include <string.h>

#include <bulkhead/duktape.h>

#include "cache.h"
#include "script.h"

static duk_ret_t throw(duk_context * ctx, const char *message)
{
	return duk_error(ctx, DUK_ERR_ERROR, "%s", message);
}

static duk_ret_t host_print(duk_context *ctx)
{
	duk_idx_t nr = duk_get_top(ctx);
	const char *message = NULL;

	for (duk_idx_t i = 0; i < nr && !message; i++) {
		duk_size_t size;
		const char *bytes = duk_safe_to_lstring(ctx, i, &size);

		if (i > 0)
			message = script_print(" ", 1);
		if (!message)
			message = script_print(bytes, size);
	}
	if (!message)
		message = script_print("\n", 1);
	return message ? throw(ctx, message) : 0;
}

static duk_ret_t host_emit(duk_context *ctx)
{
	duk_size_t size;
	const char *bytes = duk_safe_to_lstring(ctx, 0, &size);
	const char *message = script_emit(bytes, size);

	return message ? throw(ctx, message) : 0;
}

static duk_ret_t host_cache_get(duk_context *ctx)
{
	char value[CACHE_VALUE_MAX];
	duk_size_t key_size;
	const char *key = duk_require_lstring(ctx, 0, &key_size);
	ssize_t size = cache_get(key, key_size, value);

	if (size < 0)
		duk_push_undefined(ctx);
	else
		duk_push_lstring(ctx, value, (duk_size_t)size);
	return 1;
}

static duk_ret_t host_cache_set(duk_context *ctx)
{
	duk_size_t key_size, size;
	const char *key = duk_require_lstring(ctx, 0, &key_size);
	const char *value = duk_require_lstring(ctx, 1, &size);

	duk_push_boolean(ctx, cache_set(key, key_size, value, size));
	return 1;
}

static duk_ret_t open_functions(duk_context *ctx, void *unused)
{
	static const duk_function_list_entry functions[] = {
		{"print", host_print, DUK_VARARGS}, {"emit", host_emit, 1},
		{"cache_get", host_cache_get, 1}, {"cache_set", host_cache_set, 2},
		{NULL, NULL, 0}};

	(void)unused;
	duk_push_global_object(ctx);
	duk_put_function_list(ctx, -1, functions);
	/* Gives scripts the inside of the engine, which is not meant for strangers. */
	duk_del_prop_string(ctx, -1, "Duktape");
	duk_pop(ctx);
	return 0;
}

static void *budget_alloc_js(void *udata, duk_size_t size)
{
	return size ? budget_realloc(udata, NULL, size) : NULL;
}

static void *budget_realloc_js(void *udata, void *ptr, duk_size_t size)
{
	if (size)
		return budget_realloc(udata, ptr, size);
	budget_free(udata, ptr);
	return NULL;
}

static void budget_free_js(void *udata, void *ptr)
{
	budget_free(udata, ptr);
}

void *js_open(size_t collect_at, struct budget *budget)
{
	duk_context *ctx;

	if (budget)
		ctx = duk_create_heap(
			budget_alloc_js, budget_realloc_js, budget_free_js, budget, NULL);
	else
		ctx = bh_duktape_new(collect_at);
	if (!ctx)
		return NULL;
	if (duk_safe_call(ctx, open_functions, NULL, 0, 1) != DUK_EXEC_SUCCESS) {
		if (budget)
			duk_destroy_heap(ctx);
		return NULL;
	}
	duk_pop(ctx);
	return ctx;
}

/* The stack is cleared by whoever goes: an error may have left anything on it. */
static duk_ret_t run_protected(duk_context *ctx, void *arg)
{
	struct script *script = arg;

	duk_push_literal(ctx, "script");
	duk_compile_lstring_filename(ctx, 0, script->source, script->size);
	duk_call(ctx, 0);
	return 0;
}

enum script_result js_run(void *interpreter)
{
	struct script *script = script_current;
	enum script_result result = SCRIPT_OK;
	duk_context *ctx = interpreter;

	duk_set_top(ctx, 0);
	if (duk_safe_call(ctx, run_protected, script, 0, 1) != DUK_EXEC_SUCCESS) {
		duk_size_t size;
		const char *message = duk_safe_to_lstring(ctx, -1, &size);

		result = script_fail(message, size);
	}
	duk_set_top(ctx, 0);
	return result;
}

void js_end(void *interpreter)
{
	duk_destroy_heap(interpreter);
}
