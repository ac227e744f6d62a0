/* SPDX-License-Identifier: MIT */
/* Scripts of many tenants in one process; docs/tenants.md says what can be asked. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "http.h"

int main(int argc, char **argv)
{
	struct options options;
	unsigned port, nr_left;
	sigset_t signals;
	int number;

	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_HELP:
		return 0;
	case OPTIONS_BAD:
		return 2;
	}
	/* Before there are threads, so that all have them blocked. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (server_start(&options, &port))
		return 1;
	printf("http://%s:%u/\n", options.host, port);
	(void)fflush(stdout);
	sigwait(&signals, &number);
	nr_left = server_stop();
	if (nr_left) {
		fprintf(stderr, "tenants: leaving %u scripts that cannot be ended\n",
			nr_left);
		_exit(1);
	}
	return 0;
}
