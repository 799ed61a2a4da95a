/* test_top_selection.c: where lists stand, how they are sorted and filtered, and what
 * this process itself takes. */
#include "top/own_cpu.h"
#include "top/picking.h"
#include "top/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void lists_have_ends(void **state)
{
	(void)state;
	assert_int_equal(moved(0, -1, 5), 0);
	assert_int_equal(moved(3, 1, 5), 4);
	assert_int_equal(moved(3, 10, 5), 4);
	assert_int_equal(moved(3, -INT32_MAX, 5), 0);
	assert_int_equal(moved(3, INT32_MAX, 5), 4);
	assert_int_equal(moved(7, 0, 5), 4);
	assert_int_equal(moved(7, 1, 0), 0);
}

static void the_same_column_again_turns_round(void **state)
{
	struct sorting sorting = {1, true};

	(void)state;
	sorting_by(&sorting, 2, false);
	assert_int_equal(sorting.column, 2);
	assert_false(sorting.ascending);
	sorting_by(&sorting, 2, false);
	assert_true(sorting.ascending);
	sorting_by(&sorting, 1, true);
	assert_true(sorting.ascending);
}

static void what_is_typed_is_bounded(void **state)
{
	char typed[TYPED_BYTES] = "";

	(void)state;
	assert_true(typed_add(typed, PRESS_BACKSPACE));
	assert_string_equal(typed, "");
	assert_true(typed_add(typed, 'a'));
	assert_true(typed_add(typed, ' '));
	assert_string_equal(typed, "a ");
	assert_true(typed_add(typed, PRESS_BACKSPACE));
	assert_string_equal(typed, "a");
	assert_false(typed_add(typed, PRESS_UP));
	assert_false(typed_add(typed, 0x1f600));
	for (unsigned i = 0; i < 2 * TYPED_BYTES; i++)
		assert_true(typed_add(typed, 'x'));
	assert_int_equal(strlen(typed), TYPED_BYTES - 1);
}

static void arenas_go_round(void **state)
{
	struct selection selection;
	struct sample *sample = sample_new(3, false);
	const unsigned order[] = {2, 0, 1};

	(void)state;
	assert_non_null(sample);
	sample->arena_count = 3;
	for (unsigned i = 0; i < 3; i++)
		sample->arena[i].index = 10 + i;
	selection_open(&selection);
	selection.arena = 10;
	assert_int_equal(selection_arena_by(&selection, sample, order, 3, 1), 11);
	assert_int_equal(selection_arena_by(&selection, sample, order, 3, -1), 12);
	assert_int_equal(selection_arena_by(&selection, sample, order, 0, 1), 10);
	selection.pane = PANE_MAP;
	assert_int_equal(selection_arena_step(&selection, sample, 1), 11);
	assert_int_equal(selection_arena_step(&selection, sample, -1), 12);
	/* Before the first stand the sizes of all together. */
	selection.pane = PANE_SIZES;
	assert_int_equal(selection_arena_step(&selection, sample, -1), 10);
	assert_true(selection.all_sizes);
	assert_int_equal(selection_arena_step(&selection, sample, -1), 12);
	assert_false(selection.all_sizes);
	sample->arena_count = 0;
	assert_int_equal(selection_arena_step(&selection, sample, 1), 10);
	sample_free(sample);
}

static void candidates_are_followed_by_their_pid(void **state)
{
	static const struct screen_candidate rows[] = {
		{.pid = 7}, {.pid = 5}, {.pid = 9}};
	const struct screen_picker list = {.candidate = rows, .count = 3};
	const struct screen_picker none = {0};
	struct picking picking;

	(void)state;
	picking_start(&picking);
	assert_int_equal(picking_row(&picking, &list), 0);
	picking_move(&picking, &list, 1);
	assert_int_equal(picking.pid, 5);
	picking_move(&picking, &list, 100);
	assert_int_equal(picking.pid, 9);
	picking_move(&picking, &none, 1);
	assert_int_equal(picking.pid, 9);
	assert_int_equal(picking_row(&picking, &none), 0);
	assert_true(picking_type(&picking, 's'));
	assert_int_equal(picking.pid, 0);
	assert_string_equal(picking.filter, "s");
	assert_false(picking_type(&picking, PRESS_F1));
}

static void candidates_are_sorted_by_four_columns(void **state)
{
	struct picking picking;

	(void)state;
	picking_start(&picking);
	assert_int_equal(picking.sorting.column, CANDIDATE_RSS);
	assert_false(picking.sorting.ascending);
	picking_sort_next(&picking, 1);
	assert_int_equal(picking.sorting.column, CANDIDATE_PID);
	assert_true(picking.sorting.ascending);
	picking_sort_next(&picking, -1);
	assert_int_equal(picking.sorting.column, CANDIDATE_RSS);
	picking_sort(&picking, CANDIDATE_COMM);
	assert_true(picking.sorting.ascending);
	picking_sort(&picking, CANDIDATE_COMM);
	assert_false(picking.sorting.ascending);
	picking_sort(&picking, CANDIDATE_SORTS);
	assert_int_equal(picking.sorting.column, CANDIDATE_COMM);
}

static void own_time_is_of_the_last_ten_seconds(void **state)
{
	struct own_cpu cpu = {0};

	(void)state;
	for (int64_t s = 0; s < 5; s++)
		own_cpu_mark(&cpu, s * SECOND, s * SECOND / 10, 0);
	assert_false(cpu.known);
	own_cpu_mark(&cpu, 5 * SECOND, 5 * SECOND / 10, 0);
	assert_true(cpu.known && cpu.share > 0.099 && cpu.share < 0.101);
	/* From then on it takes nothing more. */
	for (int64_t s = 6; s < 17; s++)
		own_cpu_mark(&cpu, s * SECOND, 5 * SECOND / 10, 0);
	assert_true(cpu.known && cpu.share < 0.001);
	own_cpu_mark(&cpu, 17 * SECOND, SECOND, 12345);
	assert_false(cpu.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_have_ends),
		cmocka_unit_test(the_same_column_again_turns_round),
		cmocka_unit_test(what_is_typed_is_bounded),
		cmocka_unit_test(arenas_go_round),
		cmocka_unit_test(candidates_are_followed_by_their_pid),
		cmocka_unit_test(candidates_are_sorted_by_four_columns),
		cmocka_unit_test(own_time_is_of_the_last_ten_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
