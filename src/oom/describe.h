/* SPDX-License-Identifier: MIT */
/* What an OOM event says: who asked, the group that is over its limit, and why somebody
 * was chosen. The fields are those of Linux mm/oom_kill.c, dump_header(), and mm/
 * memcontrol.c, mem_cgroup_print_oom_meminfo(). */
#ifndef BHI_OOM_DESCRIBE_H
#define BHI_OOM_DESCRIBE_H

#include "oom/oom.h"

/* Bytes that @over is limited to: what points are measured by. Context: any. */
uint64_t bhi_oom_total(const struct bh_group *over);

/* Make the event of @decision one about @over, with its number. Called with the OOM lock
 * held. Context: any, no allocation. */
void bhi_oom_describe(
	struct bhi_oom_decision *decision, struct bh_group *over, int64_t size);

/* Why the first of the rows was chosen; @nr_equal had as many points, itself included.
 * Context: any, no allocation. */
void bhi_oom_explain(struct bh_oom_event *event, uint32_t nr_equal);

/* Why the asker itself, and why nobody. Context: any, no allocation. */
void bhi_oom_explain_self(struct bh_oom_event *event);
void bhi_oom_explain_nobody(struct bh_oom_event *event);

/* The tasks were walked: what of the usage is left for shared memory. Context: any, no
 * allocation. */
void bhi_oom_sum(struct bh_oom_event *event);

#endif
