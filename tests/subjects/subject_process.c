/* SPDX-License-Identifier: MIT */
/* Processes, descriptors, libraries and signal stacks: one habit for each name. */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/check.h>

static const char *self;

static void allocate(size_t size)
{
	void *p = malloc(size);

	printf("%zu: %s\n", size, p ? "yes" : "no");
	free(p);
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		puts("the child failed");
}

static void fork_exec(void)
{
	pid_t pid = fork();

	if (!pid) {
		void *volatile p = malloc(2000);

		free(p);
		execl(self, self, "child", (char *)NULL);
		_exit(9);
	}
	wait_for(pid);
	allocate(1000);
}

static void vfork_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl(self, self, "child", (char *)NULL);
		_exit(9);
	}
	wait_for(pid);
	allocate(1000);
}

static void spawn(void)
{
	char *argv[] = {(char *)self, "child", NULL};
	pid_t pid;

	if (posix_spawn(&pid, self, NULL, NULL, argv, environ))
		puts("no child");
	else
		wait_for(pid);
	allocate(1000);
}

static void shell(void)
{
	char command[PATH_MAX + 16];

	(void)snprintf(command, sizeof(command), "'%s' child", self);
	fflush(stdout);
	if (system(command))
		puts("the command failed");
	allocate(1000);
}

static void child(void)
{
	printf("LD_PRELOAD %s\n", getenv("LD_PRELOAD") ? "set" : "not set");
	printf("BULKHEAD_CHECK %s\n", getenv("BULKHEAD_CHECK") ? "set" : "not set");
	printf("BULKHEAD_INJECTED %s\n", getenv("BULKHEAD_INJECTED") ? "set" : "not set");
	allocate(3000);
}

/* With nothing in its environment. */
static void exec_self(void)
{
	char *nothing[] = {NULL};

	fflush(stdout);
	execle(self, self, "child", (char *)NULL, nothing);
	_exit(9);
}

static void close_all(void)
{
	int before = open("/dev/null", O_RDONLY);

	printf("the first free descriptor is %d\n", before);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	allocate(1000);
}

static void library(void)
{
	char path[PATH_MAX];
	const char *slash = strrchr(self, '/');
	void *handle;

	(void)snprintf(
		path, sizeof(path), "%.*s/lib_constructor.so", (int)(slash - self), self);
	handle = dlopen(path, RTLD_NOW);
	printf("%s\n", handle ? "loaded" : dlerror());
	if (handle)
		dlclose(handle);
}

static char own_stack[1 << 16];
static volatile int was_on_own_stack;

static void look_at_stack(int number)
{
	char here;

	(void)number;
	was_on_own_stack = &here >= own_stack && &here < own_stack + sizeof(own_stack);
	_exit(was_on_own_stack ? 8 : 9);
}

static void alternate_stack(void)
{
	struct sigaction action = {.sa_handler = look_at_stack, .sa_flags = SA_ONSTACK};
	stack_t now, own = {.ss_sp = own_stack, .ss_size = sizeof(own_stack)};
	char *volatile p;

	sigaltstack(NULL, &now);
	printf("%s\n", now.ss_flags & SS_DISABLE ? "none" : "one is there");
	sigaltstack(&own, &now);
	printf("%s\n", now.ss_flags & SS_DISABLE ? "none" : "one is there");
	sigaction(SIGSEGV, &action, NULL);
	fflush(stdout);
	p = malloc(1000);
	p[0] = 1;
	free(p);
}

static void benign(void)
{
	bulkhead_benign_begin();
	allocate(1000);
	bulkhead_benign_end();
}

static void policy(void)
{
	void *p = malloc(1000);

	if (!p) {
		bulkhead_policy_abort();
		abort();
	}
	free(p);
}

/* Leaves a daemon behind, in a session of its own, that would never end. */
static void stray(void)
{
	int pipes[2];
	char byte;

	if (pipe(pipes))
		exit(4);
	if (!fork()) {
		setsid();
		if (fork())
			_exit(0);
		printf("%d\n", (int)getpid());
		fflush(stdout);
		close(pipes[0]);
		close(pipes[1]);
		for (;;)
			pause();
	}
	close(pipes[1]);
	if (read(pipes[0], &byte, 1))
		exit(4);
}

static void exits(void)
{
	void *volatile p = malloc(1000);

	(void)p;
	_exit(0);
}

static void quick_exits(void)
{
	void *volatile p = malloc(1000);

	(void)p;
	quick_exit(0);
}

static const struct {
	const char *name;
	void (*run)(void);
} habits[] = {
	{"fork_exec", fork_exec},
	{"vfork_exec", vfork_exec},
	{"spawn", spawn},
	{"shell", shell},
	{"child", child},
	{"exec_self", exec_self},
	{"close_all", close_all},
	{"library", library},
	{"alternate_stack", alternate_stack},
	{"benign", benign},
	{"policy", policy},
	{"stray", stray},
	{"exits", exits},
	{"quick_exits", quick_exits},
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
