/* SPDX-License-Identifier: MIT */
#include "task/access.h"

#if BH_DEBUG
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/failpoint.h"
#include "base/fmt.h"
#include "base/testpoint.h"
#include "base/where.h"
#include "task/landing.h"

/* Whether errno was EFAULT when this thread's block section began. */
static BHI_TLS bool had_efault;

static bool protect(void *addr, size_t size, int prot)
{
	int saved = errno;
	bool done = !mprotect(addr, size, prot);

	errno = saved;
	return done;
}

static bool protect_span(uint32_t first, int prot)
{
	return protect(bhi_area_address(first),
		(size_t)bhi_private.areas[first].nr_areas << BHI_AREA_SHIFT, prot);
}

static bool protect_populated(uint32_t first, int prot)
{
	uint32_t end = bhi_load(&bhi_private.areas[first].nr_pages), next;
	char *base = bhi_area_address(first);

	for (uint32_t page = 0; page < end; page = next) {
		next = bhi_region_same_until(first, page, end);
		if (bhi_region_has(first, page) &&
			!protect(base + (size_t)page * BHI_PAGE_SIZE,
				(size_t)(next - page) * BHI_PAGE_SIZE, prot))
			return false;
	}
	return true;
}

static bool give(uint32_t first, int prot)
{
	return bhi_private.backend == BHI_PAGEFAULT_UFFD ? protect_span(first, prot)
							 : protect_populated(first, prot);
}

static bool give_all(const struct bhi_region *region, int prot)
{
	for (uint32_t first = region->spans; first != BHI_NO_AREA;
		first = bhi_private.areas[first].next) {
		if (!give(first, prot))
			return false;
	}
	return true;
}

/* What the kernel refuses keeps its access: a touch goes unseen. */
static void take_all(const struct bhi_region *region)
{
	for (uint32_t first = region->spans; first != BHI_NO_AREA;
		first = bhi_private.areas[first].next)
		(void)protect_span(first, PROT_NONE);
}

/* The state that was there, which is CHANGING now. */
static uint32_t begin(struct bhi_region *region)
{
	uint32_t state;

	while ((state = bhi_exchange(&region->access, BHI_ACCESS_CHANGING)) ==
		BHI_ACCESS_CHANGING)
		bhi_sys_pause(0);
	return state;
}

static void end(struct bhi_region *region, enum bhi_access state)
{
	/* pairs with the exchange in begin() and the load in bhi_access_show() */
	__atomic_store_n(&region->access, state, __ATOMIC_SEQ_CST);
}

/* 0; -ENOMEM; -ECANCELED: the region is being reaped. */
static int open_all(struct bhi_region *region)
{
	uint32_t state = begin(region);
	int r = 0;

	if (state == BHI_ACCESS_OPEN) {
		end(region, BHI_ACCESS_OPEN);
		return 0;
	}
	if (!bhi_region_enter(region)) {
		end(region, (enum bhi_access)state);
		return -ECANCELED;
	}
	bhi_testpoint(BHI_TP_ACCESS);
	if (!give_all(region, PROT_READ | PROT_WRITE)) {
		take_all(region);
		r = -ENOMEM;
	}
	bhi_region_leave(region);
	end(region, r ? BHI_ACCESS_CLOSED : BHI_ACCESS_OPEN);
	return r;
}

int bhi_access_open(struct bh_task *task)
{
	if (bhi_failpoint(BHI_FP_MPROTECT))
		return -ENOMEM;
	return open_all(&task->region) == -ENOMEM ? -ENOMEM : 0;
}

void bhi_access_close(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	uint32_t state = begin(region);

	/* Looked at after CHANGING was set: a dump does it the other way round. */
	if (state == BHI_ACCESS_OPEN &&
		!__atomic_load_n(&task->dumping, __ATOMIC_SEQ_CST)) {
		take_all(region);
		state = BHI_ACCESS_CLOSED;
	}
	end(region, (enum bhi_access)state);
}

void bhi_access_block(struct bh_task *task)
{
	bhi_access_close(task);
	had_efault = errno == EFAULT;
}

void bhi_access_unblock(struct bh_task *task)
{
	(void)WARN_ONCE(errno == EFAULT && !had_efault,
		"EFAULT in a block section: private memory has no access there");
	/* There were mappings enough when the section began. */
	BUG_ON(open_all(&task->region) == -ENOMEM);
}

void bhi_access_show(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	uint32_t state = BHI_ACCESS_CLOSED;

	while (!bhi_compare_exchange(&region->access, &state, BHI_ACCESS_CHANGING)) {
		if (state != BHI_ACCESS_CHANGING)
			return;
		bhi_sys_pause(0);
		state = BHI_ACCESS_CLOSED;
	}
	/* What the kernel refuses is not there for the dump. */
	(void)give_all(region, PROT_READ);
	end(region, BHI_ACCESS_SHOWN);
}

void bhi_access_forget(struct bhi_region *region)
{
	(void)begin(region);
	end(region, BHI_ACCESS_OPEN);
}

/* What small tasks left behind is populated. */
bool bhi_access_join(const struct bhi_region *region, uint32_t first)
{
	return bhi_load(&region->access) != BHI_ACCESS_OPEN ||
	       give(first, PROT_READ | PROT_WRITE);
}

void bhi_access_part(const struct bhi_region *region, uint32_t first)
{
	if (bhi_load(&region->access) != BHI_ACCESS_CLOSED)
		(void)protect_span(first, PROT_NONE);
}

static BHI_COLD void report(const struct bh_task *owner, const struct bh_task *self,
	const void *addr, const void *place)
{
	char where[BHI_WHERE_SIZE], whose[BHI_TASK_NAME_SIZE + 16] = "no task";
	char whom[BHI_TASK_NAME_SIZE + 16] = "from outside";

	if (owner)
		bhi_format(whose, sizeof(whose), "task '%s'", owner->name);
	if (self)
		bhi_format(whom, sizeof(whom), "by task '%s'", self->name);
	bhi_errf("bulkhead: touch of private memory of %s %s: %p, from %s\n", whose,
		self && owner == self ? "in its block section" : whom, addr,
		bhi_where(place, where));
	abort();
}

static bool is_open(const struct bh_task *task)
{
	return bhi_load(&task->region.access) == BHI_ACCESS_OPEN;
}

void bhi_access_check(const void *addr, const ucontext_t *context)
{
	const struct bh_task *self = bhi_task_current;
	const struct bh_task *owner =
		bhi_load(&bhi_private.areas[bhi_area_number(addr)].task);

	if (!self || owner != self || !is_open(self))
		report(owner, self, addr, bhi_landing_place(context));
}

void bhi_access_request(const void *place)
{
	const struct bh_task *self = bhi_task_current;
	char where[BHI_WHERE_SIZE];

	if (!self || is_open(self))
		return;
	bhi_errf("bulkhead: private memory asked for or given back by task '%s' in its "
		 "block section, called from %s\n",
		self->name, bhi_where(place, where));
	abort();
}
#endif
