/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/where.h"

/* Longer than any line of /proc/self/maps but those with very long paths, which are cut.
 */
#define LINE_SIZE 512

struct reader {
	int fd;
	size_t len, pos;
	char buf[1024];
};

/* The next line without its end, cut to LINE_SIZE; false at the end of the file. */
static bool read_line(struct reader *reader, char *line)
{
	size_t len = 0;

	for (;;) {
		char c;

		if (reader->pos == reader->len) {
			ssize_t n = read(reader->fd, reader->buf, sizeof(reader->buf));

			if (n <= 0)
				return false;
			reader->len = (size_t)n;
			reader->pos = 0;
		}
		c = reader->buf[reader->pos++];
		if (c == '\n')
			break;
		if (len < LINE_SIZE - 1)
			line[len++] = c;
	}
	line[len] = '\0';
	return true;
}

static uintptr_t parse_hex(const char **text)
{
	static const char digits[] = "0123456789abcdef";
	uintptr_t value = 0;
	const char *digit;

	for (; **text && (digit = strchr(digits, **text)); (*text)++)
		value = value << 4 | (uintptr_t)(digit - digits);
	return value;
}

/* "start-end perms offset device inode path": the file's name, or NULL if the address is
 * not in it. */
static const char *match(const char *line, uintptr_t address, uintptr_t *ret_offset)
{
	uintptr_t start = parse_hex(&line), end;
	const char *name;

	line += *line == '-';
	end = parse_hex(&line);
	if (address < start || address >= end || strlen(line) < 6)
		return NULL;
	line += 6; /* " r-xp " */
	*ret_offset = address - start + parse_hex(&line);
	name = strrchr(line, '/');
	return name ? name + 1 : NULL;
}

char *bhi_where(const void *address, char buf[BHI_WHERE_SIZE])
{
	struct reader reader = {.len = 0};
	uintptr_t offset = 0;
	int saved = errno;
	char line[LINE_SIZE] = "";

	bhi_format(buf, BHI_WHERE_SIZE, "%p", address);
	reader.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	while (reader.fd >= 0 && read_line(&reader, line)) {
		const char *name = match(line, (uintptr_t)address, &offset);

		if (name)
			bhi_format(buf, BHI_WHERE_SIZE, "%p (%s+0x%lx)", address, name,
				(unsigned long)offset);
	}
	if (reader.fd >= 0)
		close(reader.fd);
	errno = saved;
	return buf;
}
