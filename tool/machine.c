/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fmt.h"
#include "base/sys.h"

#include "machine.h"

/* Newer than the headers of the oldest system this builds on. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static void set_state(struct bhi_machine_row *row, const char *state)
{
	size_t len = bhi_min(strlen(state), sizeof(row->state) - 1);

	memcpy(row->state, state, len);
	row->state[len] = '\0';
}

/* @error: 0 or -errno. */
static void set_yes_or_no(
	struct bhi_machine_row *row, int error, const char *if_yes, const char *if_no)
{
	const char *name = error ? strerrorname_np(-error) : NULL;
	char *end;

	row->good = !error;
	row->follows = error ? if_no : if_yes;
	set_state(row, error ? "no" : "yes");
	if (!name || strlen(name) + sizeof("no ()") > sizeof(row->state))
		return;
	end = stpcpy(row->state, "no (");
	end = stpcpy(end, name);
	stpcpy(end, ")");
}

/* Pagefaults of user code only, delivered as SIGBUS: what needs no privilege, and what
 * the library asks for. */
static int try_userfaultfd(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
	int fd, r;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -errno;
	r = ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int try_membarrier(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (commands < 0)
		return -errno;
	return commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED ? 0 : -EOPNOTSUPP;
}

static int try_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int try_wipe_on_fork(void)
{
	void *page;
	int r;

	r = bhi_sys_map(BHI_PAGE_SIZE, &page);
	if (r)
		return r;
	r = bhi_sys_wipe_on_fork(page, BHI_PAGE_SIZE);
	bhi_sys_unmap(page, BHI_PAGE_SIZE);
	return r;
}

static int try_pressure(void)
{
	char text[512];
	ssize_t n = bhi_sys_read_file("/proc/pressure/memory", text, sizeof(text));

	return n < 0 ? (int)n : 0;
}

static void describe_overcommit(struct bhi_machine_row *row)
{
	static const char path[] = "/proc/sys/vm/overcommit_memory";
	char text[16] = "";

	row->good = true;
	row->follows =
		"a zone larger than the free memory meets the machine's OOM killer";
	if (bhi_sys_read_file(path, text, sizeof(text)) < 0 || text[0] == '0') {
		set_state(row, text[0] == '0' ? "heuristic" : "unknown");
	} else if (text[0] == '1') {
		set_state(row, "always");
	} else {
		set_state(row, "never");
		row->good = false;
		row->follows =
			"pages may be refused before the zone is full; such requests "
			"fail with ENOMEM";
	}
}

static void describe_huge_pages(struct bhi_machine_row *row)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	char text[64], *mode = NULL;

	row->good = true;
	row->follows = "memory becomes resident in the 4 KiB pages that are charged";
	if (bhi_sys_read_file(path, text, sizeof(text)) >= 0)
		mode = strchr(text, '[');
	if (!mode) {
		set_state(row, "no");
		return;
	}
	mode[strcspn(mode, "]")] = '\0';
	set_state(row, mode + 1);
	if (strcmp(row->state, "always"))
		return;
	row->good = false;
	row->follows =
		"a first touch may take 2 MiB: more can be resident than is charged";
}

/* The backend that the start would choose, as task/window.c does. */
static void describe_pagefaults(struct bhi_machine_row *row,
	const struct bhi_option_value *wanted, int uffd_error)
{
	bool wants_mprotect = wanted->set && wanted->value == BHI_PAGEFAULT_MPROTECT;

	if (!uffd_error && !wants_mprotect) {
		set_state(row, "uffd");
		row->good = true;
		row->follows = "a first touch of a map costs one userfaultfd ioctl for "
			       "64 KiB and more";
	} else if (wanted->set && !wants_mprotect) {
		set_state(row, "none");
		row->follows = "the library will not start: BULKHEAD_PAGEFAULT=uffd asks "
			       "for what is refused";
	} else {
		set_state(row, "mprotect");
		row->good = !uffd_error;
		row->follows = "a first touch costs mprotect(2); vm.max_map_count bounds "
			       "the stretches in use";
	}
}

void bhi_machine_probe(const struct bhi_option_value *pagefault,
	struct bhi_machine_row ret[BHI_MACHINE_ROWS])
{
	struct bhi_machine_row *row = ret;
	int uffd_error = try_userfaultfd();

	*row = (struct bhi_machine_row){.name = "userfaultfd"};
	set_yes_or_no(row++, uffd_error,
		"first touches of tasks' maps can be caught with it",
		"first touches of tasks' maps are caught with mprotect(2): slower, all "
		"else the same");
	*row = (struct bhi_machine_row){.name = "pagefaults"};
	describe_pagefaults(row++, pagefault, uffd_error);
	*row = (struct bhi_machine_row){.name = "membarrier"};
	set_yes_or_no(row++, try_membarrier(),
		"draining other threads' stocks costs their owners nothing",
		"every allocation pays for a full memory fence of its own");
	*row = (struct bhi_machine_row){.name = "pidfd_open"};
	set_yes_or_no(row++, try_pidfd(),
		"a command that runs a program can wait for it without races",
		"a command that runs a program has to wait for it with SIGCHLD");
	*row = (struct bhi_machine_row){.name = "MADV_WIPEONFORK"};
	set_yes_or_no(row++, try_wipe_on_fork(),
		"the library is inert in the child of any kind of fork",
		"it is inert in children of fork(3) only: no use of it after a raw "
		"clone(2)");
	*row = (struct bhi_machine_row){.name = "PSI"};
	set_yes_or_no(row++, try_pressure(),
		"the machine's memory pressure can be set beside the groups' stall times",
		"stall times of groups are to be had, the machine's memory pressure is "
		"not");
	*row = (struct bhi_machine_row){.name = "overcommit"};
	describe_overcommit(row++);
	*row = (struct bhi_machine_row){.name = "huge pages"};
	describe_huge_pages(row++);
}
