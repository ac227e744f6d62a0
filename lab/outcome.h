/* SPDX-License-Identifier: MIT */
/*
 * What became of a run. It is filled in by the process that runs the scenario, in memory
 * that it shares with the one that asked: a lockup or a crash loses nothing.
 */
#ifndef BHI_LAB_OUTCOME_H
#define BHI_LAB_OUTCOME_H

#include "scenario.h"

#define BHI_LAB_EVENTS_MAX 2048
#define BHI_LAB_SENTENCES  (BHI_LAB_TASKS + 2)

enum bhi_lab_end {
	BHI_LAB_NOT_ENDED,
	BHI_LAB_ENDED,
	BHI_LAB_ENDED_ERROR,
	BHI_LAB_ENDED_KILLED, /* unwound, or killed while idle */
};

struct bhi_lab_task_end {
	enum bhi_lab_end end;
	int error; /* errno */
	int step;  /* the one that failed, or that it was in */
	unsigned nr_kills;
};

enum bhi_lab_event_kind {
	BHI_LAB_EV_ENTER,
	BHI_LAB_EV_STEP,      /* begins */
	BHI_LAB_EV_STEP_DONE, /* .value: whether it was had */
	BHI_LAB_EV_SLEEP,     /* waits in its step */
	BHI_LAB_EV_LOCKED,    /* .value: the lock */
	BHI_LAB_EV_UNLOCKED,
	BHI_LAB_EV_KILLED,   /* .value: bytes it has; .other: who asked, or NONE */
	BHI_LAB_EV_MEMORY,   /* .value: bytes of private memory it has now */
	BHI_LAB_EV_TRY,      /* the reaper was refused; .value: how often */
	BHI_LAB_EV_GIVEN_UP, /* by the reaper: the next victim may be chosen */
	BHI_LAB_EV_REAPED,
	BHI_LAB_EV_END,   /* .value: enum bhi_lab_end */
	BHI_LAB_EV_ORDER, /* the rest of the schedule cannot be had in this order */
	BHI_LAB_EV_LOCKUP,
};

struct bhi_lab_event {
	uint64_t time_ns; /* virtual */
	uint64_t value;
	uint8_t kind;
	int8_t task, other;
	int8_t step;
};

struct bhi_lab_outcome {
	bool is_complete; /* the rest was filled in to the end */
	enum bhi_lab_verdict verdict;
	uint32_t errors; /* a mask of tasks */
	unsigned nr_victims;
	uint8_t victims[BHI_LAB_TASKS];
	struct bhi_lab_task_end tasks[BHI_LAB_TASKS];
	/* What holds a lockup together, or what is broken: one sentence each. */
	unsigned nr_sentences;
	char sentences[BHI_LAB_SENTENCES][200];
	uint64_t time_ns; /* virtual */
	uint64_t nr_points;
	unsigned nr_events, nr_lost_events;
	struct bhi_lab_event events[BHI_LAB_EVENTS_MAX];
};

/* Whether the outcome is what the scenario expects in @era. */
bool bhi_lab_outcome_matches(const struct bhi_lab_scenario *scenario, int era,
	const struct bhi_lab_outcome *outcome);

/* "lockup", "completes; victims b", ... into @buf; returns it. */
char *bhi_lab_outcome_text(const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_outcome *outcome, char *buf, size_t size);

/* The same of what is expected. "": nothing is. */
char *bhi_lab_expect_text(
	const struct bhi_lab_scenario *scenario, int era, char *buf, size_t size);

extern const char *const bhi_lab_verdict_names[];

#endif
