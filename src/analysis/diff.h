/* diff.h: two courses of a process, before and after: which figures changed by more than
 * chance, and what else was different. */
#ifndef FRAGSCOPE_DIFF_H
#define FRAGSCOPE_DIFF_H

#include "analysis/compare.h"
#include "analysis/free_sizes.h"
#include "analysis/growths.h"
#include "sample/sample.h"
#include "sample/surroundings.h"

#include <stddef.h>
#include <stdint.h>

enum {
	DIFF_TEXT = 256,
	DIFF_ROWS = 32,
	DIFF_ARENAS = 16, /* the first so many */
	DIFF_ARENA_FIGURES = 4,
	DIFF_SIZES = FREE_SIZES + 2, /* free chunks of each size, unsorted ones, tops */
	DIFF_DETAILS = DIFF_ARENAS * DIFF_ARENA_FIGURES + DIFF_SIZES,
	DIFF_POINTS = 4096, /* of a detail; more are merged */
	DIFF_FACTS = SURROUNDINGS_FACTS,
	DIFF_STACKS = 64,	/* rows of growths, and of failures: the most */
	DIFF_LEAST_GROWTHS = 6, /* of one stack, on both sides: fewer say nothing */
};

/* What a row compares. */
enum diff_kind {
	DIFF_LEVEL,  /* the figure itself */
	DIFF_GROWTH, /* its slope, an hour */
	DIFF_SUM,    /* how much of it was counted, an hour */
};

/* One figure of an arena, or the bytes of one size of free chunks, over time: means of
 * STRIDE values each, the last of which is not complete. */
struct diff_detail_course {
	double time_s[DIFF_POINTS], value[DIFF_POINTS];
	size_t count;
	unsigned stride, pending;
	double sum;
};

/* One course. The values of the figures that are compared, a sample after the other; NAN
 * where a sample does not have one or must not be judged by it. */
struct diff_side {
	char label[DIFF_TEXT];
	size_t count, capacity;
	double *time_s; /* since the first; they do not fall */
	double **value; /* for each figure, of CAPACITY */
	int64_t first_ns, last_ns;
	struct surroundings surroundings;
	bool has_growths; /* they were counted: so many bytes */
	double grown_bytes;
	struct growths growths;
	bool wants_arenas, wants_sizes;			 /* they are to be compared */
	struct diff_detail_course *detail[DIFF_DETAILS]; /* null: it has no values */
	unsigned arenas;				 /* at most, at one time */
	uint64_t sizes_looks; /* how often the free chunks were told by size */
};

struct diff_row {
	unsigned place; /* of its values in both sides */
	enum figure figure;
	enum diff_kind kind;
	struct comparison comparison;
};

/* A fact that differs; "": it is not known, or not set. */
struct diff_fact {
	const char *name, *before, *after;
};

/* Which DETAIL, and how it changed; the outcome is none where only one side has it, and
 * its value is there then. */
struct diff_detail {
	unsigned detail;
	bool has[2];
	struct comparison comparison;
};

/* What one stack grew by an hour, in bytes; of failed allocations, how many there were.
 * COUNT is how often, on each side. */
struct diff_stack {
	const char *stack; /* of one of the sides: see growths.h */
	bool is_failure;
	uint64_t count[2];
	struct comparison comparison;
};

/* Of stacks there are rows only when both sides have growths and several samples.
 * STACKS_LEFT are those that there is no row for; SHARE is of what each side grew by, as
 * far as it has a stack. */
struct diff {
	const struct diff_side *side[2];
	unsigned detail_count;
	struct diff_detail detail[DIFF_DETAILS];
	unsigned stack_count, stacks_left;
	struct diff_stack stack[2 * DIFF_STACKS];
	double stack_share[2];
	unsigned row_count, fact_count;
	struct diff_row row[DIFF_ROWS];
	struct diff_fact fact[DIFF_FACTS];
};

/* Adds SAMPLE to SIDE, which is zero before the first. 0 or -ENOMEM. Where its time is
 * earlier than the last one's, the clock was set back: no time passed between them. */
int diff_add(struct diff_side *side, const struct sample *sample);

/* What passed from the first sample of SIDE to the last. */
static inline double diff_span_s(const struct diff_side *side)
{
	return side->count ? side->time_s[side->count - 1] : 0;
}

/* The figures of SAMPLE's arenas besides; after diff_add. 0 or -ENOMEM. */
int diff_add_arenas(struct diff_side *side, const struct sample *sample);

/* The free chunks of SAMPLE by their size, if it has its bins: at its time, no earlier
 * than the last. 0 or -ENOMEM. */
int diff_add_sizes(struct diff_side *side, const struct sample *sample);

/* Whether DETAIL is of an arena, *ARENA, and which figure it has; else it is of the free
 * sizes: the one with that index, or behind these the unsorted chunks, and the tops. */
bool diff_detail_is_arena(unsigned detail, unsigned *arena, enum figure *figure);

void diff_side_release(struct diff_side *side);

/* Compares BEFORE with AFTER, which must stay. 0 or -ENOMEM. */
int diff_of(const struct diff_side *before, const struct diff_side *after,
	    struct diff *diff);

#endif
