/* SPDX-License-Identifier: MIT */
/* Ways of asking the system for pages, one for each name. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE (1 << 20)

static const char *self;

static void *map(size_t size)
{
	return mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void maps(void)
{
	void *p = map(LARGE);

	if (p == MAP_FAILED) {
		printf("not mapped: %s\n", strerror(errno));
		exit(3);
	}
	munmap(p, LARGE);
	puts("mapped");
}

/* Takes MAP_FAILED for memory. */
static void maps_unchecked(void)
{
	char *volatile p = map(LARGE);

	p[0] = 'x';
}

static void remaps(void)
{
	char *p = map(LARGE), *q;

	if (p == MAP_FAILED)
		exit(4);
	p[0] = 'x';
	q = mremap(p, LARGE, 3 * LARGE, MREMAP_MAYMOVE);
	printf("%s, %c\n", q == MAP_FAILED ? strerror(errno) : "grown",
		q == MAP_FAILED ? p[0] : q[0]);
}

/* The break as the C library knows it, and as the kernel does. */
static void breaks(void)
{
	char *before = sbrk(0);
	void *p = sbrk(LARGE);
	int error = errno;
	bool is_there = p != (void *)-1;

	printf("%s\n", is_there ? "moved" : strerror(error));
	if (sbrk(0) != before + (is_there ? LARGE : 0))
		puts("the library is wrong about it");
	if (syscall(SYS_brk, 0) != (long)(intptr_t)sbrk(0))
		puts("the kernel is of another mind");
	printf("%s\n", brk(before + 2 * LARGE) ? strerror(errno) : "set");
}

static void gives_back(void)
{
	char *p = map(2 * LARGE);
	char *end = sbrk(0);

	if (p == MAP_FAILED || brk(end + LARGE))
		exit(4);
	sbrk(-LARGE / 2);
	if (brk(end) || sbrk(0) != end ||
		mremap(p, 2 * LARGE, LARGE, MREMAP_MAYMOVE) == MAP_FAILED)
		exit(5);
	puts("given back");
}

/* Small blocks, until the heap has grown a few times. */
static void grows(void)
{
	int nr_failed = 0;

	for (int i = 0; i < 1000; i++) {
		char *volatile p = malloc(1000);

		nr_failed += !p;
		if (p)
			p[999] = 'x';
	}
	printf("%d failed\n", nr_failed);
}

static void maps_block(void)
{
	void *p = malloc(16 * LARGE);

	printf("%s\n", p ? "there" : strerror(errno));
	p = realloc(p, 32 * LARGE);
	printf("%s\n", p ? "there" : strerror(errno));
	free(p);
}

static void *work(void *arg)
{
	(void)arg;
	/* More than a heap of an arena has. */
	return malloc(20 * LARGE);
}

/* A stack, and an arena. */
static void threads(void)
{
	pthread_t thread;
	void *p = NULL;
	int error = pthread_create(&thread, NULL, work, NULL);

	if (!error)
		pthread_join(thread, &p);
	printf("%s, %s\n", error ? strerror(error) : "a thread", p ? "a block" : "none");
	free(p);
}

/* Another program, and what it is asked about before and after. */
static void starts(void)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		void *volatile p = malloc(16 * LARGE);

		if (!p)
			_exit(9);
		execl(self, self, "maps", (char *)NULL);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	if (status)
		puts("the child failed");
	maps();
}

static void files(void)
{
	int fd = open(self, O_RDONLY);

	printf("%s\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED
			       ? strerror(errno)
			       : "mapped");
}

static void loads(void)
{
	char path[PATH_MAX];
	const char *slash = strrchr(self, '/');

	(void)snprintf(
		path, sizeof(path), "%.*s/lib_constructor.so", (int)(slash - self), self);
	puts(dlopen(path, RTLD_NOW) ? "loaded" : dlerror());
}

/* For ever, after a refusal. */
static void sleeps(void)
{
	printf("%d\n", (int)getpid());
	while (map(LARGE) == MAP_FAILED)
		pause();
}

static const struct {
	const char *name;
	void (*run)(void);
} habits[] = {
	{"maps", maps},
	{"maps_unchecked", maps_unchecked},
	{"remaps", remaps},
	{"breaks", breaks},
	{"gives_back", gives_back},
	{"grows", grows},
	{"maps_block", maps_block},
	{"threads", threads},
	{"starts", starts},
	{"files", files},
	{"loads", loads},
	{"sleeps", sleeps},
};

int main(int argc, char **argv)
{
	static char buffer[4096];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	self = argv[0];
	for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
		if (argc == 2 && !strcmp(argv[1], habits[i].name)) {
			habits[i].run();
			return 0;
		}
	}
	return 2;
}
