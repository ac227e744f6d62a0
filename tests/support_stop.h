/* SPDX-License-Identifier: MIT */
/*
 * Forced interleavings: a thread that passes a test point is held there until the test
 * lets it go on. A stop holds one thread, once; several can be set at a time.
 */
#ifndef BHI_TESTS_SUPPORT_STOP_H
#define BHI_TESTS_SUPPORT_STOP_H

#include "base/testpoint.h"

/* Who is held: a thread that is inside a task, or one that is not. */
enum support_who {
	SUPPORT_INSIDE,
	SUPPORT_OUTSIDE,
};

struct support_stop {
	/* immutable while it is set */
	enum bhi_testpoint point;
	enum support_who who;
	/* atomic */
	uint32_t armed, reached, go_on;
};

/* The next one of @who to pass @point is held there. Statics only: threads may look at
 * @stop until the end of the test. */
void support_stop_at(
	struct support_stop *stop, enum bhi_testpoint point, enum support_who who);

/* The same without being held: it is only seen to have come by. */
void support_watch(
	struct support_stop *stop, enum bhi_testpoint point, enum support_who who);

/* Somebody is there, or was. */
void support_stop_await(const struct support_stop *stop);

void support_stop_go_on(struct support_stop *stop);

/* Nobody else is held. Who is goes on only when told to. */
void support_stops_clear(void);

#endif
