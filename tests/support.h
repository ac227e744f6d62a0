/* SPDX-License-Identifier: MIT */
/*
 * What the Check programs share. A program is one suite; each test runs in a process of
 * its own. CK_RUN_CASE names one test, or a suite; a program in which nothing has that
 * name exits 77, so that it counts as skipped and not as passed. So does one that was to
 * run with userfaultfd (BULKHEAD_PAGEFAULT=uffd), or of which a test was, where the
 * system does not allow it.
 */
#ifndef BHI_TESTS_SUPPORT_H
#define BHI_TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/* Built with a sanitizer that slows down, and maps memory of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SUPPORT_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SUPPORT_SANITIZED true
#endif
#endif
#ifndef SUPPORT_SANITIZED
#define SUPPORT_SANITIZED false
#endif

/* Run the tests that @add adds; returns what main returns. */
int support_run(const char *suite_name, void (*add)(TCase *));

/* tcase_add_test() and its relatives, with CK_RUN_CASE looked at for each test. */
void support_add_test(
	TCase *tcase, const TTest *test, int signal, int exit_value, int start, int end);
#define _tcase_add_test support_add_test

#define SUPPORT_NO_UFFD "this system does not allow userfaultfd"

/* Whether the system allows what the library needs of userfaultfd(2). */
bool support_has_uffd(void);

/* This test does not run, for @reason, and its program is skipped if nothing fails. In
 * the process of the test, before the library has started. */
__attribute__((noreturn)) void support_skip(const char *reason);

/*
 * A fresh empty directory for the calling test; it goes with everything in it when the
 * program ends. Its name is valid until the next call.
 */
const char *support_dir(void);

/* Write @text to @dir/@path and make the directories on the way. */
void support_write_file(const char *dir, const char *path, const char *text);

/* The whole file, ended by 0, from malloc(3); ends the test when there is none. */
char *support_read_file(const char *path);

struct support_output {
	int status;      /* as of waitpid(2) */
	char *out, *err; /* what went to descriptors 1 and 2, ended by 0 */
};

/* Run fn(arg), and exit(0) if it returns, in a child whose output is caught. */
void support_capture(void (*fn)(void *arg), void *arg, struct support_output *ret);
void support_output_fini(struct support_output *output);

/* Exit status of a child that was not ended by a signal, else -1. */
int support_exit_status(const struct support_output *output);

/* Whether @text has @part in it. */
bool support_contains(const char *text, const char *part);

/* How many lines @text has; every one must be ended by a newline, else -1. */
int support_count_lines(const char *text);

/* Whether all of @text is one JSON value (RFC 8259), white space around it allowed. */
bool support_json_valid(const char *text);

#endif
