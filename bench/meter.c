/* SPDX-License-Identifier: MIT */
/*
 * Run one program and print what it cost, as one line of "name value" pairs on descriptor
 * FD: CPU time and elapsed time in nanoseconds, peak resident bytes, pagefaults, exit
 * status.
 *
 *	meter FD [NAME=VALUE ...] program [arguments ...]
 *
 * The variables reach only the program. It exists because the kernel carries the peak of
 * the parent over fork and exec: started from the harness itself, every program would
 * seem to need at least the memory of an interpreter.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t time_ns(struct timeval time)
{
	return ((uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec) * 1000u;
}

static void child_run(int report, char **argv)
{
	close(report);
	for (; *argv && strchr(*argv, '='); argv++)
		putenv(*argv);
	if (*argv) {
		execvp(*argv, argv);
		fprintf(stderr, "meter: %s: %s\n", *argv, strerror(errno));
	}
	_exit(127);
}

static int status_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	uint64_t start;
	int status, report;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr,
			"usage: meter FD [NAME=VALUE ...] program [arguments ...]\n");
		return 2;
	}
	report = (int)strtol(argv[1], NULL, 10);
	start = now_ns();
	pid = fork();
	if (pid == 0)
		child_run(report, argv + 2);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
		fprintf(stderr, "meter: %s\n", strerror(errno));
		return 2;
	}
	dprintf(report,
		"cpu_ns %llu user_ns %llu system_ns %llu wall_ns %llu "
		"rss %llu pagefaults %ld status %d\n",
		(unsigned long long)(time_ns(usage.ru_utime) + time_ns(usage.ru_stime)),
		(unsigned long long)time_ns(usage.ru_utime),
		(unsigned long long)time_ns(usage.ru_stime),
		(unsigned long long)(now_ns() - start),
		(unsigned long long)usage.ru_maxrss * 1024ull, usage.ru_minflt,
		status_code(status));
	return 0;
}
