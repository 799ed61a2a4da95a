/* compare.h: did a figure change from one course to another by more than chance? A sample
 * follows its neighbours, so that a thousand of them may tell as little as ten: whole
 * blocks, each as long as the course remembers, are what is compared. */
#ifndef FRAGSCOPE_COMPARE_H
#define FRAGSCOPE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COMPARE_POINTS = 1024, /* of one course; more are merged into so many means */
	COMPARE_BLOCKS = 32,   /* at most */
	COMPARE_LEAST = 8,     /* blocks of each: with fewer nothing is concluded */
};

/* What of a block is compared: the mean where a few large values are what matters. */
enum compare_middle { COMPARE_MEDIAN, COMPARE_MEAN };

enum compare_outcome {
	COMPARE_SAME, /* no more than chance makes */
	COMPARE_CHANGED,
	COMPARE_THIN,  /* too few independent blocks to say */
	COMPARE_DRIFT, /* the same, as one of the courses rises or falls all along */
	COMPARE_STEP,  /* the same, as one of them goes from one level to another, once */
	COMPARE_NONE,  /* one of the courses is empty */
};

/* COUNT values and their times, which do not fall and need not be even. */
struct compare_course {
	const double *time_s, *value;
	size_t count;
};

/* BEFORE and AFTER are medians or means. LOW and HIGH bound AFTER - BEFORE with 95%
 * confidence; they are there when OUTCOME is same or changed. SIDE is the course, 0 or 1,
 * that drifts or steps, STEP_S when it does. */
struct comparison {
	enum compare_outcome outcome;
	double before, after, low, high;
	unsigned blocks_before, blocks_after;
	unsigned side;
	double step_s;
};

/* Room to work in; it means nothing between calls. */
struct compare_scratch {
	double point[2][COMPARE_POINTS], time_s[2][COMPARE_POINTS];
	double sorted[COMPARE_POINTS];
};

/* Whether COMPARISON says same or changed. */
static inline bool comparison_is_judged(const struct comparison *comparison)
{
	return comparison->outcome == COMPARE_SAME ||
	       comparison->outcome == COMPARE_CHANGED;
}

/* What passed before value I, 1 at least; behind a gap, as much as the values there are
 * apart. */
double compare_step_s(const double *time_s, size_t count, size_t i);

/* Compares BOTH, the second with the first. */
void compare_courses(const struct compare_course both[2], enum compare_middle middle,
		     struct compare_scratch *scratch, struct comparison *comparison);

#endif
