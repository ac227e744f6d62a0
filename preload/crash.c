/* SPDX-License-Identifier: MIT */
/*
 * What the program believes its actions to be is kept here; the kernel has our handler
 * for each signal below, with the program's mask and flags. The exception is SIG_IGN,
 * which is really installed: it is inherited over exec, and a fault ends the process in
 * spite of it.
 *
 * A handler of the program may leave by longjmp, so nothing that must be done may be due
 * after it was called. It runs on our alternate stack where the program has none, which
 * is large enough for it.
 *
 * The actions are guarded by a sequence number: odd while one thread writes. A signal
 * may interrupt the writer, so readers do not wait for ever.
 */
#include "crash.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "real.h"
#include "stack.h"
#include "subject.h"

#define MAIN_STACK_SIZE (128u << 10)
#define PATIENCE        4096

static const unsigned char signals[] = {
	SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
#define NR_SIGNALS bhi_array_size(signals)

static struct {
	bool is_started;   /* immutable after the start */
	uint32_t sequence; /* atomic */
	struct sigaction program[NR_SIGNALS];
	char stack[MAIN_STACK_SIZE] BHI_ALIGNED(BHI_CACHE_LINE);
} state;

static void handle(int signal_number, siginfo_t *info, void *context);

/* Its place in the table, or -1: not one of ours. */
static int find(int signal_number)
{
	for (unsigned i = 0; i < NR_SIGNALS; i++) {
		if (signals[i] == signal_number)
			return (int)i;
	}
	return -1;
}

static bool is_default(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

static bool is_ignored(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
}

static struct sigaction read_action(int i)
{
	struct sigaction action;

	for (int tries = 0; tries < PATIENCE; tries++) {
		uint32_t before = bhi_load_acquire(&state.sequence);

		action = state.program[i];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (before % 2 == 0 && before == bhi_load(&state.sequence))
			break;
	}
	return action;
}

static void write_action(int i, const struct sigaction *action)
{
	uint32_t even = bhi_load(&state.sequence) & ~1u;

	for (int tries = 0; tries < PATIENCE; tries++) {
		if (bhi_compare_exchange(&state.sequence, &even, even + 1))
			break;
		even &= ~1u;
	}
	state.program[i] = *action;
	bhi_store_release(&state.sequence, even + 2);
}

/* What the kernel gets for the program's @action. */
static struct sigaction translate(const struct sigaction *action)
{
	struct sigaction ours = *action;

	if (is_ignored(action))
		return ours;
	ours.sa_sigaction = handle;
	if (is_default(action)) {
		sigemptyset(&ours.sa_mask);
		ours.sa_flags = 0;
	}
	ours.sa_flags &= ~(int)SA_RESETHAND;
	ours.sa_flags |= SA_SIGINFO | SA_ONSTACK;
	return ours;
}

/* Whether it is what the shared file has now. */
static bool note(int signal_number, const siginfo_t *info, void *context, bool handles)
{
	struct bhi_check_crash *crash = &bhi_subject.shared->crash;
	uint32_t none = 0;

	if (!bhi_load(&bhi_subject.is_on) ||
		!bhi_compare_exchange(&crash->state, &none, 1))
		return false;
	crash->signal = signal_number;
	crash->code = info->si_code;
	crash->program_handles = handles;
	crash->asked = signal_number == BHI_CHECK_ASK_SIGNAL;
	crash->address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
	bhi_stack_capture_signal(context, &crash->trace);
	bhi_store_release(&crash->trace.state, 2);
	bhi_store_release(&crash->state, 2);
	return true;
}

/* The program's handler has returned, and the instruction is tried again: it made a page
 * accessible, as collectors of garbage do, and that is no crash. If it did not, the
 * signal comes again; so does that of abort(3). */
static void forget(void)
{
	struct bhi_check_crash *crash = &bhi_subject.shared->crash;

	crash->trace.nr_frames = 0;
	crash->trace.state = 0;
	bhi_store_release(&crash->state, 0);
}

/* The signal is blocked until the handler returns, which is when it ends the process. */
static void die(int signal_number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	(void)bhi_real.sigaction(signal_number, &action, NULL);
	(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
	int error = errno;
	int i = find(signal_number);
	struct sigaction action = read_action(i);
	bool is_noted;

	/* By what the walk itself did, and not by a kill(2). */
	if ((signal_number == SIGSEGV || signal_number == SIGBUS) && info->si_code > 0)
		bhi_stack_end_walk();
	is_noted = note(signal_number, info, context, !is_default(&action));
	errno = error;
	if (is_default(&action)) {
		die(signal_number);
		return;
	}
	if (action.sa_flags & SA_RESETHAND) {
		static const struct sigaction reset = {.sa_handler = SIG_DFL};

		write_action(i, &reset);
	}
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(signal_number, info, context);
	else if (!is_ignored(&action))
		action.sa_handler(signal_number);
	if (is_noted)
		forget();
}

static void answer(int signal_number, siginfo_t *info, void *context)
{
	int error = errno;

	(void)note(signal_number, info, context, false);
	errno = error;
}

void bhi_crash_enter_thread(void *memory, unsigned long size)
{
	stack_t now;
	stack_t ours = {.ss_sp = memory, .ss_size = size};

	if (bhi_real.sigaltstack(NULL, &now) || !(now.ss_flags & SS_DISABLE))
		return;
	bhi_thread.has_stack = !bhi_real.sigaltstack(&ours, NULL);
}

void bhi_crash_leave_thread(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	if (bhi_thread.has_stack)
		(void)bhi_real.sigaltstack(&none, NULL);
	bhi_thread.has_stack = false;
}

void bhi_crash_start(void)
{
	struct sigaction asked = {
		.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

	bhi_crash_enter_thread(state.stack, sizeof(state.stack));
	for (unsigned i = 0; i < NR_SIGNALS; i++) {
		struct sigaction ours = translate(&state.program[i]);

		if (signals[i] == SIGTRAP && bhi_subject.shared->order.stop_at_point)
			continue;
		/* Handlers do not outlive exec; ignored is what it may be. */
		if (bhi_real.sigaction(signals[i], &ours, &state.program[i]))
			continue;
		if (is_ignored(&state.program[i]))
			(void)bhi_real.sigaction(signals[i], &state.program[i], NULL);
	}
	(void)bhi_real.sigaction(BHI_CHECK_ASK_SIGNAL, &asked, NULL);
	state.is_started = true;
}

static bool is_ours(int signal_number)
{
	if (!bhi_real.sigaction)
		(void)bhi_subject_start();
	if (!state.is_started || find(signal_number) < 0)
		return false;
	return signal_number != SIGTRAP || !bhi_subject.shared->order.stop_at_point;
}

BHI_EXPORT int sigaction(
	int signal_number, const struct sigaction *action, struct sigaction *ret_old)
{
	struct sigaction old, wanted, ours;
	int i;

	if (!is_ours(signal_number))
		return bhi_real.sigaction(signal_number, action, ret_old);
	i = find(signal_number);
	old = read_action(i);
	if (action) {
		wanted = *action;
		ours = translate(&wanted);
		/* The child of vfork() has actions of its own, and our memory is its
		 * parent's. */
		if (getpid() != bhi_subject.pid)
			return bhi_real.sigaction(signal_number, action, ret_old);
		/* The handler must find the new action when it comes, or the old. */
		write_action(i, &wanted);
		if (bhi_real.sigaction(signal_number, &ours, NULL)) {
			write_action(i, &old);
			return -1;
		}
	}
	if (ret_old)
		*ret_old = old;
	return 0;
}

static sighandler_t set_handler(int signal_number, sighandler_t handler, int flags)
{
	struct sigaction old, action = {.sa_handler = handler, .sa_flags = flags};

	if (!(flags & SA_NODEFER))
		(void)sigaddset(&action.sa_mask, signal_number);
	return sigaction(signal_number, &action, &old) ? SIG_ERR : old.sa_handler;
}

BHI_EXPORT sighandler_t signal(int signal_number, sighandler_t handler)
{
	if (!is_ours(signal_number))
		return bhi_real_lazy(signal)(signal_number, handler);
	return set_handler(signal_number, handler, SA_RESTART);
}

BHI_EXPORT sighandler_t bsd_signal(int signal_number, sighandler_t handler);
BHI_EXPORT sighandler_t bsd_signal(int signal_number, sighandler_t handler)
{
	return signal(signal_number, handler);
}

BHI_EXPORT sighandler_t ssignal(int signal_number, sighandler_t handler)
{
	return signal(signal_number, handler);
}

/* What signal(2) is for programs built for System V: once, and not blocked meanwhile. */
BHI_EXPORT sighandler_t __sysv_signal(int signal_number, sighandler_t handler)
{
	return set_handler(
		signal_number, handler, SA_RESETHAND | SA_NODEFER | SA_INTERRUPT);
}

BHI_EXPORT sighandler_t sysv_signal(int signal_number, sighandler_t handler)
{
	return __sysv_signal(signal_number, handler);
}

BHI_EXPORT int sigaltstack(const stack_t *stack, stack_t *ret_old)
{
	bool was_ours = bhi_thread.has_stack;
	int r;

	if (!bhi_real.sigaltstack && !bhi_subject_start())
		return syscall(SYS_sigaltstack, stack, ret_old) ? -1 : 0;
	/* Off means ours: the program never knew that there is one. */
	if (stack && was_ours && (stack->ss_flags & SS_DISABLE))
		stack = NULL;
	r = bhi_real.sigaltstack(stack, ret_old);
	if (r)
		return r;
	if (ret_old && was_ours) {
		ret_old->ss_sp = NULL;
		ret_old->ss_size = 0;
		ret_old->ss_flags = SS_DISABLE;
	}
	if (stack && !(stack->ss_flags & SS_DISABLE))
		bhi_thread.has_stack = false;
	return 0;
}
