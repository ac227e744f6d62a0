/* SPDX-License-Identifier: MIT */
/* What the reports in XML and HTML share, and the words in which classes are explained.
 */
#ifndef BHI_CHECK_MARKUP_H
#define BHI_CHECK_MARKUP_H

#include "base/fmt.h"

#include "finding.h"

/* @text, of any bytes, as text or the value of an attribute of XML 1.0 or HTML: what is
 * not UTF-8 or no character of XML becomes U+FFFD. Nothing for NULL. */
void bhi_check_put_markup(struct bhi_out *out, const char *text);

/* "raxNew (rax.c:180)", "libc.so.6+0x134c4d" */
void bhi_check_put_place(struct bhi_out *out, const struct bhi_check_place *place);

/* As a shell reads it. */
void bhi_check_put_command(struct bhi_out *out, char *const *command);

/* "1,234,567" */
void bhi_check_put_number(struct bhi_out *out, uint64_t number);

struct bhi_check_words {
	const char *title;  /* "Silent wrong output" */
	const char *text;   /* a sentence */
	const char *level;  /* of SARIF: "error", "warning", "note", "none" */
	const char *colour; /* a name in page.css and page.js; classes may share one */
};

const struct bhi_check_words *bhi_check_class_words(enum bhi_check_class class);

/* "SIGSEGV", or NULL */
const char *bhi_check_signal_name(int signal);

#endif
