/* SPDX-License-Identifier: MIT */
/* The system calls by which a subject asks for pages, before the system sees them. */
#ifndef BHI_CHECK_PAGES_H
#define BHI_CHECK_PAGES_H

#include <sys/types.h>

#include "../preload/protocol.h"

/* In the child, before it executes the subject: from now on its page calls wait for the
 * runner, which gets the descriptor they come by through @socket. 0 or -errno. */
int bhi_check_pages_install(int socket);

/* In the runner: the descriptor, or -1. */
int bhi_check_pages_receive(int socket);

/* Answers one page call that has come by @listener. @leader: the first process. */
void bhi_check_pages_answer(int listener, pid_t leader, struct bhi_check_shared *shared);

#endif
