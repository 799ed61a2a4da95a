/* test_plot.c: scales with round ends, and lines of dots in braille and ASCII. */
#include "tui/plot.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COLUMNS = 8, ROWS = 2 };

static struct canvas *canvas;
static char buf[1024];

static int setup(void **state)
{
	(void)state;
	if (canvas_new(&canvas, COLUMNS * ROWS))
		return -1;
	canvas_resize(canvas, ROWS, COLUMNS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	canvas_free(canvas);
	return 0;
}

static struct plot_scale scale_by(double low, double high, enum figure_unit unit,
				  bool is_log)
{
	const struct plot_point points[] = {{.known = true, .low = low, .high = low},
					    {.known = true, .low = high, .high = high}};

	return plot_scale_of(points, 2, unit, is_log);
}

static struct plot_scale scale_of(double low, double high, enum figure_unit unit)
{
	return scale_by(low, high, unit, false);
}

static void scales_hold_all_values(void **state)
{
	static const double values[] = {0,    1,    2.5,   3,	 63,	  64,
					1000, 1025, 99999, 1e6,	 1048576, 1e9,
					1e12, 1e18, 1e19,  1e-4, 0.9999,  123456789};
	const size_t count = sizeof(values) / sizeof(values[0]);

	(void)state;
	for (unsigned unit = UNIT_BYTES; unit <= UNIT_NS; unit++)
		for (size_t i = 0; i < count; i++)
			for (size_t j = 0; j < count; j++) {
				double low = fmin(values[i], values[j]);
				double high = fmax(values[i], values[j]);
				struct plot_scale scale = scale_of(low, high, unit);

				assert_true(scale.low < scale.high);
				assert_true(scale.low <= low && scale.high >= high);
				assert_true(!scale.is_log || scale.low > 0);
			}
}

/* The values take half of the scale's height or more. */
static void assert_fits(double low, double high, enum figure_unit unit)
{
	struct plot_scale scale = scale_of(low, high, unit);

	if (high - low < 0.5 * (scale.high - scale.low))
		fail_msg("%g to %g on %g to %g", low, high, scale.low, scale.high);
}

static void scales_fit_the_values(void **state)
{
	struct plot_scale scale =
		scale_of(60.9 * (1 << 20), 63.3 * (1 << 20), UNIT_BYTES);

	(void)state;
	assert_true(scale.low >= 60 << 20 && scale.high <= 64 << 20);
	assert_fits(880e6, 1017e6, UNIT_BYTES);
	assert_fits(40e6, 100e6, UNIT_BYTES);
	assert_fits(10e9, 11e9, UNIT_BYTES);
	assert_fits(0, 3e6, UNIT_BYTES);
	assert_fits(65536, 64 << 20, UNIT_BYTES);
	assert_fits(5000, 5900, UNIT_COUNT);
	assert_fits(0.7, 0.8, UNIT_RATIO);
}

/* Labels of three digits tell the ends, and the middle, apart. */
static void labels_differ(void **state)
{
	static const double values[] = {100, 1000, 4096,  5000, 100e3,
					1e6, 63e6, 999e6, 1e9,	7e12};

	(void)state;
	for (unsigned unit = UNIT_BYTES; unit <= UNIT_COUNT; unit++)
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			struct plot_scale scale = scale_of(values[i], values[i], unit);
			char said[3][32];

			for (unsigned part = 0; part < 3; part++) {
				struct text text;

				text_init(&text, said[part], sizeof(said[part]));
				plot_label(&text, plot_value(&scale, part / 2.0), unit);
			}
			if (!strcmp(said[0], said[1]) || !strcmp(said[1], said[2]))
				fail_msg("%g: %s %s %s", values[i], said[0], said[1],
					 said[2]);
		}
}

static void flat_lines_stay_flat(void **state)
{
	struct plot_scale scale = scale_of(100e6, 100.1e6, UNIT_BYTES);

	(void)state;
	assert_true((100.1e6 - 100e6) / (scale.high - scale.low) < 0.1);
}

static void scales_are_logarithmic_where_asked_for(void **state)
{
	struct plot_scale scale = scale_by(65536, 64 << 20, UNIT_BYTES, true);

	(void)state;
	assert_true(scale.is_log && scale.low == 65536 && scale.high == 64 << 20);
	assert_true(fabs(plot_value(&scale, 0.5) - 2097152) < 1);
	assert_true(fabs(plot_part(&scale, 2097152) - 0.5) < 1e-9);
	scale = scale_by(0, 64 << 20, UNIT_BYTES, true);
	assert_true(scale.is_log && scale.low > 0 && scale.high > scale.low);
	assert_false(scale_by(0, 0, UNIT_BYTES, true).is_log);
	assert_false(scale_by(0.1, 0.9, UNIT_RATIO, true).is_log);
	assert_false(scale_of(65536, 64 << 20, UNIT_BYTES).is_log);
}

static void no_values_make_a_scale_too(void **state)
{
	const struct plot_point gap = {0};
	const struct plot_point odd = {.known = true, .low = NAN, .high = INFINITY};

	(void)state;
	assert_true(plot_scale_of(&gap, 1, UNIT_BYTES, false).high > 0);
	assert_true(plot_scale_of(&gap, 0, UNIT_COUNT, true).high > 0);
	assert_true(plot_scale_of(&odd, 1, UNIT_RATIO, false).high > 0);
}

#define POINT(is_known, from, to)                          \
	{                                                  \
		.known = is_known, .low = from, .high = to \
	}

static void assert_plot(const struct plot_point *point, unsigned count, bool filled,
			const char *wanted)
{
	const struct plot_scale scale = {0, 8, false};
	struct area all = area_of(canvas, &(struct rect){0, 0, ROWS, COLUMNS});
	struct text text;

	area_clear(&all);
	plot_draw(&all, point, count, &scale, filled, INK_GRAPH);
	text_init(&text, buf, sizeof(buf));
	canvas_text(canvas, &text);
	assert_string_equal(buf, wanted);
}

static void lines_hold_together_and_gaps_stay_open(void **state)
{
	const struct plot_point points[] = {
		POINT(true, 0, 0),  POINT(true, 8, 8), POINT(false, 0, 0),
		POINT(false, 0, 0), POINT(true, 4, 4),
	};

	(void)state;
	assert_plot(points, 5, false, "⢸ ⡀\n⡸\n");
	assert_plot(points, 5, true, "⢸ ⡀\n⣸ ⡇\n");
	canvas->ascii = true;
	assert_int_equal(plot_points_per_column(canvas), 1);
	assert_plot(points, 5, false, " |  .\n.|\n");
	assert_plot(points, 5, true, " #  .\n.#  #\n");
}

static void values_beyond_the_scale_stay_in_the_area(void **state)
{
	const struct plot_point points[] = {POINT(true, -5, 1e30), POINT(true, NAN, NAN)};

	(void)state;
	assert_plot(points, 1, false, "⡇\n⡇\n");
	assert_plot(points + 1, 1, false, "\n⡀\n");
}

/* The line over what it may have been. */
static void bands_lie_behind_the_line(void **state)
{
	const struct plot_point points[] = {
		{.known = true,
		 .is_band = true,
		 .low = 4,
		 .high = 4,
		 .least = 0,
		 .most = 8},
		{.known = true,
		 .is_band = true,
		 .low = 4,
		 .high = 4,
		 .least = 4,
		 .most = 8},
	};
	struct plot_scale scale = plot_scale_of(points, 2, UNIT_COUNT, false);

	(void)state;
	assert_true(scale.low == 0 && scale.high >= 8);
	assert_plot(points, 2, false, "⣿\n⡇\n");
	assert_plot(points, 2, true, "⣿\n⡇\n");
	assert_int_equal(canvas_at(canvas, 0, 0)->ink, INK_GRAPH);
	assert_int_equal(canvas_at(canvas, 1, 0)->ink, INK_FAINT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(scales_hold_all_values),
		TEST(scales_fit_the_values),
		TEST(labels_differ),
		TEST(flat_lines_stay_flat),
		TEST(scales_are_logarithmic_where_asked_for),
		TEST(no_values_make_a_scale_too),
		TEST(lines_hold_together_and_gaps_stay_open),
		TEST(values_beyond_the_scale_stay_in_the_area),
		TEST(bands_lie_behind_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
