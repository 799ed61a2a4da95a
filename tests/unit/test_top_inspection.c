/* test_top_inspection.c: the range and the cursor of the heap map: they stay within the
 * arena and where they are, whatever the cells become. */
#include "top/inspection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CELLS = 64, CELL_BYTES = 4096 };

#define ARENA_FROM UINT64_C(0x7f0000000000)
#define ARENA_TO   (ARENA_FROM + UINT64_C(64) * CELLS * CELL_BYTES)

static struct heap_map *map;
static struct inspection inspection;

/* The map of [FROM, FROM + CELLS cells) of CELL bytes. */
static void fill(uint64_t from, uint64_t cell)
{
	map->cell_count = CELLS;
	map->cell_bytes = cell;
	map->arena_from = ARENA_FROM;
	map->arena_to = ARENA_TO;
	for (unsigned i = 0; i < CELLS; i++) {
		map->cell[i].from = from + i * cell;
		map->cell[i].to = from + (i + 1) * cell;
	}
	map->total.from = from;
	map->total.to = from + CELLS * cell;
}

static int setup(void **state)
{
	(void)state;
	map = heap_map_new(CELLS, 4);
	if (!map)
		return -1;
	inspection_open(&inspection);
	fill(ARENA_FROM, (ARENA_TO - ARENA_FROM) / CELLS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	heap_map_free(map);
	return 0;
}

static void assert_within(void)
{
	if (!inspection.from && !inspection.to)
		return;
	assert_true(inspection.from >= ARENA_FROM && inspection.to <= ARENA_TO + 16);
	assert_true(inspection.from < inspection.to);
	assert_int_equal(inspection.from % 16, 0);
}

static void the_cursor_stays_in_the_arena(void **state)
{
	(void)state;
	inspection_move(&inspection, map, -1);
	assert_int_equal(inspection_cell(&inspection, map), 0);
	inspection_move(&inspection, map, 10);
	assert_int_equal(inspection_cell(&inspection, map), 10);
	inspection_move(&inspection, map, INT32_MAX);
	assert_int_equal(inspection_cell(&inspection, map), CELLS - 1);
	inspection_put(&inspection, map, 5);
	assert_int_equal(inspection_cell(&inspection, map), 5);
	inspection_put(&inspection, map, CELLS);
	assert_int_equal(inspection_cell(&inspection, map), 5);
}

/* The address that it is at is within the range, however near that is looked at. */
static void the_cursor_keeps_its_address(void **state)
{
	(void)state;
	inspection_put(&inspection, map, 40);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t addr = inspection.cursor_addr;

		inspection_zoom(&inspection, map, 1);
		assert_within();
		assert_true(inspection.to - inspection.from >= CELLS * 32);
		assert_true(addr >= inspection.from && addr < inspection.to);
		fill(inspection.from, (inspection.to - inspection.from) / CELLS);
		assert_true(map->cell[inspection_cell(&inspection, map)].from <= addr);
	}
	for (unsigned i = 0; i < 20; i++)
		inspection_zoom(&inspection, map, -1);
	assert_int_equal(inspection.from | inspection.to, 0);
}

static void beyond_the_range_lies_more(void **state)
{
	uint64_t from;

	(void)state;
	inspection_put(&inspection, map, 32);
	inspection_enter(&inspection, map);
	assert_within();
	from = inspection.from;
	fill(inspection.from, (inspection.to - inspection.from) / CELLS);
	inspection_put(&inspection, map, CELLS - 1);
	inspection_move(&inspection, map, 1);
	assert_within();
	assert_true(inspection.from > from);
	assert_true(inspection.cursor_addr >= inspection.from &&
		    inspection.cursor_addr < inspection.to);
}

static void a_map_without_cells_moves_nothing(void **state)
{
	(void)state;
	map->cell_count = 0;
	inspection_move(&inspection, map, 3);
	inspection_zoom(&inspection, map, 1);
	inspection_enter(&inspection, map);
	assert_int_equal(inspection.cursor_addr | inspection.from | inspection.to, 0);
}

static void a_look_answers_its_wish_alone(void **state)
{
	struct inspection_result inspected = {.map = map, .has_map = true};
	const struct heap_map *before;

	(void)state;
	inspected.request = inspection_ask(&inspection, 2, 3, 1000);
	assert_int_equal(inspected.request.cells, 1000);
	assert_int_equal(inspection_ask(&inspection, 2, 3, 1 << 30).cells, FEED_CELLS);
	assert_false(inspection_ask(&inspection, 2, 3, 0).map);
	assert_null(inspection_map(&inspection, 2, 3, &before));
	inspection.inspected = &inspected;
	assert_ptr_equal(inspection_map(&inspection, 2, 3, &before), map);
	assert_null(before);
	assert_null(inspection_map(&inspection, 2, 4, &before));
	assert_null(inspection_map(&inspection, 1, 3, &before));
	inspection.before = &inspected;
	inspection_map(&inspection, 2, 3, &before);
	assert_ptr_equal(before, map);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_cursor_stays_in_the_arena),
		TEST(the_cursor_keeps_its_address),
		TEST(beyond_the_range_lies_more),
		TEST(a_map_without_cells_moves_nothing),
		TEST(a_look_answers_its_wish_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
