/* SPDX-License-Identifier: MIT */
/*
 * Text and JSON without malloc and without stdio: reports must be written when there is
 * no memory at all.
 */
#ifndef BHI_BASE_FMT_H
#define BHI_BASE_FMT_H

#include <stdarg.h>

#include "base/compiler.h"

#define BHI_JSON_MAX_DEPTH 16

/* Output through a buffer on the caller's stack. The first error sticks. */
struct bhi_out {
	int fd;
	int error; /* 0 or -errno */
	size_t len;
	/* JSON: whether a comma is due at each depth */
	unsigned depth;
	bool comma[BHI_JSON_MAX_DEPTH];
	char buf[2048];
};

/* Context: signal-safe. */
void bhi_out_init(struct bhi_out *out, int fd);

/* Write what is buffered; 0 or the first error so far. Context: may wait. */
int bhi_out_flush(struct bhi_out *out);

/*
 * A small printf: %s %c %d %ld %u %zu %x %lu %llu %p %%, with '-', '0' and a
 * width (a number or '*').
 * Context: may wait (for the descriptor), no allocation.
 */
void bhi_outf(struct bhi_out *out, const char *format, ...) BHI_PRINTF(2, 3);

/* "1.5G": at most four figures, rounded down. Context: as bhi_outf. */
void bhi_out_size(struct bhi_out *out, uint64_t size, int width);

/* The same into @buf (at least 24 bytes), returning it. Context: signal-safe. */
char *bhi_format_size(uint64_t size, char *buf);

/* The bytes of the UTF-8 character (RFC 3629) that @text, which ends with 0, begins with;
 * 0 if it is none. Context: signal-safe. */
size_t bhi_utf8_length(const char *text);

/*
 * JSON. Inside an object every call names its key; inside an array the key is NULL.
 * Strings are escaped; what is not UTF-8 in them becomes U+FFFD. Nesting of
 * BHI_JSON_MAX_DEPTH and more is the error -EOVERFLOW. Context: as bhi_outf.
 */
void bhi_json_begin(struct bhi_out *out, const char *key, char bracket);
void bhi_json_end(struct bhi_out *out, char bracket);
void bhi_json_str(struct bhi_out *out, const char *key, const char *value);
void bhi_json_u64(struct bhi_out *out, const char *key, uint64_t value);
void bhi_json_i64(struct bhi_out *out, const char *key, int64_t value);
void bhi_json_bool(struct bhi_out *out, const char *key, bool value);

/* The same into @buf, cut to @size bytes (at least 1, at most 512 are used) with the
 * final 0. Returns @buf. Context: signal-safe. */
char *bhi_format(char *buf, size_t size, const char *format, ...) BHI_PRINTF(3, 4);

/* One formatted line to standard error in a single write; what exceeds 512 bytes is left
 * out, and the line ended. Preserves errno. Context: signal-safe. */
void bhi_errf(const char *format, ...) BHI_PRINTF(1, 2);

/* The same for those who must not wait for whoever reads standard error: the line is left
 * out when there is no room for it. Context: signal-safe. */
void bhi_try_errf(const char *format, ...) BHI_PRINTF(1, 2);

#endif
