/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "account/group.h"
#include "account/stock.h"
#include "base/bug.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

static uint32_t nr_groups_at_start;

static void start(void)
{
	support_start(ZONE);
	nr_groups_at_start = bhi_group_count();
}

/* How many groups exist besides the root, those left behind included. */
static uint32_t count(void)
{
	bhi_group_sweep();
	return bhi_group_count() - nr_groups_at_start;
}

static void *take_pages(struct bh_group *group, unsigned order)
{
	void *pages = bh_alloc_pages(group, order, 0);

	ck_assert_ptr_nonnull(pages);
	return pages;
}

static void *take(struct bh_group *group, size_t size)
{
	void *object = bh_alloc(group, size, 0);

	ck_assert_ptr_nonnull(object);
	return object;
}

START_TEST(a_new_group_limits_and_protects_nothing)
{
	struct bh_group_stat stat;
	struct bh_group *group;

	start();
	group = support_group(NULL, "new");
	stat = support_stat(group);
	ck_assert_uint_eq(stat.usage + stat.peak + stat.failcnt + stat.external, 0);
	ck_assert_uint_eq(stat.min + stat.low + stat.emin + stat.elow, 0);
	ck_assert(stat.high == BH_UNLIMITED && stat.max == BH_UNLIMITED);
	ck_assert_uint_eq(stat.left_behind + stat.nr_children + stat.oom_group, 0);
	ck_assert_int_eq(stat.on_limit, BH_FAIL);
	ck_assert_uint_eq(stat.some.total_ns + stat.full.total_ns, 0);
	ck_assert_uint_eq(support_stat(bh_root()).nr_children, 1);
	ck_assert_uint_eq(support_stat(bh_root()).max, ZONE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_name_is_1_to_31_printable_bytes_that_need_no_escape)
{
	static const char *const good[] = {"a", " ", "a b", "~!@#$%^&*()", ".", "..",
		"0123456789012345678901234567890"};
	static const char *const bad[] = {NULL, "", "/", "a/b", "a\"", "\\", "\n", "a\tb",
		"\x7f", "\x1f", "gr\xc3\xbcn", "\xff", "01234567890123456789012345678901",
		"a name that is far longer than a name may be"};

	start();
	for (size_t i = 0; i < bhi_array_size(good); i++)
		bh_group_put(support_group(NULL, good[i]));
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(bh_group_new(NULL, bad[i]));
		ck_assert_int_eq(errno, EINVAL);
	}
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(the_name_is_copied_and_need_not_be_unique)
{
	struct bh_group *one, *two;
	char name[] = "twin";
	char path[64];

	start();
	one = support_group(NULL, name);
	two = support_group(one, name);
	memset(name, 'x', 4);
	ck_assert_str_eq(bhi_group_path(two, path, sizeof(path)), "/twin/twin");
	ck_assert_str_eq(bhi_group_path(one, path, sizeof(path)), "/twin");
	ck_assert_str_eq(bhi_group_path(bh_root(), path, sizeof(path)), "/");
	/* Cut at the front, by whole names. */
	ck_assert_str_eq(bhi_group_path(two, path, 9), "/twin");
	ck_assert_str_eq(bhi_group_path(two, path, 6), "/twin");
	ck_assert_str_eq(bhi_group_path(two, path, 5), "/");
	bh_group_put(one);
	bh_group_put(two);
	support_end();
}
END_TEST

START_TEST(bad_arguments_are_refused_and_change_nothing)
{
	static const unsigned bad_flags[] = {1u << 8, 1u << 31, BH_NORETRY | BH_NOFAIL,
		BH_NORETRY | BH_RETRY_MAYFAIL, BH_RETRY_MAYFAIL | BH_NOFAIL,
		BH_ATOMIC | BH_NOFAIL, BH_NOWAIT | BH_NOFAIL};
	struct bh_group_stat stat, after;
	struct bh_group *group;

	start();
	group = support_group(NULL, "group");
	stat = support_stat(group);
	for (size_t i = 0; i < bhi_array_size(bad_flags); i++) {
		ck_assert_int_eq(bh_charge(group, 4096, bad_flags[i]), -EINVAL);
		ck_assert_int_eq(bh_charge(group, 0, bad_flags[i]), -EINVAL);
		ck_assert_int_eq(bh_group_reclaim(group, 4096, bad_flags[i]), -EINVAL);
	}
	ck_assert_int_eq(bh_charge(group, (size_t)INT64_MAX + 1, 0), -EINVAL);
	ck_assert_int_eq(bh_charge(group, SIZE_MAX, 0), -EINVAL);
	bh_uncharge(group, SIZE_MAX);
	ck_assert_int_eq(bh_group_set(NULL, BH_MAX, 1), -EINVAL);
	ck_assert_int_eq(bh_group_set(group, (enum bh_knob)6, 0), -EINVAL);
	ck_assert_int_eq(bh_group_set(group, (enum bh_knob) - 1, 0), -EINVAL);
	ck_assert_int_eq(bh_group_set(group, BH_OOM_GROUP, 2), -EINVAL);
	ck_assert_int_eq(bh_group_set(group, BH_ON_LIMIT, 2), -EINVAL);
	ck_assert_int_eq(bh_group_set(group, BH_ON_LIMIT, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(bh_group_stat(NULL, &after), -EINVAL);
	ck_assert_int_eq(bh_group_stat(group, NULL), -EINVAL);
	ck_assert_int_eq(bh_group_drop(NULL), -EINVAL);
	ck_assert_int_eq(bh_group_reclaim(NULL, 4096, 0), -EINVAL);
	ck_assert_ptr_null(bh_group_get(NULL));
	bh_group_put(NULL);
	after = support_stat(group);
	ck_assert_mem_eq(&stat, &after, sizeof(stat));
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_root_takes_no_limits_but_an_oom_policy_and_needs_no_reference)
{
	static const enum bh_knob knobs[] = {BH_MIN, BH_LOW, BH_HIGH, BH_MAX};
	struct bh_group_stat stat;

	start();
	for (size_t i = 0; i < bhi_array_size(knobs); i++) {
		ck_assert_int_eq(bh_group_set(bh_root(), knobs[i], 1), -EINVAL);
		ck_assert_int_eq(
			bh_group_set(bh_root(), knobs[i], BH_UNLIMITED), -EINVAL);
	}
	support_set(bh_root(), BH_ON_LIMIT, BH_KILL);
	support_set(bh_root(), BH_OOM_GROUP, 1);
	for (int i = 0; i < 3; i++)
		bh_group_put(bh_root());
	ck_assert_ptr_eq(bh_group_get(bh_root()), bh_root());
	stat = support_stat(bh_root());
	ck_assert_int_eq(stat.on_limit, BH_KILL);
	ck_assert_uint_eq(stat.oom_group, 1);
	ck_assert_uint_eq(stat.max, ZONE);
	support_end();
}
END_TEST

START_TEST(knobs_read_back_as_they_were_set_and_unlimited_takes_a_limit_away)
{
	struct bh_group_stat stat;
	struct bh_group *group;

	start();
	group = support_group(NULL, "knobs");
	support_set(group, BH_MIN, 1);
	support_set(group, BH_LOW, 2);
	support_set(group, BH_HIGH, 3);
	support_set(group, BH_MAX, 4);
	support_set(group, BH_OOM_GROUP, 1);
	support_set(group, BH_ON_LIMIT, BH_KILL);
	stat = support_stat(group);
	ck_assert(stat.min == 1 && stat.low == 2 && stat.high == 3 && stat.max == 4);
	ck_assert(stat.oom_group == 1 && stat.on_limit == BH_KILL);
	for (enum bh_knob knob = BH_MIN; knob <= BH_MAX; knob++)
		support_set(group, knob, BH_UNLIMITED);
	stat = support_stat(group);
	ck_assert(stat.high == BH_UNLIMITED && stat.max == BH_UNLIMITED);
	ck_assert(stat.min == BH_UNLIMITED && stat.low == BH_UNLIMITED);
	support_set(group, BH_MIN, 0);
	support_set(group, BH_MAX, UINT64_MAX - 1);
	ck_assert_uint_eq(support_stat(group).min, 0);
	ck_assert_uint_eq(support_stat(group).max, BH_UNLIMITED);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_new_group_takes_the_limit_policy_of_its_parent)
{
	struct bh_group *parent, *child;

	start();
	parent = support_group(NULL, "parent");
	support_set(parent, BH_ON_LIMIT, BH_KILL);
	support_set(parent, BH_OOM_GROUP, 1);
	child = support_group(parent, "child");
	ck_assert_int_eq(support_stat(child).on_limit, BH_KILL);
	ck_assert_uint_eq(support_stat(child).oom_group, 0);
	support_set(parent, BH_ON_LIMIT, BH_FAIL);
	ck_assert_int_eq(support_stat(child).on_limit, BH_KILL);
	bh_group_put(child);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(charges_count_in_the_group_and_all_its_ancestors)
{
	struct bh_group *a, *b, *c;
	void *pages, *object;

	start();
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(a, "c");
	pages = take_pages(b, 2);
	object = take(c, 100 * KIB);
	ck_assert_int_eq(bh_charge(a, 5000, 0), 0);
	ck_assert_uint_eq(support_usage(b), 4 * PAGE);
	ck_assert_uint_eq(support_usage(c), 100 * KIB);
	ck_assert_uint_eq(support_usage(a), 4 * PAGE + 100 * KIB + 5000);
	ck_assert_uint_eq(support_usage(bh_root()), support_usage(a));
	ck_assert_uint_eq(support_stat(a).external, 5000);
	ck_assert_uint_eq(support_stat(b).external, 0);
	bh_uncharge(a, 1000);
	ck_assert_uint_eq(support_stat(a).external, 4000);
	ck_assert_uint_eq(support_usage(a), 4 * PAGE + 100 * KIB + 4000);
	ck_assert_int_eq(bh_audit(), 0);
	bh_uncharge(a, 4000);
	bh_free(pages);
	bh_free(object);
	ck_assert_uint_eq(support_usage(a), 0);
	ck_assert_uint_ge(support_stat(a).peak, 4 * PAGE + 100 * KIB + 5000);
	bh_group_put(c);
	bh_group_put(b);
	bh_group_put(a);
	support_end();
}
END_TEST

START_TEST(a_null_group_means_the_root)
{
	start();
	ck_assert_int_eq(bh_charge(NULL, 7000, 0), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 7000);
	ck_assert_uint_eq(support_stat(bh_root()).external, 7000);
	bh_uncharge(NULL, 7000);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(bytes_of_bh_charge_add_up_however_they_pass_through_stocks)
{
	struct bh_group *group;
	uint64_t expected = 0;

	start();
	group = support_group(NULL, "group");
	for (uint64_t i = 1; i < 2000; i++) {
		uint64_t size = i * 7919 % 5000;

		ck_assert_int_eq(bh_charge(group, size, 0), 0);
		expected += size;
		if (i % 3 == 0) {
			bh_uncharge(group, size / 2);
			expected -= size / 2;
		}
		if (i % 100 == 0)
			ck_assert_uint_eq(support_stat(group).external, expected);
		if (i % 300 == 0)
			ck_assert_uint_eq(support_usage(group), expected);
	}
	ck_assert_int_eq(bh_audit(), 0);
	bh_uncharge(group, expected);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_stat(group).external, 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(giving_back_more_than_was_charged_is_reported_once_and_clamped)
{
	struct bh_group *group, *sibling;
	unsigned warnings;
	void *pages;

	start();
	warnings = bhi_warn_count();
	group = support_group(NULL, "group");
	sibling = support_group(NULL, "sibling");
	pages = take_pages(sibling, 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(bh_charge(group, 3000, 0), 0);
		bh_uncharge(group, 5000);
		ck_assert_uint_eq(support_usage(group), 0);
		ck_assert_uint_eq(support_stat(group).external, 0);
		ck_assert_uint_eq(support_usage(bh_root()), PAGE);
		ck_assert_uint_eq(bhi_warn_count(), warnings + 1);
		ck_assert_int_eq(bh_audit(), 0);
	}
	bh_free(pages);
	bh_group_put(group);
	bh_group_put(sibling);
	support_end();
}
END_TEST

START_TEST(dropping_a_group_frees_what_it_owns_itself_and_keeps_foreign_bytes)
{
	struct bh_group *group, *child;
	void *of_child;

	start();
	group = support_group(NULL, "group");
	child = support_group(group, "child");
	of_child = take_pages(child, 0);
	for (int i = 0; i < 500; i++)
		take(group, (size_t)(i * 37 % 9000));
	take_pages(group, 4);
	ck_assert_int_eq(bh_charge(group, 12345, 0), 0);
	ck_assert_int_eq(bh_group_drop(group), 0);
	ck_assert_uint_eq(support_usage(group), PAGE + 12345);
	ck_assert_uint_eq(support_usage(child), PAGE);
	ck_assert_int_eq(bh_audit(), 0);
	bh_free(of_child);
	bh_uncharge(group, 12345);
	bh_group_put(child);
	bh_group_put(group);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(a_walk_visits_the_online_groups_in_pre_order_and_holds_the_last)
{
	static const char *const names[] = {"/", "a", "b", "c", "d"};
	struct bh_group *groups[5], *group = NULL;
	int i = 0;

	start();
	groups[0] = bh_root();
	groups[1] = support_group(NULL, "a");
	groups[2] = support_group(groups[1], "b");
	groups[3] = support_group(groups[1], "c");
	groups[4] = support_group(NULL, "d");
	while ((group = bhi_group_next(bh_root(), group)))
		ck_assert_str_eq(group->name, names[i++]);
	ck_assert_int_eq(i, 5);
	group = bhi_group_next(groups[1], NULL);
	group = bhi_group_next(groups[1], group);
	ck_assert_ptr_eq(group, groups[2]);
	/* The walk holds b: it stays where it is although everybody else has left. */
	bh_group_put(groups[2]);
	ck_assert_uint_eq(count(), 4);
	group = bhi_group_next(groups[1], group);
	ck_assert_ptr_eq(group, groups[3]);
	ck_assert_uint_eq(count(), 3);
	bhi_group_put(group);
	for (i = 1; i < 5; i++)
		bh_group_put(i == 2 ? NULL : groups[i]);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(an_event_counts_once_in_the_group_and_hierarchically_above)
{
	struct bh_group *a, *b;

	start();
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	bhi_group_event(b, BHI_EVENT_HIGH);
	bhi_group_event(b, BHI_EVENT_HIGH);
	bhi_group_event(a, BHI_EVENT_OOM_GROUP_KILL);
	ck_assert_uint_eq(support_stat(b).events.high, 2);
	ck_assert_uint_eq(support_stat(b).local.high, 2);
	ck_assert_uint_eq(support_stat(b).events.oom_group_kill, 0);
	ck_assert_uint_eq(support_stat(a).events.high, 2);
	ck_assert_uint_eq(support_stat(a).local.high, 0);
	ck_assert_uint_eq(support_stat(a).local.oom_group_kill, 1);
	ck_assert_uint_eq(support_stat(bh_root()).events.high, 2);
	bh_group_put(b);
	bh_group_put(a);
	support_end();
}
END_TEST

START_TEST(the_effective_protection_is_up_to_date_without_any_reclaim)
{
	struct bh_group *a, *b, *c;
	struct bh_group_stat stat;

	start();
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(a, "c");
	support_set(a, BH_MIN, 100 * KIB);
	support_set(b, BH_MIN, 150 * KIB);
	support_set(c, BH_MIN, 50 * KIB);
	support_set(c, BH_LOW, 30 * KIB);
	ck_assert_int_eq(bh_charge(b, 150 * KIB, 0), 0);
	ck_assert_int_eq(bh_charge(c, 50 * KIB, 0), 0);
	bhi_stock_drain(bh_root());
	ck_assert_uint_eq(support_stat(a).emin, 100 * KIB);
	stat = support_stat(b);
	ck_assert_uint_eq(stat.emin, 75 * KIB);
	ck_assert_uint_eq(stat.elow, 0);
	ck_assert_uint_eq(support_stat(c).emin, 25 * KIB);
	bh_uncharge(b, 150 * KIB);
	bh_uncharge(c, 50 * KIB);
	bh_group_put(b);
	bh_group_put(c);
	bh_group_put(a);
	support_end();
}
END_TEST

static void use_in_child(void *arg)
{
	struct bh_group *group = arg;
	struct bh_group_stat stat;

	errno = 0;
	if (bh_group_new(NULL, "child") || errno != ENOMEM)
		printf("a group was made\n");
	if (bh_charge(group, 100, 0) != -ENOMEM || bh_charge(group, MIB, 0) != -ENOMEM)
		printf("a charge was served\n");
	if (bh_group_set(group, BH_MAX, 0) != -EINVAL ||
		bh_group_drop(group) != -EINVAL ||
		bh_group_stat(group, &stat) != -EINVAL ||
		bh_group_reclaim(group, 1, 0) != -EINVAL)
		printf("a call did not refuse\n");
	bh_uncharge(group, 100);
	bh_group_put(bh_group_get(group));
	bh_group_put(group);
	printf("end\n");
}

START_TEST(a_child_of_fork_makes_and_charges_nothing)
{
	struct support_output output;
	struct bh_group *group;

	start();
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, 1000, 0), 0);
	support_capture(use_in_child, group, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.out, "end\n");
	support_output_fini(&output);
	bh_uncharge(group, 1000);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_new_group_limits_and_protects_nothing);
	tcase_add_test(tcase, a_name_is_1_to_31_printable_bytes_that_need_no_escape);
	tcase_add_test(tcase, the_name_is_copied_and_need_not_be_unique);
	tcase_add_test(tcase, bad_arguments_are_refused_and_change_nothing);
	tcase_add_test(
		tcase, the_root_takes_no_limits_but_an_oom_policy_and_needs_no_reference);
	tcase_add_test(
		tcase, knobs_read_back_as_they_were_set_and_unlimited_takes_a_limit_away);
	tcase_add_test(tcase, a_new_group_takes_the_limit_policy_of_its_parent);
	tcase_add_test(tcase, charges_count_in_the_group_and_all_its_ancestors);
	tcase_add_test(tcase, a_null_group_means_the_root);
	tcase_add_test(tcase, bytes_of_bh_charge_add_up_however_they_pass_through_stocks);
	tcase_add_test(
		tcase, giving_back_more_than_was_charged_is_reported_once_and_clamped);
	tcase_add_test(tcase,
		dropping_a_group_frees_what_it_owns_itself_and_keeps_foreign_bytes);
	tcase_add_test(
		tcase, a_walk_visits_the_online_groups_in_pre_order_and_holds_the_last);
	tcase_add_test(tcase, an_event_counts_once_in_the_group_and_hierarchically_above);
	tcase_add_test(tcase, the_effective_protection_is_up_to_date_without_any_reclaim);
	tcase_add_test(tcase, a_child_of_fork_makes_and_charges_nothing);
}

int main(void)
{
	return support_run("group", add_tests);
}
