/* test_top_timeline.c: walking through the readings that are kept: pause, back, on, zoom,
 * whatever there is or is not. */
#include "top/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define FIRST  (INT64_C(1763719992) * SECOND)

enum { READINGS = 20 };

static struct history *history;
static struct timeline timeline;

static int setup(void **state)
{
	const struct history_options options = {.budget_bytes = 4 << 20, .arenas = 1};

	(void)state;
	timeline_open(&timeline);
	return history_new(&history, &options);
}

static int teardown(void **state)
{
	(void)state;
	history_free(history);
	return 0;
}

static void fill(void)
{
	struct sample *sample = sample_new(1, false);

	assert_non_null(sample);
	for (unsigned i = 0; i < READINGS; i++) {
		sample_clear(sample);
		sample->pid = 1;
		sample->time_ns = FIRST + i * SECOND;
		assert_int_equal(history_add(history, sample), 0);
	}
	sample_free(sample);
}

/* Which reading is looked at. */
static int at(void)
{
	const struct sample *sample = timeline_sample(&timeline, history);

	return sample ? (int)((sample->time_ns - FIRST) / SECOND) : -1;
}

static void without_readings_there_is_nothing_to_hold(void **state)
{
	(void)state;
	assert_int_equal(timeline_pause(&timeline, history, INT64_MAX),
			 TIMELINE_NO_READING);
	assert_int_equal(timeline_back(&timeline, history, 1), TIMELINE_NO_READING);
	assert_int_equal(timeline_on(&timeline, history), TIMELINE_AT_END);
	assert_int_equal(timeline.paused_ns, 0);
	assert_null(timeline_sample(&timeline, history));
	assert_null(timeline_since(&timeline, history, FIRST));
	timeline_zoom(&timeline, history, 1);
}

static void it_goes_back_and_on(void **state)
{
	(void)state;
	fill();
	assert_int_equal(at(), READINGS - 1);
	assert_int_equal(timeline_back(&timeline, history, 1), TIMELINE_MOVED);
	assert_int_equal(at(), READINGS - 2);
	assert_int_equal(timeline_back(&timeline, history, 10), TIMELINE_MOVED);
	assert_int_equal(at(), READINGS - 12);
	assert_int_equal(timeline_back(&timeline, history, 100), TIMELINE_MOVED);
	assert_int_equal(at(), 0);
	assert_int_equal(timeline_back(&timeline, history, 1), TIMELINE_AT_END);
	assert_int_equal(at(), 0);
	for (int i = 1; i < READINGS; i++) {
		assert_int_equal(timeline_on(&timeline, history), TIMELINE_MOVED);
		assert_int_equal(at(), i);
	}
	assert_int_equal(timeline_on(&timeline, history), TIMELINE_AT_END);
	assert_true(timeline.paused_ns);
	timeline_live(&timeline);
	assert_int_equal(timeline.paused_ns, 0);
}

/* What is held stays what it is while further readings come. */
static void what_is_held_stays(void **state)
{
	(void)state;
	fill();
	assert_int_equal(timeline_pause(&timeline, history, FIRST + 5 * SECOND + 1),
			 TIMELINE_MOVED);
	assert_int_equal(at(), 5);
	fill();
	assert_int_equal(timeline.paused_ns, FIRST + 5 * SECOND);
}

static void the_instant_stays_within_the_graphs(void **state)
{
	(void)state;
	fill();
	timeline.zoom_ns = 10 * SECOND;
	for (int i = READINGS - 1; i > 0; i--) {
		timeline_back(&timeline, history, 1);
		assert_true(timeline.paused_ns <= timeline.right_ns);
		assert_true(timeline.paused_ns > timeline.right_ns - timeline.zoom_ns);
	}
}

static void spans_are_a_minute_to_two_days(void **state)
{
	int64_t before = timeline.zoom_ns;

	(void)state;
	fill();
	timeline_zoom(&timeline, history, 1);
	assert_true(timeline.zoom_ns > before);
	for (unsigned i = 0; i < 100; i++)
		timeline_zoom(&timeline, history, 1);
	assert_int_equal(timeline.zoom_ns, 48 * 3600 * SECOND);
	for (unsigned i = 0; i < 100; i++)
		timeline_zoom(&timeline, history, -1);
	assert_int_equal(timeline.zoom_ns, 60 * SECOND);
}

static void changes_are_from_the_left_end(void **state)
{
	(void)state;
	fill();
	timeline.zoom_ns = 5 * SECOND;
	assert_int_equal(timeline_since(&timeline, history, FIRST + 19 * SECOND)->time_ns,
			 FIRST + 14 * SECOND);
	timeline.zoom_ns = 600 * SECOND;
	assert_int_equal(timeline_since(&timeline, history, FIRST + 19 * SECOND)->time_ns,
			 FIRST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_readings_there_is_nothing_to_hold),
		TEST(it_goes_back_and_on),
		TEST(what_is_held_stays),
		TEST(the_instant_stays_within_the_graphs),
		TEST(spans_are_a_minute_to_two_days),
		TEST(changes_are_from_the_left_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
