/* SPDX-License-Identifier: MIT */
/*
 * One formatter over a sink of characters; the sinks are a bhi_out, which flushes itself
 * when full, and a fixed line, which drops what does not fit.
 */
#include <errno.h>
#include <string.h>

#include "base/fmt.h"
#include "base/sys.h"

#define ERROR_LINE_SIZE 512

struct line {
	size_t len;
	char buf[ERROR_LINE_SIZE];
};

struct spec {
	bool left, zero;
	int width;
	int longs; /* number of l, or 1 for z */
};

typedef void (*put_fn)(void *sink, const char *text, size_t len);

void bhi_out_init(struct bhi_out *out, int fd)
{
	out->fd = fd;
	out->error = 0;
	out->len = 0;
	out->depth = 0;
	out->comma[0] = false;
}

int bhi_out_flush(struct bhi_out *out)
{
	if (!out->error && out->len)
		out->error = bhi_sys_write(out->fd, out->buf, out->len);
	out->len = 0;
	return out->error;
}

static void put_out(void *sink, const char *text, size_t len)
{
	struct bhi_out *out = sink;

	while (len) {
		size_t n = bhi_min(len, sizeof(out->buf) - out->len);

		memcpy(out->buf + out->len, text, n);
		out->len += n;
		text += n;
		len -= n;
		if (out->len == sizeof(out->buf))
			bhi_out_flush(out);
	}
}

static void put_line(void *sink, const char *text, size_t len)
{
	struct line *line = sink;
	size_t n = bhi_min(len, sizeof(line->buf) - line->len);

	memcpy(line->buf + line->len, text, n);
	line->len += n;
}

static void put_padded(
	put_fn put, void *sink, const struct spec *spec, const char *text, size_t len)
{
	int pad = spec->width - (int)len;

	if (!spec->left) {
		for (; pad > 0; pad--)
			put(sink, spec->zero ? "0" : " ", 1);
	}
	put(sink, text, len);
	for (; pad > 0; pad--)
		put(sink, " ", 1);
}

static void put_number(put_fn put, void *sink, struct spec *spec, uint64_t value,
	unsigned base, bool minus)
{
	char digits[24], *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (minus && spec->zero && !spec->left) {
		put(sink, "-", 1);
		spec->width--;
	} else if (minus) {
		*--p = '-';
	}
	put_padded(put, sink, spec, p, (size_t)(digits + sizeof(digits) - p));
}

static const char *parse_spec(const char *p, struct spec *spec, va_list *args)
{
	*spec = (struct spec){0};
	for (; *p == '-' || *p == '0'; p++) {
		spec->left |= *p == '-';
		spec->zero |= *p == '0';
	}
	if (*p == '*') {
		spec->width = va_arg(*args, int);
		p++;
	}
	if (spec->width < 0) {
		spec->left = true;
		spec->width = -spec->width;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		spec->width = spec->width * 10 + (*p - '0');
	for (; *p == 'l' || *p == 'z'; p++)
		spec->longs++;
	return p;
}

static void put_conversion(
	put_fn put, void *sink, char conversion, struct spec *spec, va_list *args)
{
	const char *text;
	int64_t number;
	char c;

	switch (conversion) {
	case 's':
		text = va_arg(*args, const char *);
		text = text ? text : "(null)";
		put_padded(put, sink, spec, text, strlen(text));
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(put, sink, spec, &c, 1);
		break;
	case 'd':
		number = spec->longs ? va_arg(*args, long) : va_arg(*args, int);
		put_number(put, sink, spec,
			number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10,
			number < 0);
		break;
	case 'u':
	case 'x':
		put_number(put, sink, spec,
			spec->longs ? va_arg(*args, unsigned long)
				    : va_arg(*args, unsigned),
			conversion == 'x' ? 16 : 10, false);
		break;
	case 'p':
		put(sink, "0x", 2);
		put_number(put, sink, spec, (uintptr_t)va_arg(*args, void *), 16, false);
		break;
	default:
		put(sink, "%", 1);
		break;
	}
}

static void format_to(put_fn put, void *sink, const char *format, va_list *args)
{
	while (*format) {
		size_t plain = strcspn(format, "%");
		struct spec spec;

		put(sink, format, plain);
		format += plain;
		if (!*format)
			break;
		format = parse_spec(format + 1, &spec, args);
		if (!*format)
			break;
		put_conversion(put, sink, *format++, &spec, args);
	}
}

void bhi_outf(struct bhi_out *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_to(put_out, out, format, &args);
	va_end(args);
}

static void format_line(struct line *line, const char *format, va_list *args)
{
	format_to(put_line, line, format, args);
	if (line->len == sizeof(line->buf))
		line->buf[line->len - 1] = '\n';
}

void bhi_errf(const char *format, ...)
{
	struct line line = {.len = 0};
	int saved = errno;
	va_list args;

	va_start(args, format);
	format_line(&line, format, &args);
	va_end(args);
	bhi_sys_write(2, line.buf, line.len);
	errno = saved;
}

void bhi_try_errf(const char *format, ...)
{
	struct line line = {.len = 0};
	int saved = errno;
	va_list args;

	va_start(args, format);
	format_line(&line, format, &args);
	va_end(args);
	(void)bhi_sys_try_write(2, line.buf, line.len);
	errno = saved;
}

char *bhi_format(char *buf, size_t size, const char *format, ...)
{
	struct line line = {.len = 0};
	va_list args;

	va_start(args, format);
	format_to(put_line, &line, format, &args);
	va_end(args);
	line.len = bhi_min(line.len, size - 1);
	memcpy(buf, line.buf, line.len);
	buf[line.len] = '\0';
	return buf;
}

char *bhi_format_size(uint64_t size, char *buf)
{
	static const char units[] = " KMGTPE";
	struct line line = {.len = 0};
	struct spec spec = {0};
	uint64_t whole, tenths = 0;
	int unit = 0;

	if (size == UINT64_MAX || size == INT64_MAX)
		return strcpy(buf, "max");
	while (units[unit + 1] && size >> (10 * (unit + 1)))
		unit++;
	whole = size >> (10 * unit);
	if (unit && whole < 1000)
		tenths = (size >> (10 * (unit - 1)) & 1023) * 10 / 1024;
	put_number(put_line, &line, &spec, whole, 10, false);
	if (tenths) {
		put_line(&line, ".", 1);
		put_number(put_line, &line, &spec, tenths, 10, false);
	}
	if (unit)
		put_line(&line, &units[unit], 1);
	memcpy(buf, line.buf, line.len);
	buf[line.len] = '\0';
	return buf;
}

void bhi_out_size(struct bhi_out *out, uint64_t size, int width)
{
	char buf[24];

	bhi_outf(out, "%*s", width, bhi_format_size(size, buf));
}

size_t bhi_utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (len > 1 && (p[0] < 0xc2 || p[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Longer than need be; surrogates; above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void put_json_text(struct bhi_out *out, const char *text)
{
	put_out(out, "\"", 1);
	while (*text) {
		unsigned char c = (unsigned char)*text;
		size_t len = bhi_utf8_length(text);

		if (c == '"' || c == '\\')
			bhi_outf(out, "\\%c", c);
		else if (c < 0x20)
			bhi_outf(out, "\\u%04x", c);
		else if (!len)
			bhi_outf(out, "\\ufffd");
		else
			put_out(out, text, len);
		text += len ? len : 1;
	}
	put_out(out, "\"", 1);
}

static void json_key(struct bhi_out *out, const char *key)
{
	if (out->comma[out->depth])
		put_out(out, ",", 1);
	out->comma[out->depth] = true;
	if (out->depth) {
		put_out(out, "\n", 1);
		for (unsigned i = 0; i < out->depth; i++)
			put_out(out, "  ", 2);
	}
	if (key) {
		put_json_text(out, key);
		put_out(out, ": ", 2);
	}
}

void bhi_json_begin(struct bhi_out *out, const char *key, char bracket)
{
	json_key(out, key);
	put_out(out, &bracket, 1);
	if (out->depth + 1 >= BHI_JSON_MAX_DEPTH) {
		if (!out->error)
			out->error = -EOVERFLOW;
		return;
	}
	out->comma[++out->depth] = false;
}

void bhi_json_end(struct bhi_out *out, char bracket)
{
	bool filled = out->comma[out->depth];

	out->depth -= out->depth > 0;
	if (filled) {
		put_out(out, "\n", 1);
		for (unsigned i = 0; i < out->depth; i++)
			put_out(out, "  ", 2);
	}
	put_out(out, &bracket, 1);
	if (!out->depth)
		put_out(out, "\n", 1);
}

void bhi_json_str(struct bhi_out *out, const char *key, const char *value)
{
	json_key(out, key);
	if (value)
		put_json_text(out, value);
	else
		put_out(out, "null", 4);
}

void bhi_json_u64(struct bhi_out *out, const char *key, uint64_t value)
{
	json_key(out, key);
	bhi_outf(out, "%lu", (unsigned long)value);
}

void bhi_json_i64(struct bhi_out *out, const char *key, int64_t value)
{
	json_key(out, key);
	bhi_outf(out, "%ld", (long)value);
}

void bhi_json_bool(struct bhi_out *out, const char *key, bool value)
{
	json_key(out, key);
	bhi_outf(out, "%s", value ? "true" : "false");
}
