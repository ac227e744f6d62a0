/* SPDX-License-Identifier: MIT */
/*
 * Each step of the start can be refused by the system. A step that succeeded is kept, and
 * the next attempt goes on from there: there is nothing to take back. Only what the zone
 * is made from is settled anew until the window has been reserved, so that a caller whose
 * settings were refused may try others.
 */
#include <errno.h>

#include "account/pressure.h"
#include "account/stock.h"
#include "alloc/buddy.h"
#include "alloc/heap.h"
#include "alloc/pagefault.h"
#include "alloc/private.h"
#include "alloc/small.h"
#include "api/start.h"
#include "base/env.h"
#include "base/fmt.h"
#include "base/sys.h"
#include "charge/charge.h"
#include "debug/inject.h"
#include "oom/killer.h"
#include "oom/oom.h"
#include "oom/reaper.h"
#include "reclaim/background.h"
#include "reclaim/reclaim.h"
#include "task/signal.h"
#include "task/warm.h"

#define DEFAULT_DECAY_MS 1000

/* Linux mm/oom_kill.c, MAX_OOM_REAP_RETRIES and the HZ/10 between two. */
#define DEFAULT_REAP_TRIES       10
#define DEFAULT_REAP_INTERVAL_MS 100

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

struct settings {
	uint64_t size;
	enum bhi_zone_origin origin;
	uint64_t min_free;
	uint32_t watermark_scale;
	uint32_t decay_ms;
	uint32_t reap_tries, reap_interval_ms;
	void (*on_oom)(const struct bh_oom_event *event, void *arg);
	void *on_oom_arg;
	bool has_pagefault;
	enum bhi_pagefault pagefault;
	struct bhi_fault_changes faults;
};

static struct {
	/* atomic */
	uint32_t running;
	/* protected by .lock */
	struct bhi_lock lock;
	unsigned step; /* the first step not yet done */
	struct settings settings;
	bool said; /* that a variable is malformed */
} state = {.lock = BHI_LOCK_INIT(BHI_RANK_START)};

static int start_zone(void)
{
	const struct settings *s = &state.settings;

	return bhi_zone_init(s->size, s->origin, s->min_free, s->watermark_scale);
}

static int start_root(void)
{
	struct bh_group *root = bhi_group_root();

	if (!root)
		return bhi_group_init();
	bhi_store(&root->counter.max, (int64_t)bhi_zone.size);
	return 0;
}

static int start_window(void)
{
	return bhi_buddy_init(bhi_zone.size);
}

static bool age(void)
{
	bool left = bhi_heaps_collect_left(NULL);
	struct bhi_buddy_stat stat;

	bhi_buddy_age();
	bhi_buddy_stat(&stat);
	return left || stat.dirty;
}

/* What small tasks left behind is the root's. */
static void purge_warm(void)
{
	uint64_t bytes = bhi_warm_purge();

	if (bytes)
		bhi_uncharge(bhi_group_root(), (int64_t)bytes, false);
}

static void collect(struct bh_group *group)
{
	bhi_heaps_collect(group);
	if (!group->parent)
		purge_warm();
	if (bhi_group_left_behind(group))
		bhi_heaps_collect_left(group);
}

/* What lives on in the group is looked after by age(). */
static void leave_behind(struct bh_group *group)
{
	bhi_heaps_collect(group);
	bhi_background_decay();
}

/* Hooks of threads run newest first: caches before the stock that takes what they give.
 */
static int start_caches(void)
{
	bhi_stock_init();
	bhi_pressure_init();
	bhi_classes_init();
	bhi_heaps_init();
	bhi_group_offline_hook = leave_behind;
	bhi_group_release_hook = bhi_heaps_forget;
	bhi_reclaim_hooks.collect = collect;
	bhi_reclaim_hooks.keeps = bhi_heaps_keep_slabs;
	bhi_reclaim_hooks.purge = bhi_buddy_purge;
	bhi_reclaim_hooks.age = age;
	return 0;
}

static int start_background(void)
{
	return bhi_background_start(state.settings.decay_ms);
}

static int start_private(void)
{
	const struct settings *s = &state.settings;
	int r = bhi_window_init(s->has_pagefault ? &s->pagefault : NULL);

	if (r == -EINVAL)
		bhi_errf("bulkhead: BULKHEAD_PAGEFAULT=uffd: this system does not allow "
			 "userfaultfd(2) to this process\n");
	return r;
}

static int start_private_heaps(void)
{
	bhi_pagefault_init();
	return bhi_private_init();
}

static int start_reaper(void)
{
	bhi_oom_tell(state.settings.on_oom, state.settings.on_oom_arg);
	bhi_oom_killer = bhi_oom_kill;
	return bhi_reaper_start(
		state.settings.reap_tries, state.settings.reap_interval_ms);
}

static int start_inject(void)
{
	bhi_inject_init();
	return 0;
}

/* The last step: what is to fail are the requests of the program, not the start. */
static int start_faults(void)
{
	if (state.settings.faults.nr)
		bhi_inject_set(&state.settings.faults);
	return 0;
}

enum {
	STEP_ZONE = 2,
	STEP_WINDOW = 4
};

static int (*const steps[])(void) = {
	bhi_process_init,
	bhi_thread_init,
	[STEP_ZONE] = start_zone,
	start_root,
	[STEP_WINDOW] = start_window,
	bhi_slabs_init,
	bhi_small_init,
	start_caches,
	start_private,
	start_private_heaps,
	bhi_signal_init,
	start_inject,
	start_reaper,
	start_background,
	start_faults,
};

static uint64_t option_or(const struct bhi_option_value *option, uint64_t value)
{
	return value ? value : option->set ? option->value : 0;
}

/* The caller's choice, else the variable's, else 0: the default. */
static int settle(const struct bh_config *config, struct settings *ret)
{
	struct bhi_option_value options[BHI_OPTION_NR];
	int r = bhi_env_read(options);

	if (r)
		return r;
	*ret = (struct settings){
		.size = option_or(&options[BHI_OPTION_SIZE], config->size),
		.origin = config->size ? BHI_ZONE_FROM_CONFIG : BHI_ZONE_FROM_ENV,
		.min_free = option_or(&options[BHI_OPTION_MIN_FREE], config->min_free),
		.watermark_scale = (uint32_t)option_or(
			&options[BHI_OPTION_WATERMARK_SCALE], config->watermark_scale),
		.decay_ms = (uint32_t)option_or(
			&options[BHI_OPTION_DECAY_MS], config->decay_ms),
		.reap_tries = (uint32_t)option_or(
			&options[BHI_OPTION_REAP_TRIES], config->reap_tries),
		.reap_interval_ms = (uint32_t)option_or(
			&options[BHI_OPTION_REAP_INTERVAL_MS], config->reap_interval_ms),
		.on_oom = config->on_oom,
		.on_oom_arg = config->on_oom_arg,
		.has_pagefault = options[BHI_OPTION_PAGEFAULT].set,
		.pagefault = (enum bhi_pagefault)options[BHI_OPTION_PAGEFAULT].value,
	};
	if (options[BHI_OPTION_FAIL].set) {
		r = bhi_inject_read(
			"BULKHEAD_FAIL", options[BHI_OPTION_FAIL].text, &ret->faults);
		if (r)
			return r;
	}
	if (!ret->reap_tries)
		ret->reap_tries = DEFAULT_REAP_TRIES;
	if (!ret->reap_interval_ms)
		ret->reap_interval_ms = DEFAULT_REAP_INTERVAL_MS;
	if (!ret->decay_ms)
		ret->decay_ms = DEFAULT_DECAY_MS;
	return 0;
}

static bool config_is_valid(const struct bh_config *config)
{
	for (size_t i = 0; i < bhi_array_size(config->reserved); i++) {
		if (config->reserved[i])
			return false;
	}
	if (config->on_oom_arg && !config->on_oom)
		return false;
	if (config->size && config->size < BHI_ZONE_SIZE_MIN)
		return false;
	if (config->size && config->min_free > config->size / 2)
		return false;
	return config->watermark_scale <= 3000 && config->reap_tries <= 1000 &&
	       config->reap_interval_ms <= 10000;
}

static int run_steps(const struct bh_config *config) BH_REQUIRES(state.lock)
{
	bhi_assert_held(&state.lock);
	if (state.step <= STEP_WINDOW) {
		int r = settle(config, &state.settings);

		state.said = r;
		if (r)
			return r;
		state.step = bhi_min(state.step, (unsigned)STEP_ZONE);
	}
	for (; state.step < bhi_array_size(steps); state.step++) {
		int r = steps[state.step]();

		if (r)
			return r == -EINVAL ? r : -ENOMEM;
	}
	bhi_store_release(&state.running, 1);
	return 0;
}

/* Every use of the library tries again, but does not say again what is wrong. */
static int start(const struct bh_config *config, bool explicitly)
{
	int r = explicitly ? -EALREADY : 0;

	if (bhi_process_inert())
		return -ENOMEM;
	bhi_lock_acquire(&state.lock);
	if (!state.running)
		r = state.said && !explicitly ? -EINVAL : run_steps(config);
	bhi_lock_release(&state.lock);
	return r;
}

int bhi_start(void)
{
	static const struct bh_config defaults;

	if (bhi_likely(bhi_load_acquire(&state.running)))
		return 0;
	return start(&defaults, false);
}

BHI_API int bh_init(const struct bh_config *config)
{
	static const struct bh_config defaults;

	if (!config)
		config = &defaults;
	if (!config_is_valid(config))
		return -EINVAL;
	if (bhi_load_acquire(&state.running))
		return -EALREADY;
	return start(config, true);
}

BHI_API unsigned bh_features(void)
{
	unsigned features = 0;

	if (bhi_start())
		return 0;
	if (!bhi_thread_fenced)
		features |= BH_FEATURE_MEMBARRIER;
	if (bhi_process_wipes_on_fork())
		features |= BH_FEATURE_WIPEONFORK;
	if (BH_DEBUG)
		features |= BH_FEATURE_DEBUG;
	features |= BH_FEATURE_PAGEFAULT | BH_FEATURE_REAPER;
	if (bhi_private.backend == BHI_PAGEFAULT_UFFD)
		features |= BH_FEATURE_UFFD;
	return features;
}

BHI_API const char *bh_version(void)
{
	return STRING(BH_VERSION_MAJOR) "." STRING(BH_VERSION_MINOR) "." STRING(
		BH_VERSION_PATCH);
}
