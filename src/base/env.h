/* SPDX-License-Identifier: MIT */
/*
 * The BULKHEAD_* variables: one table, which also is their documentation
 * (BULKHEAD_OPTIONS=help prints it).
 */
#ifndef BHI_BASE_ENV_H
#define BHI_BASE_ENV_H

#include "base/compiler.h"

enum bhi_option {
	BHI_OPTION_SIZE,
	BHI_OPTION_MIN_FREE,
	BHI_OPTION_WATERMARK_SCALE,
	BHI_OPTION_DECAY_MS,
	BHI_OPTION_PAGEFAULT,
	BHI_OPTION_REAP_TRIES,
	BHI_OPTION_REAP_INTERVAL_MS,
	BHI_OPTION_FAIL, /* .text only */
	BHI_OPTION_NR,
};

/* Values of BHI_OPTION_PAGEFAULT. */
enum bhi_pagefault {
	BHI_PAGEFAULT_UFFD,
	BHI_PAGEFAULT_MPROTECT,
};

struct bhi_option_value {
	bool set; /* the variable exists and is not empty */
	uint64_t value;
	const char *text; /* in the environment */
};

/*
 * Read all variables into @ret. 0, or -EINVAL after one line on standard error that names
 * the variable, its value and what is allowed. Unknown BULKHEAD_* variables are an error
 * too: a misspelt limit is no limit. Context: any.
 */
int bhi_env_read(struct bhi_option_value ret[BHI_OPTION_NR]);

/* Write the table of variables to @fd. 0 or -errno. Context: may wait. */
int bhi_env_help(int fd);

#endif
