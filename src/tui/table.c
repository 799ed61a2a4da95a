#include "tui/table.h"

/* Whether the columns down to RANK fit; how many they take. */
static unsigned taken(const struct table_column *column, unsigned count, unsigned rank)
{
	unsigned columns = 0;

	for (unsigned i = 0; i < count; i++)
		if (column[i].rank <= rank)
			columns += column[i].width + (columns > 0);
	return columns;
}

struct table table_of(const struct table_column *column, unsigned count, unsigned columns,
		      unsigned stretch, unsigned stretch_max)
{
	struct table table = {.count = count};
	unsigned rank = 1, at = 0, more;

	while (rank < count && taken(column, count, rank + 1) <= columns)
		rank++;
	more = taken(column, count, rank);
	more = more < columns ? columns - more : 0;
	for (unsigned i = 0; i < count; i++) {
		if (column[i].rank > rank)
			continue;
		table.at[i] = at;
		table.width[i] = column[i].width;
		if (i == stretch)
			table.width[i] += more < stretch_max ? more : stretch_max;
		at += table.width[i] + 1;
	}
	return table;
}

void table_columns(const struct figure_column *column, unsigned count,
		   struct table_column *out)
{
	for (unsigned i = 0; i < count; i++) {
		out[i] = column[i].column;
		if (column[i].figure != FIG_COUNT)
			out[i].heading = figure_heading(column[i].figure, out[i].width);
	}
}

const char *table_label(const struct figure_column *column)
{
	return column->figure == FIG_COUNT ? column->column.heading
					   : figure_label(column->figure);
}

void table_cell(const struct area *area, unsigned row, const struct table *table,
		const struct table_column *column, unsigned i, const char *string,
		enum ink ink)
{
	unsigned columns = canvas_width(string), at = table->at[i];

	if (!table->width[i])
		return;
	if (!column[i].left && columns < table->width[i])
		at += table->width[i] - columns;
	area_cut(area, row, at, table->width[i], string, ink);
}

void table_headings(const struct area *area, unsigned row, const struct table *table,
		    const struct table_column *column, unsigned chosen)
{
	area_fill(area, row, 0, area->rect.columns, ' ', INK_HEADING);
	for (unsigned i = 0; i < table->count; i++) {
		table_cell(area, row, table, column, i, column[i].heading,
			   i == chosen ? INK_HEADING_CHOSEN : INK_HEADING);
		if (table->width[i])
			area_spot(area, row, table->at[i], table->width[i], SPOT_HEADING,
				  i);
	}
}
