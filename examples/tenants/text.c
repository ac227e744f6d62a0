/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* Room for @more bytes and the 0 behind them. */
static bool text_reserve(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : 256;
	char *data;

	if (text->failed)
		return false;
	while (room - text->size <= more)
		room *= 2;
	if (room == text->room)
		return true;
	data = realloc(text->data, room);
	if (!data) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->room = room;
	return true;
}

void text_add_bytes(struct text *text, const char *bytes, size_t size)
{
	if (!text_reserve(text, size))
		return;
	if (size)
		memcpy(text->data + text->size, bytes, size);
	text->size += size;
	text->data[text->size] = 0;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args, again;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size >= 0 && text_reserve(text, (size_t)size)) {
		vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
		text->size += (size_t)size;
	}
	va_end(again);
}

/* How long the UTF-8 sequence at @bytes is; 0 when there is none. */
static size_t utf8_length(const unsigned char *bytes, size_t size)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = bytes[0] < 0x80   ? 1
			: bytes[0] < 0xc2 ? 0
			: bytes[0] < 0xe0 ? 2
			: bytes[0] < 0xf0 ? 3
			: bytes[0] < 0xf5 ? 4
					  : 0;
	uint32_t code;

	if (length <= 1 || length > size)
		return length > size ? 0 : length;
	code = bytes[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < lowest[length] || code > 0x10ffff || (code >> 11) == 0x1b)
		return 0;
	return length;
}

void text_add_json(struct text *text, const char *bytes, size_t size)
{
	text_add_bytes(text, "\"", 1);
	for (size_t i = 0; i < size;) {
		size_t length = utf8_length((const unsigned char *)bytes + i, size - i);

		if (!length) {
			text_add(text, "\\ufffd");
			length = 1;
		} else if (bytes[i] == '"' || bytes[i] == '\\') {
			text_add(text, "\\%c", bytes[i]);
		} else if (bytes[i] == '\n') {
			text_add(text, "\\n");
		} else if ((unsigned char)bytes[i] < 0x20) {
			text_add(text, "\\u%04x", bytes[i]);
		} else {
			text_add_bytes(text, bytes + i, length);
		}
		i += length;
	}
	text_add_bytes(text, "\"", 1);
}

void text_fini(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

const char *text_size(char buffer[16], uint64_t size)
{
	static const char units[] = "KMGTPE";
	double value = (double)size / 1024;
	int unit = 0;

	if (size < 1024) {
		snprintf(buffer, 16, "%u", (unsigned)size);
		return buffer;
	}
	while (value >= 1023.95 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, 16, "%.1f%c", value, units[unit]);
	return buffer;
}

const char *text_time(char buffer[16], uint64_t ns)
{
	if (ns < 1000000)
		snprintf(buffer, 16, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buffer, 16, "%.2f ms", (double)ns / 1e6);
	else
		snprintf(buffer, 16, "%.2f s", (double)ns / 1e9);
	return buffer;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
