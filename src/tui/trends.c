/* trends.c: how the figures of the overview move, from what is kept of them. */
#include "analysis/trend.h"
#include "tui/pane.h"

#define SIGNIFICANCE 0.01

static struct screen_trend trend_in(const struct track_point *point, unsigned count)
{
	double time_s[TREND_POINTS], value[TREND_POINTS];
	struct trend_scratch scratch;
	struct trend trend;
	unsigned known = 0;
	int64_t base_ns = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!point[i].count)
			continue;
		if (!known)
			base_ns = point[i].from_ns;
		/* From the first one on: doubles do not hold today's nanoseconds. */
		time_s[known] = ((double)(point[i].from_ns - base_ns) +
				 (double)(point[i].to_ns - base_ns)) /
				2e9;
		value[known++] = point[i].mean;
	}
	trend_of(time_s, value, known, SIGNIFICANCE, &scratch, &trend);
	if (trend.direction == TREND_UNKNOWN)
		return (struct screen_trend){0};
	return (struct screen_trend){
		.known = true,
		.rising = trend.direction == TREND_RISING,
		.falling = trend.direction == TREND_FALLING,
		.per_s = trend.slope_per_s,
	};
}

bool screen_shows(enum figure f)
{
	return overview_shows(f);
}

void screen_trends(const struct history *history, int64_t from_ns, int64_t to_ns,
		   struct screen_trend trend[FIG_COUNT])
{
	struct track_point point[TREND_POINTS];

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		trend[f] = (struct screen_trend){0};
		if (!overview_shows(f))
			continue;
		history_columns(history, f, from_ns + 1, to_ns + 1, point, TREND_POINTS);
		trend[f] = trend_in(point, TREND_POINTS);
	}
}
