#include "top/advice.h"
#include "analysis/non_malloc.h"
#include "analysis/trend.h"

#define SIGNIFICANCE 0.01
#define SECOND	     1e9

/* The value of a series in SAMPLE. False: it has none. */
typedef bool value_fn(const struct sample *sample, double *value);

static bool live(const struct sample *sample, double *value)
{
	const struct figures *fig = &sample->fig;

	if (!figure_has(fig, FIG_LIVE_BYTES) || !figure_has(fig, FIG_MMAPPED_BYTES))
		return false;
	*value = (double)(fig->v[FIG_LIVE_BYTES].u + fig->v[FIG_MMAPPED_BYTES].u);
	return true;
}

static bool figure(const struct sample *sample, enum figure f, double *value)
{
	if (!figure_has(&sample->fig, f))
		return false;
	*value = (double)sample->fig.v[f].u;
	return true;
}

static bool rss(const struct sample *sample, double *value)
{
	return figure(sample, FIG_RSS_BYTES, value);
}

static bool other(const struct sample *sample, double *value)
{
	return figure(sample, FIG_OTHER_RESIDENT_BYTES, value);
}

static bool pinned(const struct sample *sample, double *value)
{
	return figure(sample, FIG_PINNED_BYTES, value);
}

static bool chunks(const struct sample *sample, double *value)
{
	return figure(sample, FIG_FREE_CHUNKS, value);
}

static bool largest(const struct sample *sample, double *value)
{
	return figure(sample, FIG_LARGEST_FREE_BYTES, value);
}

/* The trend of VALUE over the readings that are kept whole, up to the one that is BACK;
 * of those evenly chosen ones that there is room for. */
static void trend_up_to(struct advice *advice, const struct history *history, size_t back,
			value_fn *value, struct verdict_trend *out)
{
	size_t count = history_count(history), step, used = 0;
	struct trend trend;

	*out = (struct verdict_trend){0};
	if (back >= count)
		return;
	step = (count - back - 1) / ADVICE_POINTS + 1;
	for (size_t i = count - 1 - (count - 1 - back) % step;; i -= step) {
		const struct sample *sample = history_at(history, i);

		if (value(sample, &advice->value[used]))
			advice->time_s[used++] = (double)sample->time_ns / SECOND;
		if (i < back + step)
			break;
	}
	if (!used)
		return;
	trend_of(advice->time_s, advice->value, used, SIGNIFICANCE, &advice->scratch,
		 &trend);
	*out = (struct verdict_trend){
		.is_known = trend.direction != TREND_UNKNOWN,
		.is_rising = trend.direction == TREND_RISING,
		.is_falling = trend.direction == TREND_FALLING,
		.first = advice->value[0],
		.last = advice->value[used - 1],
	};
	if (!out->is_known)
		return;
	out->per_s = trend.slope_per_s;
	out->low_per_s = trend.low_per_s;
	out->high_per_s = trend.high_per_s;
}

/* Of the limits, only what they move by up to the present is kept. */
static void see_trends(struct advice *advice, const struct top_target *target,
		       const struct sample *sample)
{
	size_t back = history_back(target->history, sample->time_ns);

	trend_up_to(advice, target->history, back, live, &advice->live);
	trend_up_to(advice, target->history, back, rss, &advice->rss);
	trend_up_to(advice, target->history, back, other, &advice->other);
	trend_up_to(advice, target->history, back, pinned, &advice->pinned);
	trend_up_to(advice, target->history, back, chunks, &advice->chunks);
	trend_up_to(advice, target->history, back, largest, &advice->largest);
	if (target->has_room)
		trend_store_reach(target->limits, &target->headroom, advice->reach);
}

static double watched_s(const struct history *history, const struct sample *sample)
{
	const struct sample *first = history_at(history, history_count(history) - 1);

	return (double)(sample->time_ns - first->time_ns) / SECOND;
}

static void fill_around(const struct advice_input *in, struct verdict_input *input,
			struct verdict_non_malloc *non_malloc, struct verdict_huge *huge)
{
	const struct inspection_result *around = in->around;

	if (!around || !around->has_smaps)
		return;
	non_malloc_of(&around->smaps, &in->sample->fig, non_malloc);
	input->non_malloc = non_malloc;
	huge_refill_of(&around->smaps, around->has_huge ? &around->huge : NULL, huge);
	input->huge = huge;
}

void advice_judge(struct advice *advice, const struct advice_input *in)
{
	const struct top_target *target = in->target;
	struct verdict_non_malloc non_malloc;
	struct verdict_huge huge;
	struct verdict_input input = {
		.sample = in->sample,
		.blockers = in->blockers,
		.has_failures = in->has_events,
	};

	advice->known = in->sample != NULL;
	if (!in->sample)
		return;
	if (advice->time_ns != in->sample->time_ns || advice->target != target)
		see_trends(advice, target, in->sample);
	advice->time_ns = in->sample->time_ns;
	advice->target = target;
	input.live = advice->live;
	input.rss = advice->rss;
	input.other = advice->other;
	input.pinned = advice->pinned;
	input.chunks = advice->chunks;
	input.largest = advice->largest;
	input.watched_s = watched_s(target->history, in->sample);
	input.failures =
		target_failures(target, in->is_past ? in->sample->time_ns : INT64_MAX);
	fill_around(in, &input, &non_malloc, &huge);
	if (target->has_room && !in->is_past) {
		trend_store_arenas(target->limits, &input.arenas);
		input.headroom = &target->headroom;
		input.reach = advice->reach;
	}
	advice->count = verdicts_of(&input, advice->verdict, VERDICT_KINDS);
	verdict_answer(&input, advice->verdict, advice->count, advice->answer,
		       sizeof(advice->answer));
}
