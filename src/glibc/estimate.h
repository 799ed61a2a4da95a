/* estimate.h: what a random sample of a heap's cells says of all of them, and how well:
 * totals and ratios with 95% intervals. Pure arithmetic; the cells are drawn and measured
 * elsewhere.
 *
 * The cells are parted into strata by address, and of each some are drawn, at least two
 * or all of them: each cell of a stratum with the same chance. A total is the strata's
 * means times their sizes (Horvitz-Thompson), and its variance comes from the differences
 * inside each stratum, less what is known because it was drawn. */
#ifndef FRAGSCOPE_GLIBC_ESTIMATE_H
#define FRAGSCOPE_GLIBC_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is measured of each cell; none of it is negative. */
enum estimate_sum {
	SUM_CHUNKS,	    /* binned chunks that begin in it */
	SUM_BYTES,	    /* of these */
	SUM_UNUSABLE_BYTES, /* of those of them that are too small */
	SUM_FAST_CHUNKS,    /* fastbin chunks that begin in it */
	SUM_FAST_BYTES,
	SUM_LOOSE_CHUNKS,	 /* fastbin chunks that may be the remains of such */
	SUM_DARK_BYTES,		 /* where no chunk was found, and a free one may lie */
	SUM_DARK_RESIDENT_BYTES, /* of that, the resident ones */
	SUM_TRIMMABLE_BYTES,
	SUM_PINNED_BYTES,
	SUM_RETAINED_BYTES,
	SUM_ABSENT_BYTES,   /* of the cell, not resident */
	SUM_RESIDENT_BYTES, /* of the cell, and the rest of it */
	ESTIMATE_SUMS
};

struct estimate_cell {
	float sum[ESTIMATE_SUMS];
};

/* CELL[FIRST] to CELL[FIRST + DRAWN - 1] were drawn of CELLS. GROUP: what it belongs to,
 * so that totals of parts can be told. */
struct estimate_stratum {
	uint64_t cells;
	uint32_t first;
	uint32_t drawn;
	uint32_t group;
	uint32_t shift; /* its cells are 1 << SHIFT times as large as the smallest */
};

struct estimate_draw {
	struct estimate_stratum *stratum;
	struct estimate_cell *cell;
	uint32_t strata;
	uint32_t strata_capacity;
	uint32_t cells;
	uint32_t cell_capacity;
};

enum { ESTIMATE_ALL = -1 }; /* of all groups */

/* A weight for each sum: which linear figure of a cell is meant. */
struct estimate_weights {
	double of[ESTIMATE_SUMS];
};

struct cell_estimate {
	double total;
	double deviation; /* its standard error */
	double freedom;	  /* effective degrees; 0 when the deviation is 0 */
	double share;	  /* drawn, of as many of the smallest as all that are not known
			   * for sure would be */
	double size;	  /* of these cells, on the average, in the smallest */
	uint32_t drawn;	  /* of these, cells */
};

struct range {
	double low;
	double value;
	double high;
};

/* The total of WEIGHTS over the cells of GROUP. */
struct cell_estimate estimate_total(const struct estimate_draw *draw, int group,
				    const struct estimate_weights *weights);

/* The 95% interval of a total that cannot be negative, and whose parts may be few and
 * large: as of a logarithm. Of one that is alike in all drawn cells, what could have been
 * missed: three cells in all that were drawn, each of CELL_MOST more or less. */
struct range estimate_positive(const struct cell_estimate *estimate, double cell_most);

/* That of a ratio whose bottom is as uncertain as the top: as of a logarithm, too, but
 * not by the number of hits, since the bottom is what they leave. */
struct range estimate_quotient(const struct cell_estimate *estimate);

/* RANGE, of a figure that would be more, or less, by what was in no drawn cell, and of
 * which there can be MISSED: errors apart from each other, so that their squares add. */
struct range estimate_more_missed(struct range range, double missed);
struct range estimate_less_missed(struct range range, double missed);

/* TOP / BOTTOM of two totals: what is sure of them, and what the cells add to that. */
struct estimate_ratio {
	double top, bottom;
	struct estimate_weights of_top, of_bottom;
};

/* RATIO, MOST at most, as if it were a total, by linearisation: a cell counts by how far
 * its own ratio is from that of all. Returns the bottom; 0 where there is no ratio. */
double estimate_ratio(const struct estimate_draw *draw, int group,
		      const struct estimate_ratio *ratio, double most,
		      struct cell_estimate *estimate);

/* The next of a stream of random numbers (splitmix64); and one of [0, BELOW). */
uint64_t estimate_random(uint64_t *state);
uint64_t estimate_below(uint64_t *state, uint64_t below);

/* Draws DRAWN of CELLS numbers from FROM on, each set with the same chance, into NUMBER,
 * ascending. DRAWN is at most CELLS. */
void estimate_draw_numbers(uint64_t *state, uint64_t from, uint64_t cells, uint32_t drawn,
			   uint64_t *number);

#endif
