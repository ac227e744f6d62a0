/* SPDX-License-Identifier: MIT */
/* An image decoder that believes its input runs in a task: at 16 MiB the task is killed,
 * its memory is back at once, and the program goes on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <bulkhead.h>

struct image {
	const char *runs; /* "3a2b" is aaabb */
	char *pixels;     /* the result: shared memory, which outlives the task */
};

static int decode(void *arg)
{
	struct image *image = arg;
	size_t used = 0, room = 64;
	char *pixels = bh_malloc(room), *letter; /* in a task: memory, or the end of it */

	for (const char *p = image->runs; *p; p = *letter ? letter + 1 : letter) {
		for (unsigned long n = strtoul(p, &letter, 10); n; n--) {
			if (used == room)
				pixels = bh_realloc(pixels, room *= 2);
			pixels[used++] = *letter;
		}
	}
	image->pixels = bh_export(NULL, pixels, used);
	return (int)used;
}

int main(void)
{
	struct image good = {"5a3b", NULL}, bomb = {"4000000000x", NULL};
	struct bh_group *decoder = bh_group_new(NULL, "decoder");
	struct bh_report report;

	if (!decoder || bh_group_set(decoder, BH_MAX, 16 << 20))
		return 1;
	if (bh_task_run(decoder, NULL, decode, &bomb, &report) != -ECANCELED)
		return 1;
	printf("%s: killed, %llu bytes back in %llu us\n", bomb.runs,
		(unsigned long long)report.reaped,
		(unsigned long long)report.kill_to_bytes_ns / 1000);
	if (bh_task_run(decoder, NULL, decode, &good, &report) || !good.pixels)
		return 1;
	printf("%s: %.*s\n", good.runs, report.value, good.pixels);
	bh_free(good.pixels);
	bh_group_put(decoder);
	return 0;
}
