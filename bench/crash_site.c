/* SPDX-License-Identifier: MIT */
/*
 * Preloaded by bench/fail_loop: says where a program dies, as somebody who writes a loop
 * of injected failures for an afternoon would have it. A line on descriptor CRASH_SITE_FD
 * names the first frame that is not in the C library.
 */
#include "crash_site.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 64
/* The lowest that is left to programs. */
#define FIRST 101

static int fd = -1;
static char stack[64 << 10] __attribute__((aligned(16)));

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int is_below(const char *module)
{
	return !strncmp(module, "libc.so", 7) || !strncmp(module, "ld-linux", 8) ||
	       !strncmp(module, "libbench_", 9) || !strncmp(module, "fiu_", 4);
}

void site_say(const char *what)
{
	void *frames[DEPTH];
	int nr = backtrace(frames, DEPTH);
	char line[256];

	for (int i = 0; i < nr; i++) {
		Dl_info info;
		int length;

		if (!dladdr(frames[i], &info) || !info.dli_fname ||
			is_below(base_name(info.dli_fname)))
			continue;
		length = snprintf(line, sizeof(line), "%s %s+%#lx\n", what,
			base_name(info.dli_fname),
			(unsigned long)((char *)frames[i] - (char *)info.dli_fbase));
		if (fd >= 0 && write(fd, line, (size_t)length) < 0)
			fd = -1;
		return;
	}
}

static void on_crash(int sig)
{
	site_say("dies");
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

/* Before the one that switches failures on: the first backtrace loads a library. */
__attribute__((constructor(FIRST))) static void start(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	const char *text = getenv("CRASH_SITE_FD");
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {
		.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
	void *frame;

	if (!text)
		return;
	fd = atoi(text);
	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		(void)sigaction(signals[i], &action, NULL);
	(void)backtrace(&frame, 1);
}
