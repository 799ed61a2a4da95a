#include "tui/graph.h"

#include "base/clock.h"
#include "tui/pane.h"
#include "view/view.h"

#include <math.h>

enum {
	SCALE_COLUMNS = 6, /* labels, five columns and a space */
	SCALE_MIDDLE = 5,  /* rows from which on a label stands in the middle too */
	TIME_COLUMNS = 8,  /* "14:03:12" */
	MARKS_MAX = 256,
	CHOICES = 3, /* of figures for one place */
};

/* ---- what is shown ---- */

/* The first of its row that the sample has stands in a place. */
static const struct graph graphs[LAYOUT_GRAPHS][CHOICES] = {
	{{FIG_LARGEST_FREE_BYTES, INK_TRIMMABLE},
	 {FIG_PSS_BYTES, INK_TRIMMABLE},
	 {FIG_ACTIVE_BYTES, INK_TRIMMABLE}},
	{{FIG_FREE_CHUNKS, INK_PINNED},
	 {FIG_MAPPINGS, INK_PINNED},
	 {FIG_DIRTY_BYTES, INK_PINNED}},
	{{FIG_FREE_RESIDENT_BYTES, INK_RETAINED},
	 {FIG_FREE_BYTES, INK_RETAINED},
	 {FIG_SWAP_BYTES, INK_RETAINED}},
	{{FIG_RSS_BYTES, INK_LIVE},
	 {FIG_PSS_BYTES, INK_LIVE},
	 {FIG_SYSTEM_BYTES, INK_LIVE}},
};

struct graph graph_of(const struct screen *screen, unsigned place)
{
	for (unsigned i = 0; screen->sample && i < CHOICES; i++)
		if (figure_has(&screen->sample->fig, graphs[place][i].figure))
			return graphs[place][i];
	return graphs[place][0];
}

bool graph_shows(enum figure f)
{
	for (unsigned place = 0; place < LAYOUT_GRAPHS; place++)
		for (unsigned i = 0; i < CHOICES; i++)
			if (graphs[place][i].figure == f)
				return true;
	return false;
}

void graph_window(const struct screen *screen, int64_t *from_ns, int64_t *to_ns)
{
	int64_t zoom = screen->zoom_ns > 0 ? screen->zoom_ns : 1;

	*to_ns = screen->now_ns;
	if (screen->paused_ns && screen->paused_ns < screen->now_ns - zoom)
		*to_ns = screen->paused_ns + zoom / 2;
	*from_ns = *to_ns - zoom;
}

/* The column of INSTANT among COLUMNS that show the window; false: it is not in it. */
static bool column_of(const struct screen *screen, int64_t instant_ns, unsigned columns,
		      unsigned *column)
{
	int64_t from_ns, to_ns;
	double part;

	graph_window(screen, &from_ns, &to_ns);
	part = (double)(instant_ns - from_ns) / (double)(to_ns - from_ns);
	if (!(part >= 0) || part > 1 || !columns)
		return false;
	*column = (unsigned)(part * columns);
	if (*column == columns)
		(*column)--;
	return true;
}

/* The columns between two that have values, LEFT and RIGHT, get what lies between. */
static void join(struct plot_point *point, unsigned left, unsigned right, double from,
		 double to)
{
	for (unsigned i = left + 1; i < right; i++) {
		double value = from + (to - from) * (i - left) / (right - left);

		point[i] =
			(struct plot_point){.known = true, .low = value, .high = value};
	}
}

static void values_of(const struct screen *screen, enum figure f,
		      struct plot_point *point, unsigned count)
{
	struct track_point found[PLOT_POINTS];
	int64_t from_ns, to_ns;
	unsigned before = count; /* the last column with values */

	graph_window(screen, &from_ns, &to_ns);
	/* The end belongs to the window: the latest reading is often just there. */
	history_columns(screen->history, f, from_ns + 1, to_ns + 1, found, count);
	for (unsigned i = 0; i < count; i++) {
		if (!found[i].count)
			continue;
		point[i] = (struct plot_point){
			.known = true, .low = found[i].min, .high = found[i].max};
		if (before < i && !found[i].gap)
			join(point, before, i, found[before].last, found[i].first);
		before = i;
	}
}

static void widen(struct plot_point *point, double low, double high)
{
	if (!point->is_band || low < point->least)
		point->least = low;
	if (!point->is_band || high > point->most)
		point->most = high;
	point->is_band = true;
}

/* Between two readings that were estimated lies what bounds the earlier one. */
static void fill_band(struct plot_point *point, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		if (point[i].known && !point[i].is_band && point[i - 1].is_band)
			widen(&point[i], point[i - 1].least, point[i - 1].most);
}

/* Where the readings that are kept whole were estimated, what bounds their values of F.
 */
static void add_band(const struct screen *screen, enum figure f, struct plot_point *point,
		     unsigned count)
{
	int64_t from_ns, to_ns;

	if (!screen->sample || !figure_can_be_estimated(f) ||
	    screen->sample->status != STATUS_ESTIMATED)
		return;
	graph_window(screen, &from_ns, &to_ns);
	for (size_t back = 0; back < history_count(screen->history); back++) {
		const struct sample *sample = history_at(screen->history, back);
		double low, high;
		unsigned i;

		if (sample->time_ns < from_ns)
			break;
		if (column_of(screen, sample->time_ns, count, &i) &&
		    figure_has(&sample->fig, f) && point[i].known &&
		    figure_range(&sample->fig, f, &low, &high))
			widen(&point[i], low, high);
	}
	fill_band(point, count);
}

void graph_points(const struct screen *screen, enum figure f, struct plot_point *point,
		  unsigned count)
{
	if (count > PLOT_POINTS)
		count = PLOT_POINTS;
	for (unsigned i = 0; i < count; i++)
		point[i] = (struct plot_point){0};
	if (!screen->history || !count)
		return;
	values_of(screen, f, point, count);
	add_band(screen, f, point, count);
}

void graph_slope(struct text *text, const struct screen_trend *trend,
		 enum figure_unit unit)
{
	static const struct {
		double seconds;
		const char *name;
	} spans[] = {{1, "/s"}, {60, "/min"}, {3600, "/h"}};
	double enough = unit == UNIT_RATIO ? 0.001 : 1, change = 0;
	unsigned i = 0;

	if (!trend->known || (!trend->rising && !trend->falling))
		return;
	for (; i < 3; i++) {
		change = fabs(trend->per_s) * spans[i].seconds;
		if (change >= enough)
			break;
	}
	if (i == 3)
		return;
	text_char(text, trend->per_s < 0 ? '-' : '+');
	plot_label(text, change, unit);
	text_string(text, spans[i].name);
}

struct mark_look mark_look(enum mark_kind kind)
{
	static const struct mark_look looks[MARK_KINDS] = {
		[MARK_GROWTH] = {0x25b4, INK_GROWTH, "growth"},
		[MARK_FAILURE] = {'F', INK_FAILURE, "failure"},
		[MARK_KILL] = {'K', INK_KILL, "kill"},
		[MARK_THRESHOLD] = {'T', INK_THRESHOLD, "threshold"},
		[MARK_ALERT] = {'A', INK_ALERT, "alert"},
	};

	return looks[kind];
}

/* ---- on the screen ---- */

/* "largest free chunk ------ 89.3K v -1.2K/min" */
static void title(const struct drawing *drawing, const struct area *area,
		  const struct graph *graph, const struct plot_scale *scale)
{
	const struct sample *sample = drawing->screen->sample;
	struct screen_trend trend = pane_trend(drawing->screen, graph->figure);
	unsigned columns = area->rect.columns, end = columns, column;
	struct line line;
	struct text *text = line_start(&line);

	column = area_cut(area, 0, 0, columns, figure_title(graph->figure), INK_TITLE);
	if (scale->is_log)
		column = area_text(area, 0, column + 1, "(log)", INK_LABEL);
	graph_slope(text, &trend, figure_info[graph->figure].unit);
	if (line.text.length && column + line.text.length + 12 < columns) {
		area_right(area, 0, end, line.buf, INK_LABEL);
		end -= (unsigned)line.text.length + 1;
	}
	if (trend.known && column + 10 < end) {
		pane_arrow(area, 0, end - 1, graph->figure, &trend);
		end -= 2;
	}
	text = line_start(&line);
	if (sample)
		view_figure(text, &sample->fig, graph->figure);
	if (column + line.text.length + 2 < end) {
		area_right(area, 0, end, line.buf, INK_VALUE);
		end -= (unsigned)line.text.length + 1;
	}
	if (column + 1 < end)
		area_fill(area, 0, column + 1, end - column - 1, 0x2500, INK_FAINT);
}

static void label(const struct area *area, unsigned row, double value,
		  enum figure_unit unit)
{
	struct line line;

	plot_label(line_start(&line), value, unit);
	area_right(area, row, SCALE_COLUMNS - 1, line.buf, INK_LABEL);
}

static void scale_labels(const struct area *area, const struct plot_scale *scale,
			 enum figure_unit unit)
{
	unsigned last = area->rect.rows - 1;

	label(area, 1, scale->high, unit);
	if (last < 2)
		return;
	label(area, last, scale->low, unit);
	if (last >= SCALE_MIDDLE && last % 2)
		label(area, (last + 1) / 2, plot_value(scale, 0.5), unit);
}

static void instants(const struct area *plot)
{
	for (unsigned i = 0; i < plot->rect.columns; i++)
		for (unsigned row = 0; row < plot->rect.rows; row++)
			area_spot(plot, row, i, 1, SPOT_INSTANT,
				  (2 * i + 1) * 500 / plot->rect.columns);
}

static struct area plot_of(const struct area *area)
{
	struct rect part = {1, SCALE_COLUMNS, area->rect.rows, area->rect.columns};

	return area_part(area, &part);
}

/* The instant that is looked at. */
static void cursor(const struct screen *screen, const struct area *plot)
{
	unsigned column;

	if (!screen->paused_ns ||
	    !column_of(screen, screen->paused_ns, plot->rect.columns, &column))
		return;
	for (unsigned row = 0; row < plot->rect.rows; row++) {
		const struct cell *cell = canvas_at(plot->canvas, plot->rect.row + row,
						    plot->rect.column + column);

		if (cell->character == ' ')
			area_put(plot, row, column, 0x2502, INK_ALERT);
		else
			area_ink(plot, row, column, 1, INK_CURSOR);
	}
}

static void graph_draw(const struct drawing *drawing, unsigned place)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.graph[place]);
	struct graph graph = graph_of(drawing->screen, place);
	enum figure_unit unit = figure_info[graph.figure].unit;
	struct plot_point point[PLOT_POINTS];
	struct area plot = plot_of(&area);
	unsigned count = plot.rect.columns * plot_points_per_column(drawing->canvas);
	struct plot_scale scale;

	if (count > PLOT_POINTS)
		count = PLOT_POINTS;
	graph_points(drawing->screen, graph.figure, point, count);
	scale = plot_scale_of(point, count, unit, drawing->screen->is_log);
	title(drawing, &area, &graph, &scale);
	scale_labels(&area, &scale, unit);
	plot_draw(&plot, point, count, &scale, scale.low <= 0, graph.ink);
	cursor(drawing->screen, &plot);
	instants(&plot);
}

/* The most serious of what happened within a column is shown. */
static void marks(const struct drawing *drawing, const struct area *axis)
{
	static const unsigned char rank[MARK_KINDS] = {
		[MARK_GROWTH] = 1,  [MARK_THRESHOLD] = 2, [MARK_ALERT] = 3,
		[MARK_FAILURE] = 4, [MARK_KILL] = 5,
	};
	struct history_mark mark[MARKS_MAX];
	int64_t from_ns, to_ns;
	size_t count;

	if (!drawing->screen->history)
		return;
	graph_window(drawing->screen, &from_ns, &to_ns);
	count = history_marks(drawing->screen->history, from_ns, to_ns, mark, MARKS_MAX);
	for (unsigned level = 1; level <= MARK_KINDS; level++)
		for (size_t i = 0; i < count; i++) {
			struct mark_look look = mark_look(mark[i].kind);
			unsigned column;

			if (rank[mark[i].kind] == level &&
			    column_of(drawing->screen, mark[i].time_ns,
				      axis->rect.columns, &column))
				area_put(axis, 0, column, look.character, look.ink);
		}
}

/* "5 min", "24 h", "90 s" */
static void span_text(struct text *text, int64_t span_ns)
{
	int64_t s = span_ns / INT64_C(1000000000);
	int64_t each = s % 3600 == 0 && s >= 7200 ? 3600
		       : s % 60 == 0 && s >= 120  ? 60
						  : 1;

	text_i64(text, s / each);
	text_string(text, each == 3600 ? " h" : each == 60 ? " min" : " s");
}

static void axis_draw(const struct drawing *drawing, const struct rect *rect)
{
	struct area whole = area_of(drawing->canvas, rect);
	struct rect right = {0, SCALE_COLUMNS, rect->rows, rect->columns};
	struct area axis = area_part(&whole, &right);
	unsigned columns = axis.rect.columns;
	int64_t from_ns, to_ns;
	struct line line;

	area_fill(&axis, 0, 0, columns, 0x2500, INK_FAINT);
	marks(drawing, &axis);
	if (!drawing->screen->now_ns || columns < 2 * TIME_COLUMNS + 1)
		return;
	graph_window(drawing->screen, &from_ns, &to_ns);
	clock_local(line_start(&line), from_ns);
	area_text(&axis, 1, 0, line.buf, INK_LABEL);
	clock_local(line_start(&line), to_ns);
	area_right(&axis, 1, columns, line.buf, INK_LABEL);
	span_text(line_start(&line), to_ns - from_ns);
	if (columns >= 2 * TIME_COLUMNS + line.text.length + 2)
		area_text(&axis, 1, (columns - (unsigned)line.text.length) / 2, line.buf,
			  INK_LABEL);
}

void graphs_draw(const struct drawing *drawing)
{
	for (unsigned i = 0; i < drawing->layout.graphs; i++)
		graph_draw(drawing, i);
	for (unsigned i = 0; i < drawing->layout.axes; i++)
		axis_draw(drawing, &drawing->layout.axis[i]);
}
