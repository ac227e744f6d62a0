/* SPDX-License-Identifier: MIT */
/* Allocates while it is loaded. */
#include <stdio.h>
#include <stdlib.h>

static void *kept;

__attribute__((constructor)) static void construct(void)
{
	kept = malloc(1000);
	printf("constructor: %s\n", kept ? "yes" : "no");
}

__attribute__((destructor)) static void destruct(void)
{
	free(kept);
}
