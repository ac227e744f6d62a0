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

static int with_open_file(const char *path, int flags)
{
	int fd = open(path, flags, 0600);
	int failed;

	if (fd < 0)
		return 3;
	failed = ask();
	(void)close(fd);
	return failed;
}

static int with_file(void)
{
	return with_open_file("written", O_WRONLY | O_CREAT);
}

static int with_file_to_read(void)
{
	return with_open_file("/proc/self/exe", O_RDONLY);
}

static int with_lock(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
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

/* Nobody's child but the one that orphans go to; it has to live on. */
static int with_orphan(void)
{
	int fds[2], failed;
	pid_t pid, orphan;

	if (pipe(fds))
		return 3;
	pid = fork();
	if (!pid) {
		orphan = fork();
		if (!orphan)
			(void)sleep_for_ever(NULL);
		_exit(write(fds[1], &orphan, sizeof(orphan)) < 0);
	}
	if (waitpid(pid, NULL, 0) != pid || read(fds[0], &orphan, sizeof(orphan)) < 0)
		return 3;
	(void)close(fds[0]);
	(void)close(fds[1]);
	failed = ask();
	if (kill(orphan, SIGKILL))
		abort();
	return failed;
}

/* What is in the way is gone with what it executes, which counts on. */
static int executes(void)
{
	void *p = malloc(10);
	int fds[2], failed;

	if (pipe2(fds, O_CLOEXEC))
		return 3;
	failed = ask();
	if (!p)
		fputs("subject: no memory\n", stderr);
	if (!p || failed)
		return 1;
	(void)execl("/proc/self/exe", "subject_copies", "asks", NULL);
	return 3;
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

static int owns_recursive(void)
{
	return owns(PTHREAD_MUTEX_RECURSIVE);
}

static int owns_checked(void)
{
	return owns(PTHREAD_MUTEX_ERRORCHECK);
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
static int leaves_file(int where)
{
	void *p;
	int fd;

	(void)unlink("left");
	p = malloc(10);
	fd = open("left", O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		(void)!write(where, "who made this?\n", 15);
	(void)ask();
	free(p);
	if (!p)
		fputs("subject: no memory\n", stderr);
	return !p;
}

static int leaves_file_says_it(void)
{
	return leaves_file(1);
}

static int leaves_file_warns(void)
{
	return leaves_file(2);
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

/* It fails otherwise in a copy, which is not the leader of its session. */
static int sees_itself(void)
{
	for (int i = 0; i < 3; i++) {
		void *p = malloc(10);

		if (!p && getsid(0) == getpid())
			abort();
		if (!p)
			(void)raise(SIGSEGV);
		free(p);
	}
	return 0;
}

static int hangs(void)
{
	for (int i = 0; i < 12; i++) {
		void *p = malloc(10);

		while (!p)
			(void)getppid();
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

static const struct {
	const char *name;
	int (*run)(void);
} programs[] = {
	{"asks", ask},
	{"thread", with_thread},
	{"child", with_child},
	{"orphan", with_orphan},
	{"memory", with_memory},
	{"file", with_file},
	{"read_file", with_file_to_read},
	{"lock", with_lock},
	{"pipe", with_pipe},
	{"timer", with_timer},
	{"executes", executes},
	{"reads", reads},
	{"recursive", owns_recursive},
	{"errorcheck", owns_checked},
	{"knows_itself", knows_itself},
	{"sees_itself", sees_itself},
	{"leaves_file", leaves_file_says_it},
	{"leaves_file_warns", leaves_file_warns},
	{"leaves_process", leaves_process},
	{"crashes", crashes},
	{"hangs", hangs},
	{"kills_group", kills_group},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(programs) / sizeof(*programs); i++) {
		if (!strcmp(argv[1], programs[i].name))
			return programs[i].run();
	}
	return 2;
}
