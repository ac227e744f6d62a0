/* SPDX-License-Identifier: MIT */
/*
 * Suppressions: what is known and accepted, with the reason.
 *
 *     # class       function        module       # reason
 *     crash         _nss_*          libc.so.6    # glibc bug 12345, fixed in 2.40
 *     policy-abort  *               jq           # documented: jq ends on allocation
 * failure "wrong-*"     "operator new*" *            # ...
 *
 * Fields are divided by blanks; one that has blanks or a '#' stands in double quotes, in
 * which \" and \\ are those characters. '*' is any text and '?' any one byte; all else is
 * itself, brackets too (C++ names have them).
 *
 * A rule matches a test when its class matches and when some one frame, of the stack of
 * the failed call or of the stack where it died, matches both function and module. The
 * function of a frame without a symbol is "0x" and its offset in the module. A finding is
 * suppressed when each of its tests is matched by some rule: a rule for one caller does
 * not hide what others suffer from.
 */
#ifndef BHI_CHECK_SUPPRESS_H
#define BHI_CHECK_SUPPRESS_H

#include "error.h"
#include "finding.h"

struct bhi_check_suppression {
	char *class, *function, *module; /* globs */
	char *reason;
	char *file;
	unsigned line;
	uint64_t nr_used; /* tests that it matched */
};

struct bhi_check_suppressions {
	struct bhi_check_suppression *rules;
	size_t nr;
};

/* Add the rules of a text; a list begins as zeroes. 0; -EINVAL or -ENOMEM after an error,
 * and the rules before it are in the list. */
int bhi_check_suppressions_parse(struct bhi_check_suppressions *list, const char *file,
	const char *text, size_t size, struct bhi_check_error *error);

/* The same from a file. */
int bhi_check_suppressions_read(struct bhi_check_suppressions *list, const char *file,
	struct bhi_check_error *error);

/* Marks findings and counts what each rule matched. The reasons stay in the list. */
void bhi_check_suppressions_apply(
	struct bhi_check_suppressions *list, struct bhi_check_session *session);

void bhi_check_suppressions_fini(struct bhi_check_suppressions *list);

bool bhi_check_glob(const char *pattern, const char *text);

#endif
