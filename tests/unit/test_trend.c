/* test_trend.c: trends of series whose truth is known. The noise is seeded, so every run
 * sees the same. */
#include "analysis/trend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 500, ROUNDS = 400 };

static double time_s[MANY], value[MANY];
static struct trend_scratch scratch;
static struct trend trend;

static uint64_t seed = 88172645463325252U;

static double uniform(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(seed >> 11) / 9007199254740992.0;
}

/* Nearly normal, of deviation 1. */
static double noise(void)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += uniform();
	return sum;
}

static void look(size_t count, double significance)
{
	trend_of(time_s, value, count, significance, &scratch, &trend);
}

/* COUNT values SLOPE apart with NOISE, each of which takes RHO of the one before. */
static void make(size_t count, double slope, double deviation, double rho)
{
	double state = noise();

	for (size_t i = 0; i < count; i++) {
		state = rho * state + sqrt(1 - rho * rho) * noise();
		time_s[i] = 1e9 + (double)i;
		value[i] = 1000 + slope * (double)i + deviation * state;
	}
}

static double share_with_direction(size_t count, double slope, double deviation,
				   double rho, enum trend_direction direction)
{
	unsigned found = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		make(count, slope, deviation, rho);
		look(count, 0.01);
		found += trend.direction == direction;
	}
	return (double)found / ROUNDS;
}

static void a_line_has_its_slope(void **state)
{
	(void)state;
	make(40, 3, 0, 0);
	look(40, 0.001);
	assert_int_equal(trend.direction, TREND_RISING);
	assert_int_equal(trend.points, 40);
	assert_float_equal(trend.slope_per_s, 3, 1e-9);
	assert_float_equal(trend.low_per_s, 3, 1e-9);
	assert_float_equal(trend.high_per_s, 3, 1e-9);
	make(40, -0.5, 0, 0);
	look(40, 0.001);
	assert_int_equal(trend.direction, TREND_FALLING);
	assert_float_equal(trend.slope_per_s, -0.5, 1e-9);
}

/* By hand: of 45 pairs 40 rise, 4 fall and one is equal, so the score is 36, and its
 * variance (10*9*25 - 2*1*9) / 18 = 124. Neighbours differ, so nothing is taken off. */
static void the_test_is_kendalls(void **state)
{
	static const double known[] = {1, 3, 2, 5, 4, 6, 6, 9, 7, 8};

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		time_s[i] = (double)i;
		value[i] = known[i];
	}
	look(10, 0.01);
	assert_int_equal(trend.direction, TREND_RISING);
	assert_float_equal(trend.p, erfc((36 - 1) / sqrt(2 * 124.0)), 1e-9);
}

static void equal_values_are_flat(void **state)
{
	(void)state;
	make(50, 0, 0, 0);
	look(50, 0.05);
	assert_int_equal(trend.direction, TREND_FLAT);
	assert_float_equal(trend.p, 1, 0);
	assert_float_equal(trend.slope_per_s, 0, 0);
}

static void too_little_is_unknown(void **state)
{
	(void)state;
	look(0, 0.05);
	assert_int_equal(trend.direction, TREND_UNKNOWN);
	make(TREND_MIN - 1, 3, 0, 0);
	look(TREND_MIN - 1, 0.05);
	assert_int_equal(trend.direction, TREND_UNKNOWN);
	make(20, 3, 0, 0);
	for (size_t i = 0; i < 20; i++)
		time_s[i] = 5;
	look(20, 0.05);
	assert_int_equal(trend.direction, TREND_UNKNOWN);
}

static void a_few_wild_values_move_nothing(void **state)
{
	(void)state;
	make(40, 3, 1, 0);
	value[5] = 1e12;
	value[30] = -1e12;
	value[31] = -1e12;
	look(40, 0.01);
	assert_int_equal(trend.direction, TREND_RISING);
	assert_float_equal(trend.slope_per_s, 3, 0.2);
	assert_true(trend.low_per_s <= 3 && trend.high_per_s >= 3);
}

static void times_need_not_be_even(void **state)
{
	(void)state;
	for (size_t i = 0; i < 30; i++) {
		time_s[i] = (double)(i * i) + (i > 15 ? 5000 : 0);
		value[i] = 7 - 2 * time_s[i];
	}
	look(30, 0.01);
	assert_int_equal(trend.direction, TREND_FALLING);
	assert_float_equal(trend.slope_per_s, -2, 1e-9);
}

static void many_values_are_merged(void **state)
{
	(void)state;
	make(MANY, 0.25, 3, 0);
	look(MANY, 0.01);
	assert_true(trend.points <= TREND_POINTS && trend.points > TREND_POINTS / 2);
	assert_int_equal(trend.direction, TREND_RISING);
	assert_float_equal(trend.slope_per_s, 0.25, 0.01);
}

static void a_curve_is_a_trend(void **state)
{
	(void)state;
	for (size_t i = 0; i < 30; i++) {
		time_s[i] = (double)i;
		value[i] = 60 * exp(-(double)i / 15);
	}
	look(30, 0.001);
	assert_int_equal(trend.direction, TREND_FALLING);
}

static void bounds_hold_the_truth(void **state)
{
	unsigned held = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		make(40, 0.5, 4, 0);
		look(40, 0.01);
		held += trend.low_per_s <= 0.5 && trend.high_per_s >= 0.5;
	}
	assert_true(held > ROUNDS * 92 / 100);
}

static void noise_is_no_trend(void **state)
{
	double white = 1 - share_with_direction(60, 0, 5, 0, TREND_FLAT);
	double red = 1 - share_with_direction(60, 0, 5, 0.8, TREND_FLAT);

	(void)state;
	print_message("# false: white %.4f, red %.4f\n", white, red);
	assert_true(white < 0.02);
	assert_true(red < 0.04);
}

static void a_trend_in_noise_is_found(void **state)
{
	double white = share_with_direction(60, 0.5, 5, 0, TREND_RISING);
	double red = share_with_direction(60, 1, 5, 0.5, TREND_RISING);

	(void)state;
	print_message("# found: white %.4f, red %.4f\n", white, red);
	assert_true(white > 0.98);
	assert_true(red > 0.98);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_slope),
		cmocka_unit_test(the_test_is_kendalls),
		cmocka_unit_test(equal_values_are_flat),
		cmocka_unit_test(too_little_is_unknown),
		cmocka_unit_test(a_few_wild_values_move_nothing),
		cmocka_unit_test(times_need_not_be_even),
		cmocka_unit_test(many_values_are_merged),
		cmocka_unit_test(a_curve_is_a_trend),
		cmocka_unit_test(bounds_hold_the_truth),
		cmocka_unit_test(noise_is_no_trend),
		cmocka_unit_test(a_trend_in_noise_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
