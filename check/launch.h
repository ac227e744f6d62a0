/* SPDX-License-Identifier: MIT */
/* Start the subject. */
#ifndef BHI_CHECK_LAUNCH_H
#define BHI_CHECK_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bhi_check_launch {
	char *const *command;
	char **environment;
	const char *directory; /* to start in; NULL: where we are */
	const char *input;     /* file for descriptor 0 */
	int out, err;          /* descriptors */
	uint64_t max_memory;   /* 0: no limit */
	bool pages;            /* its page calls come to .listener */
};

struct bhi_check_child {
	pid_t pid;
	int pidfd;
	int exec_error;  /* errno of the exec, or of what comes before it; 0 it runs */
	int pages_error; /* errno: page calls cannot be listened to; it does not run */
	int listener;    /* -1: none */
};

/* In a session of its own. 0 or -errno. The caller waits for the child even when it did
 * not come to exec, and closes .pidfd and .listener. */
int bhi_check_launch(const struct bhi_check_launch *launch, struct bhi_check_child *ret);

#endif
