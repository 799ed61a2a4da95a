/* picker.c: the processes that could be watched, in place of the panes. */
#include "tui/pane.h"
#include "tui/table.h"
#include "view/view.h"

/* The columns that can be sorted by come first, as enum candidate_column has them. */
enum { FREE = CANDIDATE_SORTS, FRAG, NOTE, COLUMNS, NOTE_STRETCH = 64 };

static const struct figure_column columns[COLUMNS] = {
	[CANDIDATE_PID] = {FIG_COUNT, {"pid", 7, 1, false}},
	[CANDIDATE_COMM] = {FIG_COUNT, {"name", 16, 1, true}},
	[CANDIDATE_ALLOCATOR] = {FIG_COUNT, {"allocator", 12, 5, true}},
	[CANDIDATE_RSS] = {FIG_RSS_BYTES, {NULL, 5, 2, false}},
	[FREE] = {FIG_FREE_RESIDENT_BYTES, {NULL, 8, 3, false}},
	[FRAG] = {FIG_FRAG, {NULL, 5, 4, false}},
	[NOTE] = {FIG_COUNT, {"", 18, 6, true}},
};

static void row_draw(const struct drawing *drawing, const struct area *area, unsigned row,
		     const struct table *table, const struct table_column *shown,
		     unsigned i)
{
	const struct screen_candidate *candidate = &drawing->screen->picker.candidate[i];
	enum ink ink = candidate->why_not ? INK_FAINT : INK_TEXT;
	struct line line;

	text_i64(line_start(&line), candidate->pid);
	table_cell(area, row, table, shown, CANDIDATE_PID, line.buf, ink);
	table_cell(area, row, table, shown, CANDIDATE_COMM, candidate->comm, ink);
	table_cell(area, row, table, shown, CANDIDATE_ALLOCATOR,
		   *candidate->allocator ? candidate->allocator : "-", ink);
	for (unsigned column = CANDIDATE_RSS; column <= FRAG; column++) {
		view_figure(line_start(&line), &candidate->fig, columns[column].figure);
		table_cell(area, row, table, shown, column, line.buf,
			   column == drawing->screen->picker.sort && !candidate->why_not
				   ? INK_VALUE
				   : ink);
	}
	if (candidate->why_not)
		table_cell(area, row, table, shown, NOTE, candidate->why_not, ink);
	if (i == drawing->screen->picker.selected)
		area_ink(area, row, 0, area->rect.columns, INK_SELECTED);
	area_spot(area, row, 0, area->rect.columns, SPOT_ROW, i);
}

static void summary(const struct drawing *drawing, const struct area *area)
{
	const struct screen_picker *picker = &drawing->screen->picker;
	struct line line;
	struct text *text = line_start(&line);

	text_u64(text, picker->count);
	if (picker->count != picker->found) {
		text_string(text, " of ");
		text_u64(text, picker->found);
	}
	text_string(text, " processes with a heap, sorted by ");
	text_string(text, table_label(&columns[picker->sort]));
	text_string(text, picker->ascending ? ", ascending" : ", descending");
	if (picker->searching)
		text_string(text, "; still looking");
	area_cut(area, 0, 0, area->rect.columns, line.buf, INK_LABEL);
}

void picker_draw(const struct drawing *drawing)
{
	const struct screen_picker *picker = &drawing->screen->picker;
	struct area body = area_of(drawing->canvas, &drawing->layout.body);
	struct rect below = {1, 0, body.rect.rows, body.rect.columns};
	struct area list = area_part(&body, &below);
	struct table_column shown[COLUMNS];
	struct table table;
	unsigned visible = list.rect.rows - 1;
	unsigned first = pane_first(picker->count, picker->selected, visible);

	table_columns(columns, COLUMNS, shown);
	table = table_of(shown, COLUMNS, list.rect.columns, NOTE, NOTE_STRETCH);
	if (!picker->found) {
		if (picker->searching)
			pane_nothing(&body, "looking for processes", NULL);
		else
			pane_nothing(&body, "no process has a heap that can be read",
				     "without privileges only your own can: try again as "
				     "root");
		return;
	}
	summary(drawing, &body);
	table_headings(&list, 0, &table, shown, picker->sort);
	if (!picker->count)
		pane_nothing(&list, "no process matches what was typed", NULL);
	for (unsigned i = 0; i < visible && first + i < picker->count; i++)
		row_draw(drawing, &list, i + 1, &table, shown, first + i);
}
