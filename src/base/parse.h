/* SPDX-License-Identifier: MIT */
/* Values as people write them. */
#ifndef BHI_BASE_PARSE_H
#define BHI_BASE_PARSE_H

#include "base/compiler.h"

/*
 * A size in bytes: digits, optionally a fraction, optionally K, M, G, T, P or E (powers
 * of 1024, either case, an optional "iB" or "B" behind); or "max" for BH_UNLIMITED. All
 * of
 * @text must be used; a fraction of a byte is dropped. 0, -EINVAL, or -ERANGE (above
 * INT64_MAX), @ret untouched then. Context: signal-safe.
 */
int bhi_parse_size(const char *text, uint64_t *ret);

/* A decimal number up to @max. 0, -EINVAL or -ERANGE, @ret untouched then. Context:
 * signal-safe. */
int bhi_parse_u64(const char *text, uint64_t max, uint64_t *ret);

#endif
