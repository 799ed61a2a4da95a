#include "tui/svg.h"

#include "base/clock.h"
#include "tui/graph.h"
#include "tui/pane.h"
#include "tui/svg_parts.h"
#include "view/view.h"

#include <string.h>

/* All in pixels. */
enum {
	WIDTH = 800,
	TITLE_HEIGHT = 40,
	GRAPH_HEIGHT = 150,
	PLOT_LEFT = 64,
	PLOT_WIDTH = 720,
	PLOT_TOP = 24, /* below the graph's upper edge */
	PLOT_HEIGHT = 92,
	LINES = 4, /* of the grid, and one more at the bottom */
	POINTS = PLOT_WIDTH,
	MARKS_MAX = 512,
};

/* <text> at X, Y, anchored at "start", "middle" or "end"; STRING follows, then the end.
 */
static void words(struct text *text, double x, double y, const char *anchor,
		  const char *string)
{
	text_string(text, "<text");
	svg_attribute(text, "x", x);
	svg_attribute(text, "y", y);
	text_string(text, " text-anchor=\"");
	text_string(text, anchor);
	text_string(text, "\">");
	svg_escaped(text, string);
	text_string(text, "</text>\n");
}

/* ---- one graph ---- */

static double y_of(double value, const struct plot_scale *scale, double top)
{
	double part = plot_part(scale, value);

	return top + PLOT_HEIGHT - (part < 0 ? 0 : part > 1 ? 1 : part) * PLOT_HEIGHT;
}

static void grid(struct text *text, const struct plot_scale *scale, double top,
		 enum figure_unit unit)
{
	for (unsigned i = 0; i <= LINES; i++) {
		double y = top + (double)PLOT_HEIGHT * i / LINES;
		struct line line;

		text_string(text, "<line stroke=\"#ddd\"");
		svg_attribute(text, "x1", PLOT_LEFT);
		svg_attribute(text, "x2", PLOT_LEFT + PLOT_WIDTH);
		svg_attribute(text, "y1", y);
		svg_attribute(text, "y2", y);
		text_string(text, "/>\n");
		plot_label(line_start(&line), plot_value(scale, 1 - (double)i / LINES),
			   unit);
		words(text, PLOT_LEFT - 6, y + 4, "end", line.buf);
	}
}

static void corner(struct text *text, unsigned x, double y)
{
	text_u64(text, PLOT_LEFT + x);
	text_char(text, ',');
	text_fixed(text, y, 1);
	text_char(text, ' ');
}

static void shape_begin(struct text *text, enum ink ink, const char *style)
{
	text_string(text, "<polygon ");
	text_string(text, style);
	text_string(text, " fill=\"");
	svg_colour(text, ink_look(ink, PALETTE_TRUE).foreground);
	text_string(text, "\" stroke=\"");
	svg_colour(text, ink_look(ink, PALETTE_TRUE).foreground);
	text_string(text, "\" points=\"");
}

/* POINT[FROM, TO), all known: along the highs, and back along the lows. */
static void stretch(struct text *text, const struct plot_point *point, unsigned from,
		    unsigned to, const struct plot_scale *scale, double top, enum ink ink)
{
	shape_begin(text, ink, "stroke-width=\"1.5\" stroke-linejoin=\"round\"");
	for (unsigned i = from; i < to; i++)
		corner(text, i, y_of(point[i].high, scale, top));
	for (unsigned i = to; i-- > from;)
		corner(text, i, y_of(point[i].low, scale, top));
	text_string(text, "\"/>\n");
}

/* What bounds those of POINT[FROM, TO) that were estimated, behind the line. */
static void band(struct text *text, const struct plot_point *point, unsigned from,
		 unsigned to, const struct plot_scale *scale, double top, enum ink ink)
{
	while (from < to && !point[from].is_band)
		from++;
	while (from < to && !point[to - 1].is_band)
		to--;
	if (from == to)
		return;
	shape_begin(text, ink, "stroke-width=\"0\" opacity=\"0.25\"");
	for (unsigned i = from; i < to; i++)
		corner(text, i,
		       y_of(point[i].is_band ? point[i].most : point[i].high, scale,
			    top));
	for (unsigned i = to; i-- > from;)
		corner(text, i,
		       y_of(point[i].is_band ? point[i].least : point[i].low, scale,
			    top));
	text_string(text, "\"/>\n");
}

static void values(struct text *text, const struct plot_point *point,
		   const struct plot_scale *scale, double top, enum ink ink)
{
	unsigned from = 0;

	while (from < POINTS) {
		unsigned to = from;

		while (to < POINTS && point[to].known)
			to++;
		if (to > from) {
			band(text, point, from, to, scale, top, ink);
			stretch(text, point, from, to, scale, top, ink);
		}
		from = to + 1;
	}
}

static void graph(struct text *text, const struct screen *screen, unsigned place)
{
	struct graph graph = graph_of(screen, place);
	enum figure_unit unit = figure_info[graph.figure].unit;
	double top = TITLE_HEIGHT + GRAPH_HEIGHT * (double)place + PLOT_TOP;
	struct screen_trend trend = pane_trend(screen, graph.figure);
	struct plot_point point[POINTS];
	struct plot_scale scale;
	struct line line;
	struct text *title = line_start(&line);

	graph_points(screen, graph.figure, point, POINTS);
	scale = plot_scale_of(point, POINTS, unit, screen->is_log);
	text_string(title, figure_title(graph.figure));
	if (scale.is_log)
		text_string(title, " (log)");
	if (screen->sample) {
		text_string(title, ": ");
		view_figure(title, &screen->sample->fig, graph.figure);
	}
	if (trend.rising || trend.falling) {
		text_string(title, ", ");
		graph_slope(title, &trend, unit);
	}
	words(text, PLOT_LEFT, top - 8, "start", line.buf);
	grid(text, &scale, top, unit);
	values(text, point, &scale, top, graph.ink);
}

/* ---- all of it ---- */

static void marks(struct text *text, const struct screen *screen, double bottom)
{
	struct history_mark mark[MARKS_MAX];
	int64_t from_ns, to_ns;
	size_t count;

	if (!screen->history)
		return;
	graph_window(screen, &from_ns, &to_ns);
	count = history_marks(screen->history, from_ns, to_ns, mark, MARKS_MAX);
	for (size_t i = 0; i < count; i++) {
		double part =
			(double)(mark[i].time_ns - from_ns) / (double)(to_ns - from_ns);

		text_string(text, "<line stroke-width=\"2\" stroke=\"");
		svg_colour(
			text,
			ink_look(mark_look(mark[i].kind).ink, PALETTE_TRUE).foreground);
		text_char(text, '"');
		svg_attribute(text, "x1", PLOT_LEFT + part * PLOT_WIDTH);
		svg_attribute(text, "x2", PLOT_LEFT + part * PLOT_WIDTH);
		svg_attribute(text, "y1", bottom - 8);
		svg_attribute(text, "y2", bottom);
		text_string(text, "><title>");
		text_string(text, mark_look(mark[i].kind).label);
		text_string(text, "</title></line>\n");
	}
}

static void times(struct text *text, const struct screen *screen, double y)
{
	int64_t from_ns, to_ns;
	struct line line;

	graph_window(screen, &from_ns, &to_ns);
	for (unsigned i = 0; i <= LINES; i++) {
		clock_local(line_start(&line), from_ns + (to_ns - from_ns) / LINES * i);
		words(text, PLOT_LEFT + (double)PLOT_WIDTH * i / LINES, y,
		      i == 0	   ? "start"
		      : i == LINES ? "end"
				   : "middle",
		      line.buf);
	}
}

static void title(struct text *text, const struct screen *screen)
{
	struct line line;
	struct text *said = line_start(&line);

	text_string(said, "fragscope");
	if (screen->sample) {
		text_string(said, "  ");
		text_printable(said, screen->sample->comm, 32);
		text_char(said, '[');
		text_i64(said, screen->sample->pid);
		text_string(said, "]  ");
		text_printable(said, screen->sample->allocator, 32);
		text_string(said, "  ");
		clock_rfc3339(said, screen->sample->time_ns);
	}
	words(text, PLOT_LEFT, 20, "start", line.buf);
}

void screen_svg(struct text *text, const struct screen *screen)
{
	const unsigned bottom = TITLE_HEIGHT + GRAPH_HEIGHT * LAYOUT_GRAPHS;

	text_string(text, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"");
	text_u64(text, WIDTH);
	text_string(text, "\" height=\"");
	text_u64(text, bottom + 20);
	text_string(text, "\" font-family=\"sans-serif\" font-size=\"11\">\n"
			  "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
	title(text, screen);
	for (unsigned place = 0; place < LAYOUT_GRAPHS; place++)
		graph(text, screen, place);
	marks(text, screen, bottom - 16);
	times(text, screen, bottom + 4);
	text_string(text, "</svg>\n");
}
