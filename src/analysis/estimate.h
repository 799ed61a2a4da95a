/* estimate.h: what a sample says of the whole: sums of things of which each came into the
 * sample with a chance of its own, and the 95% intervals of such sums. */
#ifndef FRAGSCOPE_ANALYSIS_ESTIMATE_H
#define FRAGSCOPE_ANALYSIS_ESTIMATE_H

#include <stdint.h>

/* All zero at first. */
struct estimate {
	double sum; /* without bias: each value stands for 1 / chance of them */
	double variance;
	double seen; /* the values of the sample alone: the whole is no less */
	/* As long as the sample has nothing: no more than that is there, 97.5% sure. */
	double unseen_high;
	double most; /* the whole is known to be no more; 0: that is not known */
};

/* The chance that a block of BYTES is in a sample that takes one in MEAN_BYTES. */
double estimate_chance(uint64_t bytes, uint64_t mean_bytes);

/* Adds a value that came into the sample with CHANCE, above 0 and 1 at most. */
void estimate_add(struct estimate *estimate, double value, double chance);

/* The sum, as far as it can be. */
double estimate_value(const struct estimate *estimate);
double estimate_low(const struct estimate *estimate);
double estimate_high(const struct estimate *estimate);

/* The bounds of the mean of a Poisson distribution of which COUNT was seen, which need be
 * no whole number; of none, the upper one is 3.69. */
double poisson_low(double count);
double poisson_high(double count);

#endif
