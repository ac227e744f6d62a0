/* SPDX-License-Identifier: MIT */
#include "lines.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#define LINE_SIZE 512

bool bhi_every_line(const char *path, bool (*fn)(const char *line))
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buffer[4096], line[LINE_SIZE];
	size_t used = 0;
	bool good = fd >= 0;
	ssize_t length = 0;

	while (good && (length = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < length && good; i++) {
			if (buffer[i] != '\n') {
				if (used < LINE_SIZE - 1)
					line[used++] = buffer[i];
				continue;
			}
			line[used] = 0;
			used = 0;
			good = fn(line);
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return good && !length;
}
