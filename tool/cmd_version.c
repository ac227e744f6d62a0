/* SPDX-License-Identifier: MIT */
#include "bulkhead.h"

#include "command.h"

static enum bhi_exit run(const struct bhi_options *options)
{
	struct bhi_out out;

	if (bhi_open_file(&out, &bhi_command_version, options->json_file))
		return BHI_EXIT_USAGE;
	if (options->json) {
		bhi_json_begin(&out, NULL, '{');
		bhi_json_str(&out, "version", bh_version());
		bhi_json_end(&out, '}');
	} else {
		bhi_outf(&out, "bulkhead %s\n", bh_version());
	}
	return bhi_finish(&out);
}

const struct bhi_command bhi_command_version = {
	.name = "version",
	.summary = "print the version",
	.usage = "Usage: bulkhead version [--json[=FILE]]\n"
		 "\n"
		 "Print the version of the command and of the library inside it.\n"
		 "\n"
		 "Options:\n"
		 "  --json[=FILE]  print a JSON object, or write it to FILE\n",
	.has_json = true,
	.run = run,
};
