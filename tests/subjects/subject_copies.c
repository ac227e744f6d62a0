/* SPDX-License-Identifier: MIT */
/* Programs with something in the way of a copy, and some that would see that they are
 * one. The call that is to fail is for 10 bytes. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two calls, so that there is something to share a run: the one that matters, and one
 * more. 0: they worked. */
static int ask(void)
{
	void *p = malloc(10), *q = malloc(20);
	int failed = !p || !q;

	free(p);
	free(q);
	if (failed)
		fputs("subject: no memory\n", stderr);
	return failed;
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		(void)pause();
	return arg;
}

static int with_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sleep_for_ever, NULL)) {
		fputs("subject: no thread\n", stderr);
		return 1;
	}
	return ask();
}

static int with_child(void)
{
	pid_t pid = fork();
	int failed;

	if (!pid)
		(void)sleep_for_ever(NULL);
	failed = ask();
	(void)kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? failed : 3;
}

static int with_memory(void)
{
	volatile int *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int failed;

	(*p)++;
	failed = ask();
	return failed ? failed : *p - 1;
}

static int with_file(const char *path, int flags)
{
	int fd = open(path, flags, 0600);
	int failed;

	if (fd < 0)
		return 3;
	failed = ask();
	(void)close(fd);
	return failed;
}

static int with_lock(const char *path)
{
	int fd = open(path, O_RDONLY);
	int failed;

	if (fd < 0 || flock(fd, LOCK_EX))
		return 3;
	failed = ask();
	(void)close(fd);
	return failed;
}

static int with_pipe(void)
{
	int fds[2];

	return pipe(fds) ? 3 : ask();
}

static int with_timer(void)
{
	struct itimerval value = {.it_value = {.tv_sec = 1000}};

	return setitimer(ITIMER_REAL, &value, NULL) ? 3 : ask();
}

/* Reads its input byte by byte, by itself: who reads it too moves the offset. */
static int reads(void)
{
	char byte;
	int sum = 0;

	while (read(0, &byte, 1) == 1) {
		void *p = malloc(10);

		sum = sum * 31 + byte;
		free(p);
	}
	printf("%d\n", sum);
	return 0;
}

/* The owner of a lock is told by the number that the C library has of a thread. */
static int owns(int type)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t mutex;
	int error;

	(void)pthread_mutexattr_init(&attributes);
	(void)pthread_mutexattr_settype(&attributes, type);
	(void)pthread_mutex_init(&mutex, &attributes);
	(void)pthread_mutex_lock(&mutex);
	(void)ask();
	error = pthread_mutex_unlock(&mutex);
	if (error)
		abort();
	return 0;
}

static pid_t parent_at_start;

static __attribute__((constructor)) void note_parent(void)
{
	parent_at_start = getppid();
}

/* Nobody else's child, alone in its group, with the mark that says what it is. */
static int knows_itself(void)
{
	void *p = malloc(10);
	const char *mark = getenv("BULKHEAD_INJECTED");

	if (getppid() != parent_at_start || getpgrp() != getpid())
		abort();
	if (!p && (!mark || !strstr(mark, "fails")))
		abort();
	free(p);
	return ask();
}

/* A copy leaves a file behind, which the program that goes on finds; it says so without
 * a call that would be counted. */
static int leaves_file(void)
{
	void *p;
	int fd;

	(void)unlink("left");
	p = malloc(10);
	fd = open("left", O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		(void)!write(1, "who made this?\n", 15);
	(void)ask();
	free(p);
	if (!p)
		fputs("subject: no memory\n", stderr);
	return !p;
}

/* And one that leaves a process behind, which holds its standard output. */
static int leaves_process(void)
{
	void *p = malloc(10);

	if (!p && !fork())
		(void)sleep_for_ever(NULL);
	free(p);
	return ask();
}

static int crashes(void)
{
	for (int i = 0; i < 3; i++) {
		char *p = malloc(10);

		printf("%c\n", *(volatile char *)memset(p, 'x', 1));
		free(p);
	}
	return 0;
}

/* Kills its group. */
static int kills_group(void)
{
	if (!ask())
		return 0;
	(void)kill(0, SIGTERM);
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "thread"))
		return with_thread();
	if (!strcmp(what, "child"))
		return with_child();
	if (!strcmp(what, "memory"))
		return with_memory();
	if (!strcmp(what, "file"))
		return with_file("written", O_WRONLY | O_CREAT);
	if (!strcmp(what, "read_file"))
		return with_file(argv[0], O_RDONLY);
	if (!strcmp(what, "lock"))
		return with_lock(argv[0]);
	if (!strcmp(what, "pipe"))
		return with_pipe();
	if (!strcmp(what, "timer"))
		return with_timer();
	if (!strcmp(what, "reads"))
		return reads();
	if (!strcmp(what, "recursive"))
		return owns(PTHREAD_MUTEX_RECURSIVE);
	if (!strcmp(what, "errorcheck"))
		return owns(PTHREAD_MUTEX_ERRORCHECK);
	if (!strcmp(what, "knows_itself"))
		return knows_itself();
	if (!strcmp(what, "leaves_file"))
		return leaves_file();
	if (!strcmp(what, "leaves_process"))
		return leaves_process();
	if (!strcmp(what, "crashes"))
		return crashes();
	if (!strcmp(what, "kills_group"))
		return kills_group();
	return 2;
}
