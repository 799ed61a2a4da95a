/* test_room.c: the distance to each limit, the nearest of them, and when it is reached.
 */
#include "analysis/room.h"

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
static struct room room;

/* A process of 400M on a host of 16G of which 12G are to be had, without limits but for
 * the stack's. */
static int setup(void **state)
{
	(void)state;
	bounds = (struct bounds){
		.has = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES | BOUNDS_HAS_CGROUP,
		.rlimit = {UINT64_MAX, UINT64_MAX, 8 * M},
		.total_vm_bytes = 400 * M,
		.data_vm_bytes = 300 * M,
		.stack_vm_bytes = 1 * M,
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
	memset(&room, 0xff, sizeof(room));
	return 0;
}

static void is(enum room_kind kind, uint64_t limit, uint64_t used, uint64_t left)
{
	room_of(&bounds, &fig, &room);
	assert_true(room.row[kind].is_set);
	assert_int_equal(room.row[kind].limit, limit);
	assert_int_equal(room.row[kind].used, used);
	assert_int_equal(room.row[kind].left, left);
	assert_true(fabs(room.row[kind].left_share - (double)left / (double)limit) <
		    1e-9);
}

static void is_not(enum room_kind kind)
{
	room_of(&bounds, &fig, &room);
	assert_false(room.row[kind].is_set);
}

static void without_limits(void **state)
{
	(void)state;
	is(ROOM_HOST, 16 * G, 4 * G, 12 * G);
	assert_int_equal(room.nearest, ROOM_HOST);
	is(ROOM_STACK, 8 * M, M, 7 * M);
	is(ROOM_MAPPINGS, 65530, 100, 65430);
	is_not(ROOM_ADDRESS_SPACE);
	is_not(ROOM_DATA);
	is_not(ROOM_COMMIT);
	is_not(ROOM_CGROUP_MAX);
	is_not(ROOM_CGROUP_HIGH);
}

static void own_limits(void **state)
{
	(void)state;
	bounds.rlimit.address_space_bytes = 500 * M;
	is(ROOM_ADDRESS_SPACE, 500 * M, 400 * M, 100 * M);
	assert_int_equal(room.nearest, ROOM_ADDRESS_SPACE);
	bounds.rlimit.data_bytes = 310 * M;
	is(ROOM_DATA, 310 * M, 300 * M, 10 * M);
	assert_int_equal(room.nearest, ROOM_DATA);
	/* Set below what is in use already. */
	bounds.rlimit.address_space_bytes = M;
	is(ROOM_ADDRESS_SPACE, M, 400 * M, 0);
	assert_int_equal(room.nearest, ROOM_ADDRESS_SPACE);
	bounds.rlimit.data_bytes = 0;
	is_not(ROOM_DATA);
}

static void promises(void **state)
{
	(void)state;
	bounds.host.overcommit = OVERCOMMIT_NEVER;
	bounds.host.admin_reserve_bytes = 8 * M;
	bounds.host.user_reserve_bytes = 128 * M;
	/* 400M / 32 = 12.5M are kept from this process. */
	is(ROOM_COMMIT, 8 * G - 8 * M - 25 * M / 2, 6 * G, 2 * G - 8 * M - 25 * M / 2);
	assert_int_equal(room.nearest, ROOM_COMMIT);
	bounds.host.overcommit = OVERCOMMIT_ALWAYS;
	is_not(ROOM_COMMIT);
}

static void cgroups(void **state)
{
	(void)state;
	bounds.cgroup.max = (struct cgroup_limit){true, G, 900 * M, 500 * M, "/app"};
	is(ROOM_CGROUP_MAX, G, 400 * M, 624 * M);
	assert_int_equal(room.memory_bytes, G);
	bounds.cgroup.high = (struct cgroup_limit){true, 500 * M, 480 * M, 0, "/app/web"};
	is(ROOM_CGROUP_HIGH, 500 * M, 480 * M, 20 * M);
	assert_int_equal(room.nearest, ROOM_CGROUP_HIGH);
	bounds.cgroup.max.limit_bytes = 64 * G;
	is(ROOM_CGROUP_MAX, 64 * G, 400 * M, 64 * G - 400 * M);
	assert_int_equal(room.memory_bytes, bounds.host.ram_bytes);
	bounds.has &= ~(unsigned)BOUNDS_HAS_CGROUP;
	is_not(ROOM_CGROUP_MAX);
	assert_int_equal(room.memory_bytes, bounds.host.ram_bytes);
	bounds.host.has = 0;
	room_of(&bounds, NULL, &room);
	assert_int_equal(room.memory_bytes, 0);
}

static void what_was_not_had_is_absent(void **state)
{
	(void)state;
	bounds.rlimit.address_space_bytes = 500 * M;
	bounds.has &= ~(unsigned)BOUNDS_HAS_SIZES;
	is_not(ROOM_ADDRESS_SPACE);
	figures_clear(&fig);
	is_not(ROOM_MAPPINGS);
	bounds.has = bounds.host.has = 0;
	room_of(&bounds, NULL, &room);
	assert_int_equal(room.nearest, -1);
	for (unsigned i = 0; i < ROOM_KINDS; i++)
		assert_false(room.row[i].is_set);
}

static void when_it_is_reached(void **state)
{
	const struct room_row row = {true, 500 * M, 400 * M, 100 * M, 0.2};
	const struct room_row full = {true, 500 * M, 600 * M, 0, 0};
	const struct room_row none = {0};
	struct room_rate rate = {true, true, (double)M, 0.5 * (double)M, 2 * (double)M};
	struct room_reach reach;

	(void)state;
	room_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, ROOM_WHEN_IN);
	assert_true(reach.in_s == 100 && reach.earliest_s == 50 && reach.latest_s == 200);
	rate.low_per_s = -1;
	room_reach(&row, &rate, &reach);
	assert_true(isinf(reach.latest_s));
	rate.is_rising = false;
	room_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, ROOM_WHEN_NEVER);
	rate.is_known = false;
	room_reach(&row, &rate, &reach);
	assert_int_equal(reach.when, ROOM_WHEN_UNKNOWN);
	room_reach(&full, &rate, &reach);
	assert_int_equal(reach.when, ROOM_WHEN_REACHED);
	room_reach(&none, &rate, &reach);
	assert_int_equal(reach.when, ROOM_WHEN_UNKNOWN);
}

static void every_limit_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROOM_KINDS; i++) {
		assert_true(*room_info[i].name);
		assert_true(*room_info[i].limit);
		assert_true(*room_info[i].outcome);
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
