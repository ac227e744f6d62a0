/* SPDX-License-Identifier: MIT */
/*
 * Points are taken by the batch, and one run of the subject serves for a batch. What a
 * copy shows is believed when it is one of
 *
 *	nothing much: handled or absorbed;
 *	a finding that an ordinary run has shown too. The first test of each is run again,
 *	and so is each outcome that has to be confirmed anyhow.
 *
 * It is not, nor is anything else of the batch, when the subject itself ended otherwise
 * than the clean run: a copy has left something behind. Points that were not met by a
 * copy are tested by ordinary runs.
 */
#include "fast.h"

#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "copies.h"
#include "interrupt.h"
#include "points.h"

/* A run more for each, and what is in the way is found out this often. */
#define BATCH 64
_Static_assert(BATCH <= BHI_CHECK_MAX_COPIES, "one run serves for a batch");

enum state {
	TO_DO,
	LEFT_OUT,
	COPIED, /* .test is what the copy showed */
};

struct entry {
	size_t at; /* in .points */
	enum state state;
	struct bhi_check_order order;
	struct bhi_check_test test;
};

struct batch {
	struct bhi_check_work *work;
	int slot;
	int error;
	unsigned nr;        /* entries */
	unsigned nr_orders; /* of them, at the front, have a number of the call */
	struct entry entries[BATCH];
};

static const char *reason_name(enum bhi_check_copy_reason reason)
{
	static const char *const names[BHI_CHECK_COPY_NR_REASONS] = {
		[BHI_CHECK_COPY_SOUND] = "nothing",
		[BHI_CHECK_COPY_THREADS] = "threads",
		[BHI_CHECK_COPY_CHILDREN] = "child processes",
		[BHI_CHECK_COPY_MEMORY] = "memory that is shared and writable",
		[BHI_CHECK_COPY_FILES] = "files open for writing",
		[BHI_CHECK_COPY_OTHERS] = "pipes, sockets or other descriptors",
		[BHI_CHECK_COPY_LOCKS] = "locks on files",
		[BHI_CHECK_COPY_TIMERS] = "timers",
		[BHI_CHECK_COPY_FAILED] = "a copy that could not be made",
	};

	return names[reason];
}

static bool wants(void *arg, unsigned i)
{
	struct batch *batch = arg;
	struct entry *entry = &batch->entries[i];

	if (bhi_check_interrupted() || bhi_check_is_over(batch->work))
		return false;
	if (!bhi_check_leave_out(batch->work, entry->at))
		return true;
	entry->state = LEFT_OUT;
	return false;
}

static bool take(void *arg, unsigned i, struct bhi_check_result *result)
{
	struct batch *batch = arg;
	struct bhi_check_work *work = batch->work;
	struct entry *entry = &batch->entries[i];

	if (bhi_check_interrupted()) {
		bhi_check_result_fini(result);
		return false;
	}
	batch->error = bhi_check_judge(
		work, batch->slot, &work->points[entry->at], result, &entry->test);
	bhi_check_result_fini(result);
	if (batch->error)
		return false;
	entry->state = COPIED;
	pthread_mutex_lock(&work->lock);
	work->session.nr_runs++;
	work->session.nr_copies++;
	pthread_mutex_unlock(&work->lock);
	return true;
}

static void forget(struct entry *entry)
{
	if (entry->state != COPIED)
		return;
	bhi_check_test_fini(&entry->test);
	entry->state = TO_DO;
}

static bool is_as_clean(
	const struct bhi_check_work *work, const struct bhi_check_result *result)
{
	return result->end == BHI_CHECK_EXITED &&
	       result->status == work->rules.expected_exit &&
	       (work->out.how == BHI_CHECK_COMPARE_COMMAND ||
		       !bhi_check_reference_differs(
			       &work->out, result->out, result->out_len, NULL));
}

/* What was in the way there will be in the way later; the first entry that was not met
 * is the place. */
static void note_reason(struct batch *batch, enum bhi_check_copy_reason reason)
{
	struct bhi_check_work *work = batch->work;
	unsigned i = 0;

	if (!reason)
		return;
	while (i < batch->nr_orders - 1 && batch->entries[i].state != TO_DO)
		i++;
	pthread_mutex_lock(&work->lock);
	if (batch->entries[i].order.call < work->no_copies_from) {
		work->no_copies_from = batch->entries[i].order.call;
		work->session.copy_reason = reason_name(reason);
	}
	pthread_mutex_unlock(&work->lock);
}

static int compare_calls(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	/* Without a number: to the end. */
	return x->order.call - 1 < y->order.call - 1   ? -1
	       : x->order.call - 1 > y->order.call - 1 ? 1
						       : 0;
}

/* Those that a copy may serve to the front, in the order in which they come. */
static void sort(struct batch *batch)
{
	struct bhi_check_work *work = batch->work;
	uint64_t limit;

	pthread_mutex_lock(&work->lock);
	limit = work->no_copies_from;
	pthread_mutex_unlock(&work->lock);
	for (unsigned i = 0; i < batch->nr; i++)
		bhi_check_order_fill(work, &work->points[batch->entries[i].at], true,
			&batch->entries[i].order);
	qsort(batch->entries, batch->nr, sizeof(batch->entries[0]), compare_calls);
	batch->nr_orders = 0;
	while (batch->nr_orders < batch->nr &&
		batch->entries[batch->nr_orders].order.call - 1 < limit - 1)
		batch->nr_orders++;
}

static void make_copies(struct batch *batch)
{
	struct bhi_check_work *work = batch->work;
	const struct bhi_check_copier copier = {
		.wants = wants, .take = take, .arg = batch};
	struct bhi_check_order orders[BATCH];
	enum bhi_check_copy_reason reason;
	struct bhi_check_result result;
	int r;

	sort(batch);
	/* For one alone it is a run more and none less. */
	if (batch->nr_orders < 2)
		return;
	for (unsigned i = 0; i < batch->nr_orders; i++)
		orders[i] = batch->entries[i].order;
	r = bhi_check_run_copies(&work->setup, orders, batch->nr_orders, batch->slot,
		&copier, &reason, &result);
	batch->error = batch->error ? batch->error : r;
	if (r)
		return;
	note_reason(batch, reason);
	if (!bhi_load(&work->stop) && !is_as_clean(work, &result)) {
		for (unsigned i = 0; i < batch->nr_orders; i++)
			forget(&batch->entries[i]);
	}
	bhi_check_result_fini(&result);
}

/* Whether an ordinary run has shown it, or just did: @adds. */
static bool is_sure(struct bhi_check_work *work, uint64_t key, bool adds)
{
	bool found = false;

	pthread_mutex_lock(&work->lock);
	for (size_t i = 0; i < work->nr_sure_keys && !found; i++)
		found = work->sure_keys[i] == key;
	if (!found && adds) {
		work->sure_keys = bhi_check_grow(work->sure_keys, &work->sure_capacity,
			work->nr_sure_keys + 1, sizeof(*work->sure_keys));
		work->sure_keys[work->nr_sure_keys++] = key;
	}
	pthread_mutex_unlock(&work->lock);
	return found;
}

static int confirm(struct batch *batch, struct entry *entry)
{
	struct bhi_check_work *work = batch->work;
	const struct bhi_check_point *point = &work->points[entry->at];
	struct bhi_check_test *test = &entry->test;
	uint64_t key = test->key;
	int r;

	if (!bhi_check_class_is_finding(test->class) ||
		(is_sure(work, key, false) &&
			!bhi_check_needs_confirmation(work, point, test->class)))
		return 0;
	r = bhi_check_confirm(work, batch->slot, point, test);
	if (!r && test->key == key)
		(void)is_sure(work, key, true);
	return r;
}

/* Whether to go on. */
static bool finish(struct batch *batch, struct entry *entry)
{
	struct bhi_check_work *work = batch->work;
	int r = 0;

	if (entry->state == TO_DO && bhi_check_leave_out(work, entry->at))
		entry->state = LEFT_OUT;
	if (entry->state == LEFT_OUT)
		return true;
	if (entry->state == COPIED && entry->test.class == BHI_CHECK_UNREACHED)
		forget(entry);
	if (entry->state == COPIED)
		r = confirm(batch, entry);
	else
		r = bhi_check_try(
			work, batch->slot, &work->points[entry->at], &entry->test);
	if (r && entry->state == COPIED)
		forget(entry);
	/* What was ended by us says nothing. */
	if (bhi_check_interrupted()) {
		if (!r)
			bhi_check_test_fini(&entry->test);
		entry->state = TO_DO;
		return false;
	}
	bhi_check_finish_point(work, entry->at, r, &entry->test);
	entry->state = TO_DO;
	return !r;
}

void bhi_check_fast_work(struct bhi_check_work *work, int slot)
{
	struct batch *batch = bhi_check_alloc(1, sizeof(*batch));
	size_t places[BATCH];
	bool goes_on = true;

	*batch = (struct batch){.work = work, .slot = slot};
	while (goes_on &&
		(batch->nr = (unsigned)bhi_check_take_points(work, places, BATCH)) != 0) {
		for (unsigned i = 0; i < batch->nr; i++)
			batch->entries[i] = (struct entry){.at = places[i]};
		make_copies(batch);
		if (batch->error)
			bhi_check_finish_point(
				work, batch->entries[0].at, batch->error, NULL);
		for (unsigned i = 0; i < batch->nr; i++) {
			struct entry *entry = &batch->entries[i];

			goes_on = goes_on && !batch->error && !bhi_load(&work->stop) &&
				  finish(batch, entry);
			if (!goes_on)
				forget(entry);
		}
	}
	free(batch);
}
