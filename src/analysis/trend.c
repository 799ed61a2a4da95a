#include "analysis/trend.h"

#include "base/sort.h"

#include <math.h>
#include <string.h>

/* Of the normal distribution: 95% lie within so many deviations. */
#define Z_95 1.959964

/* A series that is so nearly monotone is no wave of its noise. Without this a curve,
 * whose residuals from a line follow each other, would be taken for a few points. */
#define MONOTONE_TAU 0.9

/* Doubles as integers in the same order: the sign bit set for what is not negative, all
 * bits turned for what is. */
static uint64_t key_of(double value)
{
	const uint64_t sign = UINT64_C(1) << 63;
	double positive_zero = value + 0.0;
	uint64_t bits;

	memcpy(&bits, &positive_zero, sizeof(bits));
	return bits & sign ? ~bits : bits | sign;
}

static double value_of(uint64_t key)
{
	const uint64_t sign = UINT64_C(1) << 63;
	uint64_t bits = key & sign ? key ^ sign : ~key;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Copies the values into SCRATCH, neighbours merged so that they fit. Returns how many.
 */
static unsigned gather(const double *time_s, const double *value, size_t count,
		       struct trend_scratch *scratch)
{
	size_t group = (count + TREND_POINTS - 1) / TREND_POINTS;
	unsigned points = 0;

	for (size_t from = 0; from < count; from += group) {
		size_t to = from + group < count ? from + group : count;
		double times = 0, values = 0;

		for (size_t i = from; i < to; i++) {
			times += time_s[i] - time_s[0];
			values += value[i];
		}
		scratch->time_s[points] = times / (double)(to - from);
		scratch->value[points++] = values / (double)(to - from);
	}
	return points;
}

/* Kendall's score: pairs that rise less pairs that fall; SLOPES gets how many slopes of
 * pairs were left in scratch->key. */
static double score(struct trend_scratch *scratch, unsigned points, size_t *slopes)
{
	const double *time_s = scratch->time_s, *value = scratch->value;
	double score = 0;

	*slopes = 0;
	for (unsigned i = 0; i < points; i++)
		for (unsigned j = i + 1; j < points; j++) {
			double rise = value[j] - value[i];
			double run_s = time_s[j] - time_s[i];

			if (run_s <= 0)
				continue;
			score += (rise > 0) - (rise < 0);
			scratch->key[(*slopes)++] = key_of(rise / run_s);
		}
	return score;
}

/* The variance of the score of POINTS independent values, equal ones being counted as
 * such. */
static double variance_of(struct trend_scratch *scratch, unsigned points)
{
	double n = points, sum = n * (n - 1) * (2 * n + 5);
	uint64_t key[TREND_POINTS];

	for (unsigned i = 0; i < points; i++)
		key[i] = key_of(scratch->value[i]);
	sort_addresses(key, points);
	for (unsigned from = 0, to; from < points; from = to) {
		double ties;

		for (to = from + 1; to < points && key[to] == key[from];)
			to++;
		ties = to - from;
		sum -= ties * (ties - 1) * (2 * ties + 5);
	}
	return sum / 18;
}

/* How far a residual from the line of SLOPE is like the one before it: the correlation of
 * neighbours, corrected for what estimating it from POINTS takes away. */
static double persistence(const struct trend_scratch *scratch, unsigned points,
			  double slope)
{
	double mean = 0, squares = 0, products = 0, before = 0;

	for (unsigned i = 0; i < points; i++)
		mean += (scratch->value[i] - slope * scratch->time_s[i]) / points;
	for (unsigned i = 0; i < points; i++) {
		double residual = scratch->value[i] - slope * scratch->time_s[i] - mean;

		squares += residual * residual;
		products += i ? residual * before : 0;
		before = residual;
	}
	if (squares <= 0)
		return 0;
	return fmin(products / squares + 2.0 / points, 0.98);
}

/* By how much the score varies more than that of independent values: a chain of values of
 * which each is RHO of the one before tells as much as (1 - RHO) / (1 + RHO) of so many
 * independent ones. */
static double inflation(const struct trend_scratch *scratch, unsigned points,
			double slope, double tau)
{
	double rho = persistence(scratch, points, slope);

	if (rho <= 0 || fabs(tau) >= MONOTONE_TAU)
		return 1;
	return (1 + rho) / (1 - rho);
}

static double median_of(const uint64_t *sorted, size_t count)
{
	double upper = value_of(sorted[count / 2]);

	return count % 2 ? upper : (upper + value_of(sorted[count / 2 - 1])) / 2;
}

/* The slopes whose ranks are so far from the middle as the score may be by chance. */
static void bound_slope(const uint64_t *sorted, size_t count, double deviation,
			struct trend *trend)
{
	double reach = Z_95 * deviation;
	double low = floor(((double)count - reach) / 2) - 1;
	double high = ceil(((double)count + reach) / 2);

	low = fmax(low, 0);
	high = fmin(high, (double)(count - 1));
	trend->low_per_s = value_of(sorted[(size_t)low]);
	trend->high_per_s = value_of(sorted[(size_t)high]);
}

void trend_of(const double *time_s, const double *value, size_t count,
	      double significance, struct trend_scratch *scratch, struct trend *trend)
{
	unsigned points = gather(time_s, value, count, scratch);
	double rising, variance;
	size_t slopes;

	*trend = (struct trend){.points = points, .direction = TREND_UNKNOWN};
	rising = score(scratch, points, &slopes);
	if (points < TREND_MIN || !slopes)
		return;
	sort_addresses(scratch->key, slopes);
	trend->slope_per_s = median_of(scratch->key, slopes);
	variance =
		variance_of(scratch, points) *
		inflation(scratch, points, trend->slope_per_s, rising / (double)slopes);
	bound_slope(scratch->key, slopes, sqrt(variance), trend);
	trend->p = 1;
	trend->direction = TREND_FLAT;
	if (variance <= 0 || rising == 0)
		return;
	trend->p = erfc((fabs(rising) - 1) / sqrt(2 * variance));
	if (trend->p >= significance || trend->slope_per_s == 0)
		return;
	trend->direction = rising > 0 ? TREND_RISING : TREND_FALLING;
}
