/* graph.h: what the graphs over time show: which figures, which stretch of time, and
 * their values by columns. The screen and the SVG export draw the same. */
#ifndef FRAGSCOPE_GRAPH_H
#define FRAGSCOPE_GRAPH_H

#include "tui/plot.h"
#include "tui/screen.h"

struct graph {
	enum figure figure;
	enum ink ink;
};

/* The graph that stands in PLACE, below LAYOUT_GRAPHS: of figures that serve there, the
 * first one that the sample has. */
struct graph graph_of(const struct screen *screen, unsigned place);

/* Whether any graph may be of F. */
bool graph_shows(enum figure f);

/* The stretch of time that all graphs show: the last ZOOM_NS, or if what is looked at is
 * before that, such as have it in the middle. */
void graph_window(const struct screen *screen, int64_t *from_ns, int64_t *to_ns);

/* The values of F in COUNT parts of the window, PLOT_POINTS at most. Between two readings
 * that follow each other lies a line; where nothing was to be had, a gap. */
void graph_points(const struct screen *screen, enum figure f, struct plot_point *point,
		  unsigned count);

/* "+1.2K/min"; appends nothing when it does not move. */
void graph_slope(struct text *text, const struct screen_trend *trend,
		 enum figure_unit unit);

/* How marks look on the axis. */
struct mark_look {
	uint32_t character;
	enum ink ink;
	const char *label;
};

struct mark_look mark_look(enum mark_kind kind);

#endif
