/* test_days.c: a recording of a week, made on a simulated clock: at any instant and any
 * zoom what is shown is true, and little of the file is read for it. */
#include "base/clock.h"
#include "engine/days.h"
#include "recording/recorder.h"
#include "tests/unit/scratch.h"
#include "top/seek.h"
#include "top/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The seconds stay for two days, the minutes for the week; the spike is one second of the
 * third day, the alert a minute later. */
enum {
	DAY = 86400,
	SECONDS = 7 * DAY,
	STEP = 2, /* from one reading to the next */
	KEPT = 2 * DAY,
	SPIKE = 2 * DAY + 12345,
	SEEKS = 100,
};

static const int64_t second_ns = 1000000000;
static const int64_t start_ns = INT64_C(1764028800) * 1000000000;
static const uint64_t spike_bytes = UINT64_C(7) << 30;

static char directory[SCRATCH_NAME];
static char file[80];
static struct fault fault;
static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
	return random_next(&seed);
}

static int64_t at_ns(int64_t second)
{
	return start_ns + second * second_ns;
}

/* ---- the week ---- */

static uint64_t rss_at(int64_t second)
{
	return second / STEP == SPIKE / STEP ? spike_bytes
					     : (100 << 20) + (uint64_t)second * 100;
}

static void fill(struct sample *sample, int64_t second)
{
	sample_clear(sample);
	sample->time_ns = at_ns(second);
	sample->pid = 42;
	strcpy(sample->comm, "server");
	sample->arena_count = 1;
	figure_set(&sample->fig, FIG_RSS_BYTES, rss_at(second));
	/* What never moves has no rows but those of hours. */
	figure_set(&sample->fig, FIG_SYSTEM_BYTES, 12345678);
	figure_set(&sample->fig, FIG_FREE_BYTES, (1 << 20) + next() % (1 << 16));
}

static void add_event(struct recorder *recorder, unsigned life, int64_t second)
{
	assert_int_equal(
		recorder_event(recorder, life, at_ns(second), "alert", 0,
			       "{\"rule\":\"big\",\"message\":\"rss_bytes is 7.00G\"}",
			       &fault),
		0);
	assert_int_equal(recorder_event(recorder, life, at_ns(second + 4), "brk", 135168,
					"{\"stack\":[{\"function\":\"main\"},"
					"{\"function\":\"load\"}],\"stack_whole\":true}",
					&fault),
			 0);
}

/* Of BYTES live and as many free. */
static void add_map(struct recorder *recorder, unsigned life, int64_t second,
		    uint64_t bytes)
{
	struct heap_map *map = heap_map_new(1, 0);

	map->time_ns = at_ns(second);
	map->arena_from = map->cell[0].from = 0x1000;
	map->arena_to = map->cell[0].to = 0x1000 + 2 * bytes;
	map->cell_bytes = 2 * bytes;
	map->cell_count = 1;
	map->cell[0].bytes[MAP_LIVE] = map->cell[0].bytes[MAP_PINNED] = bytes;
	map->total = map->cell[0];
	assert_int_equal(recorder_map(recorder, life, map, &fault), 0);
	heap_map_free(map);
}

static int make_week(void **state)
{
	const struct recorder_options options = {.file = file,
						 .lives = 1,
						 .arenas = 1,
						 .looks = true,
						 .keep_ns = KEPT * second_ns};
	const struct recorder_life as = {"server", 42, start_ns, start_ns};
	int64_t began_ns = clock_monotonic_ns();
	struct recorder *recorder;
	struct sample *sample = sample_new(1, false);
	unsigned life;

	(void)state;
	if (scratch_make(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/week.db", directory);
	assert_int_equal(recorder_open(&recorder, &options, &fault), 0);
	assert_int_equal(recorder_begin(recorder, &as, &life, &fault), 0);
	for (int64_t second = 0; second < SECONDS; second += STEP) {
		fill(sample, second);
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		if (second == SPIKE / STEP * STEP)
			add_event(recorder, life, second + 60);
		if (second == SPIKE / STEP * STEP)
			add_map(recorder, life, second, 4096);
		if (second % 600 == 0)
			assert_int_equal(recorder_commit(recorder, at_ns(second), &fault),
					 0);
	}
	assert_int_equal(recorder_commit(recorder, at_ns(SECONDS), &fault), 0);
	recorder_close(recorder);
	sample_free(sample);
	print_message("# a week is made in %.1f s\n",
		      (double)(clock_monotonic_ns() - began_ns) / 1e9);
	return 0;
}

static int remove_week(void **state)
{
	(void)state;
	return scratch_remove(directory);
}

/* ---- any instant, any zoom ---- */

struct seen {
	unsigned count, spans;
	int64_t first_ns, last_ns;
	double most;
	bool spiked, wrong;
};

static int look(const struct days_sample *given, void *context)
{
	const struct sample *sample = given->sample;
	struct seen *seen = context;
	uint64_t high = sample->fig.v[FIG_RSS_BYTES].u;

	if (!seen->count++)
		seen->first_ns = sample->time_ns;
	seen->wrong |= sample->time_ns < seen->last_ns;
	seen->last_ns = sample->time_ns;
	seen->spans += given->low != NULL;
	if (given->high)
		high = given->high->v[FIG_RSS_BYTES].u;
	seen->spiked |= high == spike_bytes;
	seen->wrong |= !figure_has(&sample->fig, FIG_SYSTEM_BYTES) ||
		       sample->fig.v[FIG_SYSTEM_BYTES].u != 12345678;
	return 0;
}

static struct days *open_days(void)
{
	const struct pid_list pids = {NULL, 0};
	const struct name_list names = {NULL, 0};
	struct days *days;

	assert_int_equal(days_open(&days, file, &pids, &names, 16, &fault), 0);
	return days;
}

/* The spike is in each span that it is in, at any resolution; so is what does not move.
 */
static void any_span_is_true(void **state)
{
	static const int64_t zoom_s[] = {60,	    600,     3600,    6 * 3600,
					 24 * 3600, 2 * DAY, 7 * DAY, 90 * DAY};
	struct days *days = open_days();

	(void)state;
	assert_int_equal(days_targets(days), 1);
	assert_int_equal(days_interval_ns(days), STEP * second_ns);
	for (unsigned z = 0; z < sizeof(zoom_s) / sizeof(*zoom_s); z++) {
		int64_t began_ns, longest_ns = 0, all_ns = 0;
		uint64_t rows, most = 0, points = 0;

		for (unsigned i = 0; i < SEEKS; i++) {
			int64_t right = (int64_t)(next() % SECONDS);
			int64_t left = right - zoom_s[z];
			struct seen seen = {0};

			/* Half of them have the spike. */
			if (i % 2)
				right = SPIKE + (int64_t)(next() % (uint64_t)zoom_s[z]);
			left = right - zoom_s[z];
			rows = days_rows(days);
			began_ns = clock_monotonic_ns();
			assert_int_equal(days_load(days, at_ns(left), at_ns(right), look,
						   &seen, &fault),
					 0);
			began_ns = clock_monotonic_ns() - began_ns;
			rows = days_rows(days) - rows;
			all_ns += began_ns;
			if (began_ns > longest_ns)
				longest_ns = began_ns;
			if (rows > most)
				most = rows;
			if (seen.count > points)
				points = seen.count;
			assert_false(seen.wrong);
			if (i % 2 && zoom_s[z] >= 600 && right < SECONDS)
				assert_true(seen.spiked);
		}
		print_message("# %7lld s: %llu rows and %llu points at most, %.1f ms "
			      "on average, %.1f ms at most\n",
			      (long long)zoom_s[z], (unsigned long long)most,
			      (unsigned long long)points, (double)all_ns / SEEKS / 1e6,
			      (double)longest_ns / 1e6);
		/* Of some 200,000 readings and minutes. */
		assert_true(most < 6000);
		assert_true(points <= DAYS_POINTS);
	}
	days_close(days);
}

/* Behind what was loaded playing goes on, reading by reading. */
static void it_goes_on_behind(void **state)
{
	const int64_t right = SECONDS - DAY;
	struct days *days = open_days();
	struct days_sample given;
	struct seen seen = {0};

	(void)state;
	assert_int_equal(
		days_load(days, at_ns(right - 600), at_ns(right), look, &seen, &fault),
		0);
	assert_int_equal(seen.spans, 0);
	assert_int_equal(seen.count, 600 / STEP + 1);
	for (int i = 1; i < 100; i++) {
		assert_int_equal(days_next(days, &given, &fault), 0);
		assert_int_equal(given.sample->time_ns, at_ns(right + i * STEP));
		assert_int_equal(given.sample->fig.v[FIG_RSS_BYTES].u,
				 rss_at(right + i * STEP));
	}
	days_close(days);
}

/* ---- on the screen ---- */

static struct top *open_top(const struct top_options *options)
{
	struct top *top = calloc(1, sizeof(*top));

	top->options = options;
	timeline_open(&top->time);
	selection_open(&top->selection);
	inspection_open(&top->inspection);
	assert_int_equal(session_open(top, &fault), 0);
	return top;
}

static double most_shown(const struct top *top)
{
	struct track_point point[64];
	double most = 0;

	history_columns(top->targets.target[0].history, FIG_RSS_BYTES,
			top->time.right_ns - top->time.zoom_ns, top->time.right_ns, point,
			64);
	for (unsigned i = 0; i < 64; i++)
		if (point[i].count && point[i].max > most)
			most = point[i].max;
	return most;
}

static void top_goes_anywhere(void **state)
{
	const struct top_options options = {.replay = file, .speed = 1};
	struct top *top = open_top(&options);
	uint64_t rows = days_rows(replayer_days(top->replay));
	const struct top_target *target = top_target(top);
	const struct heap_map *map;

	(void)state;
	assert_int_equal(top->targets.count, 1);
	assert_true(rows < 2000);
	/* To the spike: its graph and its alert are there, and nothing later. */
	seek_to(top, at_ns(SPIKE + 70));
	assert_int_equal(top->time.paused_ns, top_sample(top)->time_ns);
	assert_true(top_sample(top)->time_ns > at_ns(SPIKE - 60));
	assert_int_equal(target->event_count, 2);
	assert_string_equal(target_event(target, 1)->line,
			    "big begins: rss_bytes is 7.00G");
	assert_string_equal(target_event(target, 0)->line, "brk 132K");
	assert_string_equal(target_event(target, 0)->detail, "load\nmain\n");
	/* The map is the one that was taken last before; earlier there was none. */
	top->selection.pane = PANE_MAP;
	session_inspect(top);
	assert_non_null(top_map(top, &map));
	assert_int_equal(top_map(top, &map)->total.bytes[MAP_PINNED], 4096);
	seek_to(top, at_ns(SPIKE - 300));
	session_inspect(top);
	assert_null(top_map(top, &map));
	assert_int_equal(target->event_count, 0);
	/* All of the week at once, and back to two minutes of its end. */
	while (top->time.zoom_ns < INT64_C(7) * DAY * second_ns) {
		timeline_zoom(&top->time, target->history, 1);
		seek_zoomed(top);
	}
	seek_to(top, INT64_MAX);
	assert_true(most_shown(top) == (double)spike_bytes);
	assert_int_equal(top_sample(top)->time_ns, at_ns(SECONDS - STEP));
	while (top->time.zoom_ns > 120 * second_ns) {
		timeline_zoom(&top->time, target->history, -1);
		seek_zoomed(top);
	}
	/* The last one stands on the edge. */
	assert_true(most_shown(top) == (double)rss_at(SECONDS - 2 * STEP));
	/* A graph back, and reading by reading from there. */
	seek_by(top, -1);
	assert_int_equal(top_sample(top)->time_ns, at_ns(SECONDS - STEP - 120));
	for (int i = 1; i <= 10; i++) {
		assert_true(session_step(top));
		assert_int_equal(timeline_on(&top->time, target->history),
				 TIMELINE_MOVED);
		assert_int_equal(top_sample(top)->time_ns,
				 at_ns(SECONDS - STEP - 120 + i * STEP));
	}
	seek_to(top, INT64_MIN);
	assert_true(top_sample(top)->time_ns <= at_ns(120));
	rows = days_rows(replayer_days(top->replay)) - rows;
	print_message("# %llu rows for all of it\n", (unsigned long long)rows);
	assert_true(rows < 60000);
	session_close(top);
	free(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_span_is_true),
		cmocka_unit_test(it_goes_on_behind),
		cmocka_unit_test(top_goes_anywhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_week, remove_week);
}
