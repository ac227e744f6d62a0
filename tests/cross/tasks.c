/* SPDX-License-Identifier: MIT */
/*
 * What depends on the machine: the landing pad, reached by a call and from a signal
 * handler, the way from a touch of private memory to it, the context that others get to
 * see, and threads that end each other. A program of its own, for an emulator that has no
 * test framework.
 */
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "bulkhead.h"
#include "task/landing.h"

#define MIB ((size_t)1 << 20)

static int nr_failed;

static void check_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	nr_failed++;
	printf("cross: line %d: %s\n", line, what);
}

#define check(cond) check_at((cond), #cond, __LINE__)

/* Whatever a function must preserve is lost here. */
static void lose_registers(void)
{
#if defined(__aarch64__)
	__asm__ volatile("" ::
				 : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
			 "x27", "x28", "d8", "d9", "d10", "d11", "d12", "d13", "d14",
			 "d15");
	__asm__ volatile("mov x19, #-1\n mov x20, x19\n mov x21, x19\n mov x22, x19\n"
			 "mov x23, x19\n mov x24, x19\n mov x25, x19\n mov x26, x19\n"
			 "mov x27, x19\n mov x28, x19\n"
			 "movi d8, #0\n movi d9, #0\n movi d10, #0\n movi d11, #0\n"
			 "movi d12, #0\n movi d13, #0\n movi d14, #0\n movi d15, #0\n" ::
				 : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
			 "x27", "x28", "d8", "d9", "d10", "d11", "d12", "d13", "d14",
			 "d15");
#elif defined(__x86_64__)
	__asm__ volatile("mov $-1, %%rbx\n mov %%rbx, %%r12\n mov %%rbx, %%r13\n"
			 "mov %%rbx, %%r14\n mov %%rbx, %%r15\n" ::
				 : "rbx", "r12", "r13", "r14", "r15");
#endif
	fesetround(FE_UPWARD);
}

static void *landing;

enum way {
	RETURN,
	CALL,
	SIGNAL,
	NR_WAYS,
};

static int leave(void *arg)
{
	enum way way = *(enum way *)arg;

	lose_registers();
	if (way == CALL)
		bhi_landing_unwind(landing);
	if (way == SIGNAL)
		raise(SIGUSR1);
	fesetround(FE_DOWNWARD);
	return 42;
}

static void redirect(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	bhi_landing_redirect(context, landing);
}

/* More values than there are registers, all needed after the call. */
__attribute__((noinline)) static void check_preserved(enum way way)
{
	volatile long seed = way + 1;
	long a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13,
	     f = seed * 17, g = seed * 19, h = seed * 23, i = seed * 29, j = seed * 31;
	double p = (double)seed / 3, q = (double)seed / 5, r = (double)seed / 7,
	       s = (double)seed / 11, t = (double)seed / 13, u = (double)seed / 17,
	       v = (double)seed / 19, w = (double)seed / 23;
	int value = 0;
	bool returned;

	fesetround(FE_DOWNWARD);
	returned = bhi_landing_call(&landing, leave, &way, &value);
	check(returned == (way == RETURN));
	check(value == (way == RETURN ? 42 : 0));
	check(fegetround() == FE_DOWNWARD);
	fesetround(FE_TONEAREST);
	check(a == seed * 3 && b == seed * 5 && c == seed * 7 && d == seed * 11 &&
		e == seed * 13 && f == seed * 17 && g == seed * 19 && h == seed * 23 &&
		i == seed * 29 && j == seed * 31);
	check(p == (double)seed / 3 && q == (double)seed / 5 && r == (double)seed / 7 &&
		s == (double)seed / 11 && t == (double)seed / 13 &&
		u == (double)seed / 17 && v == (double)seed / 19 &&
		w == (double)seed / 23);
}

static void check_landing(void)
{
	struct sigaction action = {
		.sa_sigaction = redirect, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 1000; i++)
		check_preserved((enum way)(i % NR_WAYS));
	printf("cross: the landing pad works\n");
}

static int use_memory(void *arg)
{
	char *p = bh_malloc(100000), *map = bh_map(4 * MIB, 0);

	(void)arg;
	memset(p, 'p', 100000);
	for (size_t i = 0; i < 4 * MIB; i += 4096)
		map[i] = 'm';
	return map[2 * MIB] == 'm' && map[1] == 0 && p[99999] == 'p' ? 7 : 8;
}

static int touch_killed(void *arg)
{
	char *map = bh_map(MIB, 0);

	bh_hold();
	bh_task_kill(bh_current());
	bh_release();
	map[0] = 1;
	*(int *)arg = 1;
	return 0;
}

static int touch_forever(void *arg)
{
	(void)arg;
	for (int n = 0; n < 100; n++) {
		char *map = bh_map(MIB, 0);

		for (size_t i = 0; i < MIB; i += 4096)
			map[i] = 1;
	}
	return 0;
}

static int recurse(int depth)
{
	volatile char frame[5000];

	frame[0] = 1;
	return depth > 10000000 ? 0 : recurse(depth + 1) + frame[0];
}

static int overflow(void *arg)
{
	(void)arg;
	return recurse(0);
}

static void check_tasks(void)
{
	struct bh_group *group = bh_group_new(NULL, "group");
	struct bh_report report;
	int went_on = 0;

	check(bh_task_run(group, NULL, use_memory, NULL, &report) == 0);
	check(report.value == 7);
	bh_group_set(group, BH_MAX, 2 * MIB);
	for (int i = 0; i < 50; i++) {
		check(bh_task_run(group, NULL, touch_killed, &went_on, &report) ==
			-ECANCELED);
		check(report.reason == BH_KILLED_CALLER && !went_on);
		check(bh_task_run(group, NULL, touch_forever, NULL, &report) ==
			-ECANCELED);
		check(report.reason == BH_KILLED_OOM && report.reaped == report.bytes);
	}
	bh_group_put(group);
	check(bh_audit() == 0);
	printf("cross: tasks with the backend by mprotect work\n");
}

static void check_overflow(void)
{
	struct bh_report report;

	check(bh_task_run(NULL, NULL, overflow, NULL, &report) == -ECANCELED);
	check(report.reason == BH_KILLED_STACK);
	printf("cross: an overflow of the stack ends its task\n");
}

/* Where a store that is nobody's of ours stands, and what comes after it. */
extern char foreign_store[], after_foreign_store[];

#if defined(__aarch64__)
__attribute__((noinline)) static void store_to(char *address)
{
	__asm__ volatile(".globl foreign_store, after_foreign_store\n"
			 "foreign_store: strb wzr, [%0]\n"
			 "after_foreign_store:\n" ::"r"(address)
			 : "memory");
}

static unsigned long long *pc_of(ucontext_t *context)
{
	return (void *)&context->uc_mcontext.pc;
}
#elif defined(__x86_64__)
__attribute__((noinline)) static void store_to(char *address)
{
	__asm__ volatile(".globl foreign_store, after_foreign_store\n"
			 "foreign_store: movb $0, (%0)\n"
			 "after_foreign_store:\n" ::"r"(address)
			 : "memory");
}

static unsigned long long *pc_of(ucontext_t *context)
{
	return (void *)&context->uc_mcontext.gregs[REG_RIP];
}
#endif

static char *wild;
static int nr_passed_on;

static void skip_store(int sig, siginfo_t *info, void *context)
{
	unsigned long long *pc = pc_of(context);

	(void)sig;
	if (info->si_addr != wild || *pc != (uintptr_t)foreign_store)
		_exit(1);
	nr_passed_on++;
	*pc = (uintptr_t)after_foreign_store;
}

static int store_inside(void *arg)
{
	store_to(arg);
	return 3;
}

/* Before the library starts. */
static void install_handler(void)
{
	struct sigaction action = {.sa_sigaction = skip_store, .sa_flags = SA_SIGINFO};

	wild = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(wild != MAP_FAILED);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static void check_foreign(void)
{
	struct bh_report report;

	check(bh_task_run(NULL, NULL, store_inside, wild, &report) == 0);
	check(report.value == 3 && nr_passed_on == 1);
	store_to(wild);
	check(nr_passed_on == 2);
	printf("cross: signals of others reach their handler as they came\n");
}

static struct bh_mutex mutex;
static int is_inside;

static int touch_on(void *arg)
{
	volatile char *p = bh_map(MIB, 0);

	(void)arg;
	do {
		for (size_t i = 0; i < MIB; i += 4096)
			p[i] = 1;
		__atomic_store_n(&is_inside, 1, __ATOMIC_SEQ_CST);
	} while (p[0]);
	return 0;
}

static int wait_for_mutex(void *arg)
{
	(void)arg;
	memset(bh_malloc(100000), 1, 100000);
	__atomic_store_n(&is_inside, 1, __ATOMIC_SEQ_CST);
	bh_mutex_lock(&mutex);
	return 0;
}

static int (*const ways_to_stay[])(void *arg) = {touch_on, wait_for_mutex};
static int way_to_stay;

static void *stay(void *task)
{
	struct bh_report report;

	check(bh_task_enter(task, ways_to_stay[way_to_stay], NULL, &report) ==
		-ECANCELED);
	check(report.reason == BH_KILLED_CALLER && report.reaped == report.bytes);
	return NULL;
}

/* Its memory is back whether it runs or waits, and so is its thread. */
static void check_threads(void)
{
	for (int i = 0; i < 40; i++) {
		struct bh_task *task = bh_task_new(NULL, NULL);
		pthread_t thread;

		way_to_stay = i % 2;
		__atomic_store_n(&is_inside, 0, __ATOMIC_SEQ_CST);
		check(bh_mutex_lock(&mutex) == 0);
		check(pthread_create(&thread, NULL, stay, task) == 0);
		while (!__atomic_load_n(&is_inside, __ATOMIC_SEQ_CST))
			sched_yield();
		check(bh_task_kill(task) == 0);
		pthread_join(thread, NULL);
		check(bh_mutex_unlock(&mutex) == 0);
		bh_task_put(task);
	}
	check(bh_audit() == 0);
	printf("cross: tasks on other threads are killed, running and waiting\n");
}

/* Each asks the emulator itself: what it does not know it may refuse or pretend. */

static bool lacks_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, 0) < 0 && errno == ENOSYS;
}

static bool lacks_membarrier(void)
{
	return !(bh_features() & BH_FEATURE_MEMBARRIER);
}

static bool lacks_waitv(void)
{
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS;
}

static bool lacks_populate(void)
{
	unsigned char there = 0;
	char *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return madvise(p, 4096, MADV_POPULATE_WRITE) || mincore(p, 4096, &there) ||
	       !(there & 1);
}

static bool lacks_wipe_on_fork(void)
{
	char *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	*p = 1;
	if (madvise(p, 4096, MADV_WIPEONFORK))
		return true;
	pid = fork();
	if (!pid)
		_exit(*p);
	waitpid(pid, &status, 0);
	return status != 0;
}

static bool orders_memory_as_the_host(void)
{
	return true;
}

static void say_what_is_missing(void)
{
	static const struct {
		bool (*is_missing)(void);
		const char *what;
	} missing[] = {
		{lacks_userfaultfd, "no userfaultfd(2); not run: that backend"},
		{lacks_membarrier, "no membarrier(2); not run: the fast side of holds "
				   "and sections"},
		{lacks_waitv, "no futex_waitv(2); not run: waits that a kill wakes, "
			      "they look for it instead"},
		{lacks_populate, "madvise(MADV_POPULATE_WRITE) does nothing; not shown: "
				 "that the kernel has the pages"},
		{lacks_wipe_on_fork, "madvise(MADV_WIPEONFORK) does nothing; not run: "
				     "children of fork"},
		{orders_memory_as_the_host, "it orders memory as this machine does; not "
					    "shown: the barriers"},
	};

	printf("cross: what the emulator cannot do:\n");
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		if (missing[i].is_missing())
			printf("cross: - %s\n", missing[i].what);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	setenv("BULKHEAD_SIZE", "64M", 1);
	install_handler();
	check_landing();
	check_foreign();
	check_tasks();
	check_threads();
	check_overflow();
	say_what_is_missing();
	return nr_failed != 0;
}
