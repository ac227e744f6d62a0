/* SPDX-License-Identifier: MIT */
/*
 * What names of functions and words of messages tell about a program that ran out of
 * memory: there is no other way to know that an abort is meant.
 */
#ifndef BHI_CHECK_WORDS_H
#define BHI_CHECK_WORDS_H

#include <stddef.h>

#include "finding.h"

/* The C library and the loader, allocators that take its place, C++'s runtime.
 * Context: any. */
bool bhi_check_is_libc(const struct bhi_check_place *place);

/* Allocates for its caller and hands on the failure, or ends the program on it: xmalloc,
 * strdup, CRYPTO_zalloc. Context: any. */
bool bhi_check_is_wrapper(const struct bhi_check_place *place);

/* Function of the C library that dies of what it was given by its caller, or on its
 * caller's order: strlen, free, abort. Context: any. */
bool bhi_check_is_callers_fault(const struct bhi_check_place *place);

/* A program's own reporter of lack of memory or of fatal errors. Context: any. */
bool bhi_check_is_reporter(const struct bhi_check_place *place);

/* Context: any. */
bool bhi_check_is_assertion(const struct bhi_check_place *place);

/* Of texts that need not end with 0. Context: any. */
bool bhi_check_says_no_memory(const char *text, size_t len);
bool bhi_check_says_assertion(const char *text, size_t len);
bool bhi_check_says_corruption(const char *text, size_t len);
/* The languages' way of ending for want of memory. Context: any. */
bool bhi_check_says_language_end(const char *text, size_t len);

#endif
