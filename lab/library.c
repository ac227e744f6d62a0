/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "base/fmt.h"
#include "base/sys.h"

#include "parse.h"

#define FILE_MAX ((size_t)64 << 10)

static const struct {
	const char *name;
	const char *text;
} table[] = {
#include "scenarios.inc"
};

static struct bhi_lab_scenario scenario;

unsigned bhi_lab_library_count(void)
{
	return bhi_array_size(table);
}

static const struct bhi_lab_scenario *parse(
	const char *file, const char *name, const char *text, size_t size)
{
	struct bhi_lab_error error;

	if (!bhi_lab_parse(name, text, size, &scenario, &error))
		return &scenario;
	bhi_errf("bulkhead: lab: %s:%d:%d: %s\n", file, error.line, error.column,
		error.text);
	return NULL;
}

const struct bhi_lab_scenario *bhi_lab_library_get(unsigned number)
{
	const char *text = table[number].text;
	const struct bhi_lab_scenario *got =
		parse(table[number].name, table[number].name, text, strlen(text));

	BUG_ON(!got);
	return got;
}

static bool is_path(const char *name)
{
	size_t length = strlen(name);

	return strchr(name, '/') || (length > 4 && !strcmp(name + length - 4, ".lab"));
}

/* The file's name without its folder and its ending. */
static void name_of(const char *path, char name[BHI_LAB_NAME_SIZE])
{
	const char *slash = strrchr(path, '/');
	char *dot;

	strncpy(name, slash ? slash + 1 : path, BHI_LAB_NAME_SIZE - 1);
	name[BHI_LAB_NAME_SIZE - 1] = '\0';
	dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = '\0';
}

static const struct bhi_lab_scenario *read_file(const char *path)
{
	static char text[FILE_MAX];
	char name[BHI_LAB_NAME_SIZE];
	ssize_t size = bhi_sys_read_file(path, text, sizeof(text));

	if (size < 0) {
		bhi_errf("bulkhead: lab: %s: %s\n", path, strerror((int)-size));
		return NULL;
	}
	name_of(path, name);
	return parse(path, name, text, (size_t)size);
}

const struct bhi_lab_scenario *bhi_lab_library_find(const char *name)
{
	if (is_path(name))
		return read_file(name);
	for (unsigned i = 0; i < bhi_array_size(table); i++) {
		if (!strcmp(table[i].name, name))
			return bhi_lab_library_get(i);
	}
	bhi_errf("bulkhead: lab: %s: no such scenario; 'bulkhead lab' lists them, and a "
		 "file's name has a '/' or ends in .lab\n",
		name);
	return NULL;
}
