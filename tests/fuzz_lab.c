/* SPDX-License-Identifier: MIT */
/*
 * Scenarios from any text. What is accepted is printed and read again, to the same bytes;
 * what is refused is refused at a place in the text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parse.h"
#include "print.h"

/* Of the longest scenarios: 16 tasks of 48 steps of about 100 bytes, and the rest. */
#define PRINTED_SIZE (256 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bhi_lab_scenario scenario, again;

static void require(bool good)
{
	if (!good)
		abort();
}

static void check_error(const char *text, size_t size, const struct bhi_lab_error *error)
{
	int line = 1;

	require(error->line >= 1 && error->column >= 1);
	require(memchr(error->text, '\0', sizeof(error->text)) && error->text[0]);
	for (; size && line < error->line; text++, size--)
		line += *text == '\n';
	require(line == error->line);
	/* At most right behind the last byte of the line. */
	require((size_t)error->column <= size + 1);
	require(!memchr(text, '\n', (size_t)error->column - 1));
}

static size_t print(char *buf)
{
	static int fd = -1;
	struct bhi_out out;
	ssize_t n;

	if (fd < 0)
		fd = memfd_create("scenario", MFD_CLOEXEC);
	require(fd >= 0 && !ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET));
	bhi_out_init(&out, fd);
	bhi_lab_print(&out, &scenario);
	require(!bhi_out_flush(&out));
	n = pread(fd, buf, PRINTED_SIZE, 0);
	require(n > 0 && n < PRINTED_SIZE);
	return (size_t)n;
}

/* Byte for byte: what lies between the members is zero too. */
static bool is_same(const void *a, const void *b)
{
	return !memcmp(a, b, sizeof(struct bhi_lab_scenario));
}

static void forget_lines(struct bhi_lab_scenario *of)
{
	for (unsigned i = 0; i < of->nr_tasks; i++) {
		for (unsigned j = 0; j < of->tasks[i].nr_steps; j++)
			of->tasks[i].steps[j].line = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char printed[PRINTED_SIZE];
	struct bhi_lab_error error;
	/* Of exactly the size, so that a read past the end is seen. */
	char *text = malloc(size ? size : 1);
	int r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	r = bhi_lab_parse("fuzz", text, size, &scenario, &error);
	require(r == 0 || r == -EINVAL);
	if (r) {
		check_error(text, size, &error);
	} else {
		require(!bhi_lab_parse("fuzz", printed, print(printed), &again, &error));
		forget_lines(&scenario);
		forget_lines(&again);
		require(is_same(&scenario, &again));
	}
	free(text);
	return 0;
}
