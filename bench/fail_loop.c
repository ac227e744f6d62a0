/* SPDX-License-Identifier: MIT */
/*
 * What else finds the places where a program cannot stand that memory is wanting:
 *
 *	fail_loop nth FIRST STEP [NAME=VALUE ...] program [arguments ...]
 *	fail_loop random SECONDS - [NAME=VALUE ...] program [arguments ...]
 *
 * The first one is the exhaustive loop: a run for every STEP-th allocation call from
 * number FIRST on, which fails (fail_nth.c). The second one runs it again and again for
 * SECONDS, with failures by chance that the variables ask for. Both print a line for each
 * place that is new, "SECONDS WHAT MODULE+OFFSET", and at the end "SECONDS end RUNS".
 *WHAT is "dies", or "wrong" when the program ends as it does without a failure, but with
 * another output; its place is the call that failed, which only the loop knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

#define MAX_TEXT   (1 << 20)
#define MAX_PLACES 4096
#define TIMEOUT_MS 10000
/* Out of the way of the program's own descriptors. */
#define SITE_FD    100

extern char **environ;

/* A file in memory that the program writes, and what it wrote. */
struct text {
	int fd;
	ssize_t size;
	char bytes[MAX_TEXT + 1];
};

static struct text out, site, clean;
static int clean_status;
static char *places[MAX_PLACES];
static size_t nr_places;
static uint64_t started_ns;

static double seconds(void)
{
	return (double)(clock_ns(CLOCK_MONOTONIC) - started_ns) / 1e9;
}

static void text_read(struct text *text)
{
	text->size = pread(text->fd, text->bytes, MAX_TEXT, 0);
	if (text->size < 0)
		die("pread");
	text->bytes[text->size] = 0;
}

static void text_empty(struct text *text)
{
	if (ftruncate(text->fd, 0) || lseek(text->fd, 0, SEEK_SET))
		die("ftruncate");
}

static pid_t spawn(char **command)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out.fd, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, site.fd, SITE_FD);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	r = posix_spawnp(&pid, *command, &actions, &attributes, command, environ);
	if (r)
		die(strerror(r));
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static int run(char **command)
{
	struct pollfd end = {.events = POLLIN};
	int status;
	pid_t pid;

	text_empty(&out);
	text_empty(&site);
	pid = spawn(command);
	end.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (end.fd < 0)
		die("pidfd_open");
	if (poll(&end, 1, TIMEOUT_MS) == 0)
		kill(-pid, SIGKILL);
	close(end.fd);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	text_read(&out);
	text_read(&site);
	return status;
}

/* What follows @word in a line of the report; cut off at its end. */
static char *reported(const char *word)
{
	char *found = strstr(site.bytes, word);
	size_t length = strlen(word);

	if (!found)
		return NULL;
	found += length;
	found[strcspn(found, "\n")] = 0;
	return found;
}

static void add_place(const char *what, const char *where)
{
	char *text;

	if (asprintf(&text, "%s %s", what, where ? where : "?") < 0)
		die("asprintf");
	for (size_t i = 0; i < nr_places; i++) {
		if (!strcmp(places[i], text)) {
			free(text);
			return;
		}
	}
	if (nr_places == MAX_PLACES)
		die("too many places");
	places[nr_places++] = text;
	printf("%.3f %s\n", seconds(), text);
}

static void test(char **command)
{
	int status = run(command);

	if (WIFSIGNALED(status))
		add_place("dies", reported("dies "));
	else if (status == clean_status &&
		 (out.size != clean.size ||
			 memcmp(out.bytes, clean.bytes, (size_t)clean.size)))
		add_place("wrong", reported("fails "));
}

static void set_nth(unsigned long nth)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", nth);
	if (setenv("FAIL_NTH", text, 1))
		die("setenv");
}

static unsigned long run_loop(char **command, unsigned long first, unsigned long step)
{
	const char *calls;
	unsigned long nr, nr_runs = 0;

	set_nth(0);
	clean_status = run(command);
	clean = out;
	calls = reported("calls ");
	if (!calls)
		die("no number of calls");
	nr = strtoul(calls, NULL, 10);
	for (unsigned long nth = first; nth <= nr; nth += step, nr_runs++) {
		set_nth(nth);
		test(command);
	}
	return nr_runs;
}

static unsigned long run_random(char **command, double limit, char *failures)
{
	unsigned long nr_runs = 0;

	clean_status = run(command);
	clean = out;
	putenv(failures);
	for (; seconds() < limit; nr_runs++)
		test(command);
	return nr_runs;
}

int main(int argc, char **argv)
{
	char **command = argv + 4, *failures = NULL;
	unsigned long nr_runs;

	if (argc < 5) {
		fprintf(stderr,
			"usage: fail_loop nth FIRST STEP [NAME=VALUE ...] program "
			"[arguments ...]\n"
			"       fail_loop random SECONDS - [NAME=VALUE ...] "
			"program [arguments ...]\n");
		return 2;
	}
	out.fd = memfd_create("out", MFD_CLOEXEC);
	site.fd = memfd_create("site", MFD_CLOEXEC);
	if (out.fd < 0 || site.fd < 0)
		die("memfd_create");
	for (; *command && strchr(*command, '='); command++) {
		/* Not before the clean run. */
		if (!strncmp(*command, "FIU_ENABLE=", 11))
			failures = *command;
		else
			putenv(*command);
	}
	snprintf(site.bytes, sizeof(site.bytes), "%d", SITE_FD);
	setenv("CRASH_SITE_FD", site.bytes, 1);
	started_ns = clock_ns(CLOCK_MONOTONIC);
	if (!strcmp(argv[1], "nth"))
		nr_runs = run_loop(
			command, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
	else
		nr_runs = run_random(command, strtod(argv[2], NULL), failures);
	printf("%.3f end %lu\n", seconds(), nr_runs);
	return 0;
}
