/* SPDX-License-Identifier: MIT */
/* What the report says of tasks: the walks, and the parts of both renderings. */
#ifndef BHI_API_REPORT_TASKS_H
#define BHI_API_REPORT_TASKS_H

#include "api/report.h"

/* Count all tasks and find the largest. Context: may wait. */
void bhi_report_sum_tasks(struct bhi_report_tasks *ret);

/* Hand each task to .task of @rendering. Context: may wait; no lock is held. */
void bhi_report_walk_tasks(
	struct bhi_out *out, const struct bhi_report_rendering *rendering);

/* The same with the last OOMs, the newest first. Context: may wait; no lock is held. */
void bhi_report_walk_ooms(
	struct bhi_out *out, const struct bhi_report_rendering *rendering);

/* Fill what the verdict says of kills. Context: may wait. */
void bhi_report_judge_kills(struct bhi_report_verdict *verdict);

/* Context: may wait. */
void bhi_report_read_private(struct bhi_report_private *ret);

/* "running", … Context: any. */
const char *bhi_report_state_name(enum bh_victim_state state);

/* "oom", …; NULL for a task that is not killed. Context: any. */
const char *bhi_report_reason_name(enum bh_kill_reason reason);

/* "call", … Context: any. */
const char *bhi_report_origin_name(enum bh_oom_origin origin);

/* "group", … Context: any. */
const char *bhi_report_constraint_name(enum bh_oom_constraint constraint);

/* "holding", …; NULL for one that was not given up. Context: any. */
const char *bhi_report_unreaped_name(enum bh_unreaped why);

/* The name of one bit of enum bh_flags, or NULL. Context: any. */
const char *bhi_report_flag_name(uint32_t flag);

/* Members of the renderings. Context of all: may wait; with no lock of the library held.
 */
void bhi_report_text_ns(struct bhi_out *out, uint64_t ns, int width);
void bhi_report_text_kill_verdict(
	struct bhi_out *out, const struct bhi_report_verdict *verdict);
void bhi_report_text_oom(struct bhi_out *out, const struct bhi_report_oom *oom);
void bhi_report_text_kills(struct bhi_out *out, enum bh_victim_state state);
void bhi_report_text_tasks(struct bhi_out *out, const struct bhi_report_tasks *tasks);
void bhi_report_text_private(
	struct bhi_out *out, const struct bhi_report_private *private);

void bhi_report_json_kill_verdict(
	struct bhi_out *out, const struct bhi_report_verdict *verdict);
void bhi_report_json_oom(struct bhi_out *out, const struct bhi_report_oom *oom);
void bhi_report_json_kills(struct bhi_out *out, enum bh_victim_state state);
void bhi_report_json_task(struct bhi_out *out, const struct bhi_report_task *task);
void bhi_report_json_tasks(struct bhi_out *out, const struct bhi_report_tasks *tasks);
void bhi_report_json_private(
	struct bhi_out *out, const struct bhi_report_private *private);

#endif
