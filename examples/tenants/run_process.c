/* SPDX-License-Identifier: MIT */
/*
 * For comparison: a process for each request, with RLIMIT_DATA for its memory and SIGKILL
 * at the deadline. What it prints comes back through a pipe. It has no cache, since that
 * is the parent's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"
#include "run.h"

/* What the child says first; its output follows. */
struct verdict {
	enum script_result result;
	size_t size; /* of the output */
	char error[600];
};

static bool write_all(int fd, const void *bytes, size_t size)
{
	const char *p = bytes;

	while (size) {
		ssize_t nr = write(fd, p, size);

		if (nr < 0 && errno != EINTR)
			return false;
		if (nr > 0) {
			p += nr;
			size -= (size_t)nr;
		}
	}
	return true;
}

/*
 * Writable memory may grow by @max from here. RLIMIT_AS would not do: address space that
 * malloc(3) has reserved for an arena, 64 MiB of it, counts before it can be used.
 */
static void limit_memory(uint64_t max)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	unsigned long nr_pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return;
	/* size, resident, shared, text, lib, data and stack */
	if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &nr_pages) == 1)
		limit.rlim_cur = limit.rlim_max =
			nr_pages * (uint64_t)sysconf(_SC_PAGESIZE) + max;
	(void)fclose(file);
	setrlimit(RLIMIT_DATA, &limit);
}

static _Noreturn void child_main(struct run *run, int fd)
{
	struct budget budget = {.max = UINT64_MAX / 2, .deadline_ns = UINT64_MAX};
	struct request *request = run->request;
	struct verdict verdict = {.result = SCRIPT_NO_MEMORY};
	struct output output = {.max = request->output.max};
	void *interpreter;

	limit_memory(request->tenant->max);
	cache_disown();
	run->script.output = &output;
	script_current = &run->script;
	interpreter = script_open(request->lang, 0, &budget);
	if (interpreter)
		verdict.result = script_run(request->lang, interpreter);
	memcpy(verdict.error, run->script.error, sizeof(verdict.error));
	verdict.size = output.size;
	if (write_all(fd, &verdict, sizeof(verdict)))
		write_all(fd, output.text, output.size);
	_exit(0);
}

/* Whether all is here. The end of the pipe says nothing: other children have it open. */
static bool is_complete(const struct text *text)
{
	struct verdict verdict;

	if (text->failed || text->size < sizeof(verdict))
		return text->failed;
	memcpy(&verdict, text->data, sizeof(verdict));
	return text->size >= sizeof(verdict) + verdict.size;
}

/* What the child says; false at the deadline. */
static bool read_answer(int fd, uint64_t deadline_ns, struct text *text)
{
	char buffer[16384];

	while (!is_complete(text)) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		uint64_t now = now_ns();
		ssize_t nr;

		if (now >= deadline_ns)
			return false;
		poll(&ready, 1, (int)((deadline_ns - now) / 1000000) + 1);
		if (!ready.revents)
			continue;
		nr = read(fd, buffer, sizeof(buffer));
		if (nr <= 0)
			return true;
		text_add_bytes(text, buffer, (size_t)nr);
	}
	return true;
}

static void take_answer(struct run *run, const struct text *text)
{
	static const enum outcome outcomes[] = {[SCRIPT_OK] = OUTCOME_OK,
		[SCRIPT_ERROR] = OUTCOME_SCRIPT_ERROR,
		[SCRIPT_NO_MEMORY] = OUTCOME_NO_MEMORY};
	struct request *request = run->request;
	struct verdict verdict;

	if (text->failed || text->size < sizeof(verdict)) {
		request->outcome = OUTCOME_FAILED;
		return;
	}
	memcpy(&verdict, text->data, sizeof(verdict));
	request->outcome = outcomes[verdict.result];
	memcpy(run->script.error, verdict.error, sizeof(verdict.error));
	if (output_add(&request->output, text->data + sizeof(verdict),
		    text->size - sizeof(verdict)))
		request->outcome = OUTCOME_NO_MEMORY;
}

void run_in_process(struct run *run)
{
	struct request *request = run->request;
	uint64_t deadline_ns = now_ns() + request->deadline_ns;
	struct text text = {0};
	int pipe_fds[2], status;
	pid_t pid;

	request->outcome = OUTCOME_FAILED;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid) {
		close(pipe_fds[0]);
		child_main(run, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	if (pid > 0) {
		if (read_answer(pipe_fds[0], deadline_ns, &text)) {
			take_answer(run, &text);
		} else {
			kill(pid, SIGKILL);
			request->outcome = OUTCOME_KILLED;
			request->report.reason = BH_KILLED_DEADLINE;
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(pipe_fds[0]);
	text_fini(&text);
}
