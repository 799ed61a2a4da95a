/* report_svg.c: the drawings of a report's page: inline SVG without scripts; colours come
 * from the page's classes, and whatever has a colour has words, too. */
#include "analysis/free_sizes.h"
#include "view/report_parts.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	WIDE = 1000,
	BAR_HIGH = 36,
	GRAPH_WIDE = 320,
	GRAPH_HIGH = 110,
	GRAPH_TOP = 8,
	GRAPH_LEFT = 46,
	GRAPH_FOOT = 16,
	CELL = 12,
	CELLS_WIDE = 80,
	ROW = 18,
	LABELS = 150,
};

/* ---- where the memory is ---- */

static void key(struct report_out *out, const char *class, const char *words,
		uint64_t bytes, uint64_t all)
{
	report_print(out,
		     "<li><svg viewBox=\"0 0 10 10\" class=\"key\"><rect width=\"10\" "
		     "height=\"10\" class=\"%s\"/></svg> %s %s (%s)</li>\n",
		     class, BYTES(bytes), words,
		     SHARE(all ? (double)bytes / (double)all : 0));
}

void report_svg_parts(struct report_out *out, const struct figures *fig)
{
	struct report_share part[REPORT_PARTS];
	unsigned parts = report_parts(fig, part);
	uint64_t all;
	double x = 0;

	if (!figure_has(fig, FIG_RSS_BYTES) || !fig->v[FIG_RSS_BYTES].u)
		return;
	all = fig->v[FIG_RSS_BYTES].u;
	report_print(out,
		     "<svg viewBox=\"0 0 %d %d\" role=\"img\" "
		     "aria-label=\"resident memory by parts\">\n",
		     WIDE, BAR_HIGH);
	for (unsigned i = 0; i < parts; i++) {
		double wide = (double)part[i].bytes / (double)all * WIDE;

		report_print(out,
			     "<rect x=\"%.2f\" width=\"%.2f\" height=\"%d\" class=\"%s\">"
			     "<title>%s %s</title></rect>\n",
			     x, wide, BAR_HIGH, part[i].class, BYTES(part[i].bytes),
			     part[i].words);
		x += wide;
	}
	report_print(out, "</svg>\n<ul class=\"keys\">\n");
	for (unsigned i = 0; i < parts; i++)
		if (part[i].bytes)
			key(out, part[i].class, part[i].words, part[i].bytes, all);
	report_print(out, "</ul>\n");
}

/* ---- graphs ---- */

struct scale {
	int64_t from_ns, to_ns;
	double low, high;
};

static struct scale scale_of(const struct report_series *series)
{
	struct scale scale = {
		.from_ns = series->point[0].from_ns,
		.to_ns = series->point[series->points - 1].to_ns,
	};

	for (size_t i = 0; i < series->points; i++)
		if (series->point[i].max > scale.high)
			scale.high = series->point[i].max;
	if (!(scale.high > 0))
		scale.high = 1;
	return scale;
}

static double x_of(const struct scale *scale, const struct track_point *point)
{
	double span = (double)(scale->to_ns - scale->from_ns);
	double at = ((double)(point->from_ns - scale->from_ns) +
		     (double)(point->to_ns - scale->from_ns)) /
		    2;

	return GRAPH_LEFT + (span > 0 ? at / span : 0) * (GRAPH_WIDE - GRAPH_LEFT - 8);
}

static double y_of(const struct scale *scale, double value)
{
	return GRAPH_TOP +
	       (1 - value / scale->high) * (GRAPH_HIGH - GRAPH_TOP - GRAPH_FOOT);
}

/* Where nothing was known the line is broken. */
static void line(struct report_out *out, const struct report_series *series,
		 const struct scale *scale)
{
	report_print(out, "<path class=\"line\" d=\"");
	for (size_t i = 0; i < series->points; i++) {
		const struct track_point *point = &series->point[i];

		report_print(out, "%c%.1f %.1f ", !i || point->gap ? 'M' : 'L',
			     x_of(scale, point), y_of(scale, point->mean));
	}
	report_print(out, "\"/>\n");
}

static void label(struct report_out *out, double x, double y, const char *anchor,
		  const char *words)
{
	report_print(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x,
		     y, anchor, words);
}

void report_svg_series(struct report_out *out, const struct report_series *series)
{
	const struct figure_info *info = &figure_info[series->f];
	double base = GRAPH_HIGH - GRAPH_FOOT;
	struct scale scale;
	char words[64];

	if (series->points < 2)
		return;
	scale = scale_of(series);
	report_trend(series, words, sizeof(words));
	report_print(
		out,
		"<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over "
		"time\">\n<path class=\"axis\" d=\"M%d %d V%.0f H%d\"/>\n",
		GRAPH_WIDE, GRAPH_HIGH, info->name, GRAPH_LEFT, GRAPH_TOP, base,
		GRAPH_WIDE - 8);
	label(out, GRAPH_LEFT - 4, GRAPH_TOP + 8, "end",
	      info->unit == UNIT_BYTES ? BYTES((uint64_t)scale.high)
				       : COUNT((uint64_t)scale.high));
	label(out, GRAPH_LEFT - 4, base, "end", "0");
	label(out, GRAPH_LEFT, GRAPH_HIGH - 3, "start", "0 s");
	label(out, GRAPH_WIDE - 8, GRAPH_HIGH - 3, "end",
	      SPAN((double)(scale.to_ns - scale.from_ns) / 1e9));
	line(out, series, &scale);
	report_print(out, "</svg><figcaption>%s: %s</figcaption></figure>\n", info->name,
		     words);
}

/* ---- the heap map ---- */

static const char *const map_class[MAP_KINDS] = {
	[MAP_LIVE] = "live",	     [MAP_CACHED] = "cached",
	[MAP_PINNED] = "pinned",     [MAP_TRIMMABLE] = "trimmable",
	[MAP_RETAINED] = "retained", [MAP_RETURNED] = "returned",
	[MAP_OWN] = "own",	     [MAP_FOREIGN] = "other",
	[MAP_DOUBT] = "doubt",	     [MAP_UNREAD] = "doubt",
};

static void map_keys(struct report_out *out, const struct heap_map *map)
{
	uint64_t all = 0;

	for (unsigned kind = 0; kind < MAP_KINDS; kind++)
		all += map->total.bytes[kind];
	report_print(out, "<ul class=\"keys\">\n");
	for (unsigned kind = 0; kind < MAP_KINDS; kind++)
		if (map->total.bytes[kind])
			key(out, map_class[kind], map_kind_name((enum map_kind)kind),
			    map->total.bytes[kind], all);
	report_print(out, "</ul>\n");
}

void report_svg_map(struct report_out *out, const struct heap_map *map)
{
	unsigned rows = (map->cell_count + CELLS_WIDE - 1) / CELLS_WIDE;

	if (!map->cell_count)
		return;
	report_print(out,
		     "<p>Arena %u, from 0x%" PRIx64
		     " on; a cell is %s, and has the colour of "
		     "what it holds most.</p>\n<svg viewBox=\"0 0 %d %u\" role=\"img\" "
		     "aria-label=\"heap map\">\n",
		     map->arena, map->total.from, BYTES(map->cell_bytes),
		     CELLS_WIDE * CELL, rows * CELL);
	for (unsigned i = 0; i < map->cell_count; i++) {
		const struct map_cell *cell = &map->cell[i];
		enum map_kind most = map_cell_most(cell);

		report_print(out,
			     "<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" "
			     "class=\"%s\"><title>0x%" PRIx64 ": %s</title></rect>\n",
			     i % CELLS_WIDE * CELL, i / CELLS_WIDE * CELL, CELL - 1,
			     CELL - 1, map_class[most], cell->from, map_kind_name(most));
	}
	report_print(out, "</svg>\n");
	map_keys(out, map);
}

/* ---- free sizes ---- */

/* A row of the drawing: its place from above, and what it stands for. */
static void size_row(struct report_out *out, unsigned place, const char *name,
		     const char *class, const struct size_class *of, uint64_t most)
{
	double wide = (double)of->bytes / (double)most * (WIDE - 2 * LABELS);
	unsigned y = place * ROW;
	char words[64];

	snprintf(words, sizeof(words), "%s in %s", BYTES(of->bytes), COUNT(of->chunks));
	label(out, LABELS - 6, y + ROW - 5, "end", name);
	if (!of->chunks)
		return;
	report_print(out,
		     "<rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"%d\" "
		     "class=\"%s\"/>\n",
		     LABELS, y + 2, wide, ROW - 4, class);
	label(out, LABELS + wide + 6, y + ROW - 5, "start", words);
}

static uint64_t most_bytes(const struct free_sizes *sizes)
{
	uint64_t most = sizes->top_bytes > sizes->mixed.bytes ? sizes->top_bytes
							      : sizes->mixed.bytes;

	for (unsigned i = 0; i < FREE_SIZES; i++)
		if (sizes->size[i].bytes > most)
			most = sizes->size[i].bytes;
	return most;
}

static void draw_sizes(struct report_out *out, const struct free_sizes *sizes)
{
	const struct size_class tops = {.chunks = sizes->tops, .bytes = sizes->top_bytes};
	uint64_t most = most_bytes(sizes);

	report_print(out,
		     "<svg viewBox=\"0 0 %d %d\" role=\"img\" class=\"sizes\" "
		     "aria-label=\"free chunks by size\">\n",
		     WIDE, (FREE_SIZES + 2) * ROW);
	for (unsigned i = 0; i < FREE_SIZES; i++) {
		const struct size_class *of = &sizes->size[i];
		char name[64];

		if (of->to_bytes == UINT64_MAX)
			snprintf(name, sizeof(name), "from %s on", BYTES(of->from_bytes));
		else
			snprintf(name, sizeof(name), "below %s", BYTES(of->to_bytes + 1));
		size_row(out, i, name, "trimmable", of, most);
	}
	size_row(out, FREE_SIZES, "not sorted yet", "retained", &sizes->mixed, most);
	size_row(out, FREE_SIZES + 1, "tops", "mapped", &tops, most);
	report_print(out,
		     "</svg>\n<p class=\"note\">Bytes in free chunks of each size, and "
		     "how many chunks these are.</p>\n");
}

void report_svg_sizes(struct report_out *out, const struct sample *sample)
{
	struct free_sizes sizes;

	if (!free_sizes_of(sample, FREE_SIZES_ALL, &sizes) || !most_bytes(&sizes)) {
		report_print(out,
			     "<p>How its chunks are spread over sizes is not known of "
			     "this reading.</p>\n");
		return;
	}
	draw_sizes(out, &sizes);
	if (sizes.arenas_missing)
		report_print(out, "<p class=\"note\">Of %u arenas it is not known.</p>\n",
			     sizes.arenas_missing);
}
