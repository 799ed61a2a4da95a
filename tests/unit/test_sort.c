/* test_sort.c: addresses in order, whatever order they came in. */
#include "base/sort.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 5000, ROUNDS = 60 };

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void check_sorted(uint64_t *value, size_t count)
{
	static uint64_t want[MANY];

	memcpy(want, value, count * sizeof(*value));
	qsort(want, count, sizeof(*want), compare);
	sort_addresses(value, count);
	if (count)
		assert_memory_equal(value, want, count * sizeof(*value));
}

static void nothing_and_one_are_sorted(void **state)
{
	uint64_t value[1] = {7};

	(void)state;
	sort_addresses(value, 0);
	sort_addresses(value, 1);
	assert_int_equal(value[0], 7);
	assert_int_equal(sort_unique(value, 0), 0);
	assert_int_equal(sort_unique(value, 1), 1);
}

static void any_numbers_are_sorted(void **state)
{
	static uint64_t value[MANY];
	uint64_t random = 1;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		/* Few bits make many equal values, all bits none. */
		uint64_t mask = UINT64_MAX >> (round % 64);
		size_t count = random_next(&random) % (MANY / (1 + round % 7));

		for (size_t i = 0; i < count; i++)
			value[i] = random_next(&random) & mask;
		check_sorted(value, count);
	}
}

static void orders_that_are_hard_are_sorted(void **state)
{
	static uint64_t value[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		value[i] = i * 16;
	check_sorted(value, MANY);
	for (size_t i = 0; i < MANY; i++)
		value[i] = (MANY - i) * 16;
	check_sorted(value, MANY);
	for (size_t i = 0; i < MANY; i++)
		value[i] = 42;
	check_sorted(value, MANY);
	for (size_t i = 0; i < MANY; i++)
		value[i] = i % 2 ? UINT64_MAX - i : i;
	check_sorted(value, MANY);
	/* One bit after the other: the deepest recursion. */
	for (size_t i = 0; i < 64; i++)
		value[i] = UINT64_C(1) << (63 - i);
	check_sorted(value, 64);
}

static void repeated_values_are_removed(void **state)
{
	uint64_t value[] = {0, 0, 1, 5, 5, 5, UINT64_MAX, UINT64_MAX};
	const uint64_t want[] = {0, 1, 5, UINT64_MAX};

	(void)state;
	assert_int_equal(sort_unique(value, 8), 4);
	assert_memory_equal(value, want, sizeof(want));
}

static void the_lower_bound_is_the_first_not_below(void **state)
{
	const uint64_t value[] = {16, 32, 32, 48};

	(void)state;
	assert_int_equal(sort_lower_bound(value, 4, 0), 0);
	assert_int_equal(sort_lower_bound(value, 4, 16), 0);
	assert_int_equal(sort_lower_bound(value, 4, 17), 1);
	assert_int_equal(sort_lower_bound(value, 4, 32), 1);
	assert_int_equal(sort_lower_bound(value, 4, 33), 3);
	assert_int_equal(sort_lower_bound(value, 4, 48), 3);
	assert_int_equal(sort_lower_bound(value, 4, 49), 4);
	assert_int_equal(sort_lower_bound(value, 0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_and_one_are_sorted),
		cmocka_unit_test(any_numbers_are_sorted),
		cmocka_unit_test(orders_that_are_hard_are_sorted),
		cmocka_unit_test(repeated_values_are_removed),
		cmocka_unit_test(the_lower_bound_is_the_first_not_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
