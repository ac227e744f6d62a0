/* SPDX-License-Identifier: MIT */
/* The scripts in good/ and bad/, embedded. */
#ifndef TENANTS_SCRIPTS_H
#define TENANTS_SCRIPTS_H

#include <stddef.h>

struct program {
	const char *directory, *name;
	const char *text;
	const char *expected; /* what it prints; NULL: it does not end by itself */
};

extern const struct program programs[];
extern const size_t nr_programs;

/* By directory and name; ends the program when there is none. */
const struct program *program_find(const char *directory, const char *name);

/* "lua" or "js". */
const char *program_lang(const struct program *program);

#endif
