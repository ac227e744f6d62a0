/* SPDX-License-Identifier: MIT */
/* Scenarios × eras: running them and showing what came out, as text and as JSON. */
#ifndef BHI_LAB_MATRIX_H
#define BHI_LAB_MATRIX_H

#include "base/fmt.h"

#include "outcome.h"

#define BHI_LAB_JSON_VERSION 1

/* One run and whether it came out as expected. */
struct bhi_lab_cell {
	const struct bhi_lab_scenario *scenario;
	int era;
	bool matches;
	const struct bhi_lab_outcome *outcome;
};

/*
 * Run @scenario in the order it says, or that its seed says, under the rules of @era.
 * 0 or -errno. @ret->outcome is valid until the next call.
 */
int bhi_lab_cell_run(const struct bhi_lab_scenario *scenario, int era, bool quiet,
	struct bhi_lab_cell *ret);

/* A line, and what explains it below. */
void bhi_lab_cell_text(
	struct bhi_out *out, const struct bhi_lab_cell *cell, bool colours);

/* An object; @events: the trace as well. */
void bhi_lab_cell_json(struct bhi_out *out, const struct bhi_lab_cell *cell, bool events);

/* The matrix: its heading, and a row of the verdicts of all eras. */
void bhi_lab_matrix_heading(struct bhi_out *out);
void bhi_lab_matrix_row(struct bhi_out *out, const struct bhi_lab_cell *cells,
	const char (*texts)[16], bool colours);

/* "lockup", "error", "2 victims", ...: a cell of the matrix. */
void bhi_lab_cell_short(const struct bhi_lab_cell *cell, char text[16]);

#endif
