#include "top/timeline.h"

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* What the graphs can span. */
static const int64_t zooms[] = {
	MINUTE,	  2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR,     2 * HOUR,
	6 * HOUR, 12 * HOUR,  DAY,	  2 * DAY,     7 * DAY,	    30 * DAY, 90 * DAY,
};

enum { ZOOMS = sizeof(zooms) / sizeof(zooms[0]) };

void timeline_open(struct timeline *time)
{
	*time = (struct timeline){.zoom_ns = 2 * MINUTE, .longest_ns = 2 * DAY};
}

/* Keeps the instant that is looked at within the graphs. */
static void keep_in_view(struct timeline *time, const struct history *history)
{
	const struct sample *latest = history_at(history, 0);

	if (time->paused_ns > time->right_ns - time->zoom_ns &&
	    time->paused_ns <= time->right_ns)
		return;
	time->right_ns = time->paused_ns + time->zoom_ns / 2;
	if (latest && time->right_ns > latest->time_ns)
		time->right_ns = latest->time_ns;
}

enum timeline_step timeline_pause(struct timeline *time, const struct history *history,
				  int64_t time_ns)
{
	const struct sample *sample = history_when(history, time_ns);

	if (!sample)
		return TIMELINE_NO_READING;
	if (!time->paused_ns)
		time->right_ns = history_at(history, 0)->time_ns;
	time->paused_ns = sample->time_ns;
	keep_in_view(time, history);
	return TIMELINE_MOVED;
}

void timeline_live(struct timeline *time)
{
	time->paused_ns = 0;
}

enum timeline_step timeline_back(struct timeline *time, const struct history *history,
				 size_t steps)
{
	size_t count = history_count(history), back;

	if (!count)
		return TIMELINE_NO_READING;
	back = time->paused_ns ? history_back(history, time->paused_ns) : 0;
	if (back + 1 >= count) {
		timeline_pause(time, history, history_at(history, count - 1)->time_ns);
		return TIMELINE_AT_END;
	}
	back = steps < count - back ? back + steps : count - 1;
	return timeline_pause(time, history, history_at(history, back)->time_ns);
}

enum timeline_step timeline_on(struct timeline *time, const struct history *history)
{
	size_t back;

	if (!time->paused_ns)
		return TIMELINE_AT_END;
	back = history_back(history, time->paused_ns);
	if (!back || !history_count(history))
		return TIMELINE_AT_END;
	return timeline_pause(time, history, history_at(history, back - 1)->time_ns);
}

void timeline_zoom(struct timeline *time, const struct history *history, int step)
{
	int i = 0;

	while (i < ZOOMS - 1 && zooms[i] < time->zoom_ns)
		i++;
	i += step;
	if (i < 0 || i >= ZOOMS || zooms[i] > time->longest_ns)
		return;
	time->zoom_ns = zooms[i];
	if (time->paused_ns)
		keep_in_view(time, history);
}

const struct sample *timeline_sample(const struct timeline *time,
				     const struct history *history)
{
	return time->paused_ns ? history_when(history, time->paused_ns)
			       : history_at(history, 0);
}

const struct sample *timeline_since(const struct timeline *time,
				    const struct history *history, int64_t right_ns)
{
	const struct sample *sample = history_when(history, right_ns - time->zoom_ns);
	size_t count = history_count(history);

	return sample || !count ? sample : history_at(history, count - 1);
}
