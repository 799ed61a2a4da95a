#include "sample/sample.h"

#include "base/alloc_touched.h"
#include "base/near.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double value(const struct figures *fig, enum figure f)
{
	return (double)fig->v[f].u;
}

static bool has_all(const struct figures *fig, const enum figure *f, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!figure_has(fig, f[i]))
			return false;
	return true;
}

/* A target that moves can show a largest chunk that is larger than all that is free. */
static bool derive_frag(const struct figures *fig, double *ratio)
{
	static const enum figure from[] = {FIG_LARGEST_FREE_BYTES, FIG_FREE_BYTES};
	double largest = value(fig, from[0]), free_bytes = value(fig, from[1]);

	if (!has_all(fig, from, 2) || largest > free_bytes)
		return false;
	*ratio = free_bytes > 0 ? 1 - largest / free_bytes : 0;
	return true;
}

static bool derive_slack(const struct figures *fig, double *ratio)
{
	static const enum figure from[] = {FIG_LIVE_RESIDENT_BYTES,
					   FIG_FREE_RESIDENT_BYTES, FIG_LIVE_BYTES};

	if (!has_all(fig, from, 3) || !fig->v[FIG_LIVE_BYTES].u)
		return false;
	*ratio = (value(fig, from[0]) + value(fig, from[1])) / value(fig, from[2]);
	return true;
}

const struct figure_info figure_info[FIG_COUNT] = {
#define FIGURE(id, ...) [FIG_##id] = {__VA_ARGS__},
#include "sample/figures.def"
#undef FIGURE
};

const char *figure_heading(enum figure f, size_t columns)
{
	const char *label = figure_label(f);

	return strlen(label) > columns && figure_info[f].heading ? figure_info[f].heading
								 : label;
}

/* The length of NAME without the suffix that may be left out. */
static size_t stem_length(const char *name)
{
	static const char *const suffixes[] = {"_bytes", "_ns"};
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t less = strlen(suffixes[i]);

		if (length > less && !strcmp(name + length - less, suffixes[i]))
			return length - less;
	}
	return length;
}

static bool is_name_of(const char *word, const char *name)
{
	size_t length = strlen(word);

	return !strcmp(word, name) ||
	       (length == stem_length(name) && !memcmp(word, name, length));
}

enum figure figure_named(const char *word)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (is_name_of(word, figure_info[f].name))
			return f;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (!strcmp(word, figure_label(f)))
			return f;
	return FIG_COUNT;
}

void figures_near(enum figure_scope scope, struct near *near)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].scope & scope) {
			const char *name = figure_info[f].name;

			near_offer(near, name);
			near_offer_part(near, name, stem_length(name));
		}
}

void figures_derive(struct figures *fig)
{
	double ratio;

	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].derive && figure_info[f].derive(fig, &ratio))
			figure_set_ratio(fig, f, ratio);
}

/* 1 and up; 0: never estimated. */
static const uint8_t range_place[FIG_COUNT] = {
	[FIG_LIVE_RESIDENT_BYTES] = 1,
	[FIG_TRIMMABLE_BYTES] = 2,
	[FIG_PINNED_BYTES] = 3,
	[FIG_RETAINED_BYTES] = 4,
	[FIG_MMAPPED_RESIDENT_BYTES] = 5,
	[FIG_OTHER_RESIDENT_BYTES] = 6,
	[FIG_LIVE_BYTES] = 7,
	[FIG_FREE_BYTES] = 8,
	[FIG_FREE_RESIDENT_BYTES] = 9,
	[FIG_FREE_CHUNKS] = 10,
	[FIG_FAST_CHUNKS] = 11,
	[FIG_FAST_BYTES] = 12,
	[FIG_TCACHE_CHUNKS] = 13,
	[FIG_TCACHE_BYTES] = 14,
	[FIG_FRAG] = 15,
	[FIG_UNUSABLE] = 16,
	[FIG_SLACK] = 17,
	[FIG_ALLOCATOR_RESIDENT_BYTES] = 18,
};

bool figure_can_be_estimated(enum figure f)
{
	return range_place[f] != 0;
}

double figure_number(const struct figures *fig, enum figure f)
{
	return figure_info[f].unit == UNIT_RATIO ? fig->v[f].d : (double)fig->v[f].u;
}

/* Rows have whole bytes and counts: what is read back from one must be the same. */
static float reach_of(enum figure f, double distance)
{
	if (distance <= 0)
		return 0;
	return (float)(figure_info[f].unit == UNIT_RATIO ? distance : ceil(distance));
}

void figure_set_range(struct figures *fig, enum figure f, double low, double high)
{
	double number = figure_number(fig, f);
	unsigned place = range_place[f] - 1U;

	fig->reach[place] = (struct figure_reach){
		.below = reach_of(f, number - low),
		.above = reach_of(f, high - number),
	};
	fig->estimated |= UINT32_C(1) << place;
}

bool figure_is_estimated(const struct figures *fig, enum figure f)
{
	return range_place[f] && fig->estimated >> (range_place[f] - 1U) & 1;
}

bool figure_range(const struct figures *fig, enum figure f, double *low, double *high)
{
	unsigned place = range_place[f] - 1U;

	*low = *high = figure_number(fig, f);
	if (!figure_is_estimated(fig, f))
		return false;
	*low -= (double)fig->reach[place].below;
	*high += (double)fig->reach[place].above;
	*low = *low > 0 ? *low : 0;
	return true;
}

/* The sample, its rows, their bins and its classes lie in one block, in this order. */
struct sample *sample_new(unsigned arenas, bool with_bins)
{
	size_t rows = sizeof(struct sample) + arenas * sizeof(struct arena_row);
	size_t bins_end = rows + arenas * sizeof(struct arena_bins);
	size_t size = with_bins ? bins_end + sizeof(struct size_classes) : rows;
	struct sample *sample = alloc_touched(size);
	struct arena_bins *bins;

	if (!sample)
		return NULL;
	if (with_bins)
		sample->classes = (struct size_classes *)((char *)sample + bins_end);
	sample->arena = (struct arena_row *)(sample + 1);
	sample->arena_capacity = arenas;
	bins = (struct arena_bins *)((char *)sample + rows);
	for (unsigned i = 0; with_bins && i < arenas; i++)
		sample->arena[i].bins = &bins[i];
	return sample;
}

int sample_grow(struct sample *sample, unsigned arenas)
{
	bool with_bins = sample->classes != NULL;
	size_t row = sizeof(struct arena_row);
	struct arena_row *rows;

	if (with_bins)
		row += sizeof(struct arena_bins);
	rows = alloc_touched(arenas * row);
	if (!rows)
		return -ENOMEM;
	for (unsigned i = 0; with_bins && i < arenas; i++)
		rows[i].bins = (struct arena_bins *)(void *)(rows + arenas) + i;
	free(sample->grown);
	sample->grown = sample->arena = rows;
	sample->arena_capacity = arenas;
	return 0;
}

void sample_free(struct sample *sample)
{
	if (sample)
		free(sample->grown);
	free(sample);
}

/* The bins of the first row: they lie behind the rows, of sample_new and of sample_grow.
 */
static struct arena_bins *first_bins(const struct sample *sample)
{
	void *behind_rows = sample->arena + sample->arena_capacity;

	return sample->classes ? behind_rows : NULL;
}

void sample_clear(struct sample *sample)
{
	struct arena_bins *bins = first_bins(sample);
	struct sample empty = {
		.arena = sample->arena,
		.arena_capacity = sample->arena_capacity,
		.classes = sample->classes,
		.grown = sample->grown,
	};

	if (sample->classes)
		sample->classes->count = 0;
	for (unsigned i = 0; i < sample->arena_count; i++) {
		struct arena_row *row = &sample->arena[i];

		*row = (struct arena_row){.bins = bins ? &bins[i] : row->bins};
		if (row->bins)
			memset(row->bins, 0, sizeof(*row->bins));
	}
	*sample = empty;
}

static int copy_row(struct arena_row *into, const struct arena_row *from)
{
	struct arena_bins *bins = into->bins;

	if (from->bins && !bins)
		return -ENOSPC;
	*into = *from;
	if (from->bins)
		*bins = *from->bins;
	if (from->bins)
		into->bins = bins;
	return 0;
}

int sample_copy(struct sample *into, const struct sample *from)
{
	struct arena_row *arena = into->arena;
	struct size_classes *classes = into->classes;
	unsigned capacity = into->arena_capacity;
	void *grown = into->grown;
	int error = from->arena_count > capacity ? -ENOSPC : 0;

	if (from->classes && from->classes->count && !classes)
		error = -ENOSPC;
	sample_clear(into);
	for (unsigned i = 0; !error && i < from->arena_count; i++) {
		error = copy_row(&arena[i], &from->arena[i]);
		into->arena_count = i + 1;
	}
	if (error) {
		sample_clear(into);
		return error;
	}
	*into = *from;
	into->arena = arena;
	into->arena_capacity = capacity;
	into->classes = classes;
	into->grown = grown;
	if (classes && from->classes)
		*classes = *from->classes;
	return 0;
}

static unsigned rows_with_bins(const struct sample *sample)
{
	unsigned rows = 0;

	for (unsigned i = 0; i < sample->arena_count; i++)
		rows += sample->arena[i].bins != NULL;
	return rows;
}

size_t sample_packed_bytes(const struct sample *from, bool with_bins)
{
	size_t bytes = sizeof(*from) + from->arena_count * sizeof(*from->arena);

	return bytes + (with_bins ? rows_with_bins(from) * sizeof(struct arena_bins) : 0);
}

/* As sample_new lays it out. */
struct sample *sample_pack(void *memory, const struct sample *from, bool with_bins)
{
	struct sample *packed = memory;
	struct arena_bins *bins;

	*packed = *from;
	packed->arena = (struct arena_row *)(packed + 1);
	packed->arena_capacity = from->arena_count;
	packed->classes = NULL;
	packed->grown = NULL;
	bins = (struct arena_bins *)(void *)(packed->arena + from->arena_count);
	for (unsigned i = 0; i < from->arena_count; i++) {
		struct arena_row *row = &packed->arena[i];

		*row = from->arena[i];
		row->bins = NULL;
		if (!with_bins || !from->arena[i].bins)
			continue;
		row->bins = bins++;
		*row->bins = *from->arena[i].bins;
	}
	return packed;
}

void sample_moved(struct sample *packed)
{
	struct arena_bins *bins;

	packed->arena = (struct arena_row *)(packed + 1);
	bins = (struct arena_bins *)(void *)(packed->arena + packed->arena_count);
	for (unsigned i = 0; i < packed->arena_count; i++)
		if (packed->arena[i].bins)
			packed->arena[i].bins = bins++;
}

enum {
	SKEW_PART = 100, /* of the whole */
	SKEW_LEAST = 32 << 10,
};

uint64_t sample_skew_limit(uint64_t whole_bytes)
{
	uint64_t part = whole_bytes / SKEW_PART;

	return part > SKEW_LEAST ? part : SKEW_LEAST;
}

static uint64_t value_of(const struct figures *fig, enum figure f)
{
	return figure_has(fig, f) ? fig->v[f].u : 0;
}

bool sample_is_consistent(const struct sample *sample)
{
	const struct figures *fig = &sample->fig;
	uint64_t limit = sample_skew_limit(value_of(fig, FIG_SYSTEM_BYTES) +
					   value_of(fig, FIG_MMAPPED_BYTES));

	return sample->status != STATUS_TORN ||
	       (value_of(fig, FIG_IN_DOUBT_BYTES) <= limit &&
		value_of(fig, FIG_SKEW_BYTES) <= limit);
}

/* What is read one after the other, and told as the sum or the rest of that. */
static bool is_composed(enum figure f)
{
	static const enum figure composed[] = {
		FIG_LIVE_RESIDENT_BYTES,
		FIG_TRIMMABLE_BYTES,
		FIG_PINNED_BYTES,
		FIG_RETAINED_BYTES,
		FIG_OTHER_RESIDENT_BYTES,
		FIG_LIVE_BYTES,
		FIG_FREE_BYTES,
		FIG_FREE_RESIDENT_BYTES,
		FIG_FREE_CHUNKS,
		FIG_LARGEST_FREE_BYTES,
		FIG_LARGEST_HOLE_BYTES,
		FIG_TOP_BYTES,
		FIG_TCACHE_CHUNKS,
		FIG_TCACHE_BYTES,
		FIG_FRAG,
		FIG_UNUSABLE,
		FIG_SLACK,
		FIG_MMAPPED_RESIDENT_BYTES,
		FIG_ALLOCATOR_RESIDENT_BYTES,
	};

	for (size_t i = 0; i < sizeof(composed) / sizeof(*composed); i++)
		if (composed[i] == f)
			return true;
	return false;
}

bool sample_may_judge(const struct sample *sample, enum figure f)
{
	return figure_has(&sample->fig, f) &&
	       (!is_composed(f) || sample_is_consistent(sample));
}

const char *sample_source_name(enum sample_source source)
{
	static const char *const names[] = {
		[SOURCE_HEAP] = "heap",
		[SOURCE_PROC] = "proc",
		[SOURCE_PRELOAD] = "preload",
	};

	return names[source];
}

const char *sample_status_name(enum sample_status status)
{
	static const char *const names[] = {
		[STATUS_COMPLETE] = "complete",
		[STATUS_TORN] = "torn",
		[STATUS_PARTIAL] = "partial",
		[STATUS_ESTIMATED] = "estimated",
	};

	return names[status];
}
