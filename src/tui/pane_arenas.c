/* pane_arenas.c: an arena a row: sorted, filtered, with what its memory is as a bar. */
#include "base/sort.h"
#include "tui/pane.h"
#include "tui/table.h"
#include "view/view.h"

#include <string.h>

/* The columns that can be sorted by come first, as enum arena_column has them. */
enum { BAR = ARENA_COLUMNS, ADDRESS, SHOWN_COLUMNS, BAR_STRETCH = 40 };

static const struct figure_column columns[SHOWN_COLUMNS] = {
	[ARENA_INDEX] = {FIG_COUNT, {"arena", 6, 1, false}},
	[ARENA_SYSTEM] = {FIG_SYSTEM_BYTES, {NULL, 6, 13, false}},
	[ARENA_LIVE] = {FIG_LIVE_BYTES, {NULL, 5, 2, false}},
	[ARENA_FREE] = {FIG_FREE_BYTES, {NULL, 5, 3, false}},
	[ARENA_RESIDENT] = {FIG_FREE_RESIDENT_BYTES, {NULL, 8, 8, false}},
	[ARENA_TRIMMABLE] = {FIG_TRIMMABLE_BYTES, {NULL, 5, 9, false}},
	[ARENA_PINNED] = {FIG_PINNED_BYTES, {NULL, 6, 7, false}},
	[ARENA_CHUNKS] = {FIG_FREE_CHUNKS, {NULL, 6, 4, false}},
	[ARENA_LARGEST] = {FIG_LARGEST_FREE_BYTES, {NULL, 7, 5, false}},
	[ARENA_FRAG] = {FIG_FRAG, {NULL, 5, 6, false}},
	[ARENA_THREADS] = {FIG_ATTACHED_THREADS, {NULL, 5, 11, false}},
	[ARENA_TREND] = {FIG_COUNT, {"change", 6, 10, false}},
	[BAR] = {FIG_COUNT, {"memory", 7, 12, true}},
	[ADDRESS] = {FIG_COUNT, {"address", 14, 14, false}},
};

/* ---- order ---- */

static const struct arena_row *arena_in(const struct sample *sample, unsigned index)
{
	for (unsigned i = 0; sample && i < sample->arena_count; i++)
		if (sample->arena[i].index == index)
			return &sample->arena[i];
	return NULL;
}

/* What the arena's live bytes changed by since then; false: not known. */
static bool change_of(const struct arena_row *row, const struct sample *since,
		      double *change)
{
	const struct arena_row *before = arena_in(since, row->index);

	if (!before || before->addr != row->addr ||
	    !figure_has(&row->fig, FIG_LIVE_BYTES) ||
	    !figure_has(&before->fig, FIG_LIVE_BYTES))
		return false;
	*change = (double)row->fig.v[FIG_LIVE_BYTES].u -
		  (double)before->fig.v[FIG_LIVE_BYTES].u;
	return true;
}

/* What ROW is sorted by; false: it has no such figure, and comes last. */
static bool sort_value(const struct arena_row *row, const struct sample *since,
		       enum arena_column column, double *value)
{
	enum figure f = columns[column].figure;

	if (column == ARENA_TREND)
		return change_of(row, since, value);
	if (column == ARENA_INDEX) {
		*value = row->index;
		return true;
	}
	if (!figure_has(&row->fig, f))
		return false;
	*value = figure_number(&row->fig, f);
	return true;
}

static bool comes_before(const struct arena_row *a, const struct arena_row *b,
			 const struct screen_arenas *arenas)
{
	double of_a = 0, of_b = 0;
	bool has_a = sort_value(a, arenas->since, arenas->sort, &of_a);
	bool has_b = sort_value(b, arenas->since, arenas->sort, &of_b);

	if (has_a != has_b)
		return has_a;
	if (of_a != of_b)
		return arenas->ascending ? of_a < of_b : of_a > of_b;
	return a->index < b->index;
}

static bool passes(const struct arena_row *row, const char *filter)
{
	char buf[32];
	struct text text;

	if (!filter || !*filter)
		return true;
	text_init(&text, buf, sizeof(buf));
	text_u64(&text, row->index);
	if (!strncmp(buf, filter + (*filter == '#'), strlen(filter + (*filter == '#'))))
		return true;
	text_clear(&text);
	text_hex(&text, row->addr);
	return strstr(buf, filter);
}

struct arena_order {
	const struct sample *sample;
	const struct screen_arenas *arenas;
};

static bool is_before(unsigned a, unsigned b, const void *context)
{
	const struct arena_order *of = context;

	return comes_before(&of->sample->arena[a], &of->sample->arena[b], of->arenas);
}

unsigned arenas_order(const struct sample *sample, const struct screen_arenas *arenas,
		      unsigned *order)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sample->arena_count; i++)
		if (passes(&sample->arena[i], arenas->filter))
			order[count++] = i;
	sort_order(order, count, is_before, &(struct arena_order){sample, arenas});
	return count;
}

/* ---- rows ---- */

/* Figures of a torn reading need not agree. */
static uint64_t less(uint64_t from, uint64_t bytes)
{
	return bytes < from ? from - bytes : 0;
}

static uint64_t value_of(const struct figures *fig, enum figure f)
{
	return figure_has(fig, f) ? fig->v[f].u : 0;
}

static void bar(const struct drawing *drawing, const struct area *area, unsigned row,
		const struct table *table, const struct arena_row *arena)
{
	const struct figures *fig = &arena->fig;
	uint64_t bytes[MEMORY_KINDS] = {0};
	struct rect at = {row, table->at[BAR], 1, table->width[BAR]};

	if (!figure_has(fig, FIG_SYSTEM_BYTES) || !figure_has(fig, FIG_FREE_BYTES))
		return;
	bytes[MEMORY_LIVE] = less(fig->v[FIG_SYSTEM_BYTES].u, fig->v[FIG_FREE_BYTES].u);
	bytes[MEMORY_TRIMMABLE] = value_of(fig, FIG_TRIMMABLE_BYTES);
	bytes[MEMORY_PINNED] = value_of(fig, FIG_PINNED_BYTES);
	bytes[MEMORY_RETAINED] = value_of(fig, FIG_RETAINED_BYTES);
	bytes[MEMORY_RETURNED] =
		less(fig->v[FIG_FREE_BYTES].u, value_of(fig, FIG_FREE_RESIDENT_BYTES));
	pane_bar(area, &at, drawing->screen->palette, BLOCK_LOW, bytes,
		 fig->v[FIG_SYSTEM_BYTES].u);
}

static void cell_text(struct text *text, const struct arena_row *arena,
		      const struct sample *since, unsigned column)
{
	double change;

	if (column == ARENA_INDEX) {
		text_char(text, '#');
		text_u64(text, arena->index);
	} else if (column == ADDRESS) {
		if (arena->addr)
			text_hex(text, arena->addr);
		else
			text_char(text, '-');
	} else if (column == ARENA_TREND) {
		if (change_of(arena, since, &change))
			pane_change(text, change);
		else
			text_char(text, '-');
	} else {
		view_figure(text, &arena->fig, columns[column].figure);
	}
}

static void row_draw(const struct drawing *drawing, const struct area *area, unsigned row,
		     const struct table *table, const struct table_column *shown,
		     unsigned i)
{
	const struct screen *screen = drawing->screen;
	const struct sample *since = screen->arenas.since;
	const struct arena_row *arena = &screen->sample->arena[screen->arenas.order[i]];

	for (unsigned column = 0; column < SHOWN_COLUMNS; column++) {
		struct line line;

		if (column == BAR)
			continue;
		cell_text(line_start(&line), arena, since, column);
		table_cell(area, row, table, shown, column, line.buf,
			   column == screen->arenas.sort ? INK_VALUE : INK_TEXT);
	}
	if (arena->index == screen->arenas.selected)
		area_ink(area, row, 0, area->rect.columns, INK_SELECTED);
	if (table->width[BAR])
		bar(drawing, area, row, table, arena);
	area_spot(area, row, 0, area->rect.columns, SPOT_ROW, i);
}

static void summary(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	const struct screen_arenas *arenas = &screen->arenas;
	struct area area = area_of(drawing->canvas, &drawing->layout.summary);
	struct line line;
	struct text *text = line_start(&line);

	text_u64(text, screen->sample->arena_count);
	text_string(text, screen->sample->arena_count == 1 ? " arena" : " arenas");
	text_string(text, ", sorted by ");
	text_string(text, table_label(&columns[arenas->sort]));
	text_string(text, arenas->ascending ? ", least first" : ", most first");
	if (arenas->filter && *arenas->filter) {
		text_string(text, "; ");
		text_u64(text, arenas->count);
		text_string(text, " match \"");
		text_printable(text, arenas->filter, 20);
		text_char(text, '"');
	}
	area_cut(&area, 0, 0, area.rect.columns, line.buf, INK_LABEL);
}

static unsigned selected_row(const struct screen *screen)
{
	for (unsigned i = 0; i < screen->arenas.count; i++)
		if (screen->sample->arena[screen->arenas.order[i]].index ==
		    screen->arenas.selected)
			return i;
	return 0;
}

void arenas_draw(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	struct area body = area_of(drawing->canvas, &drawing->layout.body);
	struct table_column shown[SHOWN_COLUMNS];
	struct table table;
	unsigned first, visible = area.rect.rows - 1;

	if (!pane_has_sample(&body, screen))
		return;
	if (!screen->sample->arena_count) {
		pane_nothing(&body, "no arenas",
			     "this source does not separate the arenas");
		return;
	}
	summary(drawing);
	table_columns(columns, SHOWN_COLUMNS, shown);
	table = table_of(shown, SHOWN_COLUMNS, area.rect.columns, BAR, BAR_STRETCH);
	table_headings(&area, 0, &table, shown, screen->arenas.sort);
	if (!screen->arenas.count)
		area_text(&area, 2, 2, "no arena matches the filter", INK_LABEL);
	first = pane_first(screen->arenas.count, selected_row(screen), visible);
	for (unsigned i = 0; i < visible && first + i < screen->arenas.count; i++)
		row_draw(drawing, &area, i + 1, &table, shown, first + i);
}
