/* test_top_input.c: keys and clicks on the state of `top`, with processes and without a
 * terminal. */
#include "top/actions.h"
#include "top/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define FIRST  (INT64_C(1763719992) * SECOND)

enum { ROWS = 24, COLUMNS = 80, READINGS = 12, PROCESSES = 3 };

static const struct top_options options = {.no_events = true};
static struct top *top;

static void add_process(int pid)
{
	struct sample *sample = sample_new(2, false);
	struct top_target *target;

	assert_non_null(sample);
	assert_int_equal(
		targets_add(&top->targets, top->targets.count, pid, "sessiond", 2, false),
		0);
	target = &top->targets.target[top->targets.count - 1];
	for (unsigned i = 0; i < READINGS; i++) {
		sample_clear(sample);
		sample->pid = pid;
		strcpy(sample->comm, "sessiond");
		sample->time_ns = FIRST + i * SECOND;
		figure_set(&sample->fig, FIG_RSS_BYTES, 1000 * (uint64_t)pid + i);
		sample->arena_count = 2;
		sample->arena[1].index = 1;
		target_keep(target, sample, NULL);
	}
	sample_free(sample);
}

static int setup(void **state)
{
	(void)state;
	top = calloc(1, sizeof(*top));
	if (!top || canvas_new(&top->canvas, ROWS * COLUMNS))
		return -1;
	canvas_resize(top->canvas, ROWS, COLUMNS);
	top->options = &options;
	timeline_open(&top->time);
	selection_open(&top->selection);
	inspection_open(&top->inspection);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	targets_close(&top->targets);
	canvas_free(top->canvas);
	free(top);
	return 0;
}

static void press(uint32_t code)
{
	top_input(top, &(struct term_input){.kind = TERM_KEY, .code = code});
}

/* Every key at every place, on nothing at all and on some processes. */
static void no_key_needs_anything(void **state)
{
	(void)state;
	for (unsigned with = 0; with < 2; with++) {
		for (unsigned pane = 0; pane < PANE_COUNT; pane++)
			for (size_t i = 0; i < top_actions.count; i++)
				for (unsigned k = 0; k < ACTION_KEYS; k++) {
					uint32_t code = top_actions.action[i].keys[k];

					/* This one starts a thread. */
					if (code == 'P' || !code)
						continue;
					top->selection.pane = pane;
					press(code);
					press(PRESS_ESCAPE);
				}
		for (int i = 0; i < PROCESSES && !with; i++)
			add_process(10 + i);
	}
}

static void panes_have_digits_and_function_keys(void **state)
{
	(void)state;
	for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
		press('1' + pane);
		assert_int_equal(top->selection.pane, pane);
	}
	press(PRESS_F2);
	assert_int_equal(top->selection.pane, PANE_ARENAS);
}

static void help_has_three_keys_and_goes_with_any(void **state)
{
	static const uint32_t keys[] = {'?', 'h', PRESS_F1};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		press(keys[i]);
		assert_true(top->help);
		press('2');
		assert_false(top->help);
		assert_int_equal(top->selection.pane, PANE_OVERVIEW);
	}
	press('?');
	press(PRESS_F10);
	assert_true(top->quit);
}

static void an_unknown_key_says_so(void **state)
{
	(void)state;
	press('Z');
	assert_non_null(strstr(top->said.message, "? for help"));
	press('2');
	assert_string_equal(top->said.message, "");
	top->picking.on = true;
	press(PRESS_F12);
	assert_non_null(strstr(top->said.message, "F1 for help"));
	press('Z');
	assert_string_equal(top->picking.filter, "Z");
	assert_string_equal(top->said.message, "");
	press(PRESS_F1);
	assert_true(top->help);
}

static void a_filter_is_typed(void **state)
{
	(void)state;
	add_process(10);
	press('2');
	press('/');
	press('q');
	press('7');
	assert_false(top->quit);
	assert_string_equal(top->selection.filter, "q7");
	press(PRESS_ENTER);
	assert_false(top->selection.is_typing);
	assert_string_equal(top->selection.filter, "q7");
	press(PRESS_ESCAPE);
	assert_string_equal(top->selection.filter, "");
}

static void time_goes_back_and_on(void **state)
{
	(void)state;
	press(PRESS_LEFT);
	assert_non_null(strstr(top->said.message, "no reading"));
	add_process(10);
	press(PRESS_LEFT);
	assert_int_equal(top->time.paused_ns, FIRST + (READINGS - 2) * SECOND);
	press('>');
	assert_non_null(strstr(top->said.message, "latest reading"));
	press('<');
	press('<');
	press('<');
	assert_int_equal(top->time.paused_ns, FIRST);
	assert_non_null(strstr(top->said.message, "earliest reading"));
	press('l');
	assert_int_equal(top->time.paused_ns, 0);
	press('L');
	assert_true(top->time.is_log);
}

static void processes_are_gone_through(void **state)
{
	static const unsigned order[PROCESSES] = {2, 0, 1};

	(void)state;
	for (int i = 0; i < PROCESSES; i++)
		add_process(10 + i);
	press(PRESS_TAB);
	assert_int_equal(top->targets.shown, 1);
	press(PRESS_BACK_TAB);
	press(PRESS_BACK_TAB);
	assert_int_equal(top->targets.shown, 2);
	press('7');
	top->screen.processes =
		(struct screen_processes){.order = order, .count = PROCESSES};
	press(PRESS_DOWN);
	assert_int_equal(top->targets.shown, 0);
	press(PRESS_END);
	assert_int_equal(top->targets.shown, 1);
	press(PRESS_ENTER);
	assert_int_equal(top->selection.pane, PANE_OVERVIEW);
}

static void spots_do_what_they_show(void **state)
{
	struct area all = area_of(top->canvas, &(struct rect){0, 0, ROWS, COLUMNS});
	const struct term_input click = {.kind = TERM_CLICK, .row = 3, .column = 4};
	const struct term_input outside = {.kind = TERM_CLICK, .row = ROWS, .column = 0};

	(void)state;
	add_process(10);
	top_input(top, &outside);
	top_input(top, &click);
	area_spot(&all, 3, 4, 1, SPOT_TAB, PANE_ARENAS);
	top_input(top, &click);
	assert_int_equal(top->selection.pane, PANE_ARENAS);
	area_spot(&all, 3, 4, 1, SPOT_HEADING, ARENA_LIVE);
	top_input(top, &click);
	assert_int_equal(top->selection.arenas.column, ARENA_LIVE);
	area_spot(&all, 3, 4, 1, SPOT_KEY, 0);
	top_input(top, &click);
	assert_true(top->help);
	top_input(top, &click);
	assert_false(top->help);
	area_spot(&all, 3, 4, 1, SPOT_KEY, 1000);
	top_input(top, &click);
	for (unsigned spot = 0; spot <= SPOT_INSTANT; spot++)
		for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
			top->selection.pane = pane;
			area_spot(&all, 3, 4, 1, spot, UINT32_MAX);
			top_input(top, &click);
			top->help = top->quit = false;
		}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(no_key_needs_anything),
		TEST(panes_have_digits_and_function_keys),
		TEST(help_has_three_keys_and_goes_with_any),
		TEST(an_unknown_key_says_so),
		TEST(a_filter_is_typed),
		TEST(time_goes_back_and_on),
		TEST(processes_are_gone_through),
		TEST(spots_do_what_they_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
