/* tiers.h: the minutes and hours of one process: of each figure the least, the most, the
 * mean and the last. They stay when the seconds are dropped. For the files of this
 * directory only. */
#ifndef FRAGSCOPE_TIERS_H
#define FRAGSCOPE_TIERS_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* What a figure was in a span. COUNT is of the samples that have it. */
struct tier_span {
	uint64_t count;
	union figure_value least, most, last;
	double sum;
};

/* One figure in the span that goes on; and what was written last: if the figure is that
 * in the whole next span too, nothing need be written. */
struct tier_figure {
	struct tier_span span;
	bool was_written, was_absent;
	union figure_value written;
};

/* The spans of SECONDS. TIME_S is where the one that goes on began; 0: none did. ROW[0]
 * is the process, ROW[1 + I] the arena in place I, INDEX what it is called. */
struct tier {
	unsigned seconds;
	bool writes_all; /* what did not change, too */
	int64_t time_s;
	unsigned row_capacity;
	unsigned *index;
	struct tier_figure (*row)[FIG_COUNT];
};

/* Called for each row to be written. 0, or what ends it. */
typedef int tier_write_fn(const struct tier *tier, unsigned row, enum figure f,
			  const struct tier_span *span, void *context);

/* 0 or -ENOMEM; nothing is allocated later. */
int tier_init(struct tier *tier, unsigned seconds, unsigned arenas);
void tier_release(struct tier *tier);

/* Forgets everything: what comes is another process. */
void tier_reset(struct tier *tier);

/* Whether a sample of TIME_NS begins another span than the one that goes on. */
bool tier_is_over(const struct tier *tier, int64_t time_ns);

/* Gives what the span was to WRITE and empties it. Returns 0 or what WRITE returned. */
int tier_flush(struct tier *tier, tier_write_fn *write, void *context);

/* Counts SAMPLE into the span that its time is in. Rows beyond the capacity are left
 * out. */
void tier_add(struct tier *tier, const struct sample *sample);

#endif
