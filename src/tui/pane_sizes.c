/* pane_sizes.c: free memory by the size of its chunks, and which requests that serves. */
#include "analysis/free_sizes.h"
#include "base/units.h"
#include "tui/pane.h"
#include "tui/plot.h"
#include "tui/table.h"

#include <math.h>

enum { SIZE, CHUNKS, BYTES, SERVES, BAR, COLUMNS, BAR_STRETCH = 100 };

static const struct table_column columns[COLUMNS] = {
	[SIZE] = {"chunk size", 12, 1, true}, [CHUNKS] = {"chunks", 6, 1, false},
	[BYTES] = {"bytes", 5, 1, false},     [SERVES] = {"can serve", 9, 2, false},
	[BAR] = {"bytes", 6, 3, true},
};

enum {
	CURVE_FROM = 5, /* the curve goes from 32 bytes */
	CURVE_TO = 30,	/* to a gigabyte */
	LABEL_COLUMNS = 5,
	CURVE_ROWS = 6, /* at least */
};

/* ---- the histogram ---- */

/* A row: a class, the mixed bins, or the tops. */
struct size_row {
	uint64_t chunks, bytes;
	uint64_t serving_low, serving_high;
	enum ink ink;
	bool has_serving;
	char name[27];
};

/* A power of two, without decimals. */
static void power_text(struct text *text, uint64_t bytes)
{
	static const char units[] = " KMG";
	unsigned unit = 0;

	for (; bytes >= 1024 && units[unit + 1]; unit++)
		bytes /= 1024;
	text_u64(text, bytes);
	if (unit)
		text_char(text, units[unit]);
}

static void range_name(struct size_row *row, uint64_t from, uint64_t to)
{
	struct text text;

	text_init(&text, row->name, sizeof(row->name));
	if (to == UINT64_MAX) {
		text_string(&text, "from ");
		power_text(&text, from);
	} else if (!from) {
		text_string(&text, "below ");
		power_text(&text, to + 1);
	} else {
		power_text(&text, from);
		text_string(&text, " to ");
		power_text(&text, to + 1);
	}
}

static void class_row(const struct screen *screen, const struct size_class *size,
		      struct size_row *row)
{
	range_name(row, size->from_bytes, size->to_bytes);
	row->chunks = size->chunks;
	row->bytes = size->bytes;
	row->ink = INK_PINNED;
	row->has_serving =
		free_sizes_serving(screen->sample, screen->sizes_arena, size->from_bytes,
				   &row->serving_low, &row->serving_high);
}

static void named_row(struct size_row *row, const char *name, uint64_t chunks,
		      uint64_t bytes, enum ink ink)
{
	struct text text;

	text_init(&text, row->name, sizeof(row->name));
	text_string(&text, name);
	row->chunks = chunks;
	row->bytes = bytes;
	row->ink = ink;
}

/* All rows there are: what ROW, of FREE_SIZES + 2, gets. Empty classes at the end are
 * left out. */
static unsigned rows_of(const struct screen *screen, const struct free_sizes *sizes,
			struct size_row *row)
{
	unsigned last = FREE_SIZES, count = 0;

	while (last > 1 && !sizes->size[last - 1].chunks)
		last--;
	for (unsigned i = 0; i < last; i++)
		class_row(screen, &sizes->size[i], &row[count++]);
	if (sizes->mixed.chunks)
		named_row(&row[count++], "unsorted", sizes->mixed.chunks,
			  sizes->mixed.bytes, INK_RETAINED);
	if (sizes->tops)
		named_row(&row[count++], sizes->tops > 1 ? "tops" : "top", sizes->tops,
			  sizes->top_bytes, INK_TOP);
	return count;
}

static void serving(struct text *text, const struct size_row *row)
{
	if (!row->has_serving)
		return;
	/* Of bins that are not sorted yet only bounds are known. */
	if (row->serving_low != row->serving_high)
		text_char(text, '~');
	units_count(text, row->serving_low);
}

static void row_draw(const struct drawing *drawing, const struct area *area, unsigned at,
		     const struct table *table, const struct size_row *row, uint64_t most)
{
	bool marks = area->canvas->ascii || drawing->screen->palette == PALETTE_MONO;
	enum ink ink = row->chunks ? INK_TEXT : INK_FAINT;
	unsigned length;
	struct line line;

	table_cell(area, at, table, columns, SIZE, row->name, INK_LABEL);
	units_count(line_start(&line), row->chunks);
	table_cell(area, at, table, columns, CHUNKS, line.buf, ink);
	units_bytes(line_start(&line), row->bytes);
	table_cell(area, at, table, columns, BYTES, line.buf,
		   row->chunks ? INK_VALUE : ink);
	serving(line_start(&line), row);
	table_cell(area, at, table, columns, SERVES, line.buf, ink);
	if (!row->bytes || !table->width[BAR])
		return;
	length = (unsigned)((double)row->bytes / (double)most * table->width[BAR] + 0.5);
	area_fill(area, at, table->at[BAR], length ? length : 1, marks ? '#' : BLOCK_LOW,
		  row->ink);
}

/* Where there is no room for all rows, those that hold nothing go first. */
static unsigned without_empty(struct size_row *row, unsigned count, unsigned room)
{
	unsigned kept = 0;

	if (count <= room)
		return count;
	for (unsigned i = 0; i < count; i++)
		if (row[i].chunks)
			row[kept++] = row[i];
	return kept;
}

static void histogram(const struct drawing *drawing, const struct free_sizes *sizes)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	struct table table =
		table_of(columns, COLUMNS, area.rect.columns, BAR, BAR_STRETCH);
	struct size_row row[FREE_SIZES + 2] = {0};
	unsigned room = area.rect.rows - 1;
	unsigned count = without_empty(row, rows_of(drawing->screen, sizes, row), room);
	uint64_t most = 1;

	for (unsigned i = 0; i < count; i++)
		if (row[i].bytes > most)
			most = row[i].bytes;
	table_headings(&area, 0, &table, columns, COLUMNS);
	for (unsigned i = 0; i < count && i < room - (count > room); i++)
		row_draw(drawing, &area, i + 1, &table, &row[i], most);
	if (count > room)
		area_cut(&area, room, 0, area.rect.columns, "more in a larger window",
			 INK_LABEL);
}

/* ---- the curve ---- */

static uint64_t request_at(unsigned i, unsigned count)
{
	double power = CURVE_FROM +
		       (double)(CURVE_TO - CURVE_FROM) * i / (count > 1 ? count - 1 : 1);

	return (uint64_t)exp2(power);
}

/* Sizes below the curve, each where it belongs. */
static void curve_axis(const struct area *area, unsigned row, unsigned count)
{
	unsigned each = plot_points_per_column(area->canvas), end = 0;
	unsigned columns_used = count / each;

	area_fill(area, row, LABEL_COLUMNS, columns_used, 0x2500, INK_FAINT);
	for (unsigned power = CURVE_FROM; power <= CURVE_TO; power += 5) {
		unsigned at = LABEL_COLUMNS + (power - CURVE_FROM) * (columns_used - 1) /
						      (CURVE_TO - CURVE_FROM);
		struct line line;
		unsigned width;

		power_text(line_start(&line), UINT64_C(1) << power);
		width = canvas_width(line.buf);
		if (at + 1 < width || at + 1 - width < end)
			continue;
		if (at + 1 > area->rect.columns)
			return;
		area_put(area, row, at, 0x253c, INK_FAINT);
		area_right(area, row + 1, at + 1, line.buf, INK_LABEL);
		end = at + 2;
	}
}

static void curve(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	struct area whole = area_of(drawing->canvas, &drawing->layout.detail);
	struct rect inner = {1, LABEL_COLUMNS, 0, 0};
	static const struct plot_scale scale = {0, 1, false};
	struct plot_point point[PLOT_POINTS];
	struct area plot;
	unsigned count;

	if (whole.rect.rows < CURVE_ROWS || whole.rect.columns <= LABEL_COLUMNS)
		return;
	inner.rows = whole.rect.rows - 3;
	inner.columns = whole.rect.columns - LABEL_COLUMNS;
	plot = area_part(&whole, &inner);
	count = plot.rect.columns * plot_points_per_column(drawing->canvas);
	if (count > PLOT_POINTS)
		count = PLOT_POINTS;
	for (unsigned i = 0; i < count; i++) {
		point[i] = (struct plot_point){0};
		point[i].known = free_sizes_unusable(screen->sample, screen->sizes_arena,
						     request_at(i, count), &point[i].low,
						     &point[i].high);
	}
	area_cut(&whole, 0, 0, whole.rect.columns, "share too small for a request",
		 INK_TITLE);
	area_text(&whole, 1, 0, "100%", INK_LABEL);
	area_text(&whole, 1 + inner.rows / 2, 0, " 50%", INK_LABEL);
	area_text(&whole, inner.rows, 0, "  0%", INK_LABEL);
	plot_draw(&plot, point, count, &scale, false, INK_GRAPH);
	curve_axis(&whole, inner.rows + 1, count);
}

/* ---- all of it ---- */

static void summary(const struct drawing *drawing, const struct free_sizes *sizes)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.summary);
	int arena = drawing->screen->sizes_arena;
	struct line line;
	struct text *text = line_start(&line);

	if (arena >= 0) {
		text_string(text, "arena #");
		text_i64(text, arena);
	} else if (sizes->arenas_missing) {
		text_u64(text, sizes->arenas);
		text_string(text, " of ");
		text_u64(text, (uint64_t)sizes->arenas + sizes->arenas_missing);
		text_string(text, " arenas");
	} else {
		text_string(text, "all arenas");
	}
	text_string(text, ": ");
	units_bytes(text, sizes->bytes);
	text_string(text, " free in ");
	units_count(text, sizes->chunks);
	text_string(text, " chunks, ");
	units_bytes(text, sizes->top_bytes);
	text_string(text, sizes->tops == 1 ? " in the top" : " in tops");
	text_string(text, "; serves up to ");
	units_bytes(text, sizes->largest_bytes);
	area_cut(&area, 0, 0, area.rect.columns, line.buf,
		 sizes->arenas_missing ? INK_WARNING : INK_LABEL);
}

void sizes_draw(const struct drawing *drawing)
{
	struct area body = area_of(drawing->canvas, &drawing->layout.body);
	const struct screen *screen = drawing->screen;
	struct free_sizes sizes;

	if (!pane_has_sample(&body, screen))
		return;
	if (!free_sizes_of(screen->sample, screen->sizes_arena, &sizes)) {
		pane_nothing(&body, "free sizes cannot be read",
			     screen->sample->source == SOURCE_HEAP
				     ? "this reading does not show which bins the free "
				       "chunks are in; the next one may"
				     : "only --source heap has single chunks");
		return;
	}
	summary(drawing, &sizes);
	histogram(drawing, &sizes);
	curve(drawing);
}
