/* SPDX-License-Identifier: MIT */
/* Where the output of a command goes, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

bool bhi_has_colours(void)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return isatty(1) && term && strcmp(term, "dumb") && (!no_color || !*no_color);
}

enum bhi_exit bhi_open_file(
	struct bhi_out *out, const struct bhi_command *command, const char *file)
{
	int fd = 1;

	if (file && strcmp(file, "-"))
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		bhi_errf("bulkhead: %s: %s: %s\n", command->name, file, strerror(errno));
		return BHI_EXIT_USAGE;
	}
	bhi_out_init(out, fd);
	return BHI_EXIT_CLEAN;
}

enum bhi_exit bhi_finish(struct bhi_out *out)
{
	int r = bhi_out_flush(out);

	if (out->fd > 2 && close(out->fd) && !r)
		r = -errno;
	if (!r)
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: %s: %s\n", out->fd == 1 ? "standard output" : "the file",
		strerror(-r));
	return BHI_EXIT_FAILED;
}
