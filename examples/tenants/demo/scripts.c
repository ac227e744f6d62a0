/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts.h"

const struct program programs[] = {
#include "scripts.inc"
};
const size_t nr_programs = sizeof(programs) / sizeof(programs[0]);

const struct program *program_find(const char *directory, const char *name)
{
	for (size_t i = 0; i < nr_programs; i++) {
		if (!strcmp(programs[i].directory, directory) &&
			!strcmp(programs[i].name, name))
			return &programs[i];
	}
	fprintf(stderr, "tenants-demo: there is no %s/%s\n", directory, name);
	exit(1);
}

const char *program_lang(const struct program *program)
{
	return strstr(program->name, ".js") ? "js" : "lua";
}
