#include "glibc/estimate.h"

#include "base/student.h"

#include <math.h>
#include <stddef.h>

/* Of none in N drawn, 3 in N of all is the most that there is (95%). */
#define RULE_OF_THREE 3.0

/* Where few strata hold all there is their number is the uncertainty, and it is as of
 * Poisson: the logarithm's interval with these is the exact one from one hit on. */
#define HITS	      2.0
#define FREEDOM_LEAST 3.0

static double weigh(const struct estimate_weights *weights,
		    const struct estimate_cell *cell)
{
	double sum = 0;

	for (unsigned i = 0; i < ESTIMATE_SUMS; i++)
		sum += weights->of[i] * (double)cell->sum[i];
	return sum;
}

/* Mean and variance of the drawn cells of one stratum. */
static void measure(const struct estimate_cell *cell, uint32_t drawn,
		    const struct estimate_weights *weights, double *mean,
		    double *variance)
{
	double squares = 0;

	*mean = *variance = 0;
	for (uint32_t i = 0; i < drawn; i++) {
		double y = weigh(weights, &cell[i]), from = y - *mean;

		*mean += from / (i + 1);
		squares += from * (y - *mean);
	}
	if (drawn > 1)
		*variance = squares / (drawn - 1);
}

struct cell_estimate estimate_total(const struct estimate_draw *draw, int group,
				    const struct estimate_weights *weights)
{
	struct cell_estimate estimate = {0};
	double variance = 0, quarters = 0, unsure = 0, wide = 0;

	for (uint32_t i = 0; i < draw->strata; i++) {
		const struct estimate_stratum *stratum = &draw->stratum[i];
		double cells = (double)stratum->cells, mean, spread, part;

		if (!stratum->drawn ||
		    (group != ESTIMATE_ALL && stratum->group != (uint32_t)group))
			continue;
		measure(&draw->cell[stratum->first], stratum->drawn, weights, &mean,
			&spread);
		estimate.total += cells * mean;
		if (stratum->drawn >= stratum->cells)
			continue;
		unsure += cells;
		wide += ldexp(cells, (int)stratum->shift);
		estimate.drawn += stratum->drawn;
		part = cells * (cells - stratum->drawn) * spread / stratum->drawn;
		variance += part;
		if (stratum->drawn > 1)
			quarters += part * part / (stratum->drawn - 1);
	}
	estimate.deviation = sqrt(variance);
	estimate.freedom = quarters > 0 ? variance * variance / quarters : 0;
	estimate.share = unsure > 0 ? estimate.drawn / wide : 1;
	estimate.size = unsure > 0 ? wide / unsure : 1;
	return estimate;
}

/* Nothing differed: what could have been missed. */
static struct range missed(const struct cell_estimate *estimate, double cell_most)
{
	double most = estimate->drawn ? RULE_OF_THREE * cell_most / estimate->share : 0;
	double low = estimate->total - most;

	return (struct range){low > 0 ? low : 0, estimate->total, estimate->total + most};
}

/* As of a logarithm, with FREEDOM degrees. */
static struct range logarithmic(const struct cell_estimate *estimate, double freedom)
{
	double ratio = estimate->deviation / estimate->total;
	double spread = exp(student_t(freedom) * sqrt(log1p(ratio * ratio)));

	return (struct range){estimate->total / spread, estimate->total,
			      estimate->total * spread};
}

struct range estimate_positive(const struct cell_estimate *estimate, double cell_most)
{
	if (estimate->deviation <= 0 || estimate->total <= 0)
		return missed(estimate, cell_most);
	return logarithmic(estimate, HITS * estimate->freedom + FREEDOM_LEAST);
}

struct range estimate_quotient(const struct cell_estimate *estimate)
{
	if (estimate->deviation <= 0 || estimate->total <= 0)
		return missed(estimate, 0);
	return logarithmic(estimate, estimate->freedom);
}

struct range estimate_more_missed(struct range range, double missed)
{
	range.high = range.value + hypot(range.high - range.value, missed);
	return range;
}

struct range estimate_less_missed(struct range range, double missed)
{
	range.low = range.value - hypot(range.value - range.low, missed);
	return range;
}

double estimate_ratio(const struct estimate_draw *draw, int group,
		      const struct estimate_ratio *ratio, double most,
		      struct cell_estimate *estimate)
{
	double top = ratio->top + estimate_total(draw, group, &ratio->of_top).total;
	double bottom =
		ratio->bottom + estimate_total(draw, group, &ratio->of_bottom).total;
	struct estimate_weights weights;
	double value;

	*estimate = (struct cell_estimate){0};
	if (bottom <= 0)
		return 0;
	value = top < 0 ? 0 : top > most * bottom ? most : top / bottom;
	for (unsigned i = 0; i < ESTIMATE_SUMS; i++)
		weights.of[i] =
			(ratio->of_top.of[i] - value * ratio->of_bottom.of[i]) / bottom;
	*estimate = estimate_total(draw, group, &weights);
	estimate->total = value;
	return bottom;
}

uint64_t estimate_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t estimate_below(uint64_t *state, uint64_t below)
{
	return (uint64_t)((unsigned __int128)estimate_random(state) * below >> 64);
}

/* Floyd's way: a number that is taken already stands for the last one. */
void estimate_draw_numbers(uint64_t *state, uint64_t from, uint64_t cells, uint32_t drawn,
			   uint64_t *number)
{
	for (uint32_t i = 0; i < drawn; i++) {
		uint64_t last = cells - drawn + i;
		uint64_t one = estimate_below(state, last + 1);
		uint32_t at = 0;

		while (at < i && number[at] < from + one)
			at++;
		if (at < i && number[at] == from + one) {
			one = last;
			at = i;
		}
		for (uint32_t k = i; k > at; k--)
			number[k] = number[k - 1];
		number[at] = from + one;
	}
}
