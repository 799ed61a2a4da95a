/* row.c: the figures of a row as the formats write them. */
#include "view/emitter.h"

#include <math.h>

bool row_has(const struct row *row, enum figure f)
{
	if (!figure_has(row->fig, f))
		return false;
	return figure_info[f].unit != UNIT_RATIO || isfinite(row->fig->v[f].d);
}

void row_number(struct text *text, const struct row *row, enum figure f)
{
	if (figure_info[f].unit == UNIT_RATIO)
		text_fixed(text, row->fig->v[f].d, 4);
	else
		text_u64(text, row->fig->v[f].u);
}

bool row_range(const struct row *row, enum figure f, double *low, double *high)
{
	return row_has(row, f) && figure_range(row->fig, f, low, high);
}

void row_bound(struct text *text, enum figure f, double bound)
{
	if (figure_info[f].unit == UNIT_RATIO)
		text_fixed(text, bound, 4);
	else
		text_u64(text, (uint64_t)bound);
}
