/* test_estimate.c: totals of a random sample are right on the average, and their
 * intervals hold the truth as often as they say. */
#include "base/student.h"
#include "glibc/estimate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS = 4000, DRAWN = 200, TRIALS = 4000 };

static const struct estimate_weights bytes = {.of = {[SUM_BYTES] = 1}};

static const struct estimate_weights both = {
	.of = {[SUM_BYTES] = 1, [SUM_ABSENT_BYTES] = 1}};

struct trial {
	struct estimate_stratum stratum[CELLS];
	struct estimate_cell cell[CELLS];
	struct estimate_draw draw;
	double truth[CELLS];
	double total;
};

static void begin(struct trial *trial)
{
	trial->draw = (struct estimate_draw){.stratum = trial->stratum,
					     .cell = trial->cell,
					     .strata_capacity = CELLS,
					     .cell_capacity = CELLS};
}

/* Draws two of each stratum of the population. */
static void draw(struct trial *trial, uint64_t *random, unsigned drawn)
{
	unsigned strata = drawn / 2;

	begin(trial);
	for (unsigned i = 0; i < strata; i++) {
		uint64_t from = (uint64_t)CELLS * i / strata, number[2];
		uint64_t to = (uint64_t)CELLS * (i + 1) / strata;

		estimate_draw_numbers(random, from, to - from, 2, number);
		trial->stratum[i] =
			(struct estimate_stratum){to - from, 2 * i, 2, i % 3, 0};
		for (unsigned k = 0; k < 2; k++) {
			memset(&trial->cell[2 * i + k], 0, sizeof(trial->cell[0]));
			trial->cell[2 * i + k].sum[SUM_BYTES] =
				(float)trial->truth[number[k]];
		}
	}
	trial->draw.strata = strata;
	trial->draw.cells = 2 * strata;
}

/* A population of one kind: what a cell holds by number and chance. */
enum law { EVEN, TREND, PHASES, SKEWED, RARE, LAWS };

static double of_law(enum law law, unsigned i, uint64_t *random)
{
	double chance = (double)estimate_below(random, 1 << 20) / (1 << 20);

	switch (law) {
	case EVEN:
		return 10000 + 500 * chance;
	case TREND:
		return 5.0 * i + 1000 * chance;
	case PHASES:
		return (i / 300 % 2 ? 25000 : 1000) * chance;
	case SKEWED:
		return exp(8 + 1.2 * sqrt(-2 * log(chance + 1e-9)) *
				       cos(6.28 * (double)estimate_below(random, 1000) /
					   1000));
	default:
		return chance < 0.05 ? 20000 * chance : 0;
	}
}

static void populate(struct trial *trial, enum law law, uint64_t *random)
{
	trial->total = 0;
	for (unsigned i = 0; i < CELLS; i++) {
		trial->truth[i] = (float)of_law(law, i, random);
		trial->total += trial->truth[i];
	}
}

static void intervals_hold_the_truth(void **state)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	uint64_t random = 7;

	(void)state;
	assert_non_null(trial);
	for (enum law law = EVEN; law < LAWS; law++) {
		double sum = 0, squares = 0, spread;
		unsigned held = 0;

		populate(trial, law, &random);
		for (unsigned i = 0; i < TRIALS; i++) {
			struct cell_estimate estimate;
			struct range range;

			draw(trial, &random, DRAWN);
			estimate = estimate_total(&trial->draw, ESTIMATE_ALL, &bytes);
			range = estimate_positive(&estimate, 32768);
			held += range.low <= trial->total && trial->total <= range.high;
			sum += estimate.total;
			squares += estimate.total * estimate.total;
		}
		sum /= TRIALS;
		spread = sqrt(squares / TRIALS - sum * sum);
		print_message("law %d: %.1f%% held, off by %.4f%%\n", (int)law,
			      100.0 * held / TRIALS, 100 * (sum / trial->total - 1));
		/* Right on the average, to four standard errors. */
		assert_true(fabs(sum - trial->total) < 4 * spread / sqrt(TRIALS) + 1);
		assert_true(held >= 0.92 * TRIALS && held <= 0.975 * TRIALS);
	}
	free(trial);
}

/* One in a thousand cells has something: most samples of 200 see none or one of them. */
static void what_is_rare_is_held_too(void **state)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	uint64_t random = 11;
	unsigned held = 0;

	(void)state;
	assert_non_null(trial);
	for (unsigned i = 0; i < CELLS; i += 500) {
		trial->truth[i] = 16384;
		trial->total += trial->truth[i];
	}
	for (unsigned i = 0; i < TRIALS; i++) {
		struct cell_estimate estimate;
		struct range range;

		draw(trial, &random, DRAWN);
		estimate = estimate_total(&trial->draw, ESTIMATE_ALL, &bytes);
		range = estimate_positive(&estimate, 32768);
		held += range.low <= trial->total && trial->total <= range.high;
	}
	print_message("rare: %.1f%% held\n", 100.0 * held / TRIALS);
	assert_true(held >= 0.94 * TRIALS);
	free(trial);
}

/* Of all that programs hold a few places only were never touched: a total that hangs on
 * these, of which most samples see none, and on something that is everywhere. */
static void what_was_missed_widens_the_rest(void **state)
{
	static const struct estimate_weights absent = {.of = {[SUM_ABSENT_BYTES] = 1}};
	struct trial *trial = calloc(1, sizeof(*trial));
	unsigned held = 0, held_without = 0;
	uint64_t random = 13;
	double total;

	(void)state;
	assert_non_null(trial);
	populate(trial, EVEN, &random);
	total = trial->total + 5 * 32768;
	for (unsigned i = 0; i < TRIALS; i++) {
		struct cell_estimate estimate, other;
		struct range range;
		double missed;

		draw(trial, &random, DRAWN);
		for (unsigned k = 0; k < 5; k++)
			if (estimate_below(&random, CELLS) < DRAWN)
				trial->cell[40 * k].sum[SUM_ABSENT_BYTES] = 32768;
		estimate = estimate_total(&trial->draw, ESTIMATE_ALL, &both);
		other = estimate_total(&trial->draw, ESTIMATE_ALL, &absent);
		range = estimate_positive(&estimate, 32768);
		held_without += range.low <= total && total <= range.high;
		missed = other.deviation > 0
				 ? 0
				 : estimate_positive(&other, 32768).high - other.total;
		range = estimate_more_missed(range, missed);
		held += range.low <= total && total <= range.high;
		assert_true(fabs(estimate_less_missed(range, 3).low -
				 (range.value - hypot(range.value - range.low, 3))) <
			    1e-6);
	}
	print_message("missed: %.1f%% held, %.1f%% without\n", 100.0 * held / TRIALS,
		      100.0 * held_without / TRIALS);
	assert_true(held >= 0.94 * TRIALS && held_without < 0.9 * TRIALS);
	free(trial);
}

/* What is live is what is not free. Where few cells have all that is free, a sample that
 * has too little of it says a ratio to the rest too small, and too well. */
static void ratios_hold_the_truth(void **state)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	struct estimate_ratio ratio = {.of_bottom = {.of = {[SUM_BYTES] = -1}}};
	unsigned held = 0, below = 0, evenly = 0;
	const double truth = 1;
	uint64_t random = 17;

	(void)state;
	assert_non_null(trial);
	populate(trial, RARE, &random);
	ratio.top = trial->total;
	ratio.bottom = 2 * trial->total;
	for (unsigned i = 0; i < TRIALS; i++) {
		struct cell_estimate estimate;
		struct range range;

		draw(trial, &random, 2 * DRAWN);
		estimate_ratio(&trial->draw, ESTIMATE_ALL, &ratio, INFINITY, &estimate);
		range = estimate_quotient(&estimate);
		held += range.low <= truth && truth <= range.high;
		below += range.high < truth;
		evenly += fabs(estimate.total - truth) <=
			  student_t(estimate.freedom) * estimate.deviation;
	}
	print_message("ratios: %.1f%% held, %.1f%% below; %.1f%% by an even interval\n",
		      100.0 * held / TRIALS, 100.0 * below / TRIALS,
		      100.0 * evenly / TRIALS);
	assert_true(held >= 0.94 * TRIALS && evenly < 0.93 * TRIALS);
	free(trial);
}

static void all_cells_are_no_estimate(void **state)
{
	struct estimate_cell cell[3] = {{{0}}};
	struct estimate_stratum stratum = {3, 0, 3, 0, 0};
	struct estimate_draw drawn = {&stratum, cell, 1, 1, 3, 3};
	struct estimate_ratio ratio = {.top = 3, .of_bottom = bytes};
	struct cell_estimate estimate;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		cell[i].sum[SUM_BYTES] = (float)(i + 1);
	estimate = estimate_total(&drawn, ESTIMATE_ALL, &bytes);
	assert_true(estimate.total == 6 && estimate.deviation == 0 && !estimate.drawn);
	assert_true(estimate_positive(&estimate, 100).high == 6);
	assert_true(estimate_ratio(&drawn, ESTIMATE_ALL, &ratio, 1, &estimate) == 6 &&
		    estimate.total == 0.5);
	ratio.of_bottom = (struct estimate_weights){{0}};
	assert_true(estimate_ratio(&drawn, ESTIMATE_ALL, &ratio, 1, &estimate) == 0);
}

static void groups_add_up(void **state)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	uint64_t random = 3;
	double sum = 0, variance = 0;
	struct cell_estimate all, one;

	(void)state;
	assert_non_null(trial);
	populate(trial, PHASES, &random);
	draw(trial, &random, DRAWN);
	all = estimate_total(&trial->draw, ESTIMATE_ALL, &bytes);
	for (int group = 0; group < 3; group++) {
		one = estimate_total(&trial->draw, group, &bytes);
		sum += one.total;
		variance += one.deviation * one.deviation;
	}
	assert_true(fabs(sum / all.total - 1) < 1e-9);
	assert_true(fabs(sqrt(variance) / all.deviation - 1) < 1e-9);
	free(trial);
}

/* Of 5 numbers each pair as often as any other; ascending, and never one twice. */
static void draws_are_fair(void **state)
{
	unsigned count[5][5] = {{0}}, draws = 20000;
	uint64_t random = 5, number[5];

	(void)state;
	for (unsigned i = 0; i < draws; i++) {
		estimate_draw_numbers(&random, 100, 5, 2, number);
		assert_true(number[0] < number[1] && number[0] >= 100 && number[1] < 105);
		count[number[0] - 100][number[1] - 100]++;
	}
	for (unsigned a = 0; a < 5; a++)
		for (unsigned b = a + 1; b < 5; b++)
			assert_in_range(count[a][b], draws / 10 - 200, draws / 10 + 200);
	estimate_draw_numbers(&random, 7, 5, 5, number);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(number[i], 7 + i);
}

static void quantiles_are_students(void **state)
{
	static const double known[][2] = {{1, 12.706}, {5, 2.571},  {10, 2.228},
					  {30, 2.042}, {60, 2.000}, {120, 1.980},
					  {1e9, 1.960}};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(fabs(student_t(known[i][0]) - known[i][1]) < 0.002);
	assert_true(student_t(2.5) < student_t(2) && student_t(2.5) > student_t(3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals_hold_the_truth),
		cmocka_unit_test(what_is_rare_is_held_too),
		cmocka_unit_test(what_was_missed_widens_the_rest),
		cmocka_unit_test(ratios_hold_the_truth),
		cmocka_unit_test(all_cells_are_no_estimate),
		cmocka_unit_test(groups_add_up),
		cmocka_unit_test(draws_are_fair),
		cmocka_unit_test(quantiles_are_students),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
