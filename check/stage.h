/* SPDX-License-Identifier: MIT */
/*
 * What a run of the subject needs around it: the shared file, the environment, the files
 * that take its output, and a folder where it gets a private copy.
 */
#ifndef BHI_CHECK_STAGE_H
#define BHI_CHECK_STAGE_H

#include <limits.h>

#include "launch.h"
#include "run.h"
#include "shared.h"

struct bhi_check_stage {
	/* borrowed */
	const struct bhi_check_setup *setup;
	const struct bhi_check_order *order;
	char folder[PATH_MAX]; /* "": none */
	char copy[PATH_MAX + 8];
	struct bhi_check_shared *shared; /* NULL: not mapped, or a result has it */
	int shared_fd, out, err;         /* -1: not open */
	/* The variables of ours, and the whole environment. */
	char check[sizeof(BHI_CHECK_ENV) + BHI_CHECK_SHARED_NAME_SIZE];
	char *preload, *mark;
	char **environment;
};

#define BHI_CHECK_STAGE_INIT(the_setup, the_order)                                      \
	{                                                                               \
		.setup = (the_setup), .order = (the_order), .shared_fd = -1, .out = -1, \
		.err = -1,                                                              \
	}

/* 0 or -errno; bhi_check_stage_clean_up() after both. Context: may wait. */
int bhi_check_stage_set_up(struct bhi_check_stage *stage, int slot);
void bhi_check_stage_clean_up(struct bhi_check_stage *stage);

/* The output so far, and with a private copy its files, go to @result, which owns them
 * also after an error. 0 or -errno. Context: may wait. */
int bhi_check_stage_collect(
	const struct bhi_check_stage *stage, struct bhi_check_result *result);

/* The shared file is the result's from now on. Context: any. */
void bhi_check_stage_give(struct bhi_check_stage *stage, struct bhi_check_result *result);

/* Start the subject on @stage, in its slot (processes.h). 0 or -errno; as
 * bhi_check_launch(). Context: may wait. */
int bhi_check_start_subject(
	const struct bhi_check_stage *stage, int slot, struct bhi_check_child *ret);

/* How it ended: what bhi_check_watch() and wait4(2) say. Context: any. */
struct rusage;
void bhi_check_result_set_end(struct bhi_check_result *result,
	const struct bhi_check_child *child, enum bhi_check_end end, int status,
	const struct rusage *usage);

#endif
