/* diff_details.c: arenas and free sizes, one by one. */
#include "analysis/diff_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_FROM = DIFF_ARENAS * DIFF_ARENA_FIGURES };

static const enum figure arena_figure[DIFF_ARENA_FIGURES] = {
	FIG_LIVE_BYTES,
	FIG_FREE_BYTES,
	FIG_PINNED_BYTES,
	FIG_FRAG,
};

bool diff_detail_is_arena(unsigned detail, unsigned *arena, enum figure *figure)
{
	*arena = detail / DIFF_ARENA_FIGURES;
	*figure = detail < SIZES_FROM ? arena_figure[detail % DIFF_ARENA_FIGURES]
				      : FIG_FREE_BYTES;
	return detail < SIZES_FROM;
}

/* ---- gathering ---- */

/* Half as many points, each of twice as many values. */
static void merge(struct diff_detail_course *course)
{
	for (size_t i = 0; i < DIFF_POINTS / 2; i++) {
		course->time_s[i] = course->time_s[2 * i];
		course->value[i] = (course->value[2 * i] + course->value[2 * i + 1]) / 2;
	}
	course->count = DIFF_POINTS / 2;
	course->stride *= 2;
}

/* Where the clock was set back, time stands still until it has caught up. */
static void begin_point(struct diff_detail_course *course, double time_s)
{
	double last_s = course->count ? course->time_s[course->count - 1] : 0;

	course->time_s[course->count] = time_s > last_s ? time_s : last_s;
}

static int add(struct diff_side *side, unsigned detail, int64_t time_ns, double value)
{
	struct diff_detail_course *course = side->detail[detail];

	if (!course) {
		course = side->detail[detail] = calloc(1, sizeof(*course));
		if (!course)
			return -ENOMEM;
		course->stride = 1;
	}
	if (!course->pending) {
		if (course->count == DIFF_POINTS)
			merge(course);
		begin_point(course, ((double)time_ns - (double)side->first_ns) / 1e9);
	}
	course->sum += value;
	if (++course->pending < course->stride)
		return 0;
	course->value[course->count++] = course->sum / course->pending;
	course->sum = 0;
	course->pending = 0;
	return 0;
}

int diff_add_arenas(struct diff_side *side, const struct sample *sample)
{
	int error = 0;

	if (sample->arena_count > side->arenas)
		side->arenas = sample->arena_count;
	for (unsigned a = 0; a < sample->arena_count; a++) {
		const struct arena_row *arena = &sample->arena[a];

		for (unsigned f = 0; f < DIFF_ARENA_FIGURES && !error; f++)
			if (arena->index < DIFF_ARENAS &&
			    figure_has(&arena->fig, arena_figure[f]))
				error = add(side, arena->index * DIFF_ARENA_FIGURES + f,
					    sample->time_ns,
					    figure_number(&arena->fig, arena_figure[f]));
	}
	return error;
}

int diff_add_sizes(struct diff_side *side, const struct sample *sample)
{
	struct free_sizes sizes;
	int error = 0;

	if (!free_sizes_of(sample, FREE_SIZES_ALL, &sizes) || sizes.arenas_missing)
		return 0;
	side->sizes_looks++;
	for (unsigned i = 0; i < FREE_SIZES && !error; i++)
		error = add(side, SIZES_FROM + i, sample->time_ns,
			    (double)sizes.size[i].bytes);
	if (!error)
		error = add(side, SIZES_FROM + FREE_SIZES, sample->time_ns,
			    (double)sizes.mixed.bytes);
	if (!error)
		error = add(side, SIZES_FROM + FREE_SIZES + 1, sample->time_ns,
			    (double)sizes.top_bytes);
	return error;
}

void diff_release_details(struct diff_side *side)
{
	for (unsigned i = 0; i < DIFF_DETAILS; i++)
		free(side->detail[i]);
}

/* ---- comparing ---- */

static struct compare_course course_of(const struct diff_side *side, unsigned detail)
{
	const struct diff_detail_course *course = side->detail[detail];

	if (!course)
		return (struct compare_course){.count = 0};
	return (struct compare_course){course->time_s, course->value, course->count};
}

static bool is_all_zero(const struct compare_course *course)
{
	for (size_t i = 0; i < course->count; i++)
		if (course->value[i] != 0)
			return false;
	return true;
}

void diff_compare_details(struct diff *diff, struct diff_work *work)
{
	for (unsigned detail = 0; detail < DIFF_DETAILS; detail++) {
		struct diff_detail *row = &diff->detail[diff->detail_count];
		struct compare_course both[2];

		row->detail = detail;
		for (unsigned i = 0; i < 2; i++) {
			both[i] = course_of(diff->side[i], detail);
			row->has[i] = both[i].count > 0;
		}
		/* Sizes that no free chunk has are left out. */
		if (is_all_zero(&both[0]) && is_all_zero(&both[1]) &&
		    (detail >= SIZES_FROM || (!row->has[0] && !row->has[1])))
			continue;
		/* Of one side alone: what it is. */
		for (unsigned i = 0; i < 2; i++)
			if (!row->has[i])
				both[i] = both[!i];
		compare_courses(both, COMPARE_MEDIAN, &work->compare, &row->comparison);
		if (!row->has[0] || !row->has[1])
			row->comparison.outcome = COMPARE_NONE;
		diff->detail_count++;
	}
}
