/* SPDX-License-Identifier: MIT */
/*
 * Is the output that of the clean run? What differs between clean runs (a pid, a time, an
 * address) is masked: such a line is compared up to and after the part that varies.
 */
#ifndef BHI_CHECK_COMPARE_H
#define BHI_CHECK_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

enum bhi_check_compare {
	BHI_CHECK_COMPARE_EXACT,
	BHI_CHECK_COMPARE_LINES, /* the same lines in any order */
	BHI_CHECK_COMPARE_NONE,
	BHI_CHECK_COMPARE_COMMAND, /* a command of the user's says */
};

struct bhi_check_line {
	const char *text;
	size_t len; /* without the end of the line */
	/* The line is masked: this much at its start and at its end is compared. */
	bool is_masked;
	size_t head, tail;
};

/* The output of clean runs. */
struct bhi_check_reference {
	enum bhi_check_compare how;
	char *text; /* of the first one */
	size_t text_len;
	struct bhi_check_line *lines;
	size_t nr_lines;
	size_t nr_masked;
	bool is_of_files; /* lines of files, which end with the name */
	bool varies;      /* too much to be masked: .how became LINES or NONE */
};

/* From the output of one clean run. Context of all: may wait. */
void bhi_check_reference_init(struct bhi_check_reference *reference,
	enum bhi_check_compare how, const char *text, size_t len);
/* Mask what another clean run's output has otherwise. */
void bhi_check_reference_mask(
	struct bhi_check_reference *reference, const char *text, size_t len);
void bhi_check_reference_fini(struct bhi_check_reference *reference);

/* Whether @text is other output; then *@ret_difference, if wanted, is a sentence from
 * malloc(3). Not for COMMAND. */
bool bhi_check_reference_differs(const struct bhi_check_reference *reference,
	const char *text, size_t len, char **ret_difference);

/* The first line that the reference has not, from malloc(3); NULL: none. */
char *bhi_check_reference_new_line(
	const struct bhi_check_reference *reference, const char *text, size_t len);

#endif
