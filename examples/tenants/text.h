/* SPDX-License-Identifier: MIT */
/* Text that grows: answers, metrics and the demo's tables are put together in one. */
#ifndef TENANTS_TEXT_H
#define TENANTS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty text. .data is ended by 0, from malloc(3), and NULL while empty.
 */
struct text {
	char *data;
	size_t size, room;
	bool failed; /* there was no memory: what is here is not all */
};

void text_add(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* @size bytes as they are. */
void text_add_bytes(struct text *text, const char *bytes, size_t size);

/* @size bytes as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD. */
void text_add_json(struct text *text, const char *bytes, size_t size);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

void text_fini(struct text *text);

/* "16.0M": @size for people, in 16 bytes at @buffer, which is returned. */
const char *text_size(char buffer[16], uint64_t size);

/* "1.23 ms": @ns for people, likewise. */
const char *text_time(char buffer[16], uint64_t ns);

#endif
