#include "analysis/course.h"

#include "analysis/trend.h"
#include "base/take.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* One chance in a hundred of calling noise a trend. */
#define SIGNIFICANCE 0.01

const enum figure course_figure[COURSE_FIGURES] = {
	FIG_RSS_BYTES,		 FIG_LIVE_BYTES,   FIG_MMAPPED_BYTES,
	FIG_FREE_RESIDENT_BYTES, FIG_PINNED_BYTES, FIG_TRIMMABLE_BYTES,
	FIG_LARGEST_FREE_BYTES,	 FIG_FREE_CHUNKS,  FIG_OTHER_RESIDENT_BYTES,
};

#define KEPT_NS INT64_C(172800000000000)

enum { HELD = COURSE_FIGURES, LIMIT, TRACKS = LIMIT + ROOM_KINDS };

struct course {
	struct track *track[TRACKS];
	int64_t first_ns, last_ns;
	struct arena_course arenas;
	struct trend_scratch scratch;
	struct track_point point[COURSE_POINTS];
	double time_s[COURSE_POINTS], value[COURSE_POINTS];
};

static int new_from(struct course **course, unsigned first)
{
	const struct track_shape shape = track_days(KEPT_NS);
	struct course *new = take(sizeof(*new));
	int error = new ? 0 : -ENOMEM;

	for (unsigned i = first; !error && i < TRACKS; i++)
		error = track_new(&new->track[i], &shape);
	if (error)
		course_free(new);
	*course = error ? NULL : new;
	return error;
}

int course_new(struct course **course)
{
	return new_from(course, 0);
}

int course_new_limits(struct course **course)
{
	return new_from(course, LIMIT);
}

void course_free(struct course *course)
{
	if (!course)
		return;
	for (unsigned i = 0; i < TRACKS; i++)
		track_free(course->track[i]);
	free(course);
}

static void add(struct course *course, unsigned i, int64_t time_ns, bool has,
		uint64_t value)
{
	if (!course->track[i])
		return;
	if (has)
		track_add(course->track[i], time_ns, (double)value);
	else
		track_gap(course->track[i], time_ns);
}

void course_add(struct course *course, const struct sample *sample,
		const struct room *room)
{
	const struct figures *fig = &sample->fig;
	bool has_both = sample_tells(sample, FIG_LIVE_BYTES) &&
			figure_has(fig, FIG_MMAPPED_BYTES);

	for (unsigned i = 0; i < COURSE_FIGURES; i++)
		add(course, i, sample->time_ns, sample_tells(sample, course_figure[i]),
		    fig->v[course_figure[i]].u);
	add(course, HELD, sample->time_ns, has_both,
	    fig->v[FIG_LIVE_BYTES].u + fig->v[FIG_MMAPPED_BYTES].u);
	for (unsigned i = 0; i < ROOM_KINDS; i++)
		add(course, LIMIT + i, sample->time_ns, room && room->row[i].is_set,
		    room ? room->row[i].used : 0);
	arena_course_add(&course->arenas, sample);
	if (!course->first_ns)
		course->first_ns = sample->time_ns;
	course->last_ns = sample->time_ns;
}

/* All that TRACK has, however long, in COURSE_POINTS equal parts of time at most. */
static size_t points_of(const struct track *track, struct track_point *out)
{
	int64_t from_ns, to_ns;
	size_t count = 0;

	if (!track_span(track, &from_ns, &to_ns))
		return 0;
	track_columns(track, from_ns, to_ns + 1, out, COURSE_POINTS);
	for (size_t i = 0; i < COURSE_POINTS; i++)
		if (out[i].count)
			out[count++] = out[i];
	return count;
}

static void trend_of_track(struct course *course, unsigned i, struct verdict_trend *out)
{
	struct track_point *point = course->point;
	size_t count = points_of(course->track[i], point);
	struct trend trend;

	*out = (struct verdict_trend){0};
	for (size_t at = 0; at < count; at++) {
		course->time_s[at] = ((double)(point[at].from_ns - course->first_ns) +
				      (double)(point[at].to_ns - course->first_ns)) /
				     2e9;
		course->value[at] = point[at].mean;
	}
	trend_of(course->time_s, course->value, count, SIGNIFICANCE, &course->scratch,
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

void course_trend(struct course *course, unsigned i, struct verdict_trend *trend)
{
	trend_of_track(course, i, trend);
}

void course_held(struct course *course, struct verdict_trend *trend)
{
	trend_of_track(course, HELD, trend);
}

size_t course_points(const struct course *course, unsigned i, struct track_point *out)
{
	return points_of(course->track[i], out);
}

void course_arenas(const struct course *course, struct arena_peaks *peaks)
{
	*peaks = arena_course_peaks(&course->arenas);
}

void course_reach(struct course *course, const struct room *room, struct room_reach *out)
{
	for (unsigned i = 0; i < ROOM_KINDS; i++) {
		struct verdict_trend trend;
		struct room_rate rate;

		trend_of_track(course, LIMIT + i, &trend);
		rate = (struct room_rate){
			.is_known = trend.is_known,
			.is_rising = trend.is_rising,
			.per_s = trend.per_s,
			.low_per_s = trend.low_per_s,
			.high_per_s = trend.high_per_s,
		};
		room_reach(&room->row[i], &rate, &out[i]);
	}
}

double course_span_s(const struct course *course)
{
	return (double)(course->last_ns - course->first_ns) / 1e9;
}
