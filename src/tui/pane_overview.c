/* pane_overview.c: where the resident memory is, the key figures, and where they head. */
#include "base/units.h"
#include "tui/graph.h"
#include "tui/pane.h"
#include "view/view.h"

enum { VALUE_WIDTH = 6, KEY_LABEL = 9 };

/* What the bar needs: RSS and its parts. */
static bool has_parts(const struct figures *fig)
{
	return figure_has(fig, FIG_RSS_BYTES) &&
	       figure_has(fig, FIG_LIVE_RESIDENT_BYTES) &&
	       figure_has(fig, FIG_OTHER_RESIDENT_BYTES);
}

static bool part(const struct figures *fig, enum memory kind, uint64_t *bytes)
{
	enum figure f =
		kind == MEMORY_RETURNED ? FIG_FREE_BYTES : memory_info[kind].figure;
	uint64_t resident;

	if (!figure_has(fig, f))
		return false;
	*bytes = fig->v[f].u;
	if (kind != MEMORY_RETURNED)
		return true;
	if (!figure_has(fig, FIG_FREE_RESIDENT_BYTES))
		return false;
	resident = fig->v[FIG_FREE_RESIDENT_BYTES].u;
	*bytes -= resident < *bytes ? resident : *bytes;
	return true;
}

static void percent(struct text *text, double part, double whole)
{
	double share = 100 * part / whole;

	if (share > 0 && share < 1)
		text_string(text, "below 1");
	else
		text_fixed(text, share, 0);
	text_char(text, '%');
}

/* What the bar says, in words, on the right of its title. */
static void bar_words(const struct area *area, const struct figures *fig, unsigned column)
{
	struct line line;
	struct text *text = line_start(&line);

	if (!figure_has(fig, FIG_FREE_RESIDENT_BYTES) ||
	    !figure_has(fig, FIG_RSS_BYTES) || !fig->v[FIG_RSS_BYTES].u)
		return;
	percent(text, (double)fig->v[FIG_FREE_RESIDENT_BYTES].u,
		(double)fig->v[FIG_RSS_BYTES].u);
	text_string(text, " of it free");
	if (figure_has(fig, FIG_TRIMMABLE_BYTES)) {
		text_string(text, ", a trim would return ");
		units_bytes(text, fig->v[FIG_TRIMMABLE_BYTES].u);
	}
	if (column + 2 + line.text.length <= area->rect.columns)
		area_right(area, 0, area->rect.columns, line.buf, INK_LABEL);
}

static void bar_title(const struct drawing *drawing, const struct area *area)
{
	const struct figures *fig = &drawing->screen->sample->fig;
	struct screen_trend trend = pane_trend(drawing->screen, FIG_RSS_BYTES);
	unsigned column = area_text(area, 0, 0, "resident memory", INK_TITLE);
	struct line line;

	view_figure(line_start(&line), fig, FIG_RSS_BYTES);
	column = area_text(area, 0, column + 2, line.buf, INK_VALUE);
	pane_arrow(area, 0, column + 1, FIG_RSS_BYTES, &trend);
	bar_words(area, fig, column + 2);
}

static void bar(const struct drawing *drawing)
{
	const struct figures *fig = &drawing->screen->sample->fig;
	struct area area = area_of(drawing->canvas, &drawing->layout.bar);
	struct rect at = {1, 0, 1, area.rect.columns};
	uint64_t bytes[MEMORY_KINDS] = {0}, whole = 0;

	bar_title(drawing, &area);
	for (unsigned kind = 0; kind < MEMORY_RETURNED; kind++) {
		part(fig, kind, &bytes[kind]);
		whole += bytes[kind];
	}
	if (has_parts(fig) && whole)
		pane_bar(&area, &at, drawing->screen->palette, BLOCK_FULL, bytes, whole);
	else
		area_fill(&area, 1, 0, area.rect.columns, 0x2591, INK_OTHER);
}

static void legend_entry(const struct drawing *drawing, const struct area *area,
			 const struct rect *at, enum memory kind)
{
	const struct figures *fig = &drawing->screen->sample->fig;
	struct line line;
	struct text *text = line_start(&line);
	uint64_t bytes;

	pane_swatch(area, at->row, at->column, drawing->screen->palette, kind);
	area_text(area, at->row, at->column + 2, memory_label(kind), INK_LABEL);
	if (part(fig, kind, &bytes))
		units_bytes(text, bytes);
	else
		text_char(text, '-');
	area_right(area, at->row, at->column + 11 + VALUE_WIDTH, line.buf, INK_VALUE);
}

/* ITEM's place in a grid of items that take ITEM_COLUMNS at least. */
static struct rect grid_place(const struct area *area, unsigned item,
			      unsigned item_columns)
{
	unsigned abreast = area->rect.columns / item_columns;

	if (!abreast)
		abreast = 1;
	return (struct rect){
		.row = item / abreast,
		.column = item % abreast * (area->rect.columns / abreast),
	};
}

static void legend(const struct drawing *drawing)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.legend);
	struct line line;
	struct text *text = line_start(&line);

	if (has_parts(&drawing->screen->sample->fig)) {
		for (unsigned kind = 0; kind < MEMORY_KINDS; kind++) {
			struct rect at = grid_place(&area, kind, LAYOUT_PART_COLUMNS);

			legend_entry(drawing, &area, &at, kind);
		}
		return;
	}
	text_string(text, "its parts are not known: the source is ");
	text_string(text, sample_source_name(drawing->screen->sample->source));
	if (*drawing->screen->sample->missing) {
		text_string(text, "; ");
		text_printable(text, drawing->screen->sample->missing, 120);
	}
	pane_wrap(&area, 0, 0, line.buf, INK_LABEL);
}

/* The most telling ones first; those that a source does not have leave their place to
 * others. */
static const enum figure key_figures[] = {
	FIG_LIVE_BYTES,
	FIG_FREE_BYTES,
	FIG_FREE_CHUNKS,
	FIG_LARGEST_FREE_BYTES,
	FIG_FRAG,
	FIG_SLACK,
	FIG_LARGEST_HOLE_BYTES,
	FIG_ARENAS,
	FIG_SWAP_BYTES,
	FIG_ANON_HUGE_BYTES,
	FIG_TOP_BYTES,
	FIG_TCACHE_BYTES,
	FIG_MAPPINGS,
	FIG_SYSTEM_BYTES,
	FIG_PSS_BYTES,
	FIG_ATTACHED_THREADS,
	FIG_ACTIVE_BYTES,
	FIG_DIRTY_BYTES,
	FIG_MUZZY_BYTES,
	FIG_HEAP_RESIDENT_BYTES,
	FIG_MAPPED_BYTES,
	FIG_UNMAPPED_BYTES,
	FIG_SAMPLE_COST_NS,
	FIG_FAILED_ALLOCATIONS,
};

bool overview_shows(enum figure f)
{
	for (size_t i = 0; i < sizeof(key_figures) / sizeof(key_figures[0]); i++)
		if (key_figures[i] == f)
			return true;
	return graph_shows(f);
}

static void figure(const struct drawing *drawing, const struct area *area, unsigned i,
		   unsigned place)
{
	struct rect at = grid_place(area, place, LAYOUT_FIGURE_COLUMNS);
	enum figure f = key_figures[i];
	struct screen_trend trend = pane_trend(drawing->screen, f);
	unsigned value_end = at.column + KEY_LABEL + VALUE_WIDTH;
	struct line line;

	area_text(area, at.row, at.column, figure_heading(f, KEY_LABEL), INK_LABEL);
	view_figure(line_start(&line), &drawing->screen->sample->fig, f);
	area_right(area, at.row, value_end, line.buf, INK_VALUE);
	pane_arrow(area, at.row, value_end + 1, f, &trend);
}

/* Huge pages, where there are none, leave their place to others, too. */
static bool is_shown(const struct figures *fig, enum figure f)
{
	return figure_has(fig, f) && (f != FIG_ANON_HUGE_BYTES || fig->v[f].u);
}

static void figures(const struct drawing *drawing)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.figures);
	unsigned place = 0;

	for (size_t i = 0; i < sizeof(key_figures) / sizeof(key_figures[0]); i++)
		if (place < LAYOUT_FIGURES &&
		    is_shown(&drawing->screen->sample->fig, key_figures[i]))
			figure(drawing, &area, (unsigned)i, place++);
}

void overview_draw(const struct drawing *drawing)
{
	struct area body = area_of(drawing->canvas, &drawing->layout.body);

	if (!drawing->screen->sample && !drawing->screen->history) {
		pane_has_sample(&body, drawing->screen);
		return;
	}
	if (drawing->screen->sample) {
		bar(drawing);
		legend(drawing);
		figures(drawing);
	}
	graphs_draw(drawing);
}
