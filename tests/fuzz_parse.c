/* SPDX-License-Identifier: MIT */
/* bhi_parse_size() and bhi_parse_u64() over any text, checked against slow arithmetic. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"
#include "base/parse.h"

#define UNTOUCHED 4711u
#define TEXT_MAX  256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static void check_u64(const char *text, uint64_t max)
{
	uint64_t value = UNTOUCHED, again = UNTOUCHED;
	int r = bhi_parse_u64(text, max, &value);
	char *end;

	require(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r) {
		require(value == UNTOUCHED);
		return;
	}
	require(value <= max);
	errno = 0;
	require(strtoull(text, &end, 10) == value && !errno && !*end);
	/* One less is too little. */
	if (value)
		require(bhi_parse_u64(text, value - 1, &again) == -ERANGE);
	require(bhi_parse_u64(text, value, &again) == 0 && again == value);
}

static void check_size(const char *text)
{
	uint64_t value = UNTOUCHED, again;
	int r = bhi_parse_size(text, &value);
	char buf[24];

	require(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r) {
		require(value == UNTOUCHED);
		return;
	}
	require(value == UINT64_MAX ? !strcmp(text, "max") : value <= INT64_MAX);
	/* A plain number means the same to both. */
	if (text[strspn(text, "0123456789")] == '\0')
		require(bhi_parse_u64(text, UINT64_MAX, &again) == 0 && again == value);
	require(bhi_parse_size(bhi_format_size(value, buf), &again) == 0);
	require(again <= value || value == INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1];
	uint64_t max = UINT64_MAX;

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (size >= sizeof(max))
		memcpy(&max, data + size - sizeof(max), sizeof(max));
	check_size(text);
	check_u64(text, UINT64_MAX);
	check_u64(text, max);
	return 0;
}
