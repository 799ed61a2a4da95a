#include "series/history.h"

#include "base/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS	  (3600 * SECOND_NS)

enum {
	SINGLE_POINTS = 3600,
	MIDDLE_POINTS = 2160,
	MIDDLE_SECONDS = 10,
	COARSE_SECONDS = 60,
	KEEP_HOURS = 48,
	KEEP_HOURS_MIN = 24,
	MARKS = 1024,
};

/* Whole samples, packed one behind the other in a ring of bytes; a sample never wraps.
 * PLACE is the ring of the offsets of those that are kept. */
struct store {
	char *memory;
	size_t bytes;
	size_t used_to; /* offset behind the latest */
	size_t *place;
	size_t capacity, count, head; /* of PLACE */
};

struct marks {
	size_t count, head;
	struct history_mark mark[MARKS];
};

struct history {
	bool bins;
	bool any; /* a sample was added */
	int pid;
	int64_t last_ns; /* of samples and gaps */
	struct store store;
	struct marks marks[MARK_KINDS];
	struct track *track[FIG_COUNT];
};

static size_t rounded(size_t bytes)
{
	size_t unit = _Alignof(max_align_t);

	return (bytes + unit - 1) / unit * unit;
}

static size_t largest_bytes(const struct history_options *options)
{
	size_t row = sizeof(struct arena_row) +
		     (options->bins ? sizeof(struct arena_bins) : 0);

	return rounded(sizeof(struct sample) + options->arenas * row);
}

static int open_store(struct store *store, const struct history_options *options)
{
	store->bytes = options->budget_bytes;
	if (largest_bytes(options) > store->bytes / 2)
		return -ENOSPC;
	store->capacity = store->bytes / sizeof(struct sample);
	store->memory = take(store->bytes);
	store->place = take(store->capacity * sizeof(*store->place));
	return store->memory && store->place ? 0 : -ENOMEM;
}

static int open_tracks(struct history *history, int64_t keep_ns)
{
	if (!keep_ns)
		keep_ns = KEEP_HOURS * HOUR_NS;
	if (keep_ns < KEEP_HOURS_MIN * HOUR_NS)
		keep_ns = KEEP_HOURS_MIN * HOUR_NS;
	/* One point more: the period that has just begun. */
	const struct track_shape shape = {
		.tier = {
			{0, SINGLE_POINTS},
			{MIDDLE_SECONDS * SECOND_NS, MIDDLE_POINTS + 1},
			{COARSE_SECONDS * SECOND_NS,
			 (uint32_t)(keep_ns / (COARSE_SECONDS * SECOND_NS)) + 1},
		}};
	int error = 0;

	for (unsigned f = 0; !error && f < FIG_COUNT; f++)
		if (figure_info[f].rank && figure_info[f].scope & SCOPE_PROCESS)
			error = track_new(&history->track[f], &shape);
	return error;
}

int history_new(struct history **history, const struct history_options *options)
{
	struct history *new = take(sizeof(*new));
	int error;

	if (!new)
		return -ENOMEM;
	new->bins = options->bins;
	error = open_store(&new->store, options);
	if (!error)
		error = open_tracks(new, options->keep_ns);
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
	free(history->store.memory);
	free(history->store.place);
	free(history);
}

static struct sample *stored(const struct store *store, size_t back)
{
	size_t slot = (store->head + store->capacity - 1 - back) % store->capacity;

	return (struct sample *)(void *)(store->memory + store->place[slot]);
}

static size_t oldest_place(const struct store *store)
{
	return store
		->place[(store->head + store->capacity - store->count) % store->capacity];
}

/* Drops the oldest until BYTES at AT are free. Those that lie in the way are the oldest
 * ones, since samples are stored in order round the ring. */
static void make_room(struct store *store, size_t at, size_t bytes)
{
	while (store->count) {
		size_t oldest = oldest_place(store);

		if (store->count < store->capacity &&
		    (oldest < at || oldest >= at + bytes))
			break;
		store->count--;
	}
}

static int store_sample(struct history *history, const struct sample *sample)
{
	struct store *store = &history->store;
	size_t bytes = rounded(sample_packed_bytes(sample, history->bins));
	size_t at = store->used_to;

	if (bytes > store->bytes)
		return -ENOSPC;
	if (bytes > store->bytes - at) {
		/* What lies from here to the end is older than what lies at the start. */
		make_room(store, at, store->bytes - at);
		at = 0;
	}
	make_room(store, at, bytes);
	sample_pack(store->memory + at, sample, history->bins);
	store->place[store->head] = at;
	store->head = (store->head + 1) % store->capacity;
	store->count++;
	store->used_to = at + bytes;
	return 0;
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
	for (size_t back = 0; back < history->store.count; back++) {
		struct sample *sample = stored(&history->store, back);

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

static double number(const struct figures *fig, enum figure f)
{
	return figure_info[f].unit == UNIT_RATIO ? fig->v[f].d : (double)fig->v[f].u;
}

int history_add(struct history *history, const struct sample *sample)
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
			track_add(history->track[f], time_ns, number(&sample->fig, f));
		else
			track_gap(history->track[f], time_ns);
	}
	return store_sample(history, sample);
}

size_t history_count(const struct history *history)
{
	return history->store.count;
}

const struct sample *history_at(const struct history *history, size_t back)
{
	return back < history->store.count ? stored(&history->store, back) : NULL;
}

/* Times never rise with BACK. */
size_t history_back(const struct history *history, int64_t time_ns)
{
	size_t low = 0, high = history->store.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (stored(&history->store, middle)->time_ns > time_ns)
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
