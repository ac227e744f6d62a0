/* SPDX-License-Identifier: MIT */
/*
 * Children. Whatever locks, claims and sections other threads are in at the moment of a
 * fork look held for ever in the child; it must be able to use and free what was there,
 * to be refused anything new, and to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "account/group.h"
#include "alloc/free_list.h"
#include "base/thread.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

/* A child that hangs is ended after so many seconds. */
#define PATIENCE 20

/*
 * Under AddressSanitizer children of several threads neither exit(3), where its leak
 * check waits for threads that they do not have, nor start threads, which may wait for a
 * lock of its own allocator.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* One object of each kind, and more. */
enum {
	SMALL,
	SLAB,
	ACTIVE,
	CACHED,
	BUILT,
	RUN,
	PAGES,
	REMOTE,
	ORPHAN,
	NR_KINDS
};

static struct {
	struct bh_group *group, *offline;
	struct bh_cache *plain, *built;
	struct bh_shrinker shrinker;
	char *objects[NR_KINDS];
	char *many[1000];
} world;

static size_t count_nothing(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return 0;
}

static void construct(void *object)
{
	memset(object, 'c', 100);
}

static void *take_of_thread(void *arg)
{
	char **place = arg;

	*place = bh_alloc(world.group, 5000, 0);
	return NULL;
}

static uint32_t stay_took, stay_may_end;

static void *take_and_stay(void *arg)
{
	take_of_thread(arg);
	__atomic_store_n(&stay_took, 1, __ATOMIC_SEQ_CST);
	support_await(&stay_may_end, 1);
	return NULL;
}

static void make_world(void)
{
	support_start(ZONE);
	world.group = support_group(NULL, "group");
	world.plain = bh_cache_new("plain", 100, 0, NULL);
	world.built = bh_cache_new("built", 100, 0, construct);
	world.shrinker = (struct bh_shrinker){
		.name = "shrinker", .count = count_nothing, .scan = count_nothing};
	ck_assert_int_eq(bh_shrinker_register(&world.shrinker), 0);
	world.objects[SMALL] = bh_alloc(world.group, 100, 0);
	for (int i = 0; i < 1000; i++)
		world.many[i] = bh_alloc(world.group, 200, 0);
	world.objects[SLAB] = bh_alloc(world.group, 6000, 0);
	world.objects[ACTIVE] = bh_alloc(world.group, 200, 0);
	world.objects[CACHED] = bh_cache_alloc(world.plain, world.group, 0);
	world.objects[BUILT] = bh_cache_alloc(world.built, world.group, 0);
	world.objects[RUN] = bh_alloc(world.group, 300000, 0);
	world.objects[PAGES] = bh_alloc_pages(world.group, 2, 0);
	support_join(support_thread(take_of_thread, &world.objects[ORPHAN]));
	ck_assert_int_eq(bh_charge(world.group, 1000, 0), 0);
}

static pthread_t begin_remote(void)
{
	pthread_t thread = support_thread(take_and_stay, &world.objects[REMOTE]);

	support_await(&stay_took, 1);
	for (int i = 0; i < NR_KINDS; i++)
		memset(world.objects[i], 'a' + i, 100);
	return thread;
}

static void end_remote(pthread_t thread)
{
	__atomic_store_n(&stay_may_end, 1, __ATOMIC_SEQ_CST);
	support_join(thread);
}

/* The parent goes on: it frees all of it, and its books agree. */
static void end_world(void)
{
	for (int i = 0; i < NR_KINDS; i++) {
		if (world.objects[i])
			ck_assert_int_eq(world.objects[i][99], 'a' + i);
		if (i == BUILT && world.objects[i])
			memset(world.objects[i], 'c', 100);
		bh_free(world.objects[i]);
	}
	for (int i = 0; i < 1000; i++)
		bh_free(world.many[i]);
	bh_uncharge(world.group, 1000);
	ck_assert_int_eq(bh_cache_destroy(world.plain), 0);
	ck_assert_int_eq(bh_cache_destroy(world.built), 0);
	ck_assert_int_eq(bh_shrinker_unregister(&world.shrinker), 0);
	bh_group_put(world.group);
	support_end();
}

/* In a child: one line and its end. */
#define require(cond)                                                            \
	do {                                                                     \
		if (!(cond)) {                                                   \
			fprintf(stderr, "child: %s at %s:%d\n", #cond, __FILE__, \
				__LINE__);                                       \
			_exit(1);                                                \
		}                                                                \
	} while (0)

static bool is_refused(const void *p)
{
	bool refused = !p && errno == ENOMEM;

	errno = 0;
	return refused;
}

static void use_what_was_there(void)
{
	for (int i = 0; i < NR_KINDS; i++) {
		if (!world.objects[i])
			continue;
		require(world.objects[i][0] == 'a' + i);
		world.objects[i][0] = 'z';
		require(bh_usable_size(world.objects[i]) >= 100);
		require(bh_group_of(world.objects[i]) == world.group);
	}
	require(bh_realloc_flags(world.objects[SLAB], 5500, 0) == world.objects[SLAB]);
}

static void free_what_was_there(void)
{
	require(bh_cache_free(world.plain, world.objects[CACHED]) == 0);
	require(bh_free_pages(world.objects[PAGES], 2) == 0);
	for (int i = 0; i < NR_KINDS; i++) {
		if (i != CACHED && i != PAGES)
			bh_free(world.objects[i]);
	}
	for (int i = 0; i < 1000; i++)
		bh_free(world.many[i]);
	bh_uncharge(world.group, 1000);
	bh_group_put(bh_group_get(world.group));
	bh_group_put(world.group);
}

/* Requests that need more than what the thread had at hand. */
static void ask_for_large_things(void)
{
	errno = 0;
	require(is_refused(bh_alloc(world.group, 100000, 0)));
	require(is_refused(bh_alloc(world.group, 1000000, BH_NOFAIL)));
	require(is_refused(bh_alloc_aligned(world.group, 65536, 10, 0)));
	require(is_refused(bh_alloc_pages(world.group, 5, BH_ATOMIC)));
	require(is_refused(bh_realloc_flags(world.objects[RUN], 10000000, 0)));
	require(is_refused(bh_group_new(NULL, "new")));
	require(is_refused(bh_cache_new("new", 10, 0, NULL)));
	require(bh_charge(world.group, 10000000, 0) == -ENOMEM);
	require(bh_charge(NULL, 10000000, BH_NOFAIL) == -ENOMEM);
}

static void ask_for_small_things(void)
{
	static const unsigned flags[] = {
		0, BH_ZERO, BH_NOFAIL, BH_ATOMIC, BH_NOWAIT, BH_NORETRY};

	errno = 0;
	for (size_t i = 0; i < bhi_array_size(flags); i++) {
		require(is_refused(bh_alloc(world.group, 200, flags[i])));
		require(is_refused(bh_alloc(NULL, 200, flags[i])));
		require(is_refused(bh_alloc(bh_root(), 5000, flags[i])));
		require(is_refused(bh_alloc_aligned(world.group, 64, 10, flags[i])));
		require(is_refused(bh_cache_alloc(world.plain, world.group, flags[i])));
	}
	require(is_refused(bh_cache_alloc(world.built, NULL, 0)));
	require(is_refused(bh_realloc_flags(world.many[0], 600, 0)));
	require(bh_charge(world.group, 100, 0) == -ENOMEM);
}

static void ask_for_the_rest(void)
{
	struct bh_group_stat stat;
	int fd = open("/dev/null", O_WRONLY);

	require(bh_init(NULL) == -EALREADY);
	require(bh_root() != NULL);
	require(bh_features() != 0);
	require(bh_group_set(world.group, BH_MAX, 1) == -EINVAL);
	require(bh_group_stat(world.group, &stat) == -EINVAL);
	require(bh_group_drop(world.group) == -EINVAL);
	require(bh_group_reclaim(world.group, 1, 0) == -EINVAL);
	require(bh_cache_destroy(world.plain) == -EINVAL);
	require(bh_shrinker_register(&world.shrinker) == -EINVAL);
	require(bh_shrinker_unregister(&world.shrinker) == -EINVAL);
	require(bh_report_write(fd, BH_JSON) < 0);
	require(bh_audit() < 0);
	bh_noreclaim_leave(bh_noreclaim_enter());
	close(fd);
}

static void *use_in_new_thread(void *arg)
{
	ask_for_small_things();
	bh_free(world.objects[SLAB]);
	world.objects[SLAB] = NULL;
	return arg;
}

static void end_child(void)
{
	if (SANITIZED)
		_exit(0);
	exit(0);
}

static void use_in_another_thread(void)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, use_in_new_thread, NULL) == 0);
	require(pthread_join(thread, NULL) == 0);
}

static void be_a_child(void)
{
	alarm(PATIENCE);
	use_what_was_there();
	ask_for_small_things();
	ask_for_large_things();
	ask_for_the_rest();
	if (!SANITIZED)
		use_in_another_thread();
	free_what_was_there();
	ask_for_small_things();
	end_child();
}

static void expect_success(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "the child ended with %#x", (unsigned)status);
}

static void fork_a_child(void)
{
	pid_t pid = fork();

	if (!pid)
		be_a_child();
	expect_success(pid);
}

START_TEST(a_child_uses_and_frees_what_was_there_and_gets_nothing_new)
{
	pthread_t thread;

	make_world();
	thread = begin_remote();
	fork_a_child();
	end_remote(thread);
	end_world();
}
END_TEST

START_TEST(a_child_of_a_child_is_no_different)
{
	pthread_t thread;
	pid_t pid;

	make_world();
	thread = begin_remote();
	pid = fork();
	if (!pid) {
		fork_a_child();
		be_a_child();
	}
	expect_success(pid);
	end_remote(thread);
	end_world();
}
END_TEST

START_TEST(a_child_made_by_a_raw_clone_notices_too)
{
	pthread_t thread;
	pid_t pid;

	make_world();
	thread = begin_remote();
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		alarm(PATIENCE);
		/* No handler ran: what the thread has at hand may still be given out, but
		 * nothing waits and nothing new comes from the zone. */
		use_what_was_there();
		for (int i = 0; i < 10000; i++)
			bh_alloc(world.group, 200, 0);
		require(is_refused(bh_alloc(world.group, 200, 0)));
		ask_for_large_things();
		ask_for_the_rest();
		free_what_was_there();
		_exit(0);
	}
	expect_success(pid);
	end_remote(thread);
	end_world();
}
END_TEST

START_TEST(a_child_may_execute_another_program)
{
	char *argv[] = {(char *)"true", NULL};
	pthread_t thread;
	pid_t pid;

	make_world();
	thread = begin_remote();
	pid = fork();
	if (!pid) {
		bh_free(world.objects[RUN]);
		execv("/bin/true", argv);
		_exit(1);
	}
	expect_success(pid);
	/* A child that shares memory until it executes is no reason to stop. */
	ck_assert_int_eq(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
	expect_success(pid);
	bh_free(bh_alloc(world.group, 300000, 0));
	end_remote(thread);
	end_world();
}
END_TEST

START_TEST(a_library_that_was_not_started_starts_in_the_child)
{
	pid_t pid = fork();

	if (!pid) {
		alarm(PATIENCE);
		make_world();
		end_remote(begin_remote());
		end_world();
		end_child();
	}
	expect_success(pid);
	support_start(ZONE);
	support_end();
}
END_TEST

/* What another thread holds while this one forks. */

static struct {
	void (*hold)(void);
	uint32_t held, may_release;
} holder;

static void await_release(void)
{
	__atomic_store_n(&holder.held, 1, __ATOMIC_SEQ_CST);
	support_await(&holder.may_release, 1);
}

static void hold_one_thread(struct bhi_thread *thread, void *arg)
{
	(void)arg;
	/* Of all threads claimed, only this one's own call may wait. */
	if (thread == bhi_thread_current)
		await_release();
}

static void hold_claim(void)
{
	ck_assert_ptr_nonnull(bhi_thread_self());
	bhi_threads_claim(hold_one_thread, NULL);
}

static void hold_tree_lock(void)
{
	bhi_lock_acquire(&bhi_group_tree_lock);
	await_release();
	bhi_lock_release(&bhi_group_tree_lock);
}

static void hold_owned_lock(void)
{
	bhi_lock_acquire(&world.group->owned_lock);
	await_release();
	bhi_lock_release(&world.group->owned_lock);
}

static void hold_owned_lock_of_root(void)
{
	bhi_lock_acquire(&bh_root()->owned_lock);
	await_release();
	bhi_lock_release(&bh_root()->owned_lock);
}

static void hold_buddy_lock(void)
{
	bhi_lock_acquire(&bhi_buddy.lock);
	await_release();
	bhi_lock_release(&bhi_buddy.lock);
}

static void hold_threads_lock(void)
{
	bhi_threads_lock();
	await_release();
	bhi_threads_unlock();
}

static void hold_section(void)
{
	struct bhi_thread *self = bhi_thread_self();

	ck_assert(bhi_thread_enter(self));
	await_release();
	bhi_thread_leave(self);
}

static void (*const holds[])(void) = {hold_claim, hold_tree_lock, hold_owned_lock,
	hold_owned_lock_of_root, hold_buddy_lock, hold_threads_lock, hold_section};

static void *hold(void *arg)
{
	holder.hold();
	return arg;
}

START_TEST(what_others_hold_at_the_fork_does_not_stop_the_child)
{
	pthread_t thread, other;

	make_world();
	thread = begin_remote();
	holder.hold = holds[_i];
	other = support_thread(hold, NULL);
	support_await(&holder.held, 1);
	fork_a_child();
	__atomic_store_n(&holder.may_release, 1, __ATOMIC_SEQ_CST);
	support_join(other);
	end_remote(thread);
	end_world();
}
END_TEST

static uint32_t storm_over;

static void *storm(void *arg)
{
	for (unsigned i = 0; !bhi_load(&storm_over); i++) {
		struct bh_group *group = support_group(world.group, "short");
		void *objects[20];

		for (unsigned j = 0; j < 20; j++)
			objects[j] = bh_alloc(group, 10 + (i + j) * 97 % 9000, 0);
		bh_free(bh_cache_alloc(world.plain, group, 0));
		bh_group_reclaim(group, PAGE, 0);
		support_stat(group);
		bh_group_put(group);
		for (unsigned j = 0; j < 20; j++)
			bh_free(objects[j]);
	}
	return arg;
}

START_TEST(children_made_in_the_middle_of_everything_end)
{
	pthread_t threads[3], thread;

	make_world();
	thread = begin_remote();
	for (int i = 0; i < 3; i++)
		threads[i] = support_thread(storm, NULL);
	for (int i = 0; i < 40; i++)
		fork_a_child();
	bhi_store(&storm_over, 1);
	for (int i = 0; i < 3; i++)
		support_join(threads[i]);
	end_remote(thread);
	end_world();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_child_uses_and_frees_what_was_there_and_gets_nothing_new);
	tcase_add_test(tcase, a_child_of_a_child_is_no_different);
	tcase_add_test(tcase, a_child_made_by_a_raw_clone_notices_too);
	tcase_add_test(tcase, a_child_may_execute_another_program);
	tcase_add_test(tcase, a_library_that_was_not_started_starts_in_the_child);
	tcase_add_loop_test(tcase, what_others_hold_at_the_fork_does_not_stop_the_child,
		0, (int)bhi_array_size(holds));
	tcase_add_test(tcase, children_made_in_the_middle_of_everything_end);
}

int main(void)
{
	return support_run("fork", add);
}
