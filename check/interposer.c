/* SPDX-License-Identifier: MIT */
#include "interposer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#include "allocate.h"

#define NAME "bulkhead-check.so"

/* Below the folder above that of the command: the build tree, and an installation that
 * was moved as a whole, with the places of the distributions. */
static const char *const nearby[] = {
	"preload/" NAME,
	"lib/" MULTIARCH "/bulkhead/" NAME,
	"lib64/bulkhead/" NAME,
	"lib/bulkhead/" NAME,
};

static int try(char *ret, size_t size, const char *folder, const char *name)
{
	int length = snprintf(ret, size, "%s/%s", folder, name);

	if (length < 0 || (size_t)length >= size)
		return -ENAMETOOLONG;
	/* The loader takes a colon or a space for the end of the name. */
	if (strpbrk(ret, ": "))
		return -ENOENT;
	return access(ret, R_OK) ? -ENOENT : 0;
}

int bhi_check_interposer_find(char *ret, size_t size)
{
	char folder[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

	if (length > 0) {
		folder[length] = 0;
		/* The command and the folder it is in. */
		for (int i = 0; i < 2; i++) {
			char *slash = strrchr(folder, '/');

			if (slash)
				*slash = 0;
		}
		for (size_t i = 0; i < bhi_array_size(nearby); i++) {
			if (!try(ret, size, folder, nearby[i]))
				return 0;
		}
	}
	return try(ret, size, BHI_LIBDIR, "bulkhead/" NAME);
}

char *bhi_check_interposer_preload(const char *interposer)
{
	const char *others = getenv("LD_PRELOAD");

	if (!others || !*others)
		return bhi_check_strdup(interposer);
	return bhi_check_format("%s:%s", interposer, others);
}
