/* test_screen_layout.c: at every size from 20x5 to 300x100 the parts of each pane lie on
 * the screen, apart from each other, and what matters most is there. */
#include "tui/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MAX_PARTS = 32 };

struct parts {
	const struct rect *rect[MAX_PARTS];
	unsigned count;
};

static void add(struct parts *parts, const struct rect *rect)
{
	if (rect->rows && rect->columns)
		parts->rect[parts->count++] = rect;
}

static bool within(const struct rect *part, const struct rect *whole)
{
	return part->row >= whole->row && part->column >= whole->column &&
	       part->row + part->rows <= whole->row + whole->rows &&
	       part->column + part->columns <= whole->column + whole->columns;
}

static bool overlap(const struct rect *a, const struct rect *b)
{
	return a->row < b->row + b->rows && b->row < a->row + a->rows &&
	       a->column < b->column + b->columns && b->column < a->column + a->columns;
}

static void check_parts(const struct parts *parts, const struct rect *whole)
{
	for (unsigned i = 0; i < parts->count; i++) {
		assert_true(within(parts->rect[i], whole));
		for (unsigned j = 0; j < i; j++)
			assert_false(overlap(parts->rect[i], parts->rect[j]));
	}
}

static void parts_of_pane(const struct layout *layout, struct parts *parts)
{
	add(parts, &layout->bar);
	add(parts, &layout->legend);
	add(parts, &layout->figures);
	for (unsigned i = 0; i < LAYOUT_GRAPHS; i++) {
		add(parts, &layout->graph[i]);
		add(parts, &layout->axis[i]);
	}
	add(parts, &layout->summary);
	add(parts, &layout->main);
	add(parts, &layout->detail);
}

static void check_size(unsigned rows, unsigned columns, enum pane pane)
{
	struct rect all = {0, 0, rows, columns};
	struct parts frame = {0}, parts = {0};
	struct layout layout;

	layout_of(rows, columns, pane, &layout);
	assert_true(layout.too_small ==
		    (rows < LAYOUT_MIN_ROWS || columns < LAYOUT_MIN_COLUMNS));
	if (layout.too_small)
		return;
	add(&frame, &layout.header);
	add(&frame, &layout.tabs);
	add(&frame, &layout.body);
	add(&frame, &layout.status);
	add(&frame, &layout.footer);
	check_parts(&frame, &all);
	parts_of_pane(&layout, &parts);
	check_parts(&parts, &layout.body);
	assert_true(pane == PANE_OVERVIEW ? layout.bar.rows == 2 : layout.main.rows >= 2);
	for (unsigned i = 0; i < LAYOUT_GRAPHS; i++)
		assert_true((layout.graph[i].rows > 0) == (i < layout.graphs));
}

static void parts_never_overlap_and_fit(void **state)
{
	(void)state;
	for (unsigned rows = 5; rows <= 100; rows++)
		for (unsigned columns = 20; columns <= 300; columns++)
			for (unsigned pane = 0; pane < PANE_COUNT; pane++)
				check_size(rows, columns, pane);
}

/* Nothing of a screen may make a layout of it fail, not even none at all. */
static void odd_sizes_are_too_small(void **state)
{
	(void)state;
	for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
		check_size(0, 0, pane);
		check_size(1, 1000, pane);
		check_size(1000, 1, pane);
	}
}

static void a_terminal_of_80x24_has_it_all(void **state)
{
	struct layout layout;

	(void)state;
	layout_of(24, 80, PANE_OVERVIEW, &layout);
	assert_int_equal(layout.graphs, 4);
	assert_int_equal(layout.axes, 2);
	assert_true(layout.legend.rows && layout.figures.rows && layout.status.rows);
	layout_of(24, 80, PANE_MAP, &layout);
	assert_true(layout.summary.rows && layout.detail.rows);
	assert_int_equal(layout_map_columns(&layout), 80 - LAYOUT_ADDRESS_COLUMNS);
	assert_int_equal(layout_map_rows(&layout), layout.main.rows);
	layout_of(24, 80, PANE_SIZES, &layout);
	assert_true(layout.detail.columns >= 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_never_overlap_and_fit),
		cmocka_unit_test(odd_sizes_are_too_small),
		cmocka_unit_test(a_terminal_of_80x24_has_it_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
