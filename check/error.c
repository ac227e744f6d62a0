/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SIZE 4096

int bhi_check_error_set(struct bhi_check_error *error, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	size_t size = sizeof(error->text), len = 0;
	va_list args;

	/* Of a long path the end is left out, so that there is room to say what it is. */
	if (line && column)
		snprintf(error->text, size, "%.300s:%u:%u: ", file, line, column);
	else if (line)
		snprintf(error->text, size, "%.300s:%u: ", file, line);
	else
		snprintf(error->text, size, "%.300s: ", file);
	len = strlen(error->text);
	va_start(args, format);
	vsnprintf(error->text + len, size - len, format, args);
	va_end(args);
	for (char *p = error->text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	}
	return -EINVAL;
}

static int read_all(int fd, size_t max, char **text, size_t *size)
{
	size_t room = 0;

	for (*size = 0;;) {
		char *more;
		ssize_t n;

		if (room - *size < 2) {
			room = room ? room * 2 : FIRST_SIZE;
			more = realloc(*text, room);
			if (!more)
				return -ENOMEM;
			*text = more;
		}
		n = read(fd, *text + *size, room - *size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		*size += (size_t)n;
		if (*size > max)
			return -EFBIG;
	}
	(*text)[*size] = '\0';
	return 0;
}

int bhi_check_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size,
	struct bhi_check_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	char *text = NULL;
	size_t size = 0;

	r = fd < 0 ? -errno : read_all(fd, max, &text, &size);
	if (fd >= 0)
		close(fd);
	if (r) {
		free(text);
		bhi_check_error_set(error, path, 0, 0, "%s", strerror(-r));
		return r;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}
