#include "analysis/diff.h"

#include "analysis/diff_parts.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What is compared, in the order in which it is shown. */
static const struct {
	enum figure figure;
	enum diff_kind kind;
} compared[] = {
	{FIG_RSS_BYTES, DIFF_LEVEL},
	{FIG_LIVE_BYTES, DIFF_LEVEL},
	{FIG_LIVE_RESIDENT_BYTES, DIFF_LEVEL},
	{FIG_FREE_BYTES, DIFF_LEVEL},
	{FIG_TRIMMABLE_BYTES, DIFF_LEVEL},
	{FIG_PINNED_BYTES, DIFF_LEVEL},
	{FIG_RETAINED_BYTES, DIFF_LEVEL},
	{FIG_MMAPPED_RESIDENT_BYTES, DIFF_LEVEL},
	{FIG_OTHER_RESIDENT_BYTES, DIFF_LEVEL},
	{FIG_SWAP_BYTES, DIFF_LEVEL},
	{FIG_SLACK, DIFF_LEVEL},
	{FIG_FREE_CHUNKS, DIFF_LEVEL},
	{FIG_LARGEST_FREE_BYTES, DIFF_LEVEL},
	{FIG_FRAG, DIFF_LEVEL},
	{FIG_UNUSABLE, DIFF_LEVEL},
	{FIG_TCACHE_BYTES, DIFF_LEVEL},
	{FIG_ARENAS, DIFF_LEVEL},
	{FIG_MAPPINGS, DIFF_LEVEL},
	{FIG_RSS_BYTES, DIFF_GROWTH},
	{FIG_LIVE_BYTES, DIFF_GROWTH},
	{FIG_GROWTH_EVENTS, DIFF_SUM},
	{FIG_GROWTH_BYTES, DIFF_SUM},
	{FIG_FAILED_ALLOCATIONS, DIFF_SUM},
};

enum { COMPARED = sizeof(compared) / sizeof(*compared) };

_Static_assert((int)COMPARED <= (int)DIFF_ROWS, "a row for each");

static const double hour_s = 3600;

/* ---- gathering ---- */

static int make_room(struct diff_side *side)
{
	size_t capacity = side->capacity ? 2 * side->capacity : 1024;
	double *more;

	if (!side->value)
		side->value = calloc(COMPARED, sizeof(*side->value));
	more = reallocarray(side->time_s, capacity, sizeof(*more));
	if (!side->value || !more)
		return -ENOMEM;
	side->time_s = more;
	for (unsigned i = 0; i < COMPARED; i++) {
		more = reallocarray(side->value[i], capacity, sizeof(*more));
		if (!more)
			return -ENOMEM;
		side->value[i] = more;
	}
	side->capacity = capacity;
	return 0;
}

static double value_of(const struct sample *sample, enum figure f)
{
	return sample_may_judge(sample, f) ? figure_number(&sample->fig, f) : NAN;
}

/* How much later TIME_NS is; of a clock that was set back nothing. */
static double later_s(int64_t time_ns, int64_t than_ns)
{
	int64_t step_ns;

	if (__builtin_sub_overflow(time_ns, than_ns, &step_ns) || step_ns < 0)
		return 0;
	return (double)step_ns / 1e9;
}

int diff_add(struct diff_side *side, const struct sample *sample)
{
	if (side->count == side->capacity && make_room(side))
		return -ENOMEM;
	if (!side->count)
		side->first_ns = side->last_ns = sample->time_ns;
	side->time_s[side->count] =
		diff_span_s(side) + later_s(sample->time_ns, side->last_ns);
	side->last_ns = sample->time_ns;
	for (unsigned i = 0; i < COMPARED; i++)
		side->value[i][side->count] = value_of(sample, compared[i].figure);
	if (figure_has(&sample->fig, FIG_GROWTH_BYTES)) {
		side->has_growths = true;
		side->grown_bytes += (double)sample->fig.v[FIG_GROWTH_BYTES].u;
	}
	side->count++;
	return 0;
}

void diff_side_release(struct diff_side *side)
{
	for (unsigned i = 0; side->value && i < COMPARED; i++)
		free(side->value[i]);
	free(side->value);
	free(side->time_s);
	growths_release(&side->growths);
	diff_release_details(side);
	*side = (struct diff_side){0};
}

/* ---- rows ---- */

static void release(struct diff_work *work)
{
	for (unsigned i = 0; work && i < 2; i++) {
		free(work->value[i]);
		free(work->time_s[i]);
	}
	free(work);
}

static struct diff_work *take_work(const struct diff *diff)
{
	struct diff_work *work = calloc(1, sizeof(*work));

	for (unsigned i = 0; work && i < 2; i++) {
		work->value[i] = calloc(diff->side[i]->count + 1, sizeof(double));
		work->time_s[i] = calloc(diff->side[i]->count + 1, sizeof(double));
		if (!work->value[i] || !work->time_s[i]) {
			release(work);
			return NULL;
		}
	}
	return work;
}

static void pick(struct diff_work *work, const struct diff_side *side, unsigned which,
		 unsigned row)
{
	work->count[which] = 0;
	for (size_t i = 0; i < side->count; i++) {
		if (isnan(side->value[row][i]))
			continue;
		work->value[which][work->count[which]] = side->value[row][i];
		work->time_s[which][work->count[which]] = side->time_s[i];
		work->count[which]++;
	}
}

/* Two slopes with intervals of their own: the squares of their halves add up. */
static void compare_growth(struct diff_work *work, struct comparison *comparison)
{
	struct trend trend[2];
	double half = 0, change;

	*comparison = (struct comparison){.outcome = COMPARE_NONE};
	for (unsigned i = 0; i < 2; i++) {
		if (!work->count[i])
			return;
		trend_of(work->time_s[i], work->value[i], work->count[i], 0.05,
			 &work->trend, &trend[i]);
	}
	comparison->outcome = COMPARE_THIN;
	if (trend[0].direction == TREND_UNKNOWN || trend[1].direction == TREND_UNKNOWN)
		return;
	for (unsigned i = 0; i < 2; i++) {
		double width = (trend[i].high_per_s - trend[i].low_per_s) / 2 * hour_s;

		half += width * width;
	}
	half = sqrt(half);
	comparison->before = trend[0].slope_per_s * hour_s;
	comparison->after = trend[1].slope_per_s * hour_s;
	change = comparison->after - comparison->before;
	comparison->low = change - half;
	comparison->high = change + half;
	comparison->outcome = comparison->low > 0 || comparison->high < 0
				      ? COMPARE_CHANGED
				      : COMPARE_SAME;
}

static void compare_levels(struct diff_work *work, struct comparison *comparison)
{
	struct compare_course both[2];

	for (unsigned i = 0; i < 2; i++)
		both[i] = (struct compare_course){work->time_s[i], work->value[i],
						  work->count[i]};
	compare_courses(both, COMPARE_MEDIAN, &work->compare, comparison);
}

static void add_row(struct diff *diff, struct diff_work *work, unsigned which)
{
	struct diff_row *row = &diff->row[diff->row_count];

	row->place = which;
	row->figure = compared[which].figure;
	row->kind = compared[which].kind;
	for (unsigned i = 0; i < 2; i++)
		pick(work, diff->side[i], i, which);
	if (row->kind == DIFF_GROWTH)
		compare_growth(work, &row->comparison);
	else if (row->kind == DIFF_SUM)
		diff_compare_counts(work, &row->comparison);
	else
		compare_levels(work, &row->comparison);
	diff->row_count += row->comparison.outcome != COMPARE_NONE;
}

/* ---- facts ---- */

/* What differs between any two processes and explains nothing. */
static bool is_of_one(const char *name)
{
	return !strcmp(name, "command_line") || !strcmp(name, "cgroup");
}

static void add_fact(struct diff *diff, const char *name, const char *before,
		     const char *after)
{
	if (diff->fact_count == DIFF_FACTS || !strcmp(before, after) || is_of_one(name))
		return;
	diff->fact[diff->fact_count++] = (struct diff_fact){name, before, after};
}

static void compare_facts(struct diff *diff)
{
	const struct surroundings *before = &diff->side[0]->surroundings;
	const struct surroundings *after = &diff->side[1]->surroundings;

	/* Of rows, which have no surroundings, nothing is known. */
	if (!before->count || !after->count)
		return;
	for (unsigned i = 0; i < before->count; i++) {
		const char *value = surroundings_find(after, before->fact[i].name);

		add_fact(diff, before->fact[i].name, before->fact[i].value,
			 value ? value : "");
	}
	for (unsigned i = 0; i < after->count; i++)
		if (!surroundings_find(before, after->fact[i].name))
			add_fact(diff, after->fact[i].name, "", after->fact[i].value);
}

int diff_of(const struct diff_side *before, const struct diff_side *after,
	    struct diff *diff)
{
	struct diff_work *work;
	int error;

	memset(diff, 0, sizeof(*diff));
	diff->side[0] = before;
	diff->side[1] = after;
	work = take_work(diff);
	if (!work)
		return -ENOMEM;
	for (unsigned i = 0; i < COMPARED; i++)
		add_row(diff, work, i);
	diff_compare_details(diff, work);
	error = diff_compare_stacks(diff, work);
	release(work);
	compare_facts(diff);
	return error;
}
