/* SPDX-License-Identifier: MIT */
/*
 * Points are taken by the batch, and one run of the subject serves for a batch. What a
 * copy shows is believed when it is one of
 *
 *	nothing much: handled or absorbed;
 *	a finding that an ordinary run has shown too, at the same point or at another one
 *	with the same root cause. Where the two differ, the ordinary one counts.
 *
 * It is not, nor is anything else of the batch, when the subject itself ended otherwise
 * than the clean run: a copy has left something behind, and none is made from there on.
 * Points that were not met by a copy are tested by ordinary runs.
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
	bool was_asked; /* whether to leave it out: once, since that is by turns */
	struct bhi_check_order order;
	struct bhi_check_test test;
};

struct batch {
	struct bhi_check_work *work;
	int slot;
	int error;
	bool has_run;       /* one test at least, whatever the budget */
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
		[BHI_CHECK_COPY_LEFT] = "what a copy left behind",
	};

	return names[reason];
}

/* Hangs of this batch are not in the session yet. */
static bool site_hangs(const struct batch *batch, const struct entry *entry)
{
	const struct bhi_check_point *points = batch->work->points;
	unsigned nr = 0;

	for (unsigned i = 0; i < batch->nr; i++) {
		const struct entry *other = &batch->entries[i];

		nr += other->state == COPIED && bhi_check_is_hang(other->test.class) &&
		      points[other->at].site == points[entry->at].site;
	}
	return nr >= BHI_CHECK_SITE_HANGS;
}

static bool leave_out(struct batch *batch, struct entry *entry)
{
	if (!entry->was_asked && bhi_check_leave_out(batch->work, entry->at))
		entry->state = LEFT_OUT;
	entry->was_asked = true;
	return entry->state == LEFT_OUT;
}

static bool is_over(struct batch *batch)
{
	return bhi_check_is_cut_short(batch->work) ||
	       (batch->has_run && bhi_check_is_over(batch->work));
}

/* What hangs too often is asked about again when the hangs are known. */
static bool wants(void *arg, unsigned i)
{
	struct batch *batch = arg;
	struct entry *entry = &batch->entries[i];

	return !is_over(batch) && !site_hangs(batch, entry) && !leave_out(batch, entry);
}

static bool take(void *arg, unsigned i, struct bhi_check_result *result)
{
	struct batch *batch = arg;
	struct bhi_check_work *work = batch->work;
	struct entry *entry = &batch->entries[i];

	if (bhi_check_is_cut_short(work)) {
		bhi_check_result_fini(result);
		return !bhi_check_interrupted();
	}
	batch->error = bhi_check_judge(
		work, batch->slot, &work->points[entry->at], result, &entry->test);
	bhi_check_result_fini(result);
	if (batch->error)
		return false;
	entry->state = COPIED;
	batch->has_run = true;
	bhi_check_limit_runs(work);
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

/* What is in the way at this entry will be in the way later. */
static void give_up_from(
	struct batch *batch, unsigned i, enum bhi_check_copy_reason reason)
{
	struct bhi_check_work *work = batch->work;

	pthread_mutex_lock(&work->lock);
	if (batch->entries[i].order.call < work->no_copies_from) {
		work->no_copies_from = batch->entries[i].order.call;
		work->session.copy_reason = reason_name(reason);
	}
	pthread_mutex_unlock(&work->lock);
}

/* What the subject itself was, in which nothing failed. */
static void look_at_subject(struct batch *batch, const struct bhi_check_result *result)
{
	const struct bhi_check_copies *copies = &result->shared->copies;
	bool is_clean = false;
	unsigned i = 0;

	if (copies->reason && copies->reason < BHI_CHECK_COPY_NR_REASONS &&
		copies->at < batch->nr_orders)
		give_up_from(
			batch, copies->at, (enum bhi_check_copy_reason)copies->reason);
	/* Killed by us, it says nothing, and nothing of the batch counts. */
	if (bhi_check_interrupted())
		return;
	batch->error = bhi_check_is_as_clean(batch->work, batch->slot, result, &is_clean);
	if (is_clean || batch->error)
		return;
	while (i < batch->nr_orders && batch->entries[i].state != COPIED)
		i++;
	if (i == batch->nr_orders)
		return;
	give_up_from(batch, i, BHI_CHECK_COPY_LEFT);
	for (; i < batch->nr_orders; i++)
		forget(&batch->entries[i]);
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
	struct bhi_check_result result;
	int r;

	sort(batch);
	/* For one alone it is a run more and none less. */
	if (batch->nr_orders < 2)
		return;
	for (unsigned i = 0; i < batch->nr_orders; i++)
		orders[i] = batch->entries[i].order;
	r = bhi_check_run_copies(
		&work->setup, orders, batch->nr_orders, batch->slot, &copier, &result);
	batch->error = batch->error ? batch->error : r;
	if (r)
		return;
	if (!batch->error)
		look_at_subject(batch, &result);
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

static bool has_to_be_shown(struct batch *batch, const struct entry *entry)
{
	return bhi_check_class_is_finding(entry->test.class) &&
	       !is_sure(batch->work, entry->test.key, false);
}

/* By an ordinary run: its outcome counts, confirmed as all are, when it is another one.
 */
static int show(struct batch *batch, struct entry *entry)
{
	struct bhi_check_work *work = batch->work;
	const struct bhi_check_point *point = &work->points[entry->at];
	struct bhi_check_test test;
	int r = bhi_check_try_once(work, batch->slot, point, &test);

	if (r)
		return r;
	if (test.class == entry->test.class && test.key == entry->test.key) {
		(void)is_sure(work, test.key, true);
		bhi_check_test_fini(&test);
		return 0;
	}
	bhi_check_count_unconfirmed(work);
	bhi_check_test_fini(&entry->test);
	entry->test = test;
	return bhi_check_confirm(work, batch->slot, point, &entry->test);
}

/* By what runs are needed. 0 or -errno; then .test is gone. */
static int complete(struct batch *batch, struct entry *entry)
{
	struct bhi_check_work *work = batch->work;
	const struct bhi_check_point *point = &work->points[entry->at];
	int r;

	batch->has_run = true;
	if (entry->state != COPIED)
		return bhi_check_try(work, batch->slot, point, &entry->test);
	if (has_to_be_shown(batch, entry))
		r = show(batch, entry);
	else
		r = bhi_check_confirm(work, batch->slot, point, &entry->test);
	if (r)
		forget(entry);
	return r;
}

/* At the end of the budget what copies have shown stays, as far as it needs no run. */
static void finish(struct batch *batch, struct entry *entry)
{
	struct bhi_check_work *work = batch->work;
	bool is_cut_short = bhi_check_interrupted();
	int r = 0;

	if (entry->state == COPIED && entry->test.class == BHI_CHECK_UNREACHED)
		forget(entry);
	if (entry->state == LEFT_OUT ||
		(entry->state == TO_DO && (is_over(batch) || leave_out(batch, entry))))
		return;
	if (entry->state != COPIED || !is_over(batch)) {
		r = complete(batch, entry);
		/* What was ended by us says nothing. */
		is_cut_short = bhi_check_is_cut_short(work);
	} else if (has_to_be_shown(batch, entry)) {
		forget(entry);
		return;
	}
	if (is_cut_short && !r)
		bhi_check_test_fini(&entry->test);
	if (!is_cut_short) {
		bhi_check_finish_point(work, entry->at, r, &entry->test);
		batch->error = r;
	}
	entry->state = TO_DO;
}

void bhi_check_fast_work(struct bhi_check_work *work, int slot)
{
	struct batch *batch = bhi_check_alloc(1, sizeof(*batch));
	size_t places[BATCH];

	do {
		*batch = (struct batch){.work = work, .slot = slot};
		batch->nr = (unsigned)bhi_check_take_points(work, places, BATCH);
		for (unsigned i = 0; i < batch->nr; i++)
			batch->entries[i] = (struct entry){.at = places[i]};
		make_copies(batch);
		if (batch->error)
			bhi_check_finish_point(work, places[0], batch->error, NULL);
		for (unsigned i = 0; i < batch->nr; i++) {
			if (batch->error || bhi_check_interrupted())
				forget(&batch->entries[i]);
			else
				finish(batch, &batch->entries[i]);
		}
	} while (batch->nr && !batch->error);
	free(batch);
}
