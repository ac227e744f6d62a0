/* SPDX-License-Identifier: MIT */
/*
 * Frames to places: function and line where the module's file tells, read by libdw in
 * the runner, never in the subject. Each place is looked up once in a session.
 */
#ifndef BHI_CHECK_SYMBOLS_H
#define BHI_CHECK_SYMBOLS_H

#include <stddef.h>

#include "finding.h"

struct bhi_check_symbols;

/* Context of all: may wait. Several threads may call them. */
struct bhi_check_symbols *bhi_check_symbols_new(void);
/* Places and their strings go with it. */
void bhi_check_symbols_free(struct bhi_check_symbols *symbols);

/*
 * One place. @build_id is hex, "" when there is none. @is_exact: @offset is the
 * instruction itself, not the one after a call.
 */
void bhi_check_symbols_place(struct bhi_check_symbols *symbols, const char *path,
	const char *build_id, uint64_t offset, bool is_exact,
	struct bhi_check_place *ret);

/* Of @nr frames whose modules are in @shared; .places is from bhi_check_alloc(). With
 * @is_exact the first frame is an instruction that failed. */
void bhi_check_symbols_look_up(struct bhi_check_symbols *symbols,
	const struct bhi_check_shared *shared, const bhi_check_frame *frames, size_t nr,
	bool is_exact, struct bhi_check_backtrace *ret);

#endif
