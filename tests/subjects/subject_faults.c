/* SPDX-License-Identifier: MIT */
/* One way of going wrong for each name it is called with. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "out of memory: %s\n", strerror(errno));
		exit(3);
	}
	return p;
}

/* A result that nobody looks at. */
static void crash(void)
{
	char *volatile p = malloc(10);

	p[0] = 'x';
	printf("%c\n", p[0]);
	free(p);
}

static void handled(void)
{
	free(must(malloc(20)));
	puts("fine");
}

static void absorbed(void)
{
	void *p = malloc(30);

	puts("fine");
	free(p);
}

static void my_handler(int number)
{
	(void)number;
	_exit(7);
}

static void own_handler(void)
{
	signal(SIGSEGV, my_handler);
	crash();
}

static sigjmp_buf jump;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(jump, 1);
}

static void jumping_handler(void)
{
	struct sigaction action = {.sa_handler = jump_out}, old;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGSEGV, NULL, &old);
	if (old.sa_handler != jump_out || old.sa_flags ||
		signal(SIGBUS, SIG_DFL) != SIG_DFL)
		puts("the handler is not what it was set to");
	if (sigsetjmp(jump, 1))
		puts("caught");
	else
		crash();
}

static void aborts(void)
{
	void *p = malloc(40);

	if (!p)
		abort();
	free(p);
}

/* A table of functions that was not filled. */
static void null_call(void)
{
	void (*volatile call)(void) = NULL;
	void *p = malloc(50);

	if (!p)
		call();
	free(p);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The error path forgets the lock. */
static void deadlock(void)
{
	void *p;

	pthread_mutex_lock(&lock);
	p = malloc(60);
	if (p)
		pthread_mutex_unlock(&lock);
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	free(p);
}

static void lock_held(void)
{
	void *p;

	pthread_mutex_lock(&lock);
	p = malloc(70);
	if (p)
		pthread_mutex_unlock(&lock);
	free(p);
}

static void busy(void)
{
	void *p;

	do {
		p = malloc(80);
		if (!p) {
			for (volatile int i = 1; i; i = 1)
				;
		}
	} while (!p);
	free(p);
}

static void asleep(void)
{
	void *p = malloc(90);

	if (!p)
		pause();
	free(p);
}

static void runaway(void)
{
	void *p = malloc(100);

	while (!p)
		puts("this line comes again and again");
	free(p);
}

static void leak(void)
{
	void *volatile a = malloc(110);
	void *volatile b = malloc(120);

	if (a && b)
		free(a);
	free(b);
}

static void *run_thread(void *arg)
{
	(void)arg;
	crash();
	return NULL;
}

static void thread(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, run_thread, NULL))
		exit(4);
	pthread_join(id, NULL);
}

static int depth_of(char *volatile p, int n)
{
	char room[4096];

	memset(room, n, sizeof(room));
	return p ? 0 : depth_of(p, n + 1) + room[n % 4096];
}

/* On a stack that is used up there is no room for a handler. */
static void *run_overflow(void *arg)
{
	void *p = malloc(130);

	printf("%d\n", depth_of(p, 0));
	free(p);
	return arg;
}

static void overflow(void)
{
	run_overflow(NULL);
}

static void thread_overflow(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, run_overflow, NULL))
		exit(4);
	pthread_join(id, NULL);
}

/* The error path writes over its own stack; then it cannot be walked. */
static void smashed(void)
{
	char here[16];
	char *volatile p = malloc(160);

	signal(SIGSEGV, my_handler);
	if (!p)
		memset(here, 'A', (size_t)(p ? 1 : 256));
	p[0] = 1;
	free(p);
}

#define NR_TOGETHER 300

static pthread_cond_t all_there = PTHREAD_COND_INITIALIZER;
static int nr_there;

/* All are there at the same time, more than have a place of their own; then each ends in
 * one of the ways there are. */
static void *run_short(void *arg)
{
	long which = (long)arg;
	void *p = malloc(140);

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_mutex_lock(&lock);
	if (++nr_there == NR_TOGETHER) {
		nr_there = 0;
		pthread_cond_broadcast(&all_there);
	} else {
		pthread_cond_wait(&all_there, &lock);
	}
	pthread_mutex_unlock(&lock);
	free(p);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	if (which % 3 == 0)
		pthread_exit(NULL);
	while (which % 3 == 1) {
		pthread_testcancel();
		sched_yield();
	}
	return NULL;
}

static void threads(void)
{
	static pthread_t ids[NR_TOGETHER];

	for (int round = 0; round < 2; round++) {
		for (long i = 0; i < NR_TOGETHER; i++) {
			if (pthread_create(&ids[i], NULL, run_short, (void *)i))
				exit(4);
		}
		for (long i = 0; i < NR_TOGETHER; i++) {
			if (i % 3 == 1)
				pthread_cancel(ids[i]);
		}
		for (long i = 0; i < NR_TOGETHER; i++)
			pthread_join(ids[i], NULL);
	}
}

static char *guarded;

static void open_page(int number)
{
	(void)number;
	mprotect(guarded, 4096, PROT_READ | PROT_WRITE);
}

/* What a collector of garbage does to see who writes: no crash. */
static void repaired(void)
{
	void *volatile p = malloc(150);

	guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	signal(SIGSEGV, open_page);
	guarded[0] = 1;
	free(p);
	if (!p)
		abort();
}

static const struct {
	const char *name;
	void (*run)(void);
} faults[] = {
	{"crash", crash},
	{"handled", handled},
	{"absorbed", absorbed},
	{"own_handler", own_handler},
	{"jumping_handler", jumping_handler},
	{"aborts", aborts},
	{"null_call", null_call},
	{"deadlock", deadlock},
	{"lock_held", lock_held},
	{"busy", busy},
	{"asleep", asleep},
	{"runaway", runaway},
	{"leak", leak},
	{"thread", thread},
	{"overflow", overflow},
	{"thread_overflow", thread_overflow},
	{"threads", threads},
	{"repaired", repaired},
	{"smashed", smashed},
};

int main(int argc, char **argv)
{
	static char buffer[4096];

	/* Nothing but the fault allocates. */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (argc == 2 && !strcmp(argv[1], faults[i].name)) {
			faults[i].run();
			return 0;
		}
	}
	return 2;
}
