/* SPDX-License-Identifier: MIT */
/*
 * The child shares our memory until it executes the subject, as with vfork(2): a runner
 * with large tables is not copied for each run. So it does nothing that leaves a trace in
 * memory but .exec_error, and it runs with all signals blocked until its handlers, which
 * are still ours, are gone.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "pages.h"

/* execvpe() keeps the paths it tries, and a copy of the arguments, on the stack. */
#define STACK_SIZE (512u << 10)

struct start {
	const struct bhi_check_launch *launch;
	sigset_t mask; /* the runner's */
	int socket;    /* takes the listener to the runner; -1: none is wanted */
	int error;
	int pages_error;
};

static void set_limit(int resource, uint64_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

	(void)setrlimit(resource, &limit);
}

static void reset_signals(const sigset_t *mask)
{
	for (int i = 1; i < NSIG; i++) {
		struct sigaction action;

		if (sigaction(i, NULL, &action) || action.sa_handler == SIG_IGN ||
			action.sa_handler == SIG_DFL)
			continue;
		action.sa_handler = SIG_DFL;
		action.sa_flags = 0;
		(void)sigaction(i, &action, NULL);
	}
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
}

static int set_up_files(const struct bhi_check_launch *launch)
{
	int input = open(launch->input, O_RDONLY);

	if (input < 0 || dup2(input, 0) < 0 || dup2(launch->out, 1) < 0 ||
		dup2(launch->err, 2) < 0)
		return -1;
	(void)close_range(3, UINT_MAX, 0);
	return launch->directory ? chdir(launch->directory) : 0;
}

static int be_child(void *arg)
{
	struct start *start = arg;
	const struct bhi_check_launch *launch = start->launch;

	(void)setsid();
	/* Nothing is left when the runner is killed. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_limit(RLIMIT_CORE, 0);
	if (launch->max_memory)
		set_limit(RLIMIT_AS, launch->max_memory);
	if (start->socket >= 0) {
		start->pages_error = -bhi_check_pages_install(start->socket);
		if (start->pages_error)
			_exit(127);
	}
	if (!set_up_files(launch)) {
		reset_signals(&start->mask);
		(void)execvpe(launch->command[0], launch->command, launch->environment);
	}
	start->error = errno;
	_exit(127);
}

static pid_t make_child(struct start *start, int *ret_pidfd)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all;
	pid_t pid;
	int error;

	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &start->mask);
	pid = clone(be_child, stack + STACK_SIZE,
		CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, start, ret_pidfd);
	error = errno;
	(void)pthread_sigmask(SIG_SETMASK, &start->mask, NULL);
	(void)munmap(stack, STACK_SIZE);
	return pid < 0 ? -error : pid;
}

int bhi_check_launch(const struct bhi_check_launch *launch, struct bhi_check_child *ret)
{
	struct start start = {.launch = launch, .socket = -1};
	int sockets[2] = {-1, -1}, pidfd = -1, listener = -1;
	pid_t pid;

	if (launch->pages) {
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets))
			return -errno;
		start.socket = sockets[1];
	}
	pid = make_child(&start, &pidfd);
	if (launch->pages) {
		if (pid > 0 && !bhi_load(&start.pages_error))
			listener = bhi_check_pages_receive(sockets[0]);
		(void)close(sockets[0]);
		(void)close(sockets[1]);
	}
	if (pid < 0)
		return pid;
	*ret = (struct bhi_check_child){.pid = pid,
		.pidfd = pidfd,
		.exec_error = bhi_load(&start.error),
		.pages_error = bhi_load(&start.pages_error),
		.listener = listener};
	if (launch->pages && listener < 0 && !ret->pages_error)
		ret->pages_error = EIO;
	return 0;
}
