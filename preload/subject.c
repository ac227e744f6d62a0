/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "copy.h"
#include "crash.h"
#include "pages.h"
#include "real.h"
#include "settings.h"
#include "stack.h"

#define PRELOAD "LD_PRELOAD"

struct bhi_subject bhi_subject;
BHI_TLS struct bhi_thread bhi_thread;

static struct {
	bool is_starting;
	/* immutable after the start */
	char check[sizeof(BHI_CHECK_ENV) + PATH_MAX];
	char preload[sizeof(PRELOAD) + PATH_MAX];
} state;

const char *bhi_subject_variable(int i)
{
	if (!bhi_subject.shared)
		return NULL;
	return i == 0 ? state.check : state.preload;
}

/* The value of @name in @environment; @ret_place gets the entry. */
static char *find_variable(char **environment, const char *name, char ***ret_place)
{
	size_t length = strlen(name);

	for (char **e = environment; *e; e++) {
		if (!strncmp(*e, name, length) && (*e)[length] == '=') {
			*ret_place = e;
			return *e + length + 1;
		}
	}
	return NULL;
}

static void remove_entry(char **place)
{
	do {
		place[0] = place[1];
	} while (*place++);
}

/* The runner put this object in front: the name up to the first separator. */
static size_t first_length(const char *list)
{
	return strcspn(list, ": ");
}

/* Leave LD_PRELOAD as it was before the runner put this object in it. */
static void hide(char **environment)
{
	char **place;
	char *value = find_variable(environment, PRELOAD, &place);

	if (value) {
		size_t own = first_length(value);

		if (value[own])
			memmove(value, value + own + 1, strlen(value + own + 1) + 1);
		else
			remove_entry(place);
	}
	if (find_variable(environment, BHI_CHECK_ENV, &place))
		remove_entry(place);
}

static bool remember_variables(char **environment, const char *file)
{
	char **place;
	const char *preload = find_variable(environment, PRELOAD, &place);
	size_t own;

	if (!preload || strlen(file) >= PATH_MAX)
		return false;
	own = first_length(preload);
	if (own >= PATH_MAX)
		return false;
	memcpy(state.check, BHI_CHECK_ENV "=", sizeof(BHI_CHECK_ENV));
	memcpy(state.check + sizeof(BHI_CHECK_ENV), file, strlen(file) + 1);
	memcpy(state.preload, PRELOAD "=", sizeof(PRELOAD));
	memcpy(state.preload + sizeof(PRELOAD), preload, own);
	return true;
}

static struct bhi_check_shared *map_shared(const char *file)
{
	/* No descriptor stays: programs close and count them. */
	int fd = open(file, O_RDWR | O_CLOEXEC);
	struct bhi_check_shared *shared;

	if (fd < 0)
		return NULL;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (shared == MAP_FAILED)
		return NULL;
	if (shared->magic == BHI_CHECK_MAGIC && shared->version == BHI_CHECK_VERSION)
		return shared;
	(void)munmap(shared, sizeof(*shared));
	return NULL;
}

static void after_fork_in_child(void)
{
	bhi_subject.pid = getpid();
	bhi_thread.tid = 0;
	if (!bhi_subject.follows)
		bhi_store(&bhi_subject.is_on, false);
}

/* Whether this process is one to watch: the first one, whatever it executes; and all
 * others when they are followed. */
static bool enter_run(struct bhi_check_shared *shared)
{
	pid_t pid = getpid();
	int32_t nobody = 0;

	if (!bhi_compare_exchange(&shared->first_pid, &nobody, pid)) {
		if (nobody != pid && !shared->order.follow_children)
			return false;
		bhi_add(&shared->nr_execs, 1);
	}
	bhi_subject.pid = pid;
	bhi_subject.follows = shared->order.follow_children;
	bhi_subject.pages = shared->order.pages;
	bhi_subject.hint = shared->order.call;
	bhi_subject.shared = shared;
	return true;
}

static void attach(char **environment)
{
	char **place;
	const char *file = find_variable(environment, BHI_CHECK_ENV, &place);
	struct bhi_check_shared *shared;

	if (!file || !remember_variables(environment, file))
		return;
	shared = map_shared(file);
	if (!shared)
		return;
	if (!shared->order.follow_children)
		hide(environment);
	if (!enter_run(shared)) {
		(void)munmap(shared, sizeof(*shared));
		return;
	}
	bhi_tally_claim();
	bhi_stack_start(shared->order.action == BHI_CHECK_RECORD);
	bhi_crash_start();
	bhi_pages_start();
	if (shared->order.action == BHI_CHECK_SETTINGS)
		bhi_settings_start();
	if (shared->order.action == BHI_CHECK_COPY)
		bhi_copy_start();
	(void)pthread_atfork(NULL, NULL, after_fork_in_child);
	bhi_store_release(&bhi_subject.is_on, true);
	bhi_store_release(&shared->started, 1);
}

static void start(char **environment)
{
	int error = errno;

	/* The look-up and the rest may allocate, and come back. */
	if (state.is_starting)
		return;
	state.is_starting = true;
	bhi_real_resolve();
	attach(environment);
	errno = error;
}

bool bhi_subject_start(void)
{
	/* Before the C library has been initialised there is no environment yet, and
	 * nothing that is worth counting. */
	if (!bhi_load_acquire(&bhi_real.malloc) && environ)
		start(environ);
	return bhi_load_acquire(&bhi_real.malloc) != NULL;
}

/* Linked as the object that is initialised first: before the C library has its copy of
 * the environment, which therefore comes as an argument. */
static __attribute__((constructor)) void construct(
	int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	start(environment);
}

static __attribute__((destructor)) void destruct(void)
{
	bhi_tally_report();
}
