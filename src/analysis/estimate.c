#include "analysis/estimate.h"

#include <math.h>

#define TWO_SIDED   1.96
#define NEVER_COUNT 3.69 /* the mean of which none is seen in 2.5% of all cases */

double estimate_chance(uint64_t bytes, uint64_t mean_bytes)
{
	return -expm1(-(double)bytes / (double)mean_bytes);
}

/* Horvitz and Thompson; whether one comes into the sample says nothing of another. */
void estimate_add(struct estimate *estimate, double value, double chance)
{
	estimate->sum += value / chance;
	estimate->variance += value * value * (1 - chance) / (chance * chance);
	estimate->seen += value;
}

/* By how many independent samples of equal weight the sum is as sure. */
static double effective(const struct estimate *estimate)
{
	return estimate->sum * estimate->sum / estimate->variance;
}

/* Wilson and Hilferty. */
double poisson_low(double count)
{
	double root = 1 - 1 / (9 * count) - TWO_SIDED / (3 * sqrt(count));

	return count > 0 && root > 0 ? count * root * root * root : 0;
}

double poisson_high(double count)
{
	double more = count + 1;
	double root = 1 - 1 / (9 * more) + TWO_SIDED / (3 * sqrt(more));

	return count > 0 ? more * root * root * root : NEVER_COUNT;
}

static double bounded(const struct estimate *estimate, double value)
{
	return estimate->most > 0 && value > estimate->most ? estimate->most : value;
}

double estimate_value(const struct estimate *estimate)
{
	return bounded(estimate, estimate->sum);
}

double estimate_low(const struct estimate *estimate)
{
	double low = estimate->sum;

	if (estimate->variance > 0 && estimate->sum > 0)
		low *= poisson_low(effective(estimate)) / effective(estimate);
	return bounded(estimate, low > estimate->seen ? low : estimate->seen);
}

double estimate_high(const struct estimate *estimate)
{
	double high = estimate->sum > 0 ? estimate->sum : estimate->unseen_high;

	if (estimate->variance > 0 && estimate->sum > 0)
		high *= poisson_high(effective(estimate)) / effective(estimate);
	return bounded(estimate, high);
}
