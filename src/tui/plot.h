/* plot.h: a line of values as dots: braille where there is Unicode, else ASCII; and the
 * scale beside it. Pure: knows nothing of what the values are. */
#ifndef FRAGSCOPE_PLOT_H
#define FRAGSCOPE_PLOT_H

#include "sample/sample.h"
#include "tui/canvas.h"

#include <stdbool.h>

/* What one column of dots has; nothing where it is not KNOWN: a gap. Of values that were
 * estimated IS_BAND says that LEAST and MOST bound them: a band behind the line. */
struct plot_point {
	bool known, is_band;
	double low, high;
	double least, most;
};

/* From LOW, at the bottom, to HIGH; HIGH is above LOW, which is above 0 when the scale is
 * logarithmic. */
struct plot_scale {
	double low, high;
	bool is_log;
};

enum { PLOT_POINTS = 1024 };

/* How many columns of dots a cell has on CANVAS: 2 or 1. */
unsigned plot_points_per_column(const struct canvas *canvas);

/* A scale with round ends that fits POINT, in UNIT. What varies by less than its labels
 * can tell apart, some hundredths, lies flat. IS_LOG: a logarithmic one, where the values
 * have one: above 0, and no ratios. */
struct plot_scale plot_scale_of(const struct plot_point *point, unsigned count,
				enum figure_unit unit, bool is_log);

/* The value PART of the way up, 0 to 1; and the part of the way at which VALUE stands,
 * which may lie outside. */
double plot_value(const struct plot_scale *scale, double part);
double plot_part(const struct plot_scale *scale, double value);

/* VALUE as the scale's labels say it: five columns at most. */
void plot_label(struct text *text, double value, enum figure_unit unit);

/* Draws COUNT columns of dots over AREA. FILLED: down to its lower edge. */
void plot_draw(const struct area *area, const struct plot_point *point, unsigned count,
	       const struct plot_scale *scale, bool filled, enum ink ink);

#endif
