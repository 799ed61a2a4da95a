/* pane_processes.c: the processes that are watched, side by side: a row each. */
#include "base/sort.h"
#include "tui/pane.h"
#include "tui/table.h"
#include "view/view.h"

#include <string.h>

/* The columns that can be sorted by come first, as enum process_column has them. */
enum { NOTE = PROCESSES_COLUMNS, SHOWN_COLUMNS, NOTE_STRETCH = 40 };

static const struct figure_column columns[SHOWN_COLUMNS] = {
	[PROCESSES_PID] = {FIG_COUNT, {"pid", 7, 1, false}},
	[PROCESSES_COMM] = {FIG_COUNT, {"name", 15, 1, true}},
	[PROCESSES_RSS] = {FIG_RSS_BYTES, {NULL, 5, 1, false}},
	[PROCESSES_LIVE] = {FIG_LIVE_BYTES, {NULL, 5, 3, false}},
	[PROCESSES_FREE] = {FIG_FREE_BYTES, {NULL, 5, 3, false}},
	[PROCESSES_PINNED] = {FIG_PINNED_BYTES, {NULL, 6, 4, false}},
	[PROCESSES_LARGEST] = {FIG_LARGEST_FREE_BYTES, {NULL, 7, 5, false}},
	[PROCESSES_FRAG] = {FIG_FRAG, {NULL, 5, 6, false}},
	[PROCESSES_CHANGE] = {FIG_COUNT, {"change", 6, 2, false}},
	[NOTE] = {FIG_COUNT, {"", 8, 7, true}},
};

/* ---- order ---- */

static bool change_of(const struct screen_target *target, double *change)
{
	if (!target->sample || !target->since ||
	    !figure_has(&target->sample->fig, FIG_RSS_BYTES) ||
	    !figure_has(&target->since->fig, FIG_RSS_BYTES))
		return false;
	*change = (double)target->sample->fig.v[FIG_RSS_BYTES].u -
		  (double)target->since->fig.v[FIG_RSS_BYTES].u;
	return true;
}

/* What TARGET is sorted by; false: it has no such figure, and comes last. */
static bool sort_value(const struct screen_target *target, enum process_column column,
		       double *value)
{
	enum figure f = columns[column].figure;

	if (column == PROCESSES_CHANGE)
		return change_of(target, value);
	*value = target->pid;
	if (f == FIG_COUNT)
		return true;
	if (!target->sample || !figure_has(&target->sample->fig, f))
		return false;
	*value = figure_number(&target->sample->fig, f);
	return true;
}

static bool comes_before(const struct screen_target *a, const struct screen_target *b,
			 const struct screen_processes *processes)
{
	double of_a = 0, of_b = 0;
	bool has_a = sort_value(a, processes->sort, &of_a);
	bool has_b = sort_value(b, processes->sort, &of_b);
	int names = processes->sort == PROCESSES_COMM ? strcmp(a->comm, b->comm) : 0;

	if (has_a != has_b)
		return has_a;
	if (names)
		return processes->ascending ? names < 0 : names > 0;
	if (of_a != of_b)
		return processes->ascending ? of_a < of_b : of_a > of_b;
	return a->pid < b->pid;
}

static bool passes(const struct screen_target *target, const char *filter)
{
	char pid[24];
	struct text text;

	if (!filter || !*filter)
		return true;
	text_init(&text, pid, sizeof(pid));
	text_i64(&text, target->pid);
	return !strncmp(pid, filter, strlen(filter)) || strstr(target->comm, filter);
}

struct process_order {
	const struct screen_target *target;
	const struct screen_processes *processes;
};

static bool is_before(unsigned a, unsigned b, const void *context)
{
	const struct process_order *of = context;

	return comes_before(&of->target[a], &of->target[b], of->processes);
}

unsigned processes_order(const struct screen *screen,
			 const struct screen_processes *processes, unsigned *order)
{
	unsigned count = 0;

	for (unsigned i = 0; i < screen->target_count; i++)
		if (passes(&screen->target[i], processes->filter))
			order[count++] = i;
	sort_order(order, count, is_before,
		   &(struct process_order){screen->target, processes});
	return count;
}

/* ---- rows ---- */

static void cell_text(struct text *text, const struct screen_target *target,
		      unsigned column)
{
	double change;

	if (column == PROCESSES_PID)
		text_i64(text, target->pid);
	else if (column == PROCESSES_COMM)
		text_printable(text, target->comm, SAMPLE_TEXT);
	else if (column == PROCESSES_CHANGE && change_of(target, &change))
		pane_change(text, change);
	else if (column == PROCESSES_CHANGE || !target->sample)
		text_char(text, '-');
	else
		view_figure(text, &target->sample->fig, columns[column].figure);
}

/* How far the row can be trusted. */
static void note(struct text *text, const struct screen_target *target)
{
	if (target->ended)
		text_string(text, "ended");
	else if (!target->sample)
		text_string(text, "waiting");
	else if (target->sample->status != STATUS_COMPLETE)
		text_string(text, sample_status_name(target->sample->status));
}

static void row_draw(const struct drawing *drawing, const struct area *area, unsigned row,
		     const struct table *table, const struct table_column *shown,
		     unsigned i)
{
	const struct screen *screen = drawing->screen;
	unsigned which = screen->processes.order[i];
	const struct screen_target *target = &screen->target[which];
	enum ink ink = target->ended ? INK_FAINT : INK_TEXT;
	struct line line;

	for (unsigned column = 0; column < PROCESSES_COLUMNS; column++) {
		cell_text(line_start(&line), target, column);
		table_cell(area, row, table, shown, column, line.buf,
			   column == screen->processes.sort && !target->ended ? INK_VALUE
									      : ink);
	}
	note(line_start(&line), target);
	table_cell(area, row, table, shown, NOTE, line.buf, INK_WARNING);
	if (which == screen->target_shown)
		area_ink(area, row, 0, area->rect.columns, INK_SELECTED);
	area_spot(area, row, 0, area->rect.columns, SPOT_ROW, i);
}

static void summary(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	const struct screen_processes *processes = &screen->processes;
	struct area area = area_of(drawing->canvas, &drawing->layout.summary);
	struct line line;
	struct text *text = line_start(&line);

	text_u64(text, screen->target_count);
	text_string(text, screen->target_count == 1 ? " process" : " processes");
	text_string(text, ", sorted by ");
	text_string(text, table_label(&columns[processes->sort]));
	text_string(text, processes->ascending ? ", least first" : ", most first");
	if (processes->filter && *processes->filter) {
		text_string(text, "; ");
		text_u64(text, processes->count);
		text_string(text, " match \"");
		text_printable(text, processes->filter, 20);
		text_char(text, '"');
	}
	area_cut(&area, 0, 0, area.rect.columns, line.buf, INK_LABEL);
}

static unsigned selected_row(const struct screen *screen)
{
	for (unsigned i = 0; i < screen->processes.count; i++)
		if (screen->processes.order[i] == screen->target_shown)
			return i;
	return 0;
}

void processes_draw(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	const struct screen_processes *processes = &screen->processes;
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	struct table_column shown[SHOWN_COLUMNS];
	struct table table;
	unsigned first, visible = area.rect.rows - 1;

	if (!screen->target_count) {
		pane_has_sample(&area, screen);
		return;
	}
	summary(drawing);
	table_columns(columns, SHOWN_COLUMNS, shown);
	table = table_of(shown, SHOWN_COLUMNS, area.rect.columns, NOTE, NOTE_STRETCH);
	table_headings(&area, 0, &table, shown, processes->sort);
	if (!processes->count)
		area_text(&area, 2, 2, "no process matches the filter", INK_LABEL);
	first = pane_first(processes->count, selected_row(screen), visible);
	for (unsigned i = 0; i < visible && first + i < processes->count; i++)
		row_draw(drawing, &area, i + 1, &table, shown, first + i);
}
