/* SPDX-License-Identifier: MIT */
/*
 * What the library's handlers do with signals that are not its own, with the stack of the
 * thread inside, and what an unwinding leaves as it was.
 */
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/pool.h"
#include "private.h"
#include "task/section.h"
#include "task/signal.h"

#define ZONE (64 * MIB)

/* Where a signal comes from. */
enum cause {
	BY_ADDRESS, /* a SIGSEGV of an address where nothing is */
	BY_FILE,    /* a SIGBUS behind the end of a file */
	NR_CAUSES,
};

static const int signals[] = {SIGSEGV, SIGBUS};

/* What a test is about: backend, cause, inside of a task or outside. */
#define NR_WAYS (NR_BACKENDS * NR_CAUSES * 2)

static struct {
	int backend;
	enum cause cause;
	bool inside;
} way;

static void choose_way(int i)
{
	way.backend = i % NR_BACKENDS;
	way.cause = (enum cause)(i / NR_BACKENDS % NR_CAUSES);
	way.inside = i / NR_BACKENDS / NR_CAUSES;
}

static volatile char *wild_address(void)
{
	static uintptr_t next = 0x20000000;
	void *p;

	if (way.cause == BY_FILE) {
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			fileno(tmpfile()), 0);
		ck_assert(p != MAP_FAILED);
		return p;
	}
	/* Far below what mmap(2) hands out: no other thread's mapping gets there. */
	next += 4096;
	return (volatile char *)next;
}

/* What the handler saw. */
static struct {
	volatile char *address;
	sigjmp_buf out;
	volatile int nr;
	volatile int sig, code;
	void *volatile at;
	volatile bool blocked_self, blocked_other;
} seen;

__attribute__((no_sanitize("address", "thread"))) static void poke(void)
{
	*seen.address = 1;
}

static int poke_inside(void *arg)
{
	(void)arg;
	poke();
	return 0;
}

/* The signal, where the test wants it. */
static void run_into_it(void)
{
	seen.address = wild_address();
	if (way.inside)
		bh_task_run(NULL, NULL, poke_inside, NULL, NULL);
	else
		poke();
}

static void install(const struct sigaction *action)
{
	ck_assert_int_eq(sigaction(SIGSEGV, action, NULL), 0);
	ck_assert_int_eq(sigaction(SIGBUS, action, NULL), 0);
}

static void note(int sig)
{
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	seen.nr++;
	seen.sig = sig;
	seen.blocked_self = sigismember(&mask, sig);
	seen.blocked_other = sigismember(&mask, SIGUSR1);
}

static void jump_from_plain(int sig)
{
	note(sig);
	siglongjmp(seen.out, 1);
}

static void jump_from_info(int sig, siginfo_t *info, void *context)
{
	(void)context;
	seen.code = info->si_code;
	seen.at = info->si_addr;
	jump_from_plain(sig);
}

/* A task that the handler left by a jump stays entered: the test ends there. */
START_TEST(a_handler_that_was_there_before_is_called_as_the_kernel_would)
{
	struct sigaction action = {.sa_sigaction = jump_from_info};
	bool info = _i / NR_WAYS % 2, nodefer = _i / NR_WAYS / 2;

	choose_way(_i % NR_WAYS);
	action.sa_flags = nodefer ? SA_NODEFER : 0;
	if (info)
		action.sa_flags |= SA_SIGINFO;
	else
		action.sa_handler = jump_from_plain;
	sigaddset(&action.sa_mask, SIGUSR1);
	install(&action);
	start_private(way.backend, ZONE);
	if (!sigsetjmp(seen.out, 1)) {
		run_into_it();
		ck_abort();
	}
	ck_assert_int_eq(seen.nr, 1);
	ck_assert_int_eq(seen.sig, signals[way.cause]);
	ck_assert_int_eq(seen.blocked_self, !nodefer);
	ck_assert(seen.blocked_other);
	if (!info)
		return;
	ck_assert_ptr_eq(seen.at, (void *)seen.address);
	ck_assert_int_eq(seen.code, way.cause == BY_FILE ? BUS_ADRERR : SEGV_MAPERR);
}
END_TEST

/* The handler mends what was wrong; the instruction runs again. */
static void mend(int sig, siginfo_t *info, void *context)
{
	(void)context;
	note(sig);
	ck_assert(mmap((void *)((uintptr_t)info->si_addr & ~(uintptr_t)4095), 4096,
			  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			  -1, 0) != MAP_FAILED);
	errno = EXFULL;
}

START_TEST(a_handler_that_returns_has_the_instruction_run_again)
{
	struct sigaction action = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
	sigset_t mask;

	choose_way(_i);
	install(&action);
	start_private(way.backend, ZONE);
	for (int i = 1; i <= 3; i++) {
		run_into_it();
		ck_assert_int_eq(seen.nr, i);
		ck_assert_int_eq(*seen.address, 1);
	}
	sigprocmask(SIG_BLOCK, NULL, &mask);
	ck_assert(!sigismember(&mask, seen.sig));
	ck_assert(!sigismember(&mask, SIGUSR1));
	support_end();
}
END_TEST

#if defined(__x86_64__)
extern char bad_instruction[], after_bad_instruction[];

/* The registers of the instruction are in the context, and what is changed there counts.
 */
static void look_at_context(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	note(sig);
	ck_assert_uint_eq((uintptr_t)regs[REG_RIP], (uintptr_t)bad_instruction);
	ck_assert_uint_eq((uintptr_t)regs[REG_RAX], (uintptr_t)seen.address);
	ck_assert_int_eq(regs[REG_R15], 0x1234567890);
	regs[REG_R15] = 0x9876543210;
	regs[REG_RIP] = (greg_t)(uintptr_t)after_bad_instruction;
}

/* Once: the labels are global. */
static BHI_NOINLINE int use_registers(void *arg)
{
	register long magic __asm__("r15") = 0x1234567890;
	register void *address __asm__("rax") = (void *)seen.address;

	(void)arg;
	__asm__ volatile(".globl bad_instruction, after_bad_instruction\n"
			 "bad_instruction: movb $1, (%%rax)\n"
			 "after_bad_instruction:\n"
			 : "+r"(magic)
			 : "r"(address)
			 : "memory");
	ck_assert_int_eq(magic, 0x9876543210);
	return 0;
}

START_TEST(the_context_is_that_of_the_instruction_and_may_be_changed)
{
	struct sigaction action = {
		.sa_sigaction = look_at_context, .sa_flags = SA_SIGINFO};

	choose_way(_i);
	install(&action);
	start_private(way.backend, ZONE);
	seen.address = wild_address();
	if (way.inside)
		in_task(NULL, use_registers, NULL);
	else
		use_registers(NULL);
	ck_assert_int_eq(seen.nr, 1);
	support_end();
}
END_TEST

static void add_context(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		the_context_is_that_of_the_instruction_and_may_be_changed, 0, NR_WAYS);
}
#else
static void add_context(TCase *tcase)
{
	(void)tcase;
}
#endif

/* What a child does, for what ends the process. */
struct child {
	struct sigaction action;
	void (*fn)(void);
	int way;
};

static void run_child(void *arg)
{
	const struct child *child = arg;

	choose_way(child->way);
	install(&child->action);
	if (way.backend)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	if (bh_init(NULL))
		_exit(99);
	child->fn();
	_exit(seen.nr);
}

static int status_of(struct child *child)
{
	struct support_output output;

	need_backend(child->way % NR_BACKENDS);
	support_capture(run_child, child, &output);
	support_output_fini(&output);
	return output.status;
}

static bool died_of(int status, int sig)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

START_TEST(without_a_handler_the_process_dies_of_the_signal)
{
	struct child child = {.fn = run_into_it, .way = _i % NR_WAYS};

	/* An instruction's signal cannot be ignored. */
	child.action.sa_handler = _i / NR_WAYS ? SIG_IGN : SIG_DFL;
	choose_way(child.way);
	ck_assert(died_of(status_of(&child), signals[way.cause]));
}
END_TEST

static void run_into_it_twice(void)
{
	if (!sigsetjmp(seen.out, 1))
		run_into_it();
	if (seen.nr != 1)
		_exit(98);
	/* What the first left by a jump is still entered. */
	poke();
}

static void return_at_once(int sig)
{
	note(sig);
}

START_TEST(a_handler_for_one_signal_is_called_once)
{
	struct child child = {.way = _i % NR_WAYS};

	child.action.sa_flags = SA_RESETHAND | SA_SIGINFO;
	child.action.sa_sigaction = jump_from_info;
	child.fn = run_into_it_twice;
	if (_i / NR_WAYS) {
		/* It returns, and the instruction meets the default. */
		child.action.sa_flags = SA_RESETHAND;
		child.action.sa_handler = return_at_once;
		child.fn = run_into_it;
	}
	choose_way(child.way);
	ck_assert(died_of(status_of(&child), signals[way.cause]));
}
END_TEST

static int send_inside(void *arg)
{
	/* As much from the process as from a thread. */
	ck_assert_int_eq(kill(getpid(), *(int *)arg), 0);
	ck_assert_int_eq(raise(*(int *)arg), 0);
	return 0;
}

static void send(void)
{
	int sig = signals[way.cause];

	if (way.inside)
		bh_task_run(NULL, NULL, send_inside, &sig, NULL);
	else
		send_inside(&sig);
}

START_TEST(a_signal_that_somebody_sent_is_handled_as_before)
{
	struct child child = {.fn = send, .way = _i};

	choose_way(_i);
	child.action.sa_handler = return_at_once;
	ck_assert_int_eq(WEXITSTATUS(status_of(&child)), 2);
	child.action.sa_handler = SIG_IGN;
	ck_assert_int_eq(status_of(&child), 0);
	child.action.sa_handler = SIG_DFL;
	ck_assert(died_of(status_of(&child), signals[way.cause]));
}
END_TEST

/* In a child of fork there is nobody to populate for, and nothing to wait for. */
static int fork_inside(void *arg)
{
	char *p = bh_map(MIB, 0), *q = bh_malloc(100);
	int status;
	pid_t pid;

	(void)arg;
	*p = 'p';
	*q = 'q';
	pid = fork();
	if (!pid) {
		if (*p != 'p' || *q != 'q' || bh_malloc(100000) || bh_map(4096, 0))
			_exit(1);
		bh_free(q);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return 0;
}

START_TEST(a_child_reads_the_private_memory_of_its_parent_and_gets_no_more)
{
	start_private(_i, ZONE);
	in_task(NULL, fork_inside, NULL);
	support_end();
}
END_TEST

/* Stacks */

#define FRAME 10000

__attribute__((noinline, no_sanitize("address"))) static int recurse(int depth)
{
	volatile char frame[FRAME];

	frame[0] = (char)depth;
	frame[FRAME - 1] = 1;
	return depth > 1000000 ? 0 : recurse(depth + 1) + frame[0];
}

static int overflow(void *arg)
{
	(void)arg;
	return recurse(0);
}

static void *overflow_in_thread(void *arg)
{
	struct bh_report report;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(
			bh_task_run(arg, NULL, overflow, NULL, &report), -ECANCELED);
		ck_assert_int_eq(report.reason, BH_KILLED_STACK);
		ck_assert_str_eq(report.over, "");
	}
	return NULL;
}

/* In the first thread, and in threads with a small guard and a large one. */
START_TEST(an_overflow_of_the_stack_ends_the_task_and_is_no_oom)
{
	static const size_t guards[] = {0, 4096, 256 * 1024};
	size_t guard = guards[_i / NR_BACKENDS];
	struct bh_group *group;
	pthread_attr_t attr;
	pthread_t thread;

	start_private(_i % NR_BACKENDS, ZONE);
	group = support_group(NULL, "group");
	if (!guard) {
		overflow_in_thread(group);
	} else {
		pthread_attr_init(&attr);
		ck_assert_int_eq(pthread_attr_setguardsize(&attr, guard), 0);
		ck_assert_int_eq(
			pthread_create(&thread, &attr, overflow_in_thread, group), 0);
		pthread_join(thread, NULL);
		pthread_attr_destroy(&attr);
	}
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static int overflow_holding(void *arg)
{
	bh_hold();
	return overflow(arg);
}

static void run_overflow_holding(void)
{
	bh_task_run(NULL, NULL, overflow_holding, NULL, NULL);
}

static void run_overflow_outside(void)
{
	bh_task_run(NULL, NULL, send_inside, &(int){0}, NULL);
	seen.nr = overflow(NULL);
}

START_TEST(an_overflow_in_a_hold_section_or_outside_of_a_task_is_not_ours)
{
	struct child child = {.way = _i % NR_BACKENDS};

	child.fn = _i / NR_BACKENDS ? run_overflow_outside : run_overflow_holding;
	child.action.sa_handler = SIG_DFL;
	ck_assert(died_of(status_of(&child), SIGSEGV));
}
END_TEST

static void *keep_own_stack(void *arg)
{
	static char stack[256 * 1024];
	stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)}, now;
	size_t size = MIB;

	(void)arg;
	ck_assert_int_eq(sigaltstack(&own, NULL), 0);
	in_task(NULL, fork_inside, &size);
	ck_assert_int_eq(sigaltstack(NULL, &now), 0);
	ck_assert_ptr_eq(now.ss_sp, own.ss_sp);
	ck_assert_uint_eq(now.ss_size, own.ss_size);
	return NULL;
}

static void *enter_once(void *arg)
{
	in_task(NULL, fork_inside, NULL);
	return arg;
}

START_TEST(a_thread_keeps_its_own_alternate_stack_and_gives_ours_back)
{
	size_t bytes;

	start_private(_i, ZONE);
	support_join(support_thread(keep_own_stack, NULL));
	support_join(support_thread(enter_once, NULL));
	bytes = bhi_meta_bytes();
	for (int i = 0; i < 5; i++) {
		support_join(support_thread(enter_once, NULL));
		support_join(support_thread(keep_own_stack, NULL));
	}
	ck_assert_uint_eq(bhi_meta_bytes(), bytes);
	support_end();
}
END_TEST

/* What stays as it was */

static int touch_with_errno(void *arg)
{
	struct bh_group *group = arg;
	char *p = bh_map(4 * MIB, 0);

	for (size_t i = 0; i < 4 * MIB; i += 4096) {
		errno = EXFULL;
		p[i] = 1;
		ck_assert_int_eq(errno, EXFULL);
	}
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 1);
	return 0;
}

static int take_three(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_touch(bh_map(5 * MIB, 0), 5 * MIB), 0);
	return 0;
}

START_TEST(a_pagefault_preserves_errno_even_when_it_kills)
{
	struct bh_group *group;
	struct bh_task *other, *task;

	start_private(_i, ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 6 * MIB);
	other = task_in(group, "other");
	enter(other, take_three, NULL);
	task = task_in(group, "asker");
	enter(task, touch_with_errno, group);
	bh_task_put(other);
	bh_task_put(task);
	bh_group_put(group);
	support_end();
}
END_TEST

/* The ways in which a task ends early. */
static void kill_here(bool by_touch)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};
	char *p = bh_map(4096, 0);

	bhi_task_kill(bh_current(), &cause);
	if (by_touch)
		*p = 1;
	bh_check();
}

static int change_rounding(void *arg)
{
	ck_assert_int_eq(fesetround(FE_UPWARD), 0);
	feenableexcept(FE_DIVBYZERO);
	kill_here(*(bool *)arg);
	ck_abort();
	return 0;
}

START_TEST(an_unwinding_preserves_the_control_words_of_floating_point)
{
	bool by_touch = _i / NR_BACKENDS;

	start_private(_i % NR_BACKENDS, ZONE);
	ck_assert_int_eq(fesetround(FE_DOWNWARD), 0);
	ck_assert_int_eq(
		bh_task_run(NULL, NULL, change_rounding, &by_touch, NULL), -ECANCELED);
	ck_assert_int_eq(fegetround(), FE_DOWNWARD);
	ck_assert_int_eq(fegetexcept(), 0);
	/* Both units have one. */
	ck_assert_double_lt((double)(float)(volatile double){1.0 / 3}, 1.0 / 3);
	support_end();
}
END_TEST

static int kill_with_mask(void *arg)
{
	kill_here(*(bool *)arg);
	return 0;
}

/* No signal stays blocked by the handler that was left, and the next touch is caught. */
START_TEST(after_an_unwinding_signals_come_as_before)
{
	bool by_touch = _i / NR_BACKENDS;
	sigset_t before, after;

	start_private(_i % NR_BACKENDS, ZONE);
	sigprocmask(SIG_BLOCK, NULL, &before);
	for (int i = 0; i < 100; i++) {
		errno = EXFULL;
		ck_assert_int_eq(bh_task_run(NULL, NULL, kill_with_mask, &by_touch, NULL),
			-ECANCELED);
		ck_assert_int_eq(errno, EXFULL);
	}
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int sig = 1; sig < 32; sig++)
		ck_assert_int_eq(sigismember(&before, sig), sigismember(&after, sig));
	support_end();
}
END_TEST

/* Alternate stacks of the host, from the smallest that the kernel takes to one that is
 * kept; below each is nothing. */

static const struct {
	size_t size; /* past what the kernel needs */
	bool kept;
} host_stacks[] = {
	{2048, false},
	{8192, false},
	{16 * 1024 - 1, false},
	{16 * 1024, true},
	{64 * 1024, true},
};

#define NR_HOST_STACKS ((int)bhi_array_size(host_stacks))

static char *guarded(size_t size)
{
	size_t mapped = (size + 4095) & ~(size_t)4095;
	char *p = mmap(NULL, mapped + 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(p != MAP_FAILED);
	ck_assert_int_eq(mprotect(p, 4096, PROT_NONE), 0);
	return p + 4096;
}

static void *kill_on_host_stack(void *arg)
{
	int i = *(int *)arg;
	stack_t own = {.ss_size = host_stacks[i].size + sysconf(_SC_MINSIGSTKSZ)}, now;
	struct bh_group *group = support_group(NULL, "group");
	struct bh_task *other, *task;

	own.ss_sp = guarded(own.ss_size);
	ck_assert_int_eq(sigaltstack(&own, NULL), 0);
	support_set(group, BH_MAX, 6 * MIB);
	other = task_in(group, "other");
	task = task_in(group, "asker");
	enter(other, take_three, NULL);
	enter(task, touch_with_errno, group);
	bh_task_put(other);
	bh_task_put(task);
	bh_group_put(group);
	ck_assert_int_eq(sigaltstack(NULL, &now), 0);
	ck_assert_int_eq(now.ss_sp == own.ss_sp, host_stacks[i].kept);
	ck_assert_uint_ge(now.ss_size, 16 * KIB);
	return NULL;
}

START_TEST(a_host_s_alternate_stack_that_is_too_small_for_a_kill_is_replaced)
{
	size_t bytes = 0;

	start_private(_i % NR_BACKENDS, ZONE);
	for (int i = 0; i < 3; i++) {
		int which = _i / NR_BACKENDS;

		support_join(support_thread(kill_on_host_stack, &which));
		if (i)
			ck_assert_uint_eq(bhi_meta_bytes(), bytes);
		bytes = bhi_meta_bytes();
	}
	support_end();
}
END_TEST

/* A sanitizer may have given this thread one. */
static void disable_stack(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	ck_assert_int_eq(sigaltstack(&none, NULL), 0);
}

/* Written for the stack of a thread: it wants to know nothing of alternate ones. */
__attribute__((noinline, no_sanitize("address"))) static void use_much_stack(size_t size)
{
	volatile char *frame = __builtin_alloca(size);

	for (size_t i = 0; i < size; i += 1024)
		frame[i] = 1;
}

static void use_and_jump(int sig)
{
	use_much_stack(192 * KIB);
	jump_from_plain(sig);
}

START_TEST(a_host_s_handler_that_is_passed_a_signal_may_use_as_much_as_small_threads_have)
{
	struct sigaction action = {.sa_handler = use_and_jump};

	choose_way(_i);
	install(&action);
	disable_stack();
	start_private(way.backend, ZONE);
	/* Under the handler is our stack, in a thread that has been in a task. */
	in_task(NULL, fork_inside, NULL);
	if (!sigsetjmp(seen.out, 1)) {
		run_into_it();
		ck_abort();
	}
	ck_assert_int_eq(seen.nr, 1);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

/* What needs more overwrites nothing: the page below has no access. */
START_TEST(below_our_stack_nothing_can_be_overwritten)
{
	stack_t now;
	int fds[2];

	disable_stack();
	start_private(_i, ZONE);
	in_task(NULL, fork_inside, NULL);
	ck_assert_int_eq(sigaltstack(NULL, &now), 0);
	ck_assert_uint_ge(now.ss_size, 256 * KIB);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], now.ss_sp, 1), 1);
	ck_assert_int_eq(write(fds[1], (char *)now.ss_sp - 1, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(write(fds[1], (char *)now.ss_sp - 4096, 1), -1);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		a_handler_that_was_there_before_is_called_as_the_kernel_would, 0,
		4 * NR_WAYS);
	tcase_add_loop_test(
		tcase, a_handler_that_returns_has_the_instruction_run_again, 0, NR_WAYS);
	add_context(tcase);
	tcase_add_loop_test(
		tcase, without_a_handler_the_process_dies_of_the_signal, 0, 2 * NR_WAYS);
	tcase_add_loop_test(
		tcase, a_handler_for_one_signal_is_called_once, 0, 2 * NR_WAYS);
	tcase_add_loop_test(
		tcase, a_signal_that_somebody_sent_is_handled_as_before, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		a_child_reads_the_private_memory_of_its_parent_and_gets_no_more, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, an_overflow_of_the_stack_ends_the_task_and_is_no_oom,
		0, 3 * NR_BACKENDS);
	tcase_add_loop_test(tcase,
		an_overflow_in_a_hold_section_or_outside_of_a_task_is_not_ours, 0,
		2 * NR_BACKENDS);
	tcase_add_loop_test(tcase,
		a_thread_keeps_its_own_alternate_stack_and_gives_ours_back, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase,
		a_host_s_alternate_stack_that_is_too_small_for_a_kill_is_replaced, 0,
		NR_HOST_STACKS * NR_BACKENDS);
	tcase_add_loop_test(tcase,
		a_host_s_handler_that_is_passed_a_signal_may_use_as_much_as_small_threads_have,
		0, NR_WAYS);
	tcase_add_loop_test(
		tcase, below_our_stack_nothing_can_be_overwritten, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, a_pagefault_preserves_errno_even_when_it_kills, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase,
		an_unwinding_preserves_the_control_words_of_floating_point, 0,
		2 * NR_BACKENDS);
	tcase_add_loop_test(
		tcase, after_an_unwinding_signals_come_as_before, 0, 2 * NR_BACKENDS);
}

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif

int main(void)
{
	if (HAS_ASAN) {
		puts("skipped: AddressSanitizer has alternate stacks of its own, and "
		     "memory "
		     "at wild addresses");
		return 77;
	}
	return support_run("signal", add);
}
