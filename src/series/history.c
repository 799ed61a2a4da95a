#include "series/history.h"

#include "base/alloc_touched.h"
#include "series/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS	  (3600 * SECOND_NS)

enum {
	KEEP_HOURS = 48,
	KEEP_HOURS_MIN = 24,
	MARKS = 1024,
};

struct marks {
	size_t count, head;
	struct history_mark mark[MARKS];
};

struct history {
	bool any; /* a sample was added */
	int pid;
	int64_t last_ns; /* of samples and gaps */
	struct store latest;
	struct thinned older;
	struct marks marks[MARK_KINDS];
	struct track *track[FIG_COUNT];
};

static int64_t keep_ns(const struct history_options *options)
{
	if (!options->keep_ns)
		return KEEP_HOURS * HOUR_NS;
	return options->keep_ns > KEEP_HOURS_MIN * HOUR_NS ? options->keep_ns
							   : KEEP_HOURS_MIN * HOUR_NS;
}

/* Half of the budget is for the latest, half for what is older. */
static int open_samples(struct history *history, const struct history_options *options)
{
	size_t row = sizeof(struct arena_row) +
		     (options->bins ? sizeof(struct arena_bins) : 0);
	size_t largest = sizeof(struct sample) + options->arenas * row;
	size_t half = options->budget_bytes / 2;
	int error;

	if (largest > half / 2)
		return -ENOSPC;
	error = thinned_open(&history->older, half, keep_ns(options));
	return error ? error
		     : store_open(&history->latest, half, options->bins, &history->older);
}

static bool is_tracked(const struct history_options *options, enum figure f)
{
	if (!figure_info[f].rank || !(figure_info[f].scope & SCOPE_PROCESS))
		return false;
	return !options->tracked || options->tracked(f);
}

static int open_tracks(struct history *history, const struct history_options *options)
{
	const struct track_shape shape = options->spans ? track_spans(options->spans)
							: track_days(keep_ns(options));
	int error = 0;

	for (unsigned f = 0; !error && f < FIG_COUNT; f++)
		if (is_tracked(options, f))
			error = track_new(&history->track[f], &shape);
	return error;
}

int history_new(struct history **history, const struct history_options *options)
{
	struct history *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return -ENOMEM;
	error = open_samples(new, options);
	if (!error)
		error = open_tracks(new, options);
	if (error)
		history_free(new);
	else
		*history = new;
	return error;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		track_free(history->track[f]);
	store_close(&history->latest);
	thinned_close(&history->older);
	free(history);
}

static size_t sample_count(const struct history *history)
{
	return history->latest.count + history->older.count;
}

static struct sample *sample_at(const struct history *history, size_t back)
{
	size_t latest = history->latest.count;

	return back < latest ? store_at(&history->latest, back)
			     : thinned_at(&history->older, back - latest);
}

static int64_t earlier(int64_t time_ns, int64_t by_ns)
{
	int64_t result;

	return __builtin_sub_overflow(time_ns, by_ns, &result) ? INT64_MIN : result;
}

/* The clock was set back: everything moves with it. */
static void shift(struct history *history, int64_t back_ns)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (history->track[f])
			track_shift(history->track[f], back_ns);
	for (size_t back = 0; back < sample_count(history); back++) {
		struct sample *sample = sample_at(history, back);

		sample->time_ns = earlier(sample->time_ns, back_ns);
	}
	for (unsigned kind = 0; kind < MARK_KINDS; kind++) {
		struct marks *marks = &history->marks[kind];

		for (size_t i = 0; i < marks->count; i++)
			marks->mark[i].time_ns = earlier(marks->mark[i].time_ns, back_ns);
	}
}

static void meet_time(struct history *history, int64_t time_ns)
{
	/* Twice when the distance is above 63 bits. */
	while (history->any && time_ns < history->last_ns) {
		uint64_t back_ns = (uint64_t)history->last_ns - (uint64_t)time_ns;

		if (back_ns > INT64_MAX)
			back_ns = INT64_MAX;
		shift(history, (int64_t)back_ns);
		history->last_ns = earlier(history->last_ns, (int64_t)back_ns);
	}
	history->last_ns = time_ns;
}

void history_gap(struct history *history, int64_t time_ns)
{
	meet_time(history, time_ns);
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (history->track[f])
			track_gap(history->track[f], time_ns);
}

static void add_figure(struct track *track, const struct sample *sample, enum figure f,
		       const struct history_span *span)
{
	double last = figure_number(&sample->fig, f);
	struct track_span_values values = {last, last, last, last};

	if (figure_info[f].is_since && span)
		values.last = span->mean[f];
	if (span && figure_has(span->low, f) && figure_has(span->high, f)) {
		values.low = figure_number(span->low, f);
		values.high = figure_number(span->high, f);
		values.mean = span->mean[f];
	}
	track_add_span(track, sample->time_ns, &values);
}

int history_add_span(struct history *history, const struct sample *sample,
		     const struct history_span *span)
{
	int64_t time_ns = sample->time_ns;

	if (history->any && sample->pid != history->pid)
		history_gap(history, time_ns);
	meet_time(history, time_ns);
	history->any = true;
	history->pid = sample->pid;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!history->track[f])
			continue;
		if (figure_has(&sample->fig, f))
			add_figure(history->track[f], sample, f, span);
		else
			track_gap(history->track[f], time_ns);
	}
	return store_add(&history->latest, sample);
}

int history_add(struct history *history, const struct sample *sample)
{
	return history_add_span(history, sample, NULL);
}

size_t history_count(const struct history *history)
{
	return sample_count(history);
}

const struct sample *history_at(const struct history *history, size_t back)
{
	return back < sample_count(history) ? sample_at(history, back) : NULL;
}

/* Times never rise with BACK. */
size_t history_back(const struct history *history, int64_t time_ns)
{
	size_t low = 0, high = sample_count(history);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sample_at(history, middle)->time_ns > time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct sample *history_when(const struct history *history, int64_t time_ns)
{
	return history_at(history, history_back(history, time_ns));
}

size_t history_points(const struct history *history, enum figure f, int64_t from_ns,
		      int64_t to_ns, struct track_point *out, size_t max)
{
	if (!history->track[f])
		return 0;
	return track_points(history->track[f], from_ns, to_ns, out, max);
}

void history_columns(const struct history *history, enum figure f, int64_t from_ns,
		     int64_t to_ns, struct track_point *out, size_t columns)
{
	if (history->track[f])
		track_columns(history->track[f], from_ns, to_ns, out, columns);
	else
		memset(out, 0, columns * sizeof(*out));
}

bool history_span(const struct history *history, int64_t *from_ns, int64_t *to_ns)
{
	bool any = false;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		int64_t from, to;

		if (!history->track[f] || !track_span(history->track[f], &from, &to))
			continue;
		if (!any || from < *from_ns)
			*from_ns = from;
		if (!any || to > *to_ns)
			*to_ns = to;
		any = true;
	}
	return any;
}

void history_mark(struct history *history, int64_t time_ns, enum mark_kind kind,
		  uint64_t bytes)
{
	struct marks *marks = &history->marks[kind];
	struct history_mark *latest =
		marks->count ? &marks->mark[(marks->head + MARKS - 1) % MARKS] : NULL;

	if (latest && latest->time_ns / SECOND_NS == time_ns / SECOND_NS) {
		latest->count++;
		latest->bytes += bytes;
		return;
	}
	marks->mark[marks->head] = (struct history_mark){time_ns, kind, 1, bytes};
	marks->head = (marks->head + 1) % MARKS;
	if (marks->count < MARKS)
		marks->count++;
}

/* Puts MARK in its place among COUNT that are in order; of MAX, the oldest leaves. */
static size_t insert_mark(struct history_mark *out, size_t count, size_t max,
			  const struct history_mark *mark)
{
	size_t at = count;

	while (at && out[at - 1].time_ns > mark->time_ns)
		at--;
	if (count < max) {
		memmove(out + at + 1, out + at, (count - at) * sizeof(*out));
		out[at] = *mark;
		return count + 1;
	}
	if (at) {
		memmove(out, out + 1, (at - 1) * sizeof(*out));
		out[at - 1] = *mark;
	}
	return count;
}

size_t history_marks(const struct history *history, int64_t from_ns, int64_t to_ns,
		     struct history_mark *out, size_t max)
{
	size_t count = 0;

	for (unsigned kind = 0; max && kind < MARK_KINDS; kind++) {
		const struct marks *marks = &history->marks[kind];

		for (size_t i = 0; i < marks->count; i++) {
			const struct history_mark *mark =
				&marks->mark[(marks->head + MARKS - marks->count + i) %
					     MARKS];

			if (mark->time_ns >= from_ns && mark->time_ns <= to_ns)
				count = insert_mark(out, count, max, mark);
		}
	}
	return count;
}
