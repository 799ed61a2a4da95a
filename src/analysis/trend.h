/* trend.h: is a series rising or falling, how fast, and how sure is that? Kendall's test
 * for the sign, Theil and Sen's slope for the size: neither is moved by a few values that
 * are off, and neither asks how the noise is distributed. */
#ifndef FRAGSCOPE_TREND_H
#define FRAGSCOPE_TREND_H

#include <stddef.h>
#include <stdint.h>

enum {
	TREND_MIN = 8, /* with fewer points nothing is said */
	TREND_POINTS = 64,
	TREND_PAIRS = TREND_POINTS * (TREND_POINTS - 1) / 2,
};

enum trend_direction {
	TREND_FLAT, /* no rise and no fall that chance could not make */
	TREND_RISING,
	TREND_FALLING,
	TREND_UNKNOWN, /* fewer than TREND_MIN points, or all at one instant */
};

/* LOW and HIGH bound the slope with 95% confidence. P is the probability that a series
 * without a trend looks so much like one, either way. POINTS is how many were compared.
 */
struct trend {
	unsigned points;
	double slope_per_s, low_per_s, high_per_s;
	double p;
	enum trend_direction direction;
};

/* Room to work in; it means nothing between calls. */
struct trend_scratch {
	double time_s[TREND_POINTS], value[TREND_POINTS];
	uint64_t key[TREND_PAIRS];
};

/* The trend of COUNT values, at times that never fall and that need not be even. It has a
 * direction when p is below SIGNIFICANCE. More than TREND_POINTS values are merged into
 * so many means of neighbours. Values that follow their neighbours (caches, queues) are
 * taken for as many fewer as they tell. Where the direction is unknown, nothing else may
 * be read. */
void trend_of(const double *time_s, const double *value, size_t count,
	      double significance, struct trend_scratch *scratch, struct trend *trend);

#endif
