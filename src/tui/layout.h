/* layout.h: where everything on the screen goes: pure functions of rows, columns and what
 * is shown. */
#ifndef FRAGSCOPE_TUI_LAYOUT_H
#define FRAGSCOPE_TUI_LAYOUT_H

#include "tui/canvas.h"

#include <stdbool.h>

enum pane {
	PANE_OVERVIEW,
	PANE_ARENAS,
	PANE_MAP,
	PANE_SIZES,
	PANE_EVENTS,
	PANE_ADVICE,
	PANE_PROCESSES,
	PANE_COUNT
};

enum {
	LAYOUT_GRAPHS = 4,
	/* Parts of the resident memory in the legend, and key figures: what they take. */
	LAYOUT_PARTS = 8,
	LAYOUT_PART_COLUMNS = 18,
	LAYOUT_FIGURES = 12,
	LAYOUT_FIGURE_COLUMNS = 18,
	/* Before each row of the heap map: its address and a space. */
	LAYOUT_ADDRESS_COLUMNS = 15,
	/* Below this nothing can be read. */
	LAYOUT_MIN_ROWS = 8,
	LAYOUT_MIN_COLUMNS = 36,
};

/* Rectangles of no rows or no columns are not shown. None of one group overlaps another
 * of it; all lie on the screen, and those of a pane in BODY. */
struct layout {
	bool too_small;
	struct rect header, tabs, body, status, footer;
	/* PANE_OVERVIEW */
	struct rect bar, legend, figures;
	unsigned graphs; /* how many of them, the first ones, have room */
	struct rect graph[LAYOUT_GRAPHS];
	unsigned axes; /* one below each column of graphs */
	struct rect axis[LAYOUT_GRAPHS];
	/* All other panes: a table, grid or list with what it is about above it and the
	 * details of what is selected below or beside. */
	struct rect summary, main, detail;
};

void layout_of(unsigned rows, unsigned columns, enum pane pane, struct layout *layout);

/* Of the heap map: how many cells are in view at once. */
unsigned layout_map_rows(const struct layout *layout);
unsigned layout_map_columns(const struct layout *layout);

#endif
