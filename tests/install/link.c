/* SPDX-License-Identifier: MIT */
/*
 * A user's program, compiled against the installed tree: one charge, one object, and a
 * group whose limit holds. Exits with the number of the first step that went wrong.
 */
#include <bulkhead.h>

#include <stdio.h>
#include <string.h>

#define EXPECT(step, cond)                                                  \
	do {                                                                \
		if (!(cond)) {                                              \
			fprintf(stderr, "link: %s does not hold\n", #cond); \
			return step;                                        \
		}                                                           \
	} while (0)

int main(void)
{
	struct bh_config config = {.size = 64u << 20};
	struct bh_group_stat stat;
	struct bh_group *group;
	char version[32];
	char *text;

	snprintf(version, sizeof(version), "%d.%d.%d", BH_VERSION_MAJOR, BH_VERSION_MINOR,
		BH_VERSION_PATCH);
	EXPECT(1, !strcmp(bh_version(), version));
	EXPECT(2, bh_init(&config) == 0);
	group = bh_group_new(NULL, "link");
	EXPECT(3, group != NULL);
	EXPECT(4, bh_group_set(group, BH_MAX, 1u << 20) == 0);

	text = bh_alloc(group, 1000, 0);
	EXPECT(5, text != NULL);
	memset(text, 'x', 1000);
	EXPECT(6, bh_charge(group, 2u << 20, 0) != 0);
	EXPECT(7, bh_group_stat(group, &stat) == 0);
	EXPECT(8, stat.usage >= 1000 && stat.usage <= 1u << 20);

	bh_free(text);
	bh_group_put(group);
	EXPECT(9, bh_audit() == 0);
	return 0;
}
