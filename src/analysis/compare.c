#include "analysis/compare.h"

#include "base/student.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 6,	 /* correlations are summed over so many times of memory */
	BLOCK_TIMES = 8, /* a block is so many times as long as the memory */
	GAP_STEPS = 10,	 /* of a gap, how many times longer it is than the next step */
	STEP_EDGE = 20,	 /* a step has such a part of the course on either side */
};

/* Of the variance of a course, what makes it a step or a straight line. Noise without
 * either, as long as it is remembered, reaches them now and then: it looks so then. */
#define STEP_SHARE 0.95
#define LINE_SHARE 0.90

/* STEP_S: from one point to the next, where there is no gap. */
struct course {
	double *point, *time_s;
	size_t count;
	double step_s;
	double memory; /* see memory_of */
	double middle;
	unsigned blocks;
	double block_mean, block_variance; /* of the middles of the blocks */
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

static double middle_of(const double *value, size_t count, enum compare_middle middle,
			double *sorted)
{
	double sum = 0;

	if (middle == COMPARE_MEDIAN) {
		memcpy(sorted, value, count * sizeof(*value));
		return median(sorted, count);
	}
	for (size_t i = 0; i < count; i++)
		sum += value[i];
	return sum / (double)count;
}

double compare_step_s(const double *time_s, size_t count, size_t i)
{
	double step_s = time_s[i] - time_s[i - 1], near_s = step_s;

	if (i + 1 < count)
		near_s = time_s[i + 1] - time_s[i];
	else if (i > 1)
		near_s = time_s[i - 1] - time_s[i - 2];
	return near_s > 0 && step_s > GAP_STEPS * near_s ? near_s : step_s;
}

static double covered_s(const struct compare_course *course)
{
	double sum_s = 0;

	for (size_t i = 1; i < course->count; i++)
		sum_s += compare_step_s(course->time_s, course->count, i);
	return sum_s;
}

static void begin_point(struct course *course, double time_s)
{
	course->time_s[course->count] = time_s;
	course->point[course->count++] = 0;
}

/* More than COMPARE_POINTS values become so many means at most, each of an equal part of
 * the time that they cover. */
static void condense(const struct compare_course *from, struct course *course)
{
	size_t parts = from->count < COMPARE_POINTS ? from->count : COMPARE_POINTS;
	double all_s = covered_s(from), at_s = 0;
	size_t part = 0, in_part = 0;

	course->count = 0;
	course->step_s = all_s > 0 ? all_s / (double)parts : 1;
	for (size_t i = 0; i < from->count; i++) {
		size_t now = i;
		double *point;

		if (i)
			at_s += compare_step_s(from->time_s, from->count, i);
		if (from->count > parts)
			now = (size_t)fmin(at_s / course->step_s, (double)(parts - 1));
		if (!in_part || now != part) {
			begin_point(course, from->time_s[i]);
			in_part = 0;
		}
		part = now;
		point = &course->point[course->count - 1];
		*point += (from->value[i] - *point) / (double)++in_part;
	}
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

/* Cuts COURSE into blocks and takes the middle of each. */
static void cut(struct course *course, enum compare_middle middle, double *sorted)
{
	double blocks = (double)course->count / (BLOCK_TIMES * course->memory);
	double block[COMPARE_BLOCKS];

	course->middle = middle_of(course->point, course->count, middle, sorted);
	course->blocks = blocks < COMPARE_BLOCKS ? (unsigned)blocks : COMPARE_BLOCKS;
	course->block_mean = course->block_variance = 0;
	for (unsigned i = 0; i < course->blocks; i++) {
		size_t from = i * course->count / course->blocks;
		size_t to = (i + 1) * course->count / course->blocks;

		block[i] = middle_of(course->point + from, to - from, middle, sorted);
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
	double change = b->middle - a->middle, reach = 0;

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
 * given the longer memory of the two, in time. */
static void share_memory(struct course course[2])
{
	double longer_s = 0;

	for (unsigned i = 0; i < 2; i++)
		longer_s = fmax(longer_s, course[i].memory * course[i].step_s);
	for (unsigned i = 0; i < 2; i++)
		course[i].memory = fmax(1, longer_s / course[i].step_s);
}

/* ---- why nothing can be concluded ---- */

/* How much of the variance of COURSE a straight line explains. */
static double line_share(const struct course *course)
{
	double n = (double)course->count, mean = 0, xy = 0, xx = 0, yy = 0;

	for (size_t i = 0; i < course->count; i++)
		mean += course->point[i] / n;
	for (size_t i = 0; i < course->count; i++) {
		double x = (double)i - (n - 1) / 2, y = course->point[i] - mean;

		xy += x * y;
		xx += x * x;
		yy += y * y;
	}
	return is_rounding(yy / n, mean) ? 0 : xy * xy / (xx * yy);
}

/* How much of it one step explains, at the best place, *AT: the first point behind it. A
 * straight line is a step to three quarters. */
static double step_share(const struct course *course, size_t *at)
{
	double n = (double)course->count, mean = 0, yy = 0, sum = 0, best = 0;
	size_t edge = course->count / STEP_EDGE + 1;

	for (size_t i = 0; i < course->count; i++)
		mean += course->point[i] / n;
	for (size_t i = 0; i < course->count; i++) {
		double y = course->point[i] - mean, left = (double)i, between;

		if (i >= edge && i + edge <= course->count) {
			/* The sums on both sides are opposite. */
			between = sum * sum * n / (left * (n - left));
			if (between > best) {
				best = between;
				*at = i;
			}
		}
		sum += y;
		yy += y * y;
	}
	return is_rounding(yy / n, mean) ? 0 : best / yy;
}

/* A course that goes one way, or from one level to another, has no middle that it could
 * be compared by, however long it is: that is said instead. */
static void explain(const struct course course[2], struct comparison *comparison)
{
	for (unsigned i = 0; i < 2; i++) {
		size_t at = 0;
		double step, line;

		if (course[i].count < COMPARE_LEAST)
			continue;
		step = step_share(&course[i], &at);
		line = line_share(&course[i]);
		if (step < STEP_SHARE && line < LINE_SHARE)
			continue;
		comparison->outcome = step >= STEP_SHARE ? COMPARE_STEP : COMPARE_DRIFT;
		comparison->side = i;
		comparison->step_s = course[i].time_s[at];
		return;
	}
}

void compare_courses(const struct compare_course both[2], enum compare_middle middle,
		     struct compare_scratch *scratch, struct comparison *comparison)
{
	struct course course[2];

	*comparison = (struct comparison){.outcome = COMPARE_NONE};
	for (unsigned i = 0; i < 2; i++) {
		if (!both[i].count)
			return;
		course[i].point = scratch->point[i];
		course[i].time_s = scratch->time_s[i];
		condense(&both[i], &course[i]);
		course[i].memory = memory_of(course[i].point, course[i].count);
	}
	share_memory(course);
	for (unsigned i = 0; i < 2; i++)
		cut(&course[i], middle, scratch->sorted);
	comparison->before = course[0].middle;
	comparison->after = course[1].middle;
	comparison->blocks_before = course[0].blocks;
	comparison->blocks_after = course[1].blocks;
	comparison->outcome = COMPARE_THIN;
	if (course[0].blocks >= COMPARE_LEAST && course[1].blocks >= COMPARE_LEAST)
		judge(&course[0], &course[1], comparison);
	else
		explain(course, comparison);
}
