/* SPDX-License-Identifier: MIT */
/* Reports go to descriptor 2 with one write(2) a line: no stdio, no allocation, no lock.
 */
#include <stdlib.h>

#include "base/bug.h"
#include "base/fmt.h"
#include "base/where.h"

/* A release build goes on after misuse: a program that does it in a loop would fill
 * disks. */
#define MAX_MISUSES 100

static unsigned nr_warnings, nr_misuses;

void bhi_bug(const char *file, int line, const char *what)
{
	bhi_errf("bulkhead: internal error: %s at %s:%d\n", what, file, line);
	abort();
}

void bhi_warn(const char *file, int line, const char *what)
{
	bhi_add(&nr_warnings, 1);
	/* Whoever meets it may be the reaper, or in a signal handler. */
	bhi_try_errf("bulkhead: warning: %s (%s:%d; further ones are not shown)\n", what,
		file, line);
}

unsigned bhi_warn_count(void)
{
	return bhi_load(&nr_warnings);
}

unsigned bhi_misuse_count(void)
{
	return bhi_load(&nr_misuses);
}

void bhi_misuse(const char *what, const void *ptr, const void *where, const void *before)
{
	char here[BHI_WHERE_SIZE], there[BHI_WHERE_SIZE];
	unsigned nr = bhi_add_return(&nr_misuses, 1);

	if (nr > MAX_MISUSES)
		return;
	if (before)
		bhi_errf("bulkhead: %s of %p, called from %s; freed before from %s\n",
			what, ptr, bhi_where(where, here), bhi_where(before, there));
	else
		bhi_errf("bulkhead: %s of %p, called from %s\n", what, ptr,
			bhi_where(where, here));
	if (BH_DEBUG)
		abort();
	if (nr == MAX_MISUSES)
		bhi_errf("bulkhead: further misuse is not shown\n");
}
