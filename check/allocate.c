/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fmt.h"

#include "allocate.h"

__attribute__((noreturn)) static void end_for_want_of_memory(void)
{
	bhi_errf("bulkhead: check: out of memory\n");
	_exit(BHI_CHECK_EXIT_BROKEN);
}

void *bhi_check_alloc(size_t nr, size_t size)
{
	void *p = calloc(bhi_max(nr, (size_t)1), bhi_max(size, (size_t)1));

	if (!p)
		end_for_want_of_memory();
	return p;
}

void *bhi_check_grow(void *array, size_t *capacity, size_t nr, size_t size)
{
	size_t wanted = bhi_max(*capacity, (size_t)8);
	void *p;

	if (nr <= *capacity)
		return array;
	while (wanted < nr)
		wanted *= 2;
	p = reallocarray(array, wanted, size);
	if (!p)
		end_for_want_of_memory();
	*capacity = wanted;
	return p;
}

char *bhi_check_strndup(const char *text, size_t len)
{
	char *copy = strndup(text, len);

	if (!copy)
		end_for_want_of_memory();
	return copy;
}

char *bhi_check_strdup(const char *text)
{
	return bhi_check_strndup(text, strlen(text));
}

char *bhi_check_format(const char *format, ...)
{
	va_list arguments;
	char *text;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0)
		end_for_want_of_memory();
	return text;
}
