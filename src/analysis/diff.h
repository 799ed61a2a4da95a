/* diff.h: two courses of a process, before and after: which figures changed by more than
 * chance, and what else was different. */
#ifndef FRAGSCOPE_DIFF_H
#define FRAGSCOPE_DIFF_H

#include "analysis/compare.h"
#include "analysis/growths.h"
#include "sample/sample.h"
#include "sample/surroundings.h"

#include <stddef.h>
#include <stdint.h>

enum {
	DIFF_TEXT = 256,
	DIFF_ROWS = 32,
	DIFF_ARENAS = 16,
	DIFF_FACTS = SURROUNDINGS_FACTS,
	DIFF_STACKS = 64,	/* rows; those that grew most */
	DIFF_LEAST_GROWTHS = 6, /* of one stack, on both sides: fewer say nothing */
};

/* What a row compares. */
enum diff_kind {
	DIFF_LEVEL,  /* the figure itself */
	DIFF_GROWTH, /* its slope, an hour */
	DIFF_SUM,    /* how much of it was counted, an hour */
};

/* One course. The values of the figures that are compared, a sample after the other; NAN
 * where a sample does not have one or must not be judged by it. */
struct diff_side {
	char label[DIFF_TEXT];
	size_t count, capacity;
	double *time_s;
	double **value; /* for each figure, of CAPACITY */
	int64_t first_ns, last_ns;
	struct surroundings surroundings;
	bool has_growths; /* they were counted: so many bytes */
	double grown_bytes;
	struct growths growths;
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

/* What one stack grew by an hour, in bytes; of failed allocations, how many there were.
 * COUNT is how often, on each side. */
struct diff_stack {
	const char *stack; /* of one of the sides: see growths.h */
	bool is_failure;
	uint64_t count[2];
	struct comparison comparison;
};

/* Of stacks there are rows only when both sides have growths. STACKS_LEFT are those that
 * there is no row for; SHARE is of what each side grew by, as far as it has a stack. */
struct diff {
	const struct diff_side *side[2];
	unsigned stack_count, stacks_left;
	struct diff_stack stack[DIFF_STACKS];
	double stack_share[2];
	unsigned row_count, fact_count;
	struct diff_row row[DIFF_ROWS];
	struct diff_fact fact[DIFF_FACTS];
};

/* Adds SAMPLE to SIDE, which is zero before the first. 0 or -ENOMEM. */
int diff_add(struct diff_side *side, const struct sample *sample);
void diff_side_release(struct diff_side *side);

/* Compares BEFORE with AFTER, which must stay. 0 or -ENOMEM. */
int diff_of(const struct diff_side *before, const struct diff_side *after,
	    struct diff *diff);

#endif
