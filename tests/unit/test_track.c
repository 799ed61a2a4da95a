/* test_track.c: one number over time: what is merged is merged exactly, and nothing that
 * a clock does breaks it. */
#include "series/track.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND_NS INT64_C(1000000000)

enum { MANY = 20000, DAY_S = 86400 };

static const struct track_shape day = {
	.tier = {{0, 3600}, {10 * SECOND_NS, 2161}, {60 * SECOND_NS, 2881}}};

static struct track_point point[MANY];

static struct track *make(const struct track_shape *shape)
{
	struct track *track = NULL;

	assert_int_equal(track_new(&track, shape), 0);
	return track;
}

static size_t all(const struct track *track)
{
	return track_points(track, INT64_MIN, INT64_MAX, point, MANY);
}

/* What must hold of any points: in order, each sound in itself. Returns the values in
 * them. */
static uint64_t check_points(size_t count)
{
	uint64_t values = 0;

	for (size_t i = 0; i < count; i++) {
		assert_true(point[i].count > 0);
		assert_true(point[i].from_ns <= point[i].to_ns);
		assert_true(!i || point[i].from_ns >= point[i - 1].to_ns);
		assert_true(point[i].min <= point[i].first);
		assert_true(point[i].min <= point[i].last);
		assert_true(point[i].max >= point[i].first);
		assert_true(point[i].max >= point[i].last);
		assert_true(point[i].min <= point[i].mean + 1e-6);
		assert_true(point[i].max >= point[i].mean - 1e-6);
		values += point[i].count;
	}
	return values;
}

static void an_empty_track_has_nothing(void **state)
{
	struct track *track = make(&day);
	int64_t from_ns = 1, to_ns = 1;

	(void)state;
	assert_int_equal(all(track), 0);
	assert_false(track_span(track, &from_ns, &to_ns));
	track_columns(track, 0, SECOND_NS, point, 3);
	assert_int_equal(point[0].count + point[1].count + point[2].count, 0);
	track_gap(track, 5);
	assert_int_equal(all(track), 0);
	track_free(track);
	track_free(NULL);
}

static void shapes_that_make_no_sense_are_refused(void **state)
{
	static const struct track_shape bad[] = {
		{{{0, 0}}},	    {{{-1, 5}}},	{{{5, 5}, {5, 5}}},
		{{{5, 5}, {4, 5}}}, {{{0, 5}, {0, 5}}},
	};
	struct track *track;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(track_new(&track, &bad[i]), -EINVAL);
}

static void recent_values_stand_alone(void **state)
{
	struct track *track = make(&day);

	(void)state;
	for (int i = 0; i < 100; i++)
		track_add(track, i * SECOND_NS, i * 1.5);
	assert_int_equal(all(track), 100);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(point[i].from_ns, i * SECOND_NS);
		assert_int_equal(point[i].to_ns, i * SECOND_NS);
		assert_true(point[i].min == i * 1.5 && point[i].max == i * 1.5);
		assert_true(point[i].mean == i * 1.5 && point[i].first == i * 1.5);
		assert_int_equal(point[i].count, 1);
		assert_false(point[i].gap);
	}
	assert_int_equal(track_points(track, 10 * SECOND_NS, 19 * SECOND_NS, point, MANY),
			 10);
	assert_int_equal(point[0].from_ns, 10 * SECOND_NS);
	assert_int_equal(point[9].from_ns, 19 * SECOND_NS);
	track_free(track);
}

/* Values of whole numbers, so that sums are exact: each tier must have merged exactly
 * those that fall into its periods. */
static void older_values_are_merged_exactly(void **state)
{
	static const struct track_shape shape = {.tier = {{0, 5}, {10, 4}, {100, 4}}};
	struct track *track = make(&shape);
	size_t count;

	(void)state;
	for (int i = 0; i < 200; i++)
		track_add(track, i, i % 7);
	count = all(track);
	/* 0..99 and 100..199: two of 100, which reach over all that is finer; so the
	 * finer values are in them and nowhere else. */
	assert_int_equal(check_points(count), 200);
	assert_int_equal(point[0].from_ns, 0);
	assert_int_equal(point[0].to_ns, 99);
	assert_int_equal(point[0].count, 100);
	assert_true(point[0].mean * 100 > 294.999 && point[0].mean * 100 < 295.001);
	assert_true(point[0].min == 0 && point[0].max == 6 && point[0].first == 0);
	assert_true(point[0].last == 99 % 7);
	track_free(track);
}

/* What SECONDS of one value a second leave: all of the last TIERS, nothing twice. */
static void check_long_run(int64_t seconds, int64_t kept_s)
{
	struct track *track = make(&day);
	int64_t from_ns, to_ns;
	double sum = 0, want = 0;
	size_t count;

	for (int64_t i = 0; i < seconds; i++)
		track_add(track, i * SECOND_NS, (double)(i % 1000));
	count = all(track);
	assert_true(check_points(count) >= (uint64_t)kept_s);
	assert_true(count < 8700);
	for (size_t i = 0; i < count; i++)
		sum += point[i].mean * point[i].count;
	for (int64_t i = point[0].from_ns / SECOND_NS; i < seconds; i++)
		want += (double)(i % 1000);
	assert_true(fabs(sum - want) < 1e-3 * want / seconds);
	assert_int_equal(point[count - 1].count, 1);
	assert_int_equal(point[count - 1].to_ns, (seconds - 1) * SECOND_NS);
	/* The last 50 minutes one by one, the last 5 hours by tens. */
	for (size_t i = count; i-- > 0;) {
		int64_t age_s = seconds - point[i].to_ns / SECOND_NS;

		assert_true(age_s > 3000 || point[i].count == 1);
		assert_true(age_s > 18000 || point[i].count <= 10);
		assert_true(point[i].count <= 60);
	}
	assert_true(track_span(track, &from_ns, &to_ns));
	assert_int_equal(from_ns, point[0].from_ns);
	assert_int_equal(to_ns, point[count - 1].to_ns);
	track_free(track);
}

static void a_day_and_a_week_fit(void **state)
{
	(void)state;
	assert_true(track_bytes(&day) < 450000);
	check_long_run(DAY_S, DAY_S);
	check_long_run(7 * DAY_S, 2 * DAY_S);
}

/* 1000 values at once fill the tier of single values: the merged ones take over. */
static void points_are_coarser_rather_than_too_many(void **state)
{
	struct track *track = make(&day);
	size_t count;

	(void)state;
	for (int i = 0; i < 3600; i++)
		track_add(track, i * SECOND_NS, i);
	count = track_points(track, 0, INT64_MAX, point, 400);
	assert_int_equal(count, 360);
	assert_int_equal(check_points(count), 3600);
	count = track_points(track, 0, INT64_MAX, point, 100);
	assert_int_equal(count, 60);
	assert_int_equal(check_points(count), 3600);
	/* Of the coarsest the latest. */
	count = track_points(track, 0, INT64_MAX, point, 7);
	assert_int_equal(count, 7);
	assert_int_equal(point[6].to_ns, 3599 * SECOND_NS);
	assert_int_equal(point[0].from_ns, 53 * 60 * SECOND_NS);
	assert_int_equal(track_points(track, 0, INT64_MAX, point, 0), 0);
	track_free(track);
}

static void gaps_are_kept_apart(void **state)
{
	static const struct track_shape shape = {.tier = {{0, 8}, {10, 100}}};
	struct track *track = make(&shape);
	size_t count;

	(void)state;
	track_gap(track, 0);
	track_add(track, 1, 5);
	track_add(track, 2, NAN);
	track_add(track, 3, INFINITY);
	track_add(track, 4, 5);
	for (int i = 5; i < 40; i++)
		track_gap(track, i);
	track_add(track, 41, 6);
	count = all(track);
	assert_int_equal(count, 3);
	assert_true(point[0].gap && point[1].gap && point[2].gap);
	assert_true(point[2].min == 6);
	/* In the coarser tier the hole within 0..9 leaves no trace, the long one does. */
	count = track_points(track, 0, 100, point, 2);
	assert_int_equal(count, 2);
	assert_int_equal(point[0].count, 2);
	assert_true(point[0].max == 5 && point[1].min == 6);
	assert_true(point[0].gap && point[1].gap);
	track_free(track);
}

/* A figure that comes and goes with every reading takes no more room than one that is
 * there. */
static void flicker_does_not_push_the_past_out(void **state)
{
	struct track *track = make(&day);

	(void)state;
	for (int i = 0; i < DAY_S; i++) {
		if (i % 2)
			track_gap(track, i * SECOND_NS);
		else
			track_add(track, i * SECOND_NS, i);
	}
	assert_int_equal(check_points(all(track)), DAY_S / 2);
	track_free(track);
}

static void equal_times_are_all_kept(void **state)
{
	static const struct track_shape shape = {.tier = {{0, 4}, {10, 100}}};
	struct track *track = make(&shape);

	(void)state;
	for (int i = 0; i < 50; i++)
		track_add(track, 7, i);
	assert_int_equal(check_points(all(track)), 50);
	assert_true(point[0].min == 0 && point[0].max == 49);
	track_free(track);
}

static void a_clock_that_is_set_back_moves_the_past(void **state)
{
	struct track *track = make(&day);
	size_t count;

	(void)state;
	for (int i = 0; i < 5000; i++)
		track_add(track, (10000 + i) * SECOND_NS, i);
	track_add(track, 3000 * SECOND_NS, 5000);
	track_add(track, 3001 * SECOND_NS, 5001);
	count = all(track);
	assert_int_equal(check_points(count), 5002);
	assert_int_equal(point[count - 1].to_ns, 3001 * SECOND_NS);
	assert_int_equal(point[count - 3].to_ns, 3000 * SECOND_NS);
	assert_int_equal(point[count - 4].to_ns, 2999 * SECOND_NS);
	assert_true(point[count - 3].last == 4999);
	track_free(track);
}

static void before_1970_and_at_the_ends_of_time(void **state)
{
	static const struct track_shape shape = {.tier = {{10, 10}, {100, 10}}};
	struct track *track = make(&shape);
	size_t count;

	(void)state;
	for (int i = -25; i < 25; i++)
		track_add(track, i, i);
	count = all(track);
	assert_int_equal(check_points(count), 50);
	assert_int_equal(count, 6);
	assert_int_equal(point[0].count, 5);
	assert_int_equal(point[2].from_ns, -10);
	assert_int_equal(point[2].to_ns, -1);
	track_add(track, INT64_MAX, 1);
	track_add(track, INT64_MIN, 2);
	track_add(track, INT64_MAX, 3);
	track_add(track, 0, 4);
	assert_int_equal(check_points(all(track)), 54);
	track_columns(track, INT64_MIN, INT64_MAX, point, 3);
	assert_int_equal(point[0].count + point[1].count + point[2].count, 54);
	track_free(track);
}

static void columns_share_a_span_evenly(void **state)
{
	struct track *track = make(&day);

	(void)state;
	for (int i = 0; i < 100; i++)
		track_add(track, i * SECOND_NS, i);
	track_columns(track, 0, 100 * SECOND_NS, point, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(point[i].count, 10);
		assert_true(point[i].min == 10 * i && point[i].max == 10 * i + 9);
		assert_true(point[i].first == 10 * i && point[i].last == 10 * i + 9);
		assert_true(fabs(point[i].mean - (10 * i + 4.5)) < 1e-9);
	}
	/* Only what is in the span; a column without a value is empty. */
	track_columns(track, 95 * SECOND_NS, 105 * SECOND_NS, point, 20);
	assert_int_equal(point[0].count, 1);
	assert_int_equal(point[1].count, 0);
	assert_int_equal(point[8].count, 1);
	assert_int_equal(point[10].count, 0);
	track_columns(track, 5, 5, point, 2);
	assert_int_equal(point[0].count + point[1].count, 0);
	track_columns(track, 0, 5, point, 0);
	track_free(track);
}

/* Any values at any times: every value is in exactly one point while there is room. */
static void random_walks_lose_nothing(void **state)
{
	uint64_t random = 88172645463325252;

	(void)state;
	for (int round = 0; round < 200; round++) {
		static const struct track_shape shape = {
			.tier = {{0, 30}, {50, 30}, {1000, 3000}}};
		struct track *track = make(&shape);
		int64_t now = 0;
		uint64_t added = 0;

		for (int i = 0; i < 1000; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			now += (int64_t)(random % 41) - (round % 20);
			if (random % 11 == 0)
				track_gap(track, now);
			else
				track_add(track, now, (double)(random % 100));
			added += random % 11 != 0;
		}
		assert_int_equal(check_points(all(track)), added);
		track_free(track);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_track_has_nothing),
		cmocka_unit_test(shapes_that_make_no_sense_are_refused),
		cmocka_unit_test(recent_values_stand_alone),
		cmocka_unit_test(older_values_are_merged_exactly),
		cmocka_unit_test(a_day_and_a_week_fit),
		cmocka_unit_test(points_are_coarser_rather_than_too_many),
		cmocka_unit_test(gaps_are_kept_apart),
		cmocka_unit_test(flicker_does_not_push_the_past_out),
		cmocka_unit_test(equal_times_are_all_kept),
		cmocka_unit_test(a_clock_that_is_set_back_moves_the_past),
		cmocka_unit_test(before_1970_and_at_the_ends_of_time),
		cmocka_unit_test(columns_share_a_span_evenly),
		cmocka_unit_test(random_walks_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
