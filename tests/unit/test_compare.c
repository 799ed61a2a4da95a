/* test_compare.c: courses of known difference and of none: how often chance is taken for
 * a change, with noise that remembers, daily cycles, unequal lengths and gaps. */
#include "analysis/compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PAIRS = 1000, LONG = 4000 };

static struct compare_scratch scratch;
static double a[LONG], b[LONG], second[LONG];
static uint64_t seed = 88172645463325252u;

static double uniform(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double)(seed >> 11) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(1 - uniform())) * cos(2 * 3.14159265358979 * uniform());
}

/* Noise of which MEMORY remains from one value to the next, around LEVEL, with spread 1;
 * a cycle of PERIOD values besides, unless it is 0. */
static void course(double *value, size_t count, double level, double memory,
		   double period)
{
	double noise = normal(), phase = uniform() * period;

	for (size_t i = 0; i < count; i++) {
		noise = memory * noise + sqrt(1 - memory * memory) * normal();
		value[i] = level + noise;
		if (period > 0)
			value[i] +=
				3 * sin(2 * 3.14159265 * ((double)i + phase) / period);
	}
}

static void compare(const size_t count[2], enum compare_middle middle,
		    struct comparison *comparison)
{
	const struct compare_course both[2] = {{second, a, count[0]},
					       {second, b, count[1]}};

	compare_courses(both, middle, &scratch, comparison);
}

struct rate {
	double changed, thin, covered;
};

/* How often a change of BY is seen, and how often the interval holds it. */
static struct rate rate_of(const size_t count[2], double by, double memory, double period)
{
	struct comparison comparison;
	unsigned changed = 0, thin = 0, covered = 0;

	for (unsigned i = 0; i < PAIRS; i++) {
		course(a, count[0], 100, memory, period);
		course(b, count[1], 100 + by, memory, period);
		compare(count, COMPARE_MEDIAN, &comparison);
		changed += comparison.outcome == COMPARE_CHANGED;
		thin += !comparison_is_judged(&comparison);
		covered += comparison_is_judged(&comparison) && comparison.low <= by &&
			   comparison.high >= by;
	}
	return (struct rate){(double)changed / PAIRS, (double)thin / PAIRS,
			     (double)covered / (PAIRS - thin + (thin == PAIRS))};
}

/* The rate of false alarms is 5%: of 1000 pairs, within what chance makes of that. */
static void test_no_change(void **state)
{
	static const double memory[] = {0, 0.5, 0.9, 0.99};
	static const size_t count[][2] = {{600, 600}, {3600, 3600}, {3600, 900}};

	(void)state;
	for (unsigned m = 0; m < 4; m++)
		for (unsigned c = 0; c < 3; c++) {
			struct rate rate = rate_of(count[c], 0, memory[m], 0);
			double judged = 1 - rate.thin;

			print_message(
				"# memory %.2f, %zu and %zu: changed %.3f, thin %.3f, "
				"of those judged %.3f\n",
				memory[m], count[c][0], count[c][1], rate.changed,
				rate.thin, judged > 0 ? rate.changed / judged : 0);
			assert_true(rate.changed <= 0.07);
		}
}

/* Days: what differs is where in its cycle a course begins and ends. */
static void test_cycles(void **state)
{
	static const size_t whole[2] = {4000, 4000}, part[2] = {700, 700};
	struct rate rate = rate_of(whole, 0, 0.5, 100);

	(void)state;
	print_message("# 40 cycles: changed %.3f, thin %.3f\n", rate.changed, rate.thin);
	assert_true(rate.changed <= 0.07);
	rate = rate_of(part, 0, 0.5, 2000);
	print_message("# a third of a cycle: changed %.3f, thin %.3f\n", rate.changed,
		      rate.thin);
	assert_true(rate.changed <= 0.07);
	assert_true(rate.thin > 0.9);
}

static void test_change(void **state)
{
	static const size_t count[2] = {3600, 3600}, few[2] = {30, 30};
	struct rate rate = rate_of(count, 1, 0.5, 0);

	(void)state;
	print_message("# a change of 1: seen %.3f, held %.3f\n", rate.changed,
		      rate.covered);
	assert_true(rate.changed > 0.95);
	assert_true(rate.covered > 0.92);
	rate = rate_of(few, 1, 0.5, 0);
	assert_true(rate.thin > 0.95);
}

/* Figures that do not move at all. */
static void test_constant(void **state)
{
	static const size_t count[2] = {200, 300}, none[2] = {200, 0};
	struct comparison comparison;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		a[i] = 5;
		b[i] = 7;
	}
	compare(count, COMPARE_MEDIAN, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_CHANGED);
	assert_true(comparison.low == 2 && comparison.high == 2);
	for (unsigned i = 0; i < 300; i++)
		b[i] = 5;
	compare(count, COMPARE_MEDIAN, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_SAME);
	compare(none, COMPARE_MEDIAN, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_NONE);
}

/* One value in ten is not there, and half an hour in the middle; the other course has a
 * value every five seconds. */
static void test_gaps(void **state)
{
	static double when[2][LONG];
	struct compare_course both[2] = {{when[0], a, 0}, {when[1], b, LONG / 5}};
	struct comparison comparison;
	unsigned changed = 0, thin = 0;

	(void)state;
	for (unsigned i = 0; i < LONG / 5; i++)
		when[1][i] = 5.0 * i;
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		static double every[LONG];

		course(a, LONG, 100, 0.8, 0);
		course(every, LONG, 100, 0.8, 0);
		both[0].count = 0;
		for (unsigned i = 0; i < LONG; i++) {
			if (i / 1800 == 1 || uniform() < 0.1)
				continue;
			when[0][both[0].count] = i;
			a[both[0].count++] = a[i];
		}
		for (unsigned i = 0; i < LONG / 5; i++)
			b[i] = every[5 * i];
		compare_courses(both, COMPARE_MEDIAN, &scratch, &comparison);
		changed += comparison.outcome == COMPARE_CHANGED;
		thin += !comparison_is_judged(&comparison);
	}
	print_message("# gaps: changed %.3f, thin %.3f\n", (double)changed / PAIRS,
		      (double)thin / PAIRS);
	assert_true(changed <= 0.07 * PAIRS);
	assert_true(thin < PAIRS / 4);
}

/* COUNT values of what happens rarely: each time a size between 0 and 2. */
static void rare(double *value, size_t count, double chance)
{
	for (size_t i = 0; i < count; i++)
		value[i] = uniform() < chance ? 2 * uniform() : 0;
}

/* Growths: most rows have none. A median would be 0 whatever happens. */
static void test_rare(void **state)
{
	static const size_t count[2] = {2000, 2000};
	struct comparison comparison;
	unsigned changed = 0, seen = 0;

	(void)state;
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		rare(a, 2000, 0.01);
		rare(b, 2000, 0.01);
		compare(count, COMPARE_MEAN, &comparison);
		changed += comparison.outcome == COMPARE_CHANGED;
		rare(b, 2000, 0.03);
		compare(count, COMPARE_MEAN, &comparison);
		seen += comparison.outcome == COMPARE_CHANGED;
	}
	print_message("# rare: changed %.3f, three times as many seen %.3f\n",
		      (double)changed / PAIRS, (double)seen / PAIRS);
	assert_true(changed <= 0.07 * PAIRS);
	assert_true(seen >= 0.9 * PAIRS);
}

/* What has no level is said to have none. */
static void test_no_level(void **state)
{
	static const size_t count[2] = {1000, 1000};
	struct comparison comparison;

	(void)state;
	course(a, 1000, 100, 0, 0);
	for (unsigned i = 0; i < 1000; i++)
		b[i] = i + 10 * normal();
	compare(count, COMPARE_MEDIAN, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_DRIFT);
	assert_int_equal(comparison.side, 1);
	for (unsigned i = 0; i < 1000; i++)
		a[i] = (i >= 700 ? 50 : 0) + normal();
	compare(count, COMPARE_MEDIAN, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_STEP);
	assert_int_equal(comparison.side, 0);
	assert_true(fabs(comparison.step_s - 700) <= 2);
	course(a, 1000, 100, 0.999, 0);
	course(b, 1000, 100, 0, 0);
	compare(count, COMPARE_MEDIAN, &comparison);
	assert_false(comparison_is_judged(&comparison));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_change), cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_change),	  cmocka_unit_test(test_constant),
		cmocka_unit_test(test_gaps),	  cmocka_unit_test(test_rare),
		cmocka_unit_test(test_no_level),
	};

	for (unsigned i = 0; i < LONG; i++)
		second[i] = i;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
