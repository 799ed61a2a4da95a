#include "series/track.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* One value by itself: as a bucket it would take four times as much. */
struct single {
	int64_t time_ns;
	double value;
};

#define SECOND_NS INT64_C(1000000000)

enum {
	SINGLE_POINTS = 600,
	FINE_POINTS = 360,
	FINE_SECONDS = 10,
	MIDDLE_POINTS = 360,
	MIDDLE_SECONDS = 60,
	COARSE_SECONDS = 300,
};

#define COUNT_MAX (UINT32_MAX >> 1)

/* The sum stays, not the mean: sums of sizes are exact. */
struct bucket {
	int64_t from_ns, to_ns;
	double min, max, first, last, sum;
	uint32_t count : 31;
	uint32_t gap : 1;
};

/* A ring of the latest points. Every tier is given every value, so that the values of its
 * points are the last VALUES of the track's. */
struct track_tier {
	int64_t resolution_ns; /* 0: SINGLE is the ring, else BUCKET */
	size_t capacity, count, head /* where the next one goes */;
	uint64_t values;
	struct single *single;
	bool *single_gap;
	struct bucket *bucket;
};

struct track {
	unsigned tiers;
	bool gap; /* since the last value */
	int64_t last_ns;
	uint64_t values; /* ever added */
	struct track_tier tier[TRACK_TIERS];
};

/* One point more in each: the period that has just begun. */
struct track_shape track_days(int64_t keep_ns)
{
	return (struct track_shape){
		.tier = {
			{0, SINGLE_POINTS},
			{FINE_SECONDS * SECOND_NS, FINE_POINTS + 1},
			{MIDDLE_SECONDS * SECOND_NS, MIDDLE_POINTS + 1},
			{COARSE_SECONDS * SECOND_NS,
			 (uint32_t)(keep_ns / (COARSE_SECONDS * SECOND_NS)) + 1},
		}};
}

struct track_shape track_spans(uint32_t points)
{
	return (struct track_shape){.tier = {{SECOND_NS, points}}};
}

static unsigned tiers_of(const struct track_shape *shape)
{
	unsigned tiers = 0;

	while (tiers < TRACK_TIERS && shape->tier[tiers].points)
		tiers++;
	return tiers;
}

static bool is_sound(const struct track_shape *shape)
{
	unsigned tiers = tiers_of(shape);

	for (unsigned i = 1; i < tiers; i++)
		if (shape->tier[i].resolution_ns <= shape->tier[i - 1].resolution_ns)
			return false;
	return tiers && shape->tier[0].resolution_ns >= 0;
}

static size_t point_bytes(int64_t resolution_ns)
{
	return resolution_ns ? sizeof(struct bucket)
			     : sizeof(struct single) + sizeof(bool);
}

size_t track_bytes(const struct track_shape *shape)
{
	size_t bytes = sizeof(struct track);

	for (unsigned i = 0; i < tiers_of(shape); i++)
		bytes +=
			shape->tier[i].points * point_bytes(shape->tier[i].resolution_ns);
	return bytes;
}

/* The rings lie behind the track in one block. Those of flags come last, so that all of
 * the others are aligned. */
static void lay_out(struct track *track, const struct track_shape *shape)
{
	char *at = (char *)(track + 1);

	track->tiers = tiers_of(shape);
	for (unsigned i = track->tiers; i-- > 0;) {
		struct track_tier *tier = &track->tier[i];

		tier->resolution_ns = shape->tier[i].resolution_ns;
		tier->capacity = shape->tier[i].points;
		if (tier->resolution_ns) {
			tier->bucket = (struct bucket *)(void *)at;
			at += tier->capacity * sizeof(*tier->bucket);
		} else {
			tier->single = (struct single *)(void *)at;
			at += tier->capacity * sizeof(*tier->single);
			tier->single_gap = (bool *)(void *)at;
		}
	}
}

int track_new(struct track **track, const struct track_shape *shape)
{
	struct track *new;

	if (!is_sound(shape))
		return -EINVAL;
	new = alloc_touched(track_bytes(shape));
	if (!new)
		return -ENOMEM;
	lay_out(new, shape);
	*track = new;
	return 0;
}

void track_free(struct track *track)
{
	free(track);
}

static int64_t earlier(int64_t time_ns, int64_t by_ns)
{
	int64_t result;

	return __builtin_sub_overflow(time_ns, by_ns, &result) ? INT64_MIN : result;
}

static void shift_tier(struct track_tier *tier, int64_t back_ns)
{
	for (size_t i = 0; i < tier->count; i++) {
		if (tier->single) {
			struct single *single = &tier->single[i];

			single->time_ns = earlier(single->time_ns, back_ns);
		} else {
			struct bucket *bucket = &tier->bucket[i];

			bucket->from_ns = earlier(bucket->from_ns, back_ns);
			bucket->to_ns = earlier(bucket->to_ns, back_ns);
		}
	}
}

void track_shift(struct track *track, int64_t back_ns)
{
	for (unsigned i = 0; i < track->tiers; i++)
		shift_tier(&track->tier[i], back_ns);
	track->last_ns = earlier(track->last_ns, back_ns);
}

/* Which of the tier's periods TIME_NS is in; before 1970 too. */
static int64_t period_of(const struct track_tier *tier, int64_t time_ns)
{
	int64_t period = time_ns / tier->resolution_ns;

	return time_ns % tier->resolution_ns < 0 ? period - 1 : period;
}

static size_t slot_of(const struct track_tier *tier, size_t nth)
{
	size_t slot = tier->head + tier->capacity - tier->count + nth;

	return slot < tier->capacity ? slot : slot - tier->capacity;
}

/* The slot for one more point; the oldest makes room, and its values are gone. */
static size_t next_slot(struct track_tier *tier)
{
	size_t slot = tier->head;

	if (tier->count < tier->capacity)
		tier->count++;
	else
		tier->values -= tier->single ? 1 : tier->bucket[slot].count;
	tier->head = slot + 1 < tier->capacity ? slot + 1 : 0;
	return slot;
}

static void merge_value(struct bucket *bucket, int64_t time_ns,
			const struct track_span_values *values)
{
	bucket->min = fmin(bucket->min, values->low);
	bucket->max = fmax(bucket->max, values->high);
	bucket->last = values->last;
	bucket->sum += values->mean;
	bucket->to_ns = time_ns;
	bucket->count++;
}

/* Whether a value at TIME_NS begins a point of its own in TIER. */
static bool begins(const struct track_tier *tier, int64_t time_ns)
{
	const struct bucket *latest;

	if (!tier->resolution_ns || !tier->count)
		return true;
	latest = &tier->bucket[slot_of(tier, tier->count - 1)];
	return latest->count == COUNT_MAX ||
	       period_of(tier, latest->from_ns) != period_of(tier, time_ns);
}

static void add_to_tier(struct track_tier *tier, int64_t time_ns,
			const struct track_span_values *values, bool begin, bool gap)
{
	size_t slot = begin ? next_slot(tier) : slot_of(tier, tier->count - 1);

	tier->values++;
	if (tier->single) {
		tier->single[slot] = (struct single){time_ns, values->mean};
		tier->single_gap[slot] = gap;
	} else if (begin) {
		tier->bucket[slot] = (struct bucket){
			time_ns,      time_ns,	    values->low,  values->high,
			values->last, values->last, values->mean, 1,
			gap,
		};
	} else {
		merge_value(&tier->bucket[slot], time_ns, values);
	}
}

/* Times never fall: see track_add. */
static void meet_time(struct track *track, int64_t time_ns)
{
	/* Twice when the distance is above 63 bits. */
	while (track->values && time_ns < track->last_ns) {
		uint64_t back_ns = (uint64_t)track->last_ns - (uint64_t)time_ns;

		track_shift(track, back_ns > INT64_MAX ? INT64_MAX : (int64_t)back_ns);
	}
	track->last_ns = time_ns;
}

/* Where a tier begins a point all finer ones do: so no point lies in two of a coarser
 * tier, even where a clock that was set back has moved the periods. */
void track_add_span(struct track *track, int64_t time_ns,
		    const struct track_span_values *values)
{
	bool begin = false;

	if (!isfinite(values->low) || !isfinite(values->high) ||
	    !isfinite(values->mean) || !isfinite(values->last)) {
		track_gap(track, time_ns);
		return;
	}
	meet_time(track, time_ns);
	for (unsigned i = track->tiers; i-- > 0;) {
		struct track_tier *tier = &track->tier[i];

		begin |= begins(tier, time_ns);
		add_to_tier(tier, time_ns, values, begin, track->gap);
	}
	track->values++;
	track->gap = false;
}

void track_add(struct track *track, int64_t time_ns, double value)
{
	const struct track_span_values values = {value, value, value, value};

	track_add_span(track, time_ns, &values);
}

void track_gap(struct track *track, int64_t time_ns)
{
	meet_time(track, time_ns);
	track->gap = true;
}

static int64_t end_ns(const struct track_tier *tier, size_t slot)
{
	return tier->single ? tier->single[slot].time_ns : tier->bucket[slot].to_ns;
}

static struct track_point point_at(const struct track_tier *tier, size_t slot)
{
	const struct bucket *bucket;

	if (tier->single) {
		const struct single *single = &tier->single[slot];
		double value = single->value;

		return (struct track_point){
			single->time_ns,
			single->time_ns,
			value,
			value,
			value,
			value,
			value,
			1,
			tier->single_gap[slot],
		};
	}
	bucket = &tier->bucket[slot];
	return (struct track_point){
		bucket->from_ns,
		bucket->to_ns,
		bucket->min,
		bucket->max,
		bucket->first,
		bucket->last,
		bucket->sum / bucket->count,
		bucket->count,
		bucket->gap,
	};
}

typedef void visit_fn(const struct track_point *point, void *context);

/* Visits the points of TRACK that end at FROM_NS or later, oldest first, each value in
 * exactly one: tier after tier, the coarsest first, up to where the next finer one
 * begins; a point that reaches beyond that is visited, and the finer ones of the same
 * values are not. Values are told apart by their number, which no clock can confuse. */
static void visit_points(const struct track *track, unsigned finest, int64_t from_ns,
			 visit_fn *fn, void *context)
{
	uint64_t due = 0;

	for (unsigned i = track->tiers; i-- > finest;) {
		const struct track_tier *tier = &track->tier[i];
		uint64_t number = track->values - tier->values, end = UINT64_MAX;

		if (i > finest)
			end = track->values - track->tier[i - 1].values;
		for (size_t nth = 0; nth < tier->count && number < end; nth++) {
			size_t slot = slot_of(tier, nth);
			uint32_t count = tier->single ? 1 : tier->bucket[slot].count;

			if (number >= due) {
				due = number + count;
				if (end_ns(tier, slot) >= from_ns) {
					struct track_point point = point_at(tier, slot);

					fn(&point, context);
				}
			}
			number += count;
		}
	}
}

struct collection {
	int64_t from_ns, to_ns;
	struct track_point *out;
	size_t max;
	size_t skip; /* so many are left out at the start */
	size_t count;
};

static void collect(const struct track_point *point, void *context)
{
	struct collection *all = context;

	if (point->to_ns < all->from_ns || point->from_ns > all->to_ns)
		return;
	if (all->count >= all->skip && all->count - all->skip < all->max)
		all->out[all->count - all->skip] = *point;
	all->count++;
}

size_t track_points(const struct track *track, int64_t from_ns, int64_t to_ns,
		    struct track_point *out, size_t max)
{
	struct collection all = {
		.from_ns = from_ns, .to_ns = to_ns, .out = out, .max = max};
	unsigned finest = 0;

	/* Where they do not fit, this has counted them. */
	for (;; finest++) {
		all.count = 0;
		visit_points(track, finest, from_ns, collect, &all);
		if (all.count <= max)
			return all.count;
		if (finest + 1 == track->tiers)
			break;
	}
	all.skip = all.count - max;
	all.count = 0;
	visit_points(track, finest, from_ns, collect, &all);
	return all.count - all.skip;
}

struct columns {
	int64_t from_ns, to_ns;
	struct track_point *out;
	size_t count;
};

/* MEAN is a sum until all are merged. */
static void merge_point(struct track_point *into, const struct track_point *point)
{
	double sum = point->mean * point->count;

	if (!into->count) {
		*into = *point;
		into->mean = sum;
		return;
	}
	into->to_ns = point->to_ns;
	into->min = point->min < into->min ? point->min : into->min;
	into->max = point->max > into->max ? point->max : into->max;
	into->last = point->last;
	into->mean += sum;
	into->count += point->count;
	into->gap |= point->gap;
}

static void put_into_column(const struct track_point *point, void *context)
{
	const struct columns *columns = context;
	double share;
	size_t column;

	if (point->from_ns < columns->from_ns || point->from_ns >= columns->to_ns)
		return;
	/* Differences first, unsigned: exact however far the instants are apart. */
	share = (double)((uint64_t)point->from_ns - (uint64_t)columns->from_ns) /
		(double)((uint64_t)columns->to_ns - (uint64_t)columns->from_ns);
	column = (size_t)(share * (double)columns->count);
	if (column >= columns->count)
		column = columns->count - 1;
	merge_point(&columns->out[column], point);
}

void track_columns(const struct track *track, int64_t from_ns, int64_t to_ns,
		   struct track_point *out, size_t columns)
{
	struct columns all = {from_ns, to_ns, out, columns};

	for (size_t i = 0; i < columns; i++)
		out[i] = (struct track_point){0};
	if (!columns)
		return;
	visit_points(track, 0, from_ns, put_into_column, &all);
	for (size_t i = 0; i < columns; i++)
		if (out[i].count)
			out[i].mean /= out[i].count;
}

bool track_span(const struct track *track, int64_t *from_ns, int64_t *to_ns)
{
	const struct track_tier *finest = &track->tier[0], *longest = finest;

	if (!finest->count)
		return false;
	for (unsigned i = 1; i < track->tiers; i++)
		if (track->tier[i].values > longest->values)
			longest = &track->tier[i];
	*from_ns = point_at(longest, slot_of(longest, 0)).from_ns;
	*to_ns = end_ns(finest, slot_of(finest, finest->count - 1));
	return true;
}
