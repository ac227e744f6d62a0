/* SPDX-License-Identifier: MIT */
/* What `bulkhead lab` shows besides cells of the matrix: text, JSON, progress. */
#ifndef BHI_TOOL_LAB_OUTPUT_H
#define BHI_TOOL_LAB_OUTPUT_H

#include "base/fmt.h"

#include "explore.h"
#include "matrix.h"

/* The object that holds all: its head with an array of runs that is open, and its end. */
void bhi_lab_json_begin(struct bhi_out *out);
void bhi_lab_json_end(struct bhi_out *out, bool as_expected);

/* A scenario's title and prose. */
void bhi_lab_text_about(struct bhi_out *out, const struct bhi_lab_scenario *scenario);

/* A cell in the format asked for, with its trace if wanted. */
void bhi_lab_cell_write(
	struct bhi_out *out, const struct bhi_lab_cell *cell, bool json, bool trace);

void bhi_lab_svg_write(struct bhi_out *out, const struct bhi_lab_cell *cell);

/* What a search came to. */
void bhi_lab_search_text(struct bhi_out *out, const struct bhi_lab_search *search,
	const struct bhi_lab_search_result *result);
void bhi_lab_search_json(struct bhi_out *out, const struct bhi_lab_search *search,
	const struct bhi_lab_search_result *result);

/* On standard error: a bar on a terminal, elsewhere a line now and then. */
void bhi_lab_progress(
	const struct bhi_lab_search *search, uint64_t done, uint64_t failures);
void bhi_lab_progress_end(void);

#endif
