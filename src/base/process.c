/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>

#include "base/pool.h"
#include "base/process.h"
#include "base/sys.h"

/* Before the start nothing is inert. */
static const uint32_t not_started = 1;
const uint32_t *bhi_process_alive = &not_started;

static struct {
	uint32_t *page;
	bool wipes;
} state;

static void in_child(void)
{
	bhi_store(state.page, 0);
}

int bhi_process_init(void)
{
	if (!state.page)
		state.page = bhi_meta_map(BHI_PAGE_SIZE);
	if (!state.page)
		return -ENOMEM;
	state.wipes = bhi_sys_wipe_on_fork(state.page, BHI_PAGE_SIZE) == 0;
	if (!state.wipes && pthread_atfork(NULL, NULL, in_child))
		return -ENOMEM;
	*state.page = 1;
	bhi_store_release(&bhi_process_alive, state.page);
	return 0;
}

bool bhi_process_wipes_on_fork(void)
{
	return state.wipes;
}
