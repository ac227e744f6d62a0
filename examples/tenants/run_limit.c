/* SPDX-License-Identifier: MIT */
/*
 * For comparison: what embedders do without tasks. The interpreter's allocator returns
 * NULL over the limit, and Lua looks at the clock now and then. A script that copes with
 * both goes on as long as it likes, and keeps its memory meanwhile, as does one that
 * sleeps; Debian's Duktape has no clock to look at.
 */
#include <stdio.h>

#include "run.h"

void run_with_limit(struct run *run)
{
	static const enum outcome outcomes[] = {[SCRIPT_OK] = OUTCOME_OK,
		[SCRIPT_ERROR] = OUTCOME_SCRIPT_ERROR,
		[SCRIPT_NO_MEMORY] = OUTCOME_NO_MEMORY};
	struct request *request = run->request;
	struct budget budget = {
		.max = __atomic_load_n(&request->tenant->max, __ATOMIC_RELAXED),
		.deadline_ns = now_ns() + request->deadline_ns,
	};
	enum script_result result = SCRIPT_NO_MEMORY;
	void *interpreter;

	run->script.open_stream = run_open_stream;
	script_current = &run->script;
	interpreter = script_open(request->lang, 0, &budget);
	if (interpreter) {
		result = script_run(request->lang, interpreter);
		script_close(request->lang, interpreter);
	}
	script_current = NULL;
	request->outcome = outcomes[result];
}
