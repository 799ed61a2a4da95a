/* test_cause.c: each limit at its edge, the order in which they are looked at, and what
 * is said when a limit is not known. */
#include "analysis/cause.h"
#include "target/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGE UINT64_C(4096)
#define M    (UINT64_C(1) << 20)
#define G    (UINT64_C(1) << 30)

/* A process of 480M, 400M of them data, without limits, that asks for 64M. */
static const struct refusal plain = {
	.asked_bytes = 64 * M,
	.total_vm_bytes = 480 * M,
	.data_vm_bytes = 400 * M,
	.map_count = 100,
	.rlimit_as_bytes = UINT64_MAX,
	.rlimit_data_bytes = UINT64_MAX,
};

/* A host of 16G with 2G of swap, where little is promised. */
static const struct limits host = {
	.has = LIMITS_HAS_OVERCOMMIT | LIMITS_HAS_MEMORY | LIMITS_HAS_RESERVES |
	       LIMITS_HAS_MAP_COUNT,
	.overcommit = OVERCOMMIT_GUESS,
	.ram_bytes = 16 * G,
	.swap_bytes = 2 * G,
	.commit_limit_bytes = 10 * G,
	.committed_bytes = 4 * G,
	.admin_reserve_bytes = 8 * M,
	.user_reserve_bytes = 128 * M,
	.max_map_count = 65530,
};

static struct refusal refusal;
static struct limits limits;
static struct event_cause cause;

static int setup(void **state)
{
	(void)state;
	refusal = plain;
	limits = host;
	memset(&cause, 0xff, sizeof(cause));
	return 0;
}

static void is_kind(enum cause_kind kind)
{
	cause_of(&refusal, &limits, &cause);
	assert_string_equal(cause_kind_name(cause.kind), cause_kind_name(kind));
	assert_false(cause.has_figures);
}

static void is(enum cause_kind kind, uint64_t limit, uint64_t used, uint64_t asked)
{
	cause_of(&refusal, &limits, &cause);
	assert_string_equal(cause_kind_name(cause.kind), cause_kind_name(kind));
	assert_true(cause.has_figures);
	assert_int_equal(cause.limit, limit);
	assert_int_equal(cause.used, used);
	assert_int_equal(cause.asked, asked);
}

static void nothing_explains_it(void **state)
{
	(void)state;
	is_kind(CAUSE_UNKNOWN);
	refusal.is_brk = true;
	is_kind(CAUSE_UNKNOWN);
}

static void address_space(void **state)
{
	uint64_t fits = LIMITS_TASK_BYTES - refusal.total_vm_bytes;

	(void)state;
	limits.overcommit = OVERCOMMIT_ALWAYS;
	assert_true(LIMITS_TASK_BYTES == UINT64_C(0x7ffffffff000) ||
		    LIMITS_TASK_BYTES == UINT64_C(1) << 48);
	refusal.asked_bytes = fits;
	is_kind(CAUSE_UNKNOWN);
	refusal.asked_bytes = fits + PAGE;
	is(CAUSE_ABSURD, LIMITS_TASK_BYTES, 480 * M, fits + PAGE);
	/* The sum of what is used and asked wraps. */
	refusal.asked_bytes = UINT64_MAX - PAGE + 1;
	is(CAUSE_ABSURD, LIMITS_TASK_BYTES, 480 * M, UINT64_MAX - PAGE + 1);
}

static void number_of_mappings(void **state)
{
	(void)state;
	refusal.map_count = 65530;
	is_kind(CAUSE_UNKNOWN);
	refusal.map_count = 65531;
	is(CAUSE_MAP_COUNT, 65530, 65531, 1);
	limits.has &= ~(unsigned)LIMITS_HAS_MAP_COUNT;
	is_kind(CAUSE_UNKNOWN);
}

static void rlimit_as(void **state)
{
	(void)state;
	refusal.rlimit_as_bytes = 544 * M;
	is_kind(CAUSE_UNKNOWN);
	/* What is no whole page of a limit does not count. */
	refusal.rlimit_as_bytes = 544 * M - 1;
	is(CAUSE_RLIMIT_AS, 544 * M - 1, 480 * M, 64 * M);
	/* Lowered below what is in use already. */
	refusal.rlimit_as_bytes = 0;
	is(CAUSE_RLIMIT_AS, 0, 480 * M, 64 * M);
}

static void rlimit_data(void **state)
{
	(void)state;
	refusal.rlimit_data_bytes = 464 * M;
	is_kind(CAUSE_UNKNOWN);
	refusal.rlimit_data_bytes = 464 * M - 1;
	is(CAUSE_RLIMIT_DATA, 464 * M - 1, 400 * M, 64 * M);
	refusal.rlimit_data_bytes = 0;
	is_kind(CAUSE_UNKNOWN);
}

static void overcommit_guess(void **state)
{
	(void)state;
	refusal.asked_bytes = 18 * G;
	is_kind(CAUSE_UNKNOWN);
	refusal.asked_bytes = 18 * G + PAGE;
	is(CAUSE_OVERCOMMIT, 18 * G, 0, 18 * G + PAGE);
	limits.has &= ~(unsigned)LIMITS_HAS_MEMORY;
	is_kind(CAUSE_UNKNOWN);
	limits.has = 0;
	is_kind(CAUSE_UNKNOWN);
}

static void overcommit_always(void **state)
{
	(void)state;
	limits.overcommit = OVERCOMMIT_ALWAYS;
	refusal.asked_bytes = 100 * G;
	is_kind(CAUSE_UNKNOWN);
}

/* 480M / 32 = 15M are kept from this process, and 8M from all without privilege. */
static void overcommit_never(void **state)
{
	const uint64_t limit = 10 * G - 8 * M - 15 * M;

	(void)state;
	limits.overcommit = OVERCOMMIT_NEVER;
	limits.committed_bytes = limit - 64 * M + PAGE;
	is(CAUSE_OVERCOMMIT, limit, limit - 64 * M + PAGE, 64 * M);
	/* Given back by the time that it was read: nothing else can have been it. */
	limits.committed_bytes = limit - 64 * M;
	is_kind(CAUSE_OVERCOMMIT);
	limits.has = LIMITS_HAS_OVERCOMMIT | LIMITS_HAS_MAP_COUNT;
	is_kind(CAUSE_OVERCOMMIT);
}

static void overcommit_never_is_inferred_with_care(void **state)
{
	(void)state;
	limits.overcommit = OVERCOMMIT_NEVER;
	refusal.rlimit_data_bytes = 0;
	is_kind(CAUSE_UNKNOWN);
	refusal.rlimit_data_bytes = UINT64_MAX;
	limits.has &= ~(unsigned)LIMITS_HAS_MAP_COUNT;
	is_kind(CAUSE_UNKNOWN);
}

static void reserves_have_bounds(void **state)
{
	(void)state;
	limits.overcommit = OVERCOMMIT_NEVER;
	limits.committed_bytes = 10 * G;
	/* A large process loses the whole reserve and no more. */
	refusal.total_vm_bytes = 8 * G;
	is(CAUSE_OVERCOMMIT, 10 * G - 136 * M, 10 * G, 64 * M);
	limits.commit_limit_bytes = 136 * M;
	is(CAUSE_OVERCOMMIT, 0, 10 * G, 64 * M);
	limits.commit_limit_bytes = M;
	is(CAUSE_OVERCOMMIT, 0, 10 * G, 64 * M);
}

/* All limits are met; they are lifted one after the other. */
static void order_of_mmap(void **state)
{
	(void)state;
	refusal.map_count = 70000;
	refusal.asked_bytes = LIMITS_TASK_BYTES;
	refusal.rlimit_as_bytes = refusal.rlimit_data_bytes = M;
	is(CAUSE_ABSURD, LIMITS_TASK_BYTES, 480 * M, LIMITS_TASK_BYTES);
	refusal.asked_bytes = 20 * G;
	is(CAUSE_MAP_COUNT, 65530, 70000, 1);
	refusal.map_count = 1;
	is(CAUSE_RLIMIT_AS, M, 480 * M, 20 * G);
	refusal.rlimit_as_bytes = UINT64_MAX;
	is(CAUSE_RLIMIT_DATA, M, 400 * M, 20 * G);
	refusal.rlimit_data_bytes = UINT64_MAX;
	is(CAUSE_OVERCOMMIT, 18 * G, 0, 20 * G);
}

static void order_of_brk(void **state)
{
	(void)state;
	refusal.is_brk = true;
	refusal.map_count = 70000;
	refusal.asked_bytes = 20 * G;
	refusal.rlimit_as_bytes = refusal.rlimit_data_bytes = M;
	is(CAUSE_RLIMIT_AS, M, 480 * M, 20 * G);
	refusal.rlimit_as_bytes = UINT64_MAX;
	is(CAUSE_RLIMIT_DATA, M, 400 * M, 20 * G);
	refusal.rlimit_data_bytes = UINT64_MAX;
	is(CAUSE_MAP_COUNT, 65530, 70000, 1);
	refusal.map_count = 65530;
	is(CAUSE_OVERCOMMIT, 18 * G, 0, 20 * G);
}

static void this_host_is_read(void **state)
{
	(void)state;
	memset(&limits, 0xff, sizeof(limits));
	assert_int_equal(limits_read(&limits), 0);
	assert_int_equal(limits.has, host.has);
	assert_in_range(limits.overcommit, OVERCOMMIT_GUESS, OVERCOMMIT_NEVER);
	assert_in_range(limits.ram_bytes, M, UINT64_C(1) << 52);
	assert_in_range(limits.committed_bytes, M, UINT64_C(1) << 52);
	assert_in_range(limits.swap_bytes, 0, UINT64_C(1) << 52);
	assert_in_range(limits.max_map_count, 1, UINT32_MAX);
}

static void every_name_is_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EVENT_KINDS; i++)
		assert_true(*event_kind_name((enum event_kind)i));
	for (unsigned i = 0; i < CAUSE_KINDS; i++)
		assert_true(*cause_kind_name((enum cause_kind)i));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_explains_it),
		TEST(address_space),
		TEST(number_of_mappings),
		TEST(rlimit_as),
		TEST(rlimit_data),
		TEST(overcommit_guess),
		TEST(overcommit_always),
		TEST(overcommit_never),
		TEST(overcommit_never_is_inferred_with_care),
		TEST(reserves_have_bounds),
		TEST(order_of_mmap),
		TEST(order_of_brk),
		TEST(this_host_is_read),
		TEST(every_name_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
