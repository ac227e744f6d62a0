/* SPDX-License-Identifier: MIT */
#include "era.h"

#include <string.h>

/* docs/lab.md has the table, and says which change of the kernel each column is. */
const struct bhi_lab_era bhi_lab_eras[BHI_LAB_ERAS] = {
	[BHI_LAB_3_11] = {"3.11", "kill and wait, with all locks held; no reaper",
		{
			.small_must_succeed = true,
			.call = BHI_CALL_KILLS,
		}},
	[BHI_LAB_3_12] = {"3.12",
		"calls fail at a group's limit; pagefaults unwind first; no reaper",
		{
			.small_must_succeed = true,
			.call = BHI_CALL_FAILS_IN_GROUP,
			.pagefault_defers = true,
		}},
	[BHI_LAB_4_6] = {"4.6", "as 3.12, and the reaper takes a victim's memory back",
		{
			.small_must_succeed = true,
			.call = BHI_CALL_FAILS_IN_GROUP,
			.pagefault_defers = true,
			.reaper = true,
		}},
	[BHI_LAB_4_19] = {"4.19", "kill and wait again: the reaper makes it safe",
		{
			.small_must_succeed = true,
			.call = BHI_CALL_KILLS,
			.reaper = true,
			.killable_waits = true,
		}},
	[BHI_LAB_SMALL_MAY_FAIL] = {"small-may-fail",
		"as 3.12, and small requests fail like large ones",
		{
			.call = BHI_CALL_FAILS_IN_GROUP,
			.noreclaim_gives_up = true,
			.pagefault_defers = true,
		}},
	[BHI_LAB_BULKHEAD] = {"bulkhead", "each group's policy; reaper; killable waits",
		{
			.small_must_succeed = true,
			.call = BHI_CALL_BY_GROUP,
			.noreclaim_gives_up = true,
			.pagefault_defers = true,
			.reaper = true,
			.killable_waits = true,
		}},
};

int bhi_lab_era_find(const char *name)
{
	for (int i = 0; i < BHI_LAB_ERAS; i++) {
		if (!strcmp(bhi_lab_eras[i].name, name))
			return i;
	}
	return -1;
}
