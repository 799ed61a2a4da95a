/* test_trend_store.c: how figures and limits moved over readings: trends, gaps, many
 * readings, and when a limit is reached. */
#include "analysis/trend_store.h"
#include "view/report_parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define M      ((uint64_t)1 << 20)
#define SECOND INT64_C(1000000000)

static struct trend_store *store;
static struct sample *sample;
static struct headroom headroom;

static int setup(void **state)
{
	(void)state;
	headroom = (struct headroom){.nearest = HEADROOM_ADDRESS_SPACE};
	headroom.row[HEADROOM_ADDRESS_SPACE] =
		(struct headroom_row){.is_set = true, .limit = 1000 * M};
	sample = sample_new(0, false);
	return sample ? trend_store_new(&store) : -1;
}

static int teardown(void **state)
{
	(void)state;
	sample_free(sample);
	trend_store_free(store);
	return 0;
}

static void use(uint64_t bytes)
{
	struct headroom_row *row = &headroom.row[HEADROOM_ADDRESS_SPACE];

	row->used = bytes;
	row->left = row->limit - bytes;
}

/* A reading of second I: RSS and the address space grow by 1M a second from 100M, live
 * memory is 50M, and mapped chunks have 2M more each second. */
static void add(unsigned i)
{
	sample_clear(sample);
	sample->time_ns = 1000 * SECOND + i * SECOND;
	figure_set(&sample->fig, FIG_RSS_BYTES, (100 + i) * M);
	figure_set(&sample->fig, FIG_LIVE_BYTES, 50 * M);
	figure_set(&sample->fig, FIG_MMAPPED_BYTES, 2 * i * M);
	use((100 + i) * M);
	trend_store_add(store, sample, &headroom);
}

static void trends(void **state)
{
	struct verdict_trend trend;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add(i);
	trend_store_trend(store, 0, &trend);
	assert_true(trend_store_figure[0] == FIG_RSS_BYTES);
	assert_true(trend.is_known && trend.is_rising && !trend.is_falling);
	assert_true(fabs(trend.per_s - (double)M) < 1);
	assert_true(trend.first == 100.0 * (double)M && trend.last == 119.0 * (double)M);
	trend_store_trend(store, 1, &trend);
	assert_true(trend.is_known && !trend.is_rising && !trend.is_falling);
	trend_store_held(store, &trend);
	assert_true(trend.is_rising && fabs(trend.per_s - 2.0 * (double)M) < 1);
	assert_true(trend_store_span_s(store) == 19.0);
}

/* RSS of second I in M. */
static const char *words_of(const unsigned *rss, unsigned count)
{
	static struct track_point point[TREND_STORE_POINTS];
	static char words[64];
	struct report_series told = {.f = FIG_RSS_BYTES, .point = point};

	for (unsigned i = 0; i < count; i++) {
		sample_clear(sample);
		sample->time_ns = 1000 * SECOND + i * SECOND;
		figure_set(&sample->fig, FIG_RSS_BYTES, rss[i] * M);
		trend_store_add(store, sample, NULL);
	}
	trend_store_trend(store, 0, &told.trend);
	told.points = trend_store_points(store, 0, point);
	report_trend(&told, words, sizeof(words));
	return words;
}

static void a_jump_is_told(void **state)
{
	static const unsigned up[] = {264, 264, 264, 264, 264, 264,
				      264, 264, 264, 279, 279};

	(void)state;
	assert_string_equal(words_of(up, 11), "up by 15.0M, but not steadily");
}

static void a_wave_is_no_trend(void **state)
{
	static const unsigned wave[] = {264, 279, 264, 279, 264, 279, 264, 279, 264, 265};

	(void)state;
	assert_string_equal(words_of(wave, 10), "between 264M and 279M, no trend");
}

/* Most of a tooth of a saw rises, and then it is over. */
static void a_saw_is_no_trend(void **state)
{
	enum { READINGS = 41 };
	unsigned saw[READINGS];

	(void)state;
	for (unsigned i = 0; i < READINGS; i++)
		saw[i] = 264 + 2 * i;
	saw[READINGS - 1] = 262;
	assert_string_equal(words_of(saw, READINGS), "between 262M and 342M, no trend");
}

/* Nobody may take the noise of estimates for what the program does. */
static void estimates_are_marked(void **state)
{
	static const unsigned wave[] = {264, 279, 264, 279, 264, 279, 264, 279, 264, 265};
	static struct track_point point[TREND_STORE_POINTS];
	struct report_series told = {.f = FIG_LIVE_BYTES, .point = point};
	char words[64];

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(trend_store_is_estimated(store, 1), i > 0);
		sample_clear(sample);
		sample->time_ns = 1000 * SECOND + i * SECOND;
		figure_set(&sample->fig, FIG_LIVE_BYTES, wave[i] * M);
		if (i < 9)
			figure_set_range(&sample->fig, FIG_LIVE_BYTES, 200.0 * (double)M,
					 300.0 * (double)M);
		trend_store_add(store, sample, NULL);
	}
	assert_false(trend_store_is_estimated(store, 0));
	told.is_estimated = trend_store_is_estimated(store, 1);
	trend_store_trend(store, 1, &told.trend);
	told.points = trend_store_points(store, 1, point);
	report_trend(&told, words, sizeof(words));
	assert_string_equal(words, "between ~264M and ~279M, no trend");
	told.trend.is_rising = true;
	told.trend.per_s = (double)M;
	report_trend(&told, words, sizeof(words));
	assert_string_equal(words, "rising ~1.00M a second");
}

static void stillness_is_told(void **state)
{
	static const unsigned still[] = {264, 264, 264, 264, 264, 264, 264, 264};

	(void)state;
	assert_string_equal(words_of(still, 8), "still");
}

static void too_few_readings(void **state)
{
	struct headroom_reach reach[HEADROOM_KINDS];
	struct verdict_trend trend;

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		add(i);
	trend_store_trend(store, 0, &trend);
	assert_false(trend.is_known);
	trend_store_reach(store, &headroom, reach);
	assert_int_equal(reach[HEADROOM_ADDRESS_SPACE].when, HEADROOM_WHEN_UNKNOWN);
}

static void what_was_never_had(void **state)
{
	static struct track_point point[TREND_STORE_POINTS];
	struct verdict_trend trend;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add(i);
	trend_store_trend(store, 3, &trend);
	assert_false(trend.is_known);
	assert_int_equal(trend_store_points(store, 3, point), 0);
	assert_int_equal(trend_store_points(store, 0, point), 20);
}

static void a_gap_is_a_gap(void **state)
{
	static struct track_point point[TREND_STORE_POINTS];

	(void)state;
	add(0);
	sample_clear(sample);
	sample->time_ns = 1001 * SECOND;
	trend_store_add(store, sample, NULL);
	add(2);
	assert_int_equal(trend_store_points(store, 0, point), 2);
	assert_true(point[1].gap);
}

static void limits(void **state)
{
	struct headroom_reach reach[HEADROOM_KINDS];

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		add(i);
	trend_store_reach(store, &headroom, reach);
	/* 1000M - 119M at 1M a second. */
	assert_int_equal(reach[HEADROOM_ADDRESS_SPACE].when, HEADROOM_WHEN_IN);
	assert_true(fabs(reach[HEADROOM_ADDRESS_SPACE].in_s - 881) < 1);
	assert_int_equal(reach[HEADROOM_HOST].when, HEADROOM_WHEN_UNKNOWN);
}

static void a_day_of_readings(void **state)
{
	static struct track_point point[TREND_STORE_POINTS];
	struct verdict_trend trend;
	size_t count;

	(void)state;
	for (unsigned i = 0; i < 86400; i++)
		add(i);
	count = trend_store_points(store, 0, point);
	assert_in_range(count, 100, TREND_STORE_POINTS);
	assert_true(point[0].first == 100.0 * (double)M);
	assert_true(point[count - 1].last == (100.0 + 86399.0) * (double)M);
	trend_store_trend(store, 0, &trend);
	assert_true(trend.is_rising && fabs(trend.per_s - (double)M) < 10);
	assert_true(trend_store_span_s(store) == 86399.0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A reading of second I in which four arenas hold HELD. */
static void add_arenas(struct sample *of, unsigned i, const uint64_t held[4])
{
	sample_clear(of);
	of->time_ns = 1000 * SECOND + i * SECOND;
	of->arena_count = 4;
	for (unsigned at = 0; at < 4; at++) {
		/* The order in which they are told is not always the same. */
		struct arena_row *row = &of->arena[(at + i) % 4];

		row->index = (at + i) % 4;
		row->addr = 0x7f0000000000 + at * 0x4000000;
		figure_set(&row->fig, FIG_LIVE_BYTES, held[at]);
	}
	figure_set(&of->fig, FIG_SYSTEM_BYTES, 100 * M);
	trend_store_add(store, of, NULL);
}

static void arenas(void **state)
{
	struct sample *of = sample_new(4, false);
	struct arena_peaks peaks;

	(void)state;
	assert_non_null(of);
	trend_store_arenas(store, &peaks);
	assert_false(peaks.is_known);
	/* In turn. */
	for (unsigned i = 0; i < 8; i++) {
		uint64_t held[4] = {M, M, M, M};

		held[i % 4] = 10 * M;
		add_arenas(of, i, held);
		trend_store_arenas(store, &peaks);
		assert_true(peaks.is_known == (i > 0));
	}
	assert_int_equal(peaks.peaks_bytes, 40 * M);
	assert_int_equal(peaks.peak_bytes, 13 * M);
	assert_int_equal(peaks.swing_bytes, 36 * M);
	/* Then all at once: nothing would have been saved. */
	add_arenas(of, 8, (uint64_t[]){10 * M, 10 * M, 10 * M, 10 * M});
	trend_store_arenas(store, &peaks);
	assert_int_equal(peaks.peak_bytes, 40 * M);
	sample_free(of);
}

static void arenas_that_were_not_read(void **state)
{
	struct sample *of = sample_new(4, false);
	struct arena_peaks peaks;

	(void)state;
	assert_non_null(of);
	for (unsigned i = 0; i < 3; i++)
		add_arenas(of, i, (uint64_t[]){M, M, M, M});
	/* One arena without its figures, and a reading that was torn. */
	figure_drop(&of->arena[2].fig, FIG_LIVE_BYTES);
	figure_set(&of->arena[1].fig, FIG_LIVE_BYTES, 50 * M);
	trend_store_add(store, of, NULL);
	figure_set(&of->arena[2].fig, FIG_LIVE_BYTES, 50 * M);
	figure_set(&of->fig, FIG_IN_DOUBT_BYTES, 2 * M);
	trend_store_add(store, of, NULL);
	trend_store_arenas(store, &peaks);
	assert_true(peaks.is_known);
	assert_int_equal(peaks.peaks_bytes, 4 * M);
	assert_int_equal(peaks.swing_bytes, 0);
	sample_free(of);
}

static void more_arenas_than_are_followed(void **state)
{
	struct sample *of = sample_new(ARENA_PEAKS_MOST + 1, false);
	struct arena_peaks peaks;

	(void)state;
	assert_non_null(of);
	of->arena_count = ARENA_PEAKS_MOST + 1;
	for (unsigned i = 0; i < of->arena_count; i++) {
		of->arena[i].index = i;
		figure_set(&of->arena[i].fig, FIG_LIVE_BYTES, M);
	}
	trend_store_add(store, of, NULL);
	trend_store_add(store, of, NULL);
	trend_store_arenas(store, &peaks);
	assert_false(peaks.is_known);
	sample_free(of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(trends),
		TEST(a_jump_is_told),
		TEST(a_wave_is_no_trend),
		TEST(a_saw_is_no_trend),
		TEST(estimates_are_marked),
		TEST(stillness_is_told),
		TEST(too_few_readings),
		TEST(what_was_never_had),
		TEST(a_gap_is_a_gap),
		TEST(limits),
		TEST(a_day_of_readings),
		TEST(arenas),
		TEST(arenas_that_were_not_read),
		TEST(more_arenas_than_are_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
