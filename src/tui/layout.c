#include "tui/layout.h"

#include <string.h>

enum {
	STATUS_FROM_ROWS = 12, /* of the screen: with fewer there is no status line */
	BAR_ROWS = 2,	       /* what it is, and the bar */
	AXIS_ROWS = 2,	       /* marks, and times */
	GRAPH_ROWS = 3,	       /* at least: a title and two lines of dots */
	GRAPH_COLUMNS = 30,    /* at least */
	TALL_GRAPH_ROWS = 8,
	GRAPH_GAP = 2,	       /* columns between neighbours */
	LOW_GRAPH_ROWS = 5,    /* below that, four abreast are better than two and two */
	ROOMY_ROWS = 26,       /* of the body: lines are left blank between groups */
	BESIDE_COLUMNS = 110,  /* of the body: details stand beside, not below */
	DETAIL_COLUMNS = 46,   /* then */
	MAP_LEGEND_ROWS = 16,  /* of the body: from there on it may take two lines */
	MAP_DETAIL_ROWS = 6,   /* else */
	CURVE_COLUMNS = 76,    /* of the body: the curve stands beside the histogram */
	CURVE_FROM_ROWS = 16,  /* of the body, else: it stands below */
	SUMMARY_FROM_ROWS = 5, /* of the body */
};

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned lines_of(unsigned items, unsigned item_columns, unsigned columns)
{
	unsigned abreast = columns / item_columns ? columns / item_columns : 1;

	return (items + abreast - 1) / abreast;
}

/* Takes ROWS, or as many as there are, off the top of LEFT. */
static struct rect take_rows(struct rect *left, unsigned rows)
{
	struct rect taken = *left;

	taken.rows = least(rows, left->rows);
	left->row += taken.rows;
	left->rows -= taken.rows;
	return taken;
}

/* Takes ROWS off the bottom of LEFT. */
static struct rect take_bottom(struct rect *left, unsigned rows)
{
	struct rect taken = *left;

	taken.rows = least(rows, left->rows);
	left->rows -= taken.rows;
	taken.row = left->row + left->rows;
	return taken;
}

/* Takes COLUMNS off the right of LEFT, and the column before them, which stays blank. */
static struct rect take_right(struct rect *left, unsigned columns)
{
	struct rect taken = *left;

	taken.columns = columns;
	taken.column = left->column + left->columns - columns;
	left->columns -= columns + 1;
	return taken;
}

/* ---- the overview ---- */

/* The graphs that stand one beside another. */
static unsigned graphs_abreast(const struct rect *left)
{
	if (left->columns < 2 * GRAPH_COLUMNS + GRAPH_GAP)
		return 1;
	if (left->columns >= LAYOUT_GRAPHS * (GRAPH_COLUMNS + GRAPH_GAP) &&
	    left->rows < AXIS_ROWS + 2 * LOW_GRAPH_ROWS)
		return LAYOUT_GRAPHS;
	return 2;
}

/* Without room for both, the marks are worth more than the times. */
static unsigned axis_rows(const struct rect *left)
{
	return left->rows < AXIS_ROWS + GRAPH_ROWS ? 1 : AXIS_ROWS;
}

/* A tall graph has an odd number of rows for its dots, so that one is in the middle of
 * its scale; the row that is left over parts it from what stands above. */
static void make_odd(struct rect *graph)
{
	if (graph->rows < TALL_GRAPH_ROWS || graph->rows % 2 == 0)
		return;
	graph->row++;
	graph->rows--;
}

static void column_of_graphs(struct layout *layout, const struct rect *left,
			     unsigned column, unsigned abreast, unsigned deep)
{
	unsigned width = (left->columns - (abreast - 1) * GRAPH_GAP) / abreast;
	unsigned rows = left->rows - axis_rows(left);
	struct rect rest = *left;

	rest.column += column * (width + GRAPH_GAP);
	rest.columns = width;
	layout->axis[column] = take_bottom(&rest, axis_rows(left));
	for (unsigned i = 0; i < deep; i++) {
		struct rect *graph = &layout->graph[i * abreast + column];

		*graph = take_rows(&rest, rows / deep + (i < rows % deep));
		make_odd(graph);
	}
}

static void graphs(struct layout *layout, struct rect *left)
{
	unsigned abreast = graphs_abreast(left), deep;

	if (left->rows < 1 + GRAPH_ROWS || left->columns < GRAPH_COLUMNS)
		return;
	deep = least((left->rows - axis_rows(left)) / GRAPH_ROWS,
		     LAYOUT_GRAPHS / abreast);
	layout->graphs = abreast * deep;
	layout->axes = abreast;
	for (unsigned column = 0; column < abreast; column++)
		column_of_graphs(layout, left, column, abreast, deep);
}

static void overview(struct layout *layout)
{
	struct rect left = layout->body;
	bool roomy = left.rows >= ROOMY_ROWS;
	unsigned figures = lines_of(LAYOUT_FIGURES, LAYOUT_FIGURE_COLUMNS, left.columns);

	/* The least of these lines are worth less than graphs. */
	if (!roomy)
		figures = least(figures, 2);
	layout->bar = take_rows(&left, BAR_ROWS);
	layout->legend = take_rows(
		&left, lines_of(LAYOUT_PARTS, LAYOUT_PART_COLUMNS, left.columns));
	if (roomy)
		take_rows(&left, 1);
	layout->figures = take_rows(&left, figures);
	if (roomy)
		take_rows(&left, 1);
	graphs(layout, &left);
}

/* ---- the other panes ---- */

static void table(struct layout *layout)
{
	layout->main = layout->body;
	if (layout->main.rows >= SUMMARY_FROM_ROWS)
		layout->summary = take_rows(&layout->main, 1);
}

static void map(struct layout *layout)
{
	struct rect left = layout->body;

	if (left.columns >= BESIDE_COLUMNS)
		layout->detail = take_right(&left, DETAIL_COLUMNS);
	if (left.rows >= SUMMARY_FROM_ROWS)
		layout->summary = take_rows(
			&left, left.columns < 66 || left.rows >= MAP_LEGEND_ROWS ? 3 : 2);
	if (!layout->detail.columns && left.rows >= 2 * MAP_DETAIL_ROWS - 2)
		layout->detail = take_bottom(&left, MAP_DETAIL_ROWS);
	layout->main = left;
}

static void sizes(struct layout *layout)
{
	struct rect left = layout->body;

	if (left.rows >= SUMMARY_FROM_ROWS)
		layout->summary = take_rows(&left, 1);
	if (left.columns >= CURVE_COLUMNS)
		layout->detail = take_right(&left, left.columns * 2 / 5);
	else if (left.rows >= CURVE_FROM_ROWS)
		layout->detail = take_bottom(&left, left.rows * 2 / 5);
	layout->main = left;
}

static void events(struct layout *layout)
{
	struct rect left = layout->body;

	if (left.rows >= SUMMARY_FROM_ROWS)
		layout->summary = take_rows(&left, 1);
	if (left.columns >= 2 * DETAIL_COLUMNS + BESIDE_COLUMNS / 2)
		layout->detail = take_right(&left, left.columns / 2);
	else if (left.rows >= 8)
		layout->detail = take_bottom(&left, left.rows * 3 / 5);
	layout->main = left;
}

static void advice(struct layout *layout)
{
	layout->main = layout->body;
}

void layout_of(unsigned rows, unsigned columns, enum pane pane, struct layout *layout)
{
	/* All others are a table. */
	static void (*const of_pane[PANE_COUNT])(struct layout *) = {
		[PANE_OVERVIEW] = overview, [PANE_MAP] = map,	    [PANE_SIZES] = sizes,
		[PANE_EVENTS] = events,	    [PANE_ADVICE] = advice,
	};
	struct rect left = {0, 0, rows, columns};

	memset(layout, 0, sizeof(*layout));
	layout->too_small = rows < LAYOUT_MIN_ROWS || columns < LAYOUT_MIN_COLUMNS;
	if (layout->too_small)
		return;
	layout->header = take_rows(&left, 1);
	layout->tabs = take_rows(&left, 1);
	layout->footer = take_bottom(&left, 1);
	if (rows >= STATUS_FROM_ROWS)
		layout->status = take_bottom(&left, 1);
	layout->body = left;
	if (of_pane[pane])
		of_pane[pane](layout);
	else
		table(layout);
}

unsigned layout_map_rows(const struct layout *layout)
{
	return layout->main.rows;
}

unsigned layout_map_columns(const struct layout *layout)
{
	return layout->main.columns > LAYOUT_ADDRESS_COLUMNS
		       ? layout->main.columns - LAYOUT_ADDRESS_COLUMNS
		       : 0;
}
