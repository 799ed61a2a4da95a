/* diff_stacks.c: which stacks grew by more or less than before. */
#include "analysis/diff_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One stack of both sides, and the most that it grew by in an hour of one. */
struct candidate {
	const char *text;
	bool is_failure;
	uint64_t count[2], bytes[2];
	double weight;
};

static double hours_of(const struct diff_side *side)
{
	return fmax(diff_span_s(side), 1) / 3600;
}

static int heavier_first(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;

	if (one->is_failure != other->is_failure)
		return one->is_failure - other->is_failure;
	return (one->weight < other->weight) - (one->weight > other->weight);
}

/* Fills CANDIDATE with all stacks of both sides, growths and failures apart; how many. */
static size_t gather_stacks(const struct diff *diff, struct candidate *candidate)
{
	const struct growths *before = &diff->side[0]->growths;
	const struct growths *after = &diff->side[1]->growths;
	size_t kinds = before->stack_count + after->stack_count, count = 0;

	for (unsigned side = 0; side < 2; side++) {
		const struct growths *growths = &diff->side[side]->growths;
		double hours = hours_of(diff->side[side]);

		for (size_t i = 0; i < growths->count; i++) {
			const struct growth *growth = &growths->growth[i];
			const char *text = growths->stack[growth->stack];
			unsigned at = side ? growths_find(before, text) : growth->stack;
			struct candidate *to;

			if (at == GROWTHS_STACKS)
				at = before->stack_count + growth->stack;
			to = &candidate[at + (growth->is_failure ? kinds : 0)];
			to->text = text;
			to->is_failure = growth->is_failure;
			to->count[side]++;
			to->bytes[side] += growth->bytes;
			to->weight = fmax(to->weight, (double)to->bytes[side] / hours);
		}
	}
	for (size_t i = 0; i < 2 * kinds; i++)
		if (candidate[i].text)
			candidate[count++] = candidate[i];
	qsort(candidate, count, sizeof(*candidate), heavier_first);
	return count;
}

/* What CANDIDATE grew by from one sample of SIDE to the next. */
static void pick_growths(struct diff_work *work, const struct diff_side *side,
			 unsigned which, const struct candidate *candidate)
{
	unsigned stack = growths_find(&side->growths, candidate->text);
	size_t at = 0;

	work->count[which] = side->count;
	memcpy(work->time_s[which], side->time_s, side->count * sizeof(double));
	for (size_t i = 0; i < side->count; i++)
		work->value[which][i] = 0;
	for (size_t i = 0; i < side->growths.count; i++) {
		const struct growth *growth = &side->growths.growth[i];
		double time_s = ((double)growth->time_ns - (double)side->first_ns) / 1e9;

		while (at + 1 < side->count && side->time_s[at] < time_s)
			at++;
		if (growth->stack == stack && growth->is_failure == candidate->is_failure)
			work->value[which][at] += (double)growth->bytes;
	}
}

static void add_stack(struct diff *diff, struct diff_work *work,
		      const struct candidate *candidate)
{
	struct diff_stack *row = &diff->stack[diff->stack_count++];

	*row = (struct diff_stack){
		.stack = candidate->text,
		.is_failure = candidate->is_failure,
		.count = {candidate->count[0], candidate->count[1]},
	};
	for (unsigned i = 0; i < 2; i++)
		pick_growths(work, diff->side[i], i, candidate);
	diff_compare_counts(work, &row->comparison);
	if (row->count[0] + row->count[1] < DIFF_LEAST_GROWTHS &&
	    comparison_is_judged(&row->comparison))
		row->comparison.outcome = COMPARE_THIN;
}

static double stack_share(const struct diff_side *side)
{
	double some = 0;

	for (size_t i = 0; i < side->growths.count; i++)
		if (!side->growths.growth[i].is_failure)
			some += (double)side->growths.growth[i].bytes;
	return side->grown_bytes > some ? some / side->grown_bytes : 1;
}

/* Of a single sample it is not known since when it counts. */
static bool has_rates(const struct diff_side *side)
{
	return side->has_growths && side->count > 1;
}

int diff_compare_stacks(struct diff *diff, struct diff_work *work)
{
	size_t kinds =
		diff->side[0]->growths.stack_count + diff->side[1]->growths.stack_count;
	unsigned rows[] = {0, 0}; /* of growths, of failures */
	struct candidate *candidate;
	size_t count;

	if (!kinds || !has_rates(diff->side[0]) || !has_rates(diff->side[1]))
		return 0;
	candidate = calloc(2 * kinds, sizeof(*candidate));
	if (!candidate)
		return -ENOMEM;
	count = gather_stacks(diff, candidate);
	for (size_t i = 0; i < count; i++)
		if (rows[candidate[i].is_failure]++ < DIFF_STACKS)
			add_stack(diff, work, &candidate[i]);
	diff->stacks_left = (unsigned)(count - diff->stack_count);
	for (unsigned i = 0; i < 2; i++)
		diff->stack_share[i] = stack_share(diff->side[i]);
	free(candidate);
	return 0;
}
