/* diff_parts.h: what the files of diff share. */
#ifndef FRAGSCOPE_DIFF_PARTS_H
#define FRAGSCOPE_DIFF_PARTS_H

#include "analysis/diff.h"
#include "analysis/trend.h"

/* Room for the values of both sides that are there, and their times. */
struct diff_work {
	struct compare_scratch compare;
	struct trend_scratch trend;
	double *value[2], *time_s[2];
	size_t count[2];
};

/* The values of WORK, which changes them, are what was counted since the row before: they
 * are compared as what that is an hour. Of the first row it is not known since when it
 * counts. */
void diff_compare_counts(struct diff_work *work, struct comparison *comparison);

/* Fills DIFF's rows of arenas and free sizes. */
void diff_compare_details(struct diff *diff, struct diff_work *work);
void diff_release_details(struct diff_side *side);

/* Fills DIFF's rows of stacks. 0 or -ENOMEM. */
int diff_compare_stacks(struct diff *diff, struct diff_work *work);

#endif
