#include "tui/plot.h"

#include "base/units.h"

#include <math.h>

enum {
	BRAILLE_ROWS = 4,
	BRAILLE_COLUMNS = 2,
	ASCII_ROWS = 3,
	STEPS = 10,
	LEAST_PARTS = 25
};

unsigned plot_points_per_column(const struct canvas *canvas)
{
	return canvas->ascii ? 1 : BRAILLE_COLUMNS;
}

/* ---- the scale ---- */

/* What the labels of values about HIGH count in: of bytes "1.00M" is one. */
static double label_unit(double high, enum figure_unit unit)
{
	double one = 1;

	while (unit == UNIT_BYTES && high >= 1024 * one)
		one *= 1024;
	return one;
}

/* 1, 2 or 5 times a power of ten, and not below VALUE, which is above 0. */
static double round_up(double value)
{
	static const double steps[] = {1, 2, 5, 10};
	double power = pow(10, floor(log10(value)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (value <= steps[i] * power * (1 + 1e-9))
			return steps[i] * power;
	return 10 * power;
}

/* Powers of two, or of ten, around LOW and HIGH, which are above 0. */
static struct plot_scale log_scale(double low, double high, enum figure_unit unit)
{
	double base = unit == UNIT_BYTES ? 2 : 10;
	struct plot_scale scale = {
		.low = pow(base, floor(log2(low) / log2(base))),
		.high = pow(base, ceil(log2(high) / log2(base))),
		.is_log = true,
	};

	if (scale.high <= scale.low)
		scale.high = scale.low * base;
	return scale;
}

double plot_value(const struct plot_scale *scale, double part)
{
	if (scale->is_log)
		return scale->low * pow(scale->high / scale->low, part);
	return scale->low + (scale->high - scale->low) * part;
}

double plot_part(const struct plot_scale *scale, double value)
{
	if (scale->is_log)
		return value > 0
			       ? log2(value / scale->low) / log2(scale->high / scale->low)
			       : -1;
	return (value - scale->low) / (scale->high - scale->low);
}

/* The least that the labels of values about HIGH, which have three digits, can differ by.
 */
static double label_step(double high, enum figure_unit unit)
{
	double one = label_unit(high, unit);
	double step = one * pow(10, floor(log10(high / one)) - 2);

	return unit == UNIT_COUNT || unit == UNIT_BYTES ? fmax(step, 1) : step;
}

/* Between the ends lies an even number of steps: the label in the middle is exact too. */
static struct plot_scale linear_scale(double low, double high, enum figure_unit unit)
{
	double one = label_unit(high, unit);
	double step = round_up(fmax(high - low, high / LEAST_PARTS) / STEPS / one) * one;
	struct plot_scale scale = {0};

	step = fmax(step, label_step(high + high / LEAST_PARTS, unit));
	scale.low = fmax(floor(low / step) * step, 0);
	scale.high = ceil(high / step) * step;
	if (scale.high <= scale.low)
		scale.high = scale.low + step;
	if (fmod(round((scale.high - scale.low) / step), 2) == 0)
		return scale;
	if (scale.low >= step && low - scale.low < scale.high - high)
		scale.low -= step;
	else
		scale.high += step;
	return scale;
}

/* The ends of POINT, and of those values that are above 0 the least. */
static bool ends_of(const struct plot_point *point, unsigned count, double *low,
		    double *high, double *positive)
{
	*low = *positive = INFINITY;
	*high = -INFINITY;
	for (unsigned i = 0; i < count; i++) {
		double from = point[i].low, to = point[i].high;

		if (!point[i].known)
			continue;
		if (point[i].is_band) {
			from = fmin(from, point[i].least);
			to = fmax(to, point[i].most);
		}
		*low = fmin(*low, from);
		*high = fmax(*high, to);
		*positive = fmin(*positive, from > 0 ? from : INFINITY);
		*positive = fmin(*positive, to > 0 ? to : INFINITY);
	}
	return *high > 0 && isfinite(*high);
}

struct plot_scale plot_scale_of(const struct plot_point *point, unsigned count,
				enum figure_unit unit, bool is_log)
{
	double low, high, positive;

	if (!ends_of(point, count, &low, &high, &positive))
		return (struct plot_scale){.high = unit == UNIT_RATIO	? 1
						   : unit == UNIT_BYTES ? 4096
									: 4};
	if (is_log && unit != UNIT_RATIO)
		return log_scale(positive, high, unit);
	return linear_scale(low, high, unit);
}

void plot_label(struct text *text, double value, enum figure_unit unit)
{
	uint64_t whole = value < 0 ? 0 : value < 0x1p63 ? (uint64_t)value : UINT64_MAX;

	switch (unit) {
	case UNIT_BYTES:
		units_bytes(text, whole);
		break;
	case UNIT_COUNT:
		units_count(text, whole);
		break;
	case UNIT_RATIO:
		units_ratio(text, value);
		break;
	case UNIT_NS:
		units_ns(text, whole);
		break;
	}
}

/* ---- the dots ---- */

/* Dots from the bottom that one column has. */
struct plot_span {
	bool known;
	unsigned from, to;
};

static unsigned dot_of(double value, const struct plot_scale *scale, unsigned dots)
{
	double part = plot_part(scale, value) * (dots - 1);

	if (!(part > 0))
		return 0;
	return part >= dots - 1 ? dots - 1 : (unsigned)(part + 0.5);
}

/* The dots of POINT[I]; as far as to the neighbour's, so that the line holds together. */
static struct plot_span span_of(const struct plot_point *point, unsigned i,
				const struct plot_scale *scale, unsigned dots,
				bool filled)
{
	struct plot_span span = {.known = point[i].known};
	struct plot_span before = {.known = i && point[i - 1].known};

	if (!span.known)
		return span;
	span.from = dot_of(point[i].low, scale, dots);
	span.to = dot_of(point[i].high, scale, dots);
	if (before.known && !filled) {
		before.from = dot_of(point[i - 1].low, scale, dots);
		before.to = dot_of(point[i - 1].high, scale, dots);
		if (before.to + 1 < span.from)
			span.from = before.to + 1;
		if (before.from > span.to + 1)
			span.to = before.from - 1;
	}
	if (filled)
		span.from = 0;
	return span;
}

/* The braille character whose dots of column X of the cell, ROW rows of cells from the
 * bottom, SPAN covers. */
static uint32_t braille_bits(const struct plot_span *span, unsigned row, unsigned x)
{
	static const unsigned char bits[BRAILLE_COLUMNS][BRAILLE_ROWS] = {
		{0x40, 0x04, 0x02, 0x01}, /* from the bottom */
		{0x80, 0x20, 0x10, 0x08},
	};
	uint32_t set = 0;

	for (unsigned y = 0; span->known && y < BRAILLE_ROWS; y++)
		if (row * BRAILLE_ROWS + y >= span->from &&
		    row * BRAILLE_ROWS + y <= span->to)
			set |= bits[x][y];
	return set;
}

static uint32_t ascii_dots(const struct plot_span *span, unsigned row, bool filled)
{
	static const char line[] =
		" .-|'|||"; /* by the rows that are set: bit 0 lowest */
	static const char fill[] = " .::####";
	unsigned set = 0;

	for (unsigned y = 0; span->known && y < ASCII_ROWS; y++)
		if (row * ASCII_ROWS + y >= span->from &&
		    row * ASCII_ROWS + y <= span->to)
			set |= 1U << y;
	return (unsigned char)(filled ? fill : line)[set];
}

/* The dots of column I of AREA that SPAN covers. */
static void column_draw(const struct area *area, unsigned i, const struct plot_span *span,
			bool filled, enum ink ink)
{
	unsigned rows = area->rect.rows;
	unsigned each = plot_points_per_column(area->canvas);

	for (unsigned row = 0; row < rows; row++) {
		unsigned y = rows - 1 - row;

		if (!area->canvas->ascii)
			area_dots(area, row, i / each, braille_bits(span, y, i % each),
				  ink);
		else if (ascii_dots(span, y, filled) != ' ')
			area_put(area, row, i, ascii_dots(span, y, filled), ink);
	}
}

/* What POINT may have been. */
static struct plot_span band_of(const struct plot_point *point,
				const struct plot_scale *scale, unsigned dots)
{
	return (struct plot_span){
		.known = point->known && point->is_band,
		.from = dot_of(point->least, scale, dots),
		.to = dot_of(point->most, scale, dots),
	};
}

void plot_draw(const struct area *area, const struct plot_point *point, unsigned count,
	       const struct plot_scale *scale, bool filled, enum ink ink)
{
	unsigned dots =
		area->rect.rows * (area->canvas->ascii ? ASCII_ROWS : BRAILLE_ROWS);

	for (unsigned i = 0; dots && i < count; i++) {
		struct plot_span band = band_of(&point[i], scale, dots);

		if (band.known)
			column_draw(area, i, &band, true, INK_FAINT);
	}
	for (unsigned i = 0; dots && i < count; i++) {
		struct plot_span span =
			span_of(point, i, scale, dots, filled && !point[i].is_band);

		column_draw(area, i, &span, filled, ink);
	}
}
