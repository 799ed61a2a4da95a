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

static struct plot_scale scale_of(double low, double high, enum figure_unit unit)
{
	const struct plot_point points[] = {{true, low, low}, {true, high, high}};

	return plot_scale_of(points, 2, unit);
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

static void small_changes_of_large_values_show(void **state)
{
	struct plot_scale scale = scale_of(880e6, 1017e6, UNIT_BYTES);

	(void)state;
	assert_true(scale.low > 700e6 && scale.high < 1200e6);
}

static void flat_lines_stay_flat(void **state)
{
	struct plot_scale scale = scale_of(100e6, 100.1e6, UNIT_BYTES);

	(void)state;
	assert_true((100.1e6 - 100e6) / (scale.high - scale.low) < 0.02);
	scale = scale_of(143, 143, UNIT_COUNT);
	assert_true(scale.low == 0);
}

static void large_ratios_are_logarithmic(void **state)
{
	struct plot_scale scale = scale_of(65536, 64 << 20, UNIT_BYTES);

	(void)state;
	assert_true(scale.is_log && scale.low == 65536 && scale.high == 64 << 20);
	assert_true(fabs(plot_value(&scale, 0.5) - 2097152) < 1);
	assert_true(fabs(plot_part(&scale, 2097152) - 0.5) < 1e-9);
	assert_false(scale_of(0, 64 << 20, UNIT_BYTES).is_log);
}

static void no_values_make_a_scale_too(void **state)
{
	const struct plot_point gap = {0};
	const struct plot_point odd = {true, NAN, INFINITY};

	(void)state;
	assert_true(plot_scale_of(&gap, 1, UNIT_BYTES).high > 0);
	assert_true(plot_scale_of(&gap, 0, UNIT_COUNT).high > 0);
	assert_true(plot_scale_of(&odd, 1, UNIT_RATIO).high > 0);
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
		{true, 0, 0}, {true, 8, 8}, {false, 0, 0}, {false, 0, 0}, {true, 4, 4},
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
	const struct plot_point points[] = {{true, -5, 1e30}, {true, NAN, NAN}};

	(void)state;
	assert_plot(points, 1, false, "⡇\n⡇\n");
	assert_plot(points + 1, 1, false, "\n⡀\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(scales_hold_all_values),
		TEST(small_changes_of_large_values_show),
		TEST(flat_lines_stay_flat),
		TEST(large_ratios_are_logarithmic),
		TEST(no_values_make_a_scale_too),
		TEST(lines_hold_together_and_gaps_stay_open),
		TEST(values_beyond_the_scale_stay_in_the_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
