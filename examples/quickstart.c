/* SPDX-License-Identifier: MIT */
/* A group with a budget: past it, an allocation fails cleanly and nobody else notices. */
#include <stdio.h>
#include <string.h>

#include <bulkhead.h>

int main(void)
{
	struct bh_group *parser = bh_group_new(NULL, "parser");
	struct bh_group_stat stat;
	size_t nr = 0;

	if (!parser)
		return 1;
	bh_group_set(parser, BH_MAX, 16 << 20);

	/* Objects know their group: free needs no group, and drop frees them all. */
	for (;;) {
		char *line = bh_alloc(parser, 100, 0);

		if (!line)
			break;
		memset(line, 'x', 100);
		nr++;
	}
	bh_group_stat(parser, &stat);
	printf("%zu lines of 100 bytes fit into 16 MiB; usage %llu, refused %llu\n", nr,
		(unsigned long long)stat.usage, (unsigned long long)stat.failcnt);

	bh_group_drop(parser);
	bh_group_stat(parser, &stat);
	printf("after the drop: usage %llu\n", (unsigned long long)stat.usage);
	bh_group_put(parser);
	return 0;
}
