/* test_headroom.c: the distance to each limit, the nearest of them, and when it is
 * reached.
 */
#include "analysis/headroom.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)

static struct bounds bounds;
static struct figures fig;
static struct headroom headroom;

/* A process of 400M on a host of 16G of which 12G are to be had, without limits but for
 * the stack's. */
static int setup(void **state)
{
	(void)state;
	bounds = (struct bounds){
		.has = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES | BOUNDS_HAS_STACK |
		       BOUNDS_HAS_CGROUP,
		.rlimit = {UINT64_MAX, UINT64_MAX, 8 * M},
		.total_vm_bytes = 400 * M,
		.data_vm_bytes = 300 * M,
		/* Reserved, and hardly used. */
		.stack_vm_bytes = 8 * M,
		.stack_bytes = 1 * M,
		.host = {.has = LIMITS_HAS_OVERCOMMIT | LIMITS_HAS_MEMORY |
				LIMITS_HAS_RESERVES | LIMITS_HAS_MAP_COUNT,
			 .overcommit = OVERCOMMIT_GUESS,
			 .ram_bytes = 16 * G,
			 .available_bytes = 12 * G,
			 .commit_limit_bytes = 8 * G,
			 .committed_bytes = 6 * G,
			 .max_map_count = 65530},
	};
	figures_clear(&fig);
	figure_set(&fig, FIG_MAPPINGS, 100);
	memset(&headroom, 0xff, sizeof(headroom));
	return 0;
}

static void is(enum headroom_kind kind, uint64_t limit, uint64_t used, uint64_t left)
{
	headroom_of(&bounds, &fig, &headroom);
	assert_true(headroom.row[kind].is_set);
	assert_int_equal(headroom.row[kind].limit, limit);
	assert_int_equal(headroom.row[kind].used, used);
	assert_int_equal(headroom.row[kind].left, left);
	assert_true(fabs(headroom.row[kind].left_share - (double)left / (double)limit) <
		    1e-9);
}

static void is_not(enum headroom_kind kind)
{
	headroom_of(&bounds, &fig, &headroom);
	assert_false(headroom.row[kind].is_set);
}

static void without_limits(void **state)
{
	(void)state;
	is(HEADROOM_HOST, 16 * G, 4 * G, 12 * G);
	assert_int_equal(headroom.nearest, HEADROOM_HOST);
	is(HEADROOM_STACK, 8 * M, M, 7 * M);
	bounds.has &= ~(unsigned)BOUNDS_HAS_STACK;
	is_not(HEADROOM_STACK);
	is(HEADROOM_MAPPINGS, 65530, 100, 65430);
	is_not(HEADROOM_ADDRESS_SPACE);
	is_not(HEADROOM_DATA);
	is_not(HEADROOM_COMMIT);
	is_not(HEADROOM_CGROUP_MAX);
	is_not(HEADROOM_CGROUP_HIGH);
}

static void own_limits(void **state)
{
	(void)state;
	bounds.rlimit.address_space_bytes = 500 * M;
	is(HEADROOM_ADDRESS_SPACE, 500 * M, 400 * M, 100 * M);
	assert_int_equal(headroom.nearest, HEADROOM_ADDRESS_SPACE);
	bounds.rlimit.data_bytes = 310 * M;
	is(HEADROOM_DATA, 310 * M, 300 * M, 10 * M);
	assert_int_equal(headroom.nearest, HEADROOM_DATA);
	/* Set below what is in use already. */
	bounds.rlimit.address_space_bytes = M;
	is(HEADROOM_ADDRESS_SPACE, M, 400 * M, 0);
	assert_int_equal(headroom.nearest, HEADROOM_ADDRESS_SPACE);
	bounds.rlimit.data_bytes = 0;
	is_not(HEADROOM_DATA);
}

static void promises(void **state)
{
	(void)state;
	bounds.host.overcommit = OVERCOMMIT_NEVER;
	bounds.host.admin_reserve_bytes = 8 * M;
	bounds.host.user_reserve_bytes = 128 * M;
	/* 400M / 32 = 12.5M are kept from this process. */
	is(HEADROOM_COMMIT, 8 * G - 8 * M - 25 * M / 2, 6 * G,
	   2 * G - 8 * M - 25 * M / 2);
	assert_int_equal(headroom.nearest, HEADROOM_COMMIT);
	bounds.host.overcommit = OVERCOMMIT_ALWAYS;
	is_not(HEADROOM_COMMIT);
}

static void cgroups(void **state)
{
	(void)state;
	bounds.cgroup.max = (struct cgroup_limit){true, G, 900 * M, 500 * M, "/app"};
	is(HEADROOM_CGROUP_MAX, G, 400 * M, 624 * M);
	assert_int_equal(headroom.memory_bytes, G);
	bounds.cgroup.high = (struct cgroup_limit){true, 500 * M, 480 * M, 0, "/app/web"};
	is(HEADROOM_CGROUP_HIGH, 500 * M, 480 * M, 20 * M);
	assert_int_equal(headroom.nearest, HEADROOM_CGROUP_HIGH);
	bounds.cgroup.max.limit_bytes = 64 * G;
	is(HEADROOM_CGROUP_MAX, 64 * G, 400 * M, 64 * G - 400 * M);
	assert_int_equal(headroom.memory_bytes, bounds.host.ram_bytes);
	bounds.has &= ~(unsigned)BOUNDS_HAS_CGROUP;
	is_not(HEADROOM_CGROUP_MAX);
	assert_int_equal(headroom.memory_bytes, bounds.host.ram_bytes);
	bounds.host.has = 0;
	headroom_of(&bounds, NULL, &headroom);
	assert_int_equal(headroom.memory_bytes, 0);
}

static void what_was_not_had_is_absent(void **state)
{
	(void)state;
	bounds.rlimit.address_space_bytes = 500 * M;
	bounds.has &= ~(unsigned)BOUNDS_HAS_SIZES;
	is_not(HEADROOM_ADDRESS_SPACE);
	figures_clear(&fig);
	is_not(HEADROOM_MAPPINGS);
	bounds.has = bounds.host.has = 0;
	headroom_of(&bounds, NULL, &headroom);
	assert_int_equal(headroom.nearest, -1);
	for (unsigned i = 0; i < HEADROOM_KINDS; i++)
		assert_false(headroom.row[i].is_set);
}

static void when_it_is_reached(void **state)
{
	const struct headroom_row row = {true, 500 * M, 400 * M, 100 * M, 0.2};
	const struct headroom_row full = {true, 500 * M, 600 * M, 0, 0};
	const struct headroom_row none = {0};
	struct headroom_rate rate = {true, true, (double)M, 0.5 * (double)M,
				     2 * (double)M};
	struct headroom_reach reach;

	(void)state;
	headroom_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, HEADROOM_WHEN_IN);
	assert_true(reach.in_s == 100 && reach.earliest_s == 50 && reach.latest_s == 200);
	rate.low_per_s = -1;
	headroom_reach(&row, &rate, &reach);
	assert_true(isinf(reach.latest_s));
	rate.is_rising = false;
	headroom_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, HEADROOM_WHEN_NEVER);
	rate.is_known = false;
	headroom_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, HEADROOM_WHEN_UNKNOWN);
	headroom_reach(&full, &rate, &reach);
	assert_int_equal(reach.when, HEADROOM_WHEN_REACHED);
	headroom_reach(&none, &rate, &reach);
	assert_int_equal(reach.when, HEADROOM_WHEN_UNKNOWN);
}

static void every_limit_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HEADROOM_KINDS; i++) {
		assert_true(*headroom_info[i].name);
		assert_true(*headroom_info[i].limit);
		assert_true(*headroom_info[i].outcome);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits),
		TEST(own_limits),
		TEST(promises),
		TEST(cgroups),
		TEST(what_was_not_had_is_absent),
		TEST(when_it_is_reached),
		TEST(every_limit_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
