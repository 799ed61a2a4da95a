/* track.h: one number over time in memory that is taken at the start: recent values one
 * by one, older ones merged into buckets of falling resolution. */
#ifndef FRAGSCOPE_TRACK_H
#define FRAGSCOPE_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACK_TIERS = 4 };

/* How much a track keeps, the finest tier first; POINTS is 0 behind the last one. Each
 * tier has its latest POINTS buckets of RESOLUTION_NS, which begin at whole multiples of
 * it; a RESOLUTION_NS of 0, in the first tier only, keeps each value by itself. */
struct track_shape {
	struct {
		int64_t resolution_ns;
		uint32_t points;
	} tier[TRACK_TIERS];
};

/* COUNT values, the first at FROM_NS and the last at TO_NS (CLOCK_REALTIME), merged. GAP:
 * between the value before and the first of these there were none to be had. */
struct track_point {
	int64_t from_ns, to_ns;
	double min, max, first, last, mean;
	uint32_t count;
	bool gap;
};

/* Enough for some hundred points of whatever part of the last KEEP_NS: ten minutes at a
 * second, 10 s of resolution for an hour, 60 s for six, and 5 minutes. */
struct track_shape track_days(int64_t keep_ns);

/* For what is added as spans: POINTS of them, a second apart at least. */
struct track_shape track_spans(uint32_t points);

struct track;

/* 0, -ENOMEM, or -EINVAL: the resolutions do not rise from tier to tier. */
int track_new(struct track **track, const struct track_shape *shape);
void track_free(struct track *track);

/* Appends VALUE; nothing is allocated. A TIME_NS before the last one says that the clock
 * was set back: all that is kept is moved back with it (track_shift), so that times never
 * fall and distances stay. A value that is no finite number is a gap. */
void track_add(struct track *track, int64_t time_ns, double value);

/* The same of a span that begins at TIME_NS: it counts as one value, MEAN. */
struct track_span_values {
	double low, high, mean, last;
};

void track_add_span(struct track *track, int64_t time_ns,
		    const struct track_span_values *values);

/* At TIME_NS there was no value to be had. Holes that are shorter than a tier's
 * resolution leave no trace in that tier. */
void track_gap(struct track *track, int64_t time_ns);

/* Moves all that is kept BACK_NS back in time; BACK_NS is not negative. */
void track_shift(struct track *track, int64_t back_ns);

/* The points with values in [FROM_NS, TO_NS], oldest first, each value in exactly one of
 * them, at the finest resolution that is kept. Where that makes more than MAX, finer
 * tiers are passed over until they fit; of the coarsest the latest MAX are given. Returns
 * how many. */
size_t track_points(const struct track *track, int64_t from_ns, int64_t to_ns,
		    struct track_point *out, size_t max);

/* The same as a graph has it: [FROM_NS, TO_NS) in COLUMNS equal parts, OUT[i] being all
 * points that begin in part i, merged; its count is 0 where none does. */
void track_columns(const struct track *track, int64_t from_ns, int64_t to_ns,
		   struct track_point *out, size_t columns);

/* The first and the last instant of which there is a value. False: there is none. */
bool track_span(const struct track *track, int64_t *from_ns, int64_t *to_ns);

/* What a track of SHAPE takes. */
size_t track_bytes(const struct track_shape *shape);

#endif
