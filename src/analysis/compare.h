/* compare.h: did a figure change from one course to another by more than chance? A sample
 * follows its neighbours, so that a thousand of them may tell as little as ten: whole
 * blocks, each as long as the course remembers, are what is compared. */
#ifndef FRAGSCOPE_COMPARE_H
#define FRAGSCOPE_COMPARE_H

#include <stddef.h>
#include <stdint.h>

enum {
	COMPARE_POINTS = 1024, /* of one course; more are merged into so many means */
	COMPARE_BLOCKS = 32,   /* at most */
	COMPARE_LEAST = 8,     /* blocks of each: with fewer nothing is concluded */
};

enum compare_outcome {
	COMPARE_SAME, /* no more than chance makes */
	COMPARE_CHANGED,
	COMPARE_THIN, /* too few independent blocks to say */
	COMPARE_NONE, /* one of the courses is empty */
};

/* BEFORE and AFTER are medians. LOW and HIGH bound AFTER - BEFORE with 95% confidence;
 * they are not there when OUTCOME is thin or none. */
struct comparison {
	enum compare_outcome outcome;
	double before, after, low, high;
	unsigned blocks_before, blocks_after;
};

/* Room to work in; it means nothing between calls. */
struct compare_scratch {
	double point[2][COMPARE_POINTS];
	double sorted[COMPARE_POINTS];
};

/* Compares the COUNT[0] values of A, even in time, with the COUNT[1] values of B. */
void compare_courses(const double *a, const double *b, const size_t count[2],
		     struct compare_scratch *scratch, struct comparison *comparison);

#endif
