#include "analysis/compare.h"

#include "base/student.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 6,	 /* correlations are summed over so many times of memory */
	BLOCK_TIMES = 8, /* a block is so many times as long as the memory */
};

struct course {
	const double *point;
	size_t count;
	double memory; /* see memory_of */
	double median;
	unsigned blocks;
	double block_mean, block_variance; /* of the medians of the blocks */
};

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The middle of the COUNT values, 1 at least, which are sorted in place. */
static double median(double *value, size_t count)
{
	qsort(value, count, sizeof(*value), compare_double);
	return count % 2 ? value[count / 2]
			 : (value[count / 2 - 1] + value[count / 2]) / 2;
}

static double median_of(const double *value, size_t count, double *sorted)
{
	memcpy(sorted, value, count * sizeof(*value));
	return median(sorted, count);
}

/* COUNT values become COMPARE_POINTS means of neighbours, or stay as they are. */
static size_t condense(const double *value, size_t count, double *point)
{
	size_t into = count < COMPARE_POINTS ? count : COMPARE_POINTS;

	for (size_t i = 0; i < into; i++) {
		size_t from = i * count / into, to = (i + 1) * count / into;
		double sum = 0;

		for (size_t j = from; j < to; j++)
			sum += value[j];
		point[i] = sum / (double)(to - from);
	}
	return into;
}

static double covariance(const double *point, size_t count, double mean, size_t lag)
{
	double sum = 0;

	for (size_t i = 0; i + lag < count; i++)
		sum += (point[i] - mean) * (point[i + lag] - mean);
	return sum / (double)count;
}

/* Whether VARIANCE is what rounding leaves of values that are all the same. */
static bool is_rounding(double variance, double mean)
{
	return variance <= mean * mean * 1e-24;
}

/* How many neighbouring points tell as much as one independent one: 1 and twice the sum
 * of the correlations, over a window that is WINDOW times as long as that (Sokal). Of a
 * short course it comes out too small; the last factor makes up for that. */
static double memory_of(const double *point, size_t count)
{
	double mean = 0, variance, memory = 1;

	for (size_t i = 0; i < count; i++)
		mean += point[i] / (double)count;
	variance = covariance(point, count, mean, 0);
	if (is_rounding(variance, mean))
		return 1;
	for (size_t lag = 1; lag < count / 2 && (double)lag < WINDOW * memory; lag++) {
		memory += 2 * covariance(point, count, mean, lag) / variance;
		if (memory < 1)
			memory = 1;
	}
	return memory * (1 + 2 * sqrt(WINDOW * memory / (double)count));
}

/* Cuts COURSE into blocks and takes the median of each. */
static void cut(struct course *course, double *sorted)
{
	double blocks = (double)course->count / (BLOCK_TIMES * course->memory);
	double block[COMPARE_BLOCKS];

	course->median = median_of(course->point, course->count, sorted);
	course->blocks = blocks < COMPARE_BLOCKS ? (unsigned)blocks : COMPARE_BLOCKS;
	course->block_mean = course->block_variance = 0;
	for (unsigned i = 0; i < course->blocks; i++) {
		size_t from = i * course->count / course->blocks;
		size_t to = (i + 1) * course->count / course->blocks;

		block[i] = median_of(course->point + from, to - from, sorted);
		course->block_mean += block[i] / course->blocks;
	}
	for (unsigned i = 0; i < course->blocks && course->blocks > 1; i++)
		course->block_variance += (block[i] - course->block_mean) *
					  (block[i] - course->block_mean) /
					  (course->blocks - 1);
	if (is_rounding(course->block_variance, course->block_mean))
		course->block_variance = 0;
}

/* Welch's interval of the difference of two means with variances of their own. */
static void judge(const struct course *a, const struct course *b,
		  struct comparison *comparison)
{
	double va = a->block_variance / a->blocks, vb = b->block_variance / b->blocks;
	double change = b->median - a->median, reach = 0;

	if (va + vb > 0) {
		double degrees = (va + vb) * (va + vb) /
				 (va * va / (a->blocks - 1) + vb * vb / (b->blocks - 1));

		reach = student_t(degrees) * sqrt(va + vb);
	}
	comparison->low = change - reach;
	comparison->high = change + reach;
	comparison->outcome = comparison->low > 0 || comparison->high < 0
				      ? COMPARE_CHANGED
				      : COMPARE_SAME;
}

/* A course that is short for what it remembers looks as if it remembered less: both are
 * given the longer memory of the two, in values as they came. */
static void share_memory(struct course course[2], const size_t count[2])
{
	double each[2], longer = 0;

	for (unsigned i = 0; i < 2; i++) {
		each[i] = (double)count[i] / (double)course[i].count;
		longer = fmax(longer, course[i].memory * each[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		course[i].memory = fmax(1, longer / each[i]);
}

void compare_courses(const double *a, const double *b, const size_t count[2],
		     struct compare_scratch *scratch, struct comparison *comparison)
{
	const double *value[2] = {a, b};
	struct course course[2];

	*comparison = (struct comparison){.outcome = COMPARE_NONE};
	for (unsigned i = 0; i < 2; i++) {
		if (!count[i])
			return;
		course[i].point = scratch->point[i];
		course[i].count = condense(value[i], count[i], scratch->point[i]);
		course[i].memory = memory_of(course[i].point, course[i].count);
	}
	share_memory(course, count);
	for (unsigned i = 0; i < 2; i++)
		cut(&course[i], scratch->sorted);
	comparison->before = course[0].median;
	comparison->after = course[1].median;
	comparison->blocks_before = course[0].blocks;
	comparison->blocks_after = course[1].blocks;
	comparison->outcome = COMPARE_THIN;
	if (course[0].blocks >= COMPARE_LEAST && course[1].blocks >= COMPARE_LEAST)
		judge(&course[0], &course[1], comparison);
}
