/* test_compare.c: courses of known difference and of none: how often chance is taken for
 * a change, with noise that remembers, daily cycles, and unequal lengths. */
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
static double a[LONG], b[LONG];
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
		compare_courses(a, b, count, &scratch, &comparison);
		changed += comparison.outcome == COMPARE_CHANGED;
		thin += comparison.outcome == COMPARE_THIN;
		covered += comparison.outcome != COMPARE_THIN && comparison.low <= by &&
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
	compare_courses(a, b, count, &scratch, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_CHANGED);
	assert_true(comparison.low == 2 && comparison.high == 2);
	compare_courses(a, a, count, &scratch, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_SAME);
	compare_courses(a, b, none, &scratch, &comparison);
	assert_int_equal(comparison.outcome, COMPARE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_change),
		cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_constant),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
