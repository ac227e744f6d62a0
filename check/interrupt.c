/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <signal.h>

#include "base/compiler.h"
#include "processes.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static struct {
	int signal; /* atomic */
	struct sigaction before[bhi_array_size(signals)];
} state;

/* A run that begins meanwhile looks at the number after it can be found by this. */
static void interrupt(int signal)
{
	bhi_store(&state.signal, signal);
	bhi_check_processes_kill_leaders();
}

void bhi_check_interrupts_catch(void)
{
	const struct sigaction action = {
		.sa_handler = interrupt, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};

	bhi_store(&state.signal, 0);
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
