/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

/* A run takes milliseconds. One that takes this long is a bug: it runs without passing a
 * switch point. */
#define TOO_LONG_S 60

struct bhi_lab_outcome *bhi_lab_outcome_new(void)
{
	void *p = mmap(NULL, sizeof(struct bhi_lab_outcome), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static _Noreturn void be_child(const struct bhi_lab_scenario *scenario, int era,
	enum bhi_lab_strategy strategy, uint64_t seed, bool quiet,
	struct bhi_lab_outcome *outcome)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (quiet) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (null >= 0)
			(void)dup2(null, 2);
	}
	alarm(TOO_LONG_S);
	bhi_lab_run_here(scenario, era, strategy, seed, outcome);
}

static void say_how_it_ended(struct bhi_lab_outcome *outcome, int status)
{
	char *text = outcome->sentences[0];
	size_t size = sizeof(outcome->sentences[0]);

	outcome->nr_sentences = 1;
	outcome->verdict = BHI_LAB_BROKEN;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(text, size, "the run took longer than %d s", TOO_LONG_S);
	else if (WIFSIGNALED(status))
		snprintf(text, size, "the run was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "the run ended with status %d and no outcome",
			WEXITSTATUS(status));
}

int bhi_lab_child_run(const struct bhi_lab_scenario *scenario, int era,
	enum bhi_lab_strategy strategy, uint64_t seed, bool quiet,
	struct bhi_lab_outcome *outcome)
{
	pid_t pid;
	int status;

	memset(outcome, 0, offsetof(struct bhi_lab_outcome, events));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		be_child(scenario, era, strategy, seed, quiet, outcome);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (!outcome->is_complete)
		say_how_it_ended(outcome, status);
	return 0;
}
