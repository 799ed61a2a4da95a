#include "recording/tiers.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const int64_t second_ns = 1000000000;

int tier_init(struct tier *tier, unsigned seconds, unsigned arenas)
{
	size_t rows = 1 + (size_t)arenas;

	*tier = (struct tier){.seconds = seconds, .row_capacity = 1 + arenas};
	tier->index = alloc_touched(rows * sizeof(*tier->index));
	tier->row = alloc_touched(rows * sizeof(*tier->row));
	if (tier->index && tier->row)
		return 0;
	tier_release(tier);
	return -ENOMEM;
}

void tier_release(struct tier *tier)
{
	free(tier->index);
	free(tier->row);
	tier->index = NULL;
	tier->row = NULL;
}

void tier_reset(struct tier *tier)
{
	tier->time_s = 0;
	memset(tier->row, 0, tier->row_capacity * sizeof(*tier->row));
}

static int64_t span_of(const struct tier *tier, int64_t time_ns)
{
	int64_t time_s = time_ns / second_ns;

	return time_s - time_s % tier->seconds;
}

bool tier_is_over(const struct tier *tier, int64_t time_ns)
{
	return tier->time_s && span_of(tier, time_ns) != tier->time_s;
}

static bool same(union figure_value a, union figure_value b)
{
	return a.u == b.u;
}

static bool needs_writing(const struct tier *tier, const struct tier_figure *fig)
{
	const struct tier_span *span = &fig->span;

	if (!span->count)
		return fig->was_written && !fig->was_absent;
	return tier->writes_all || !fig->was_written || fig->was_absent ||
	       !same(span->least, fig->written) || !same(span->most, fig->written) ||
	       !same(span->last, fig->written);
}

static int flush_figure(struct tier *tier, unsigned row, enum figure f,
			tier_write_fn *write, void *context)
{
	struct tier_figure *fig = &tier->row[row][f];
	int result = 0;

	if (needs_writing(tier, fig)) {
		result = write(tier, row, f, &fig->span, context);
		fig->was_written = true;
		fig->was_absent = !fig->span.count;
		fig->written = fig->span.last;
	}
	fig->span = (struct tier_span){0};
	return result;
}

int tier_flush(struct tier *tier, tier_write_fn *write, void *context)
{
	int result = 0, one;

	for (unsigned row = 0; tier->time_s && row < tier->row_capacity; row++)
		for (unsigned f = 0; f < FIG_COUNT; f++) {
			one = flush_figure(tier, row, f, write, context);
			if (!result)
				result = one;
		}
	tier->time_s = 0;
	return result;
}

static double number(enum figure f, union figure_value value)
{
	return figure_info[f].unit == UNIT_RATIO ? value.d : (double)value.u;
}

static bool less(enum figure f, union figure_value a, union figure_value b)
{
	return figure_info[f].unit == UNIT_RATIO ? a.d < b.d : a.u < b.u;
}

static void span_add(struct tier_span *span, enum figure f, union figure_value value)
{
	if (!span->count || less(f, value, span->least))
		span->least = value;
	if (!span->count || less(f, span->most, value))
		span->most = value;
	span->last = value;
	span->sum += number(f, value);
	span->count++;
}

static void add_row(struct tier *tier, unsigned row, const struct figures *fig)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_has(fig, f))
			span_add(&tier->row[row][f].span, f, fig->v[f]);
}

void tier_add(struct tier *tier, const struct sample *sample)
{
	tier->time_s = span_of(tier, sample->time_ns);
	add_row(tier, 0, &sample->fig);
	for (unsigned i = 0; i < sample->arena_count && 1 + i < tier->row_capacity; i++) {
		tier->index[1 + i] = sample->arena[i].index;
		add_row(tier, 1 + i, &sample->arena[i].fig);
	}
}
