/* SPDX-License-Identifier: MIT */
/* Runs of subjects under the interposer. */
#ifndef BHI_TESTS_SUPPORT_CHECK_H
#define BHI_TESTS_SUPPORT_CHECK_H

#include "run.h"
#include "support.h"

/* The setup of a test: a fresh folder, 10 s, 1 MiB of output. */
struct bhi_check_setup support_setup(char *const *command);

/* tests/subjects/@name */
const char *support_subject(const char *name);

/* Runs it, in slot 0; ends the test when that fails or the subject did not attach. */
void support_run_order(const struct bhi_check_setup *setup,
	const struct bhi_check_order *order, struct bhi_check_result *ret);

void support_record(const struct bhi_check_setup *setup, struct bhi_check_result *ret);

/* The order that makes call number @call of the recorded run fail. */
struct bhi_check_order support_order(
	const struct bhi_check_result *recorded, uint64_t call, bool hint);

/* The number of the first recorded call for @size bytes; ends the test without one. */
uint64_t support_call_of_size(const struct bhi_check_result *recorded, uint64_t size);

/* A line of the shell, in the folder of the test, where state is kept too; it has to end
 * with @status. support_output_fini() the result. */
void support_shell(struct support_output *ret, int status, const char *script);

/* Its standard output has @part in it. */
void support_assert_says(const struct support_output *output, const char *part);

#endif
