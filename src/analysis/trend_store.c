#include "analysis/trend_store.h"

#include "analysis/trend.h"
#include "base/alloc_touched.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* One chance in a hundred of calling noise a trend. */
#define SIGNIFICANCE 0.01

const enum figure trend_store_figure[TREND_STORE_FIGURES] = {
	FIG_RSS_BYTES,		 FIG_LIVE_BYTES,   FIG_MMAPPED_BYTES,
	FIG_FREE_RESIDENT_BYTES, FIG_PINNED_BYTES, FIG_TRIMMABLE_BYTES,
	FIG_LARGEST_FREE_BYTES,	 FIG_FREE_CHUNKS,  FIG_OTHER_RESIDENT_BYTES,
};

#define KEPT_NS INT64_C(172800000000000)

enum { HELD = TREND_STORE_FIGURES, LIMIT, TRACKS = LIMIT + HEADROOM_KINDS };

struct trend_store {
	struct track *track[TRACKS];
	bool is_estimated[TREND_STORE_FIGURES];
	int64_t first_ns, last_ns;
	struct arena_extremes arenas;
	struct trend_scratch scratch;
	struct track_point point[TREND_STORE_POINTS];
	double time_s[TREND_STORE_POINTS], value[TREND_STORE_POINTS];
};

static int new_from(struct trend_store **store, unsigned first)
{
	const struct track_shape shape = track_days(KEPT_NS);
	struct trend_store *new = alloc_touched(sizeof(*new));
	int error = new ? 0 : -ENOMEM;

	for (unsigned i = first; !error && i < TRACKS; i++)
		error = track_new(&new->track[i], &shape);
	if (error)
		trend_store_free(new);
	*store = error ? NULL : new;
	return error;
}

int trend_store_new(struct trend_store **store)
{
	return new_from(store, 0);
}

int trend_store_new_limits(struct trend_store **store)
{
	return new_from(store, LIMIT);
}

void trend_store_free(struct trend_store *store)
{
	if (!store)
		return;
	for (unsigned i = 0; i < TRACKS; i++)
		track_free(store->track[i]);
	free(store);
}

static void add(struct trend_store *store, unsigned i, int64_t time_ns, bool has,
		uint64_t value)
{
	if (!store->track[i])
		return;
	if (has)
		track_add(store->track[i], time_ns, (double)value);
	else
		track_gap(store->track[i], time_ns);
}

void trend_store_add(struct trend_store *store, const struct sample *sample,
		     const struct headroom *headroom)
{
	const struct figures *fig = &sample->fig;
	bool has_both = sample_may_judge(sample, FIG_LIVE_BYTES) &&
			figure_has(fig, FIG_MMAPPED_BYTES);

	for (unsigned i = 0; i < TREND_STORE_FIGURES; i++) {
		add(store, i, sample->time_ns,
		    sample_may_judge(sample, trend_store_figure[i]),
		    fig->v[trend_store_figure[i]].u);
		if (figure_is_estimated(fig, trend_store_figure[i]))
			store->is_estimated[i] = true;
	}
	add(store, HELD, sample->time_ns, has_both,
	    fig->v[FIG_LIVE_BYTES].u + fig->v[FIG_MMAPPED_BYTES].u);
	for (unsigned i = 0; i < HEADROOM_KINDS; i++)
		add(store, LIMIT + i, sample->time_ns,
		    headroom && headroom->row[i].is_set,
		    headroom ? headroom->row[i].used : 0);
	arena_peaks_add(&store->arenas, sample);
	if (!store->first_ns)
		store->first_ns = sample->time_ns;
	store->last_ns = sample->time_ns;
}

bool trend_store_is_estimated(const struct trend_store *store, unsigned i)
{
	return store->is_estimated[i];
}

/* All that TRACK has, however long, in TREND_STORE_POINTS equal parts of time at most. */
static size_t points_of(const struct track *track, struct track_point *out)
{
	int64_t from_ns, to_ns;
	size_t count = 0;

	if (!track_span(track, &from_ns, &to_ns))
		return 0;
	track_columns(track, from_ns, to_ns + 1, out, TREND_STORE_POINTS);
	for (size_t i = 0; i < TREND_STORE_POINTS; i++)
		if (out[i].count)
			out[count++] = out[i];
	return count;
}

static void trend_of_track(struct trend_store *store, unsigned i,
			   struct verdict_trend *out)
{
	struct track_point *point = store->point;
	size_t count = points_of(store->track[i], point);
	struct trend trend;

	*out = (struct verdict_trend){0};
	for (size_t at = 0; at < count; at++) {
		store->time_s[at] = ((double)(point[at].from_ns - store->first_ns) +
				     (double)(point[at].to_ns - store->first_ns)) /
				    2e9;
		store->value[at] = point[at].mean;
	}
	trend_of(store->time_s, store->value, count, SIGNIFICANCE, &store->scratch,
		 &trend);
	if (trend.direction == TREND_UNKNOWN)
		return;
	*out = (struct verdict_trend){
		.is_known = true,
		.is_rising = trend.direction == TREND_RISING,
		.is_falling = trend.direction == TREND_FALLING,
		.per_s = trend.slope_per_s,
		.low_per_s = trend.low_per_s,
		.high_per_s = trend.high_per_s,
		.first = point[0].first,
		.last = point[count - 1].last,
	};
}

void trend_store_trend(struct trend_store *store, unsigned i, struct verdict_trend *trend)
{
	trend_of_track(store, i, trend);
}

void trend_store_held(struct trend_store *store, struct verdict_trend *trend)
{
	trend_of_track(store, HELD, trend);
}

size_t trend_store_points(const struct trend_store *store, unsigned i,
			  struct track_point *out)
{
	return points_of(store->track[i], out);
}

void trend_store_arenas(const struct trend_store *store, struct arena_peaks *peaks)
{
	*peaks = arena_peaks_of(&store->arenas);
}

void trend_store_reach(struct trend_store *store, const struct headroom *headroom,
		       struct headroom_reach *out)
{
	for (unsigned i = 0; i < HEADROOM_KINDS; i++) {
		struct verdict_trend trend;
		struct headroom_rate rate;

		trend_of_track(store, LIMIT + i, &trend);
		rate = (struct headroom_rate){
			.is_known = trend.is_known,
			.is_rising = trend.is_rising,
			.per_s = trend.per_s,
			.low_per_s = trend.low_per_s,
			.high_per_s = trend.high_per_s,
		};
		headroom_reach(&headroom->row[i], &rate, &out[i]);
	}
}

double trend_store_span_s(const struct trend_store *store)
{
	return (double)(store->last_ns - store->first_ns) / 1e9;
}
