/* SPDX-License-Identifier: MIT */
/*
 * A session from the clean runs to its findings. The steps are called in this order;
 * each says on standard error why it failed, and returns the exit status then.
 */
#ifndef BHI_CHECK_SESSION_H
#define BHI_CHECK_SESSION_H

#include <pthread.h>
#include <regex.h>

#include "classify.h"
#include "clock.h"
#include "compare.h"
#include "finding.h"
#include "plan.h"
#include "symbols.h"

enum bhi_check_exit {
	BHI_CHECK_EXIT_CLEAN = 0,
	BHI_CHECK_EXIT_FINDINGS = 1,
	BHI_CHECK_EXIT_USAGE = 2,
	BHI_CHECK_EXIT_UNSTABLE =
		3, /* the clean run fails, or is another one each time */
	BHI_CHECK_EXIT_OURS = 4,
	BHI_CHECK_EXIT_INTERRUPTED, /* before there was anything to tell; no status of a
				       process: it ends by the signal */
};

struct bhi_check_options {
	struct bhi_check_setup setup; /* .timeout_ms 0: from the clean run's time */
	const char *mode;             /* for people: "once" */
	char *given;                  /* see struct bhi_check_session; from malloc(3) */
	uint64_t burst;               /* at least 1 */
	bool is_persistent;
	enum bhi_check_compare compare;
	const char *compare_command; /* of COMMAND: called with the clean file and ours */
	int expected_exit;
	const char *ok; /* regular expression, or NULL */
	struct bhi_check_plan_options plan;
	uint64_t budget_ns; /* for the injected runs; 0: none */
	unsigned jobs;
	enum bhi_check_class fail_on;
	const char *state_file; /* NULL: nothing is kept */
	bool fast;              /* by copies where that is sound */
	bool fresh;             /* do not go on from what an earlier call left */
	bool quiet;             /* no progress */
};

/* A session under way. */
struct bhi_check_work {
	/* immutable after bhi_check_record() */
	const struct bhi_check_options *options;
	struct bhi_check_setup setup;
	struct bhi_check_symbols *symbols;
	struct bhi_check_reference out, err;
	struct bhi_check_reference files; /* a line for each; none without --copy */
	bool compares_files;
	struct bhi_check_rules rules;
	regex_t ok;
	bool is_unstable;
	/* The numbers of the calls of stack i stand in .calls from .first_call[i] on. */
	size_t *first_call;
	uint32_t *calls;

	struct bhi_check_session session; /* protected by .lock while workers run */

	pthread_mutex_t lock;
	/* protected by .lock */
	struct bhi_check_point *points;
	size_t nr_points;
	size_t next;
	size_t nr_done;
	bool *is_done; /* by point: its place in .session.tests is filled */
	bool stop;     /* budget, interrupt, error or found what is replayed */
	int error;     /* 0 or -errno */
	uint64_t started_ns;
	uint64_t last_shown_ns, last_saved_ns;
	uint64_t *keys; /* of findings so far, without the policy's */
	size_t nr_keys, keys_capacity;
	uint64_t *hang_sites; /* one for each hang */
	size_t nr_hangs, hangs_capacity;
	size_t nr_sampled; /* points met at sites that hang */
	/* Of findings that an ordinary run has shown too, all classes. */
	uint64_t *sure_keys;
	size_t nr_sure_keys, sure_capacity;
	uint64_t no_copies_from; /* the first call at which something was in the way */
	const char *wanted_id;
};

/* Context of all: may wait, owner thread only where nothing else is said. */
void bhi_check_work_init(
	struct bhi_check_work *work, const struct bhi_check_options *options);
void bhi_check_work_fini(struct bhi_check_work *work);

/* The clean runs: stacks, reference output, instabilities, time limit. */
enum bhi_check_exit bhi_check_record(struct bhi_check_work *work);

/* Run the points of the plan, and group what they show. Ends early at the end of the
 * budget and at Ctrl-C, which the session says. */
enum bhi_check_exit bhi_check_explore(struct bhi_check_work *work);

/*
 * Run one point and judge. Several threads, with different @slot. 0, -EPROTO when the
 * comparing command gave no answer, or another -errno; @ret is only touched on success.
 * Context: may wait.
 */
int bhi_check_try(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *ret);

/* The steps of it: what a run of @point shows; that of an ordinary run, made now; and
 * another one, if what @test says may have another reason than the failure: after it the
 * milder outcome is in @test. */
int bhi_check_judge(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, const struct bhi_check_result *result,
	struct bhi_check_test *ret);
int bhi_check_try_once(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *ret);
int bhi_check_confirm(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *test);

/* An outcome was not the same when repeated. Context: may wait. */
void bhi_check_count_unconfirmed(struct bhi_check_work *work);

/* Whether a run in which nothing failed was what the clean runs were. Errors as of
 * bhi_check_try(). Context: may wait. */
int bhi_check_is_as_clean(struct bhi_check_work *work, int slot,
	const struct bhi_check_result *result, bool *ret);

/* Free what a test of bhi_check_try() owns. Context: any. */
void bhi_check_test_fini(struct bhi_check_test *test);

/* One line about what bhi_check_try() returned. Context: may wait. */
void bhi_check_say_error(const struct bhi_check_work *work, int error);

/* The order of a run of @point; without @hint the stack of each call is looked at.
 * Context: any. */
void bhi_check_order_fill(const struct bhi_check_work *work,
	const struct bhi_check_point *point, bool hint, struct bhi_check_order *ret);

/* CLEAN, or FINDINGS when something that is neither suppressed nor known is bad enough.
 */
enum bhi_check_exit bhi_check_verdict(const struct bhi_check_session *session);

#endif
