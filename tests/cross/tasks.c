/* SPDX-License-Identifier: MIT */
/*
 * What depends on the machine: the landing pad, reached by a call and from a signal
 * handler, and the way from a touch of private memory to it. A program of its own, for an
 * emulator that has no test framework.
 */
#include <errno.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
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

static void say_what_is_missing(void)
{
	if (syscall(SYS_userfaultfd, 0) < 0 && errno == ENOSYS)
		printf("cross: not run, the emulator has no userfaultfd(2): that "
		       "backend\n");
	if (!(bh_features() & BH_FEATURE_MEMBARRIER))
		printf("cross: not run, the emulator has no membarrier(2): the fast side "
		       "of "
		       "holds and sections\n");
	printf("cross: not shown, the emulator orders memory as this machine does: the "
	       "barriers\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	setenv("BULKHEAD_SIZE", "64M", 1);
	check_landing();
	check_tasks();
	check_overflow();
	say_what_is_missing();
	return nr_failed != 0;
}
