/* SPDX-License-Identifier: MIT */
#include "oom/oom.h"

#include "account/waiters.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "oom/killer.h"
#include "task/kill.h"

/* How long a caller that lost the race lets the winner work: a kernel tick. */
#define TICK_NS BHI_NS_PER_MS

/* How long to wait for a victim's memory at a time. Each byte of it that comes back ends
 * the wait, and so does the end of its reaping. */
#define WAIT_NS (100 * BHI_NS_PER_MS)

struct bhi_lock bhi_oom_lock = BHI_LOCK_INIT(BHI_RANK_OOM);
struct bhi_oom_decision *bhi_oom_decision;
bool (*bhi_oom_killer)(struct bh_group *over, int64_t size);

bool bhi_oom_has_room(const struct bh_group *over, int64_t size)
{
	return !bhi_policy.without.last_look &&
	       bhi_counter_margin(&over->counter, BHI_RESERVE_HIGH) >= size;
}

/* Not inline: compilers do not see that the end takes the pointer back. */
BHI_NOINLINE bool bhi_oom_try_begin(
	struct bhi_oom_decision *decision, const struct bhi_oom_request *request)
{
	bhi_testpoint(BHI_TP_SHORT);
	/* Losing is progress: the winner frees memory for both, and a second kill for one
	 * shortage is what the lock is there to prevent. */
	if (!bhi_lock_try(&bhi_oom_lock)) {
		bhi_sys_pause(TICK_NS);
		return false;
	}
	decision->request = request;
	decision->claimed = NULL;
	decision->has_event = false;
	bhi_oom_decision = decision;
	return true;
}

void bhi_oom_end(struct bhi_oom_decision *decision)
{
	bhi_oom_decision = NULL;
	bhi_lock_release(&bhi_oom_lock);
	bhi_oom_deliver(decision);
}

/* True: somebody was killed, or is dying already. */
static bool kill_one(
	struct bh_group *over, const struct bhi_oom_request *request, bool *ret_room)
{
	struct bhi_oom_decision decision;
	bool killed = false;

	*ret_room = true;
	if (!bhi_oom_try_begin(&decision, request))
		return false;
	/* The last look asks for more than the request needs, the high mark: memory that
	 * is coming back in bulk is worth waiting for. */
	*ret_room = bhi_oom_has_room(over, request->size);
	bhi_testpoint(BHI_TP_LOOKED);
	if (!*ret_room)
		killed = bhi_oom_killer && bhi_oom_killer(over, request->size);
	bhi_oom_end(&decision);
	return killed;
}

/* A kill of the caller ends the wait. Who is killed already, and may not be unwound where
 * it is, has nothing else to do: it waits for the memory of others, or until it is given
 * up itself. */
static void await_victim(uint32_t sequence)
{
	if (!bhi_task_dying())
		(void)bhi_task_wait(&bhi_waiters.sequence, sequence, WAIT_NS);
	else if (!bhi_task_may_unwind(bhi_task_current))
		(void)bhi_waiters_wait(sequence, WAIT_NS);
}

bool bhi_oom(struct bh_group *over, const struct bhi_oom_request *request)
{
	uint32_t sequence;
	bool killed, room;

	/* Announced before the kill, so that nothing that comes back is missed. */
	bhi_waiters_enter();
	sequence = bhi_waiters_sequence();
	killed = kill_one(over, request, &room);
	if (killed)
		await_victim(sequence);
	bhi_waiters_leave();
	return room || killed;
}
