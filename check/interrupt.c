/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <errno.h>
#include <signal.h>

#include "base/compiler.h"
#include "clock.h"
#include "processes.h"

/* Two within this time are one: timeout(1) sends its signal to its child and to its
 * group, and a terminal that goes away sends more than one, too. */
#define ONE_SIGNAL_NS 500000000UL

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static struct {
	int signal;       /* atomic */
	uint64_t came_ns; /* atomic: when it was the first one */
	struct sigaction before[bhi_array_size(signals)];
} state;

static void end_at_once(int signal)
{
	const struct sigaction action = {.sa_handler = SIG_DFL};

	(void)sigaction(signal, &action, NULL);
	/* It comes when the handler returns. */
	(void)raise(signal);
}

/* A run that begins meanwhile looks at the number after it can be found by this. */
static void interrupt(int signal)
{
	uint64_t now = bhi_check_now(), never = 0;
	int saved = errno;

	(void)bhi_compare_exchange(&state.came_ns, &never, now);
	if (now >= bhi_load(&state.came_ns) + ONE_SIGNAL_NS)
		end_at_once(signal);
	bhi_store(&state.signal, signal);
	bhi_check_processes_kill_leaders();
	errno = saved;
}

void bhi_check_interrupts_catch(void)
{
	const struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};

	bhi_store(&state.signal, 0);
	bhi_store(&state.came_ns, 0);
	for (unsigned i = 0; i < bhi_array_size(signals); i++) {
		(void)sigaction(signals[i], NULL, &state.before[i]);
		if (state.before[i].sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &action, NULL);
	}
}

void bhi_check_interrupts_release(void)
{
	for (unsigned i = 0; i < bhi_array_size(signals); i++)
		(void)sigaction(signals[i], &state.before[i], NULL);
}

int bhi_check_interrupted(void)
{
	return bhi_load(&state.signal);
}
