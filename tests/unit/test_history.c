/* test_history.c: the past of one target: whole samples in a budget, figures over a day,
 * marks; and nothing taken from malloc after the start. */
#include "series/history.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_NS INT64_C(1000000000)
#define MEGABYTE  ((size_t)1 << 20)

enum { MANY = 10000, ARENAS = 8 };

static struct track_point point[MANY];
static struct history_mark mark[MANY];

static struct history *make(size_t budget_bytes, bool bins)
{
	const struct history_options options = {
		.budget_bytes = budget_bytes,
		.arenas = ARENAS,
		.bins = bins,
		.keep_ns = 24 * 3600 * SECOND_NS,
	};
	struct history *history = NULL;

	assert_int_equal(history_new(&history, &options), 0);
	return history;
}

static void fill(struct sample *sample, int64_t second, unsigned arenas)
{
	sample_clear(sample);
	sample->time_ns = second * SECOND_NS;
	sample->pid = 42;
	snprintf(sample->comm, sizeof(sample->comm), "at %d", (int)second);
	figure_set(&sample->fig, FIG_RSS_BYTES, (uint64_t)second * 4096);
	figure_set_ratio(&sample->fig, FIG_FRAG, 0.25);
	sample->arena_count = arenas;
	for (unsigned i = 0; i < arenas; i++) {
		sample->arena[i].index = i;
		figure_set(&sample->arena[i].fig, FIG_FREE_BYTES, (uint64_t)second + i);
		if (sample->arena[i].bins)
			sample->arena[i].bins->bins[5].count = (uint64_t)second + i;
	}
}

static void check_sample(const struct sample *sample, int64_t second, unsigned arenas,
			 bool bins)
{
	char comm[32];

	assert_non_null(sample);
	snprintf(comm, sizeof(comm), "at %d", (int)second);
	assert_string_equal(sample->comm, comm);
	assert_int_equal(sample->fig.v[FIG_RSS_BYTES].u, (uint64_t)second * 4096);
	assert_int_equal(sample->arena_count, arenas);
	for (unsigned i = 0; i < arenas; i++) {
		assert_int_equal(sample->arena[i].fig.v[FIG_FREE_BYTES].u,
				 (uint64_t)second + i);
		if (bins)
			assert_int_equal(sample->arena[i].bins->bins[5].count,
					 (uint64_t)second + i);
		else
			assert_null(sample->arena[i].bins);
	}
}

static void too_small_a_budget_is_refused(void **state)
{
	const struct history_options options = {.budget_bytes = 10000, .arenas = ARENAS};
	struct history *history;

	(void)state;
	assert_int_equal(history_new(&history, &options), -ENOSPC);
}

static unsigned arenas_at(int64_t second)
{
	return (unsigned)(second * 7) % (ARENAS + 1);
}

/* All that is kept is kept to the letter, from LATEST on in order of time. */
static void check_samples(const struct history *history, int64_t latest, bool bins)
{
	int64_t before = latest + 1;

	for (size_t back = 0; back < history_count(history); back++) {
		const struct sample *sample = history_at(history, back);
		int64_t second = sample->time_ns / SECOND_NS;

		assert_true(second < before);
		assert_true(back || second == latest);
		assert_int_equal(history_back(history, sample->time_ns), back);
		check_sample(sample, second, arenas_at(second), bins);
		before = second;
	}
	assert_null(history_at(history, history_count(history)));
}

/* Stores of every fill, with samples of every size. */
static void samples_are_kept_whole(void **state)
{
	(void)state;
	for (int with_bins = 0; with_bins < 2; with_bins++) {
		struct history *history = make(MEGABYTE / 4, with_bins);
		struct sample *sample = sample_new(ARENAS, with_bins);

		for (int i = 0; i < 1500; i++) {
			fill(sample, i, arenas_at(i));
			assert_int_equal(history_add(history, sample), 0);
			check_samples(history, i, with_bins);
		}
		for (size_t back = 0; back < (with_bins ? 3 : 20); back++)
			assert_int_equal(history_at(history, back)->time_ns,
					 (1499 - (int)back) * SECOND_NS);
		sample_free(sample);
		history_free(history);
	}
	history_free(NULL);
}

/* Whatever the size of the samples, they reach back for a day, and evenly. */
static void a_day_of_samples_is_thinned(void **state)
{
	static const struct {
		unsigned arenas;
		int64_t step_s;
	} kinds[] = {{0, 640}, {2, 5120}, {ARENAS, 20480}};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct history *history = make(MEGABYTE / 2, true);
		struct sample *sample = sample_new(ARENAS, true);
		int64_t last = 2 * 86400, before = last;

		for (int64_t second = 0; second <= last; second += 5) {
			fill(sample, second, kinds[i].arenas);
			assert_int_equal(history_add(history, sample), 0);
		}
		for (size_t back = 1; back < history_count(history); back++) {
			int64_t second = history_at(history, back)->time_ns / SECOND_NS;

			check_sample(history_at(history, back), second, kinds[i].arenas,
				     true);
			assert_in_range(before - second, 5, kinds[i].step_s);
			before = second;
		}
		assert_true(last - before >= 86400 - kinds[i].step_s);
		sample_free(sample);
		history_free(history);
	}
}

static void bins_that_are_not_wanted_are_left_out(void **state)
{
	struct history *history = make(MEGABYTE, false);
	struct sample *sample = sample_new(ARENAS, true);

	(void)state;
	fill(sample, 1, 3);
	assert_int_equal(history_add(history, sample), 0);
	check_sample(history_at(history, 0), 1, 3, false);
	sample_free(sample);
	history_free(history);
}

static void a_sample_beyond_the_budget_leaves_its_figures(void **state)
{
	struct history *history = make(MEGABYTE / 32, false);
	struct sample *sample = sample_new(100, false);

	(void)state;
	fill(sample, 1, 2);
	assert_int_equal(history_add(history, sample), 0);
	fill(sample, 2, 100);
	assert_int_equal(history_add(history, sample), -ENOSPC);
	check_sample(history_at(history, 0), 1, 2, false);
	assert_int_equal(history_points(history, FIG_RSS_BYTES, 0, INT64_MAX, point, 10),
			 2);
	sample_free(sample);
	history_free(history);
}

static void an_instant_finds_its_sample(void **state)
{
	struct history *history = make(MEGABYTE, false);
	struct sample *sample = sample_new(ARENAS, false);

	(void)state;
	assert_null(history_when(history, INT64_MAX));
	for (int i = 10; i < 20; i++) {
		fill(sample, i * 10, 0);
		history_add(history, sample);
	}
	assert_null(history_when(history, 99 * SECOND_NS));
	assert_int_equal(history_back(history, 99 * SECOND_NS), 10);
	assert_int_equal(history_when(history, 100 * SECOND_NS)->time_ns,
			 100 * SECOND_NS);
	assert_int_equal(history_when(history, 159 * SECOND_NS)->time_ns,
			 150 * SECOND_NS);
	assert_int_equal(history_back(history, 159 * SECOND_NS), 4);
	assert_int_equal(history_when(history, INT64_MAX)->time_ns, 190 * SECOND_NS);
	sample_free(sample);
	history_free(history);
}

static void absent_figures_are_gaps(void **state)
{
	struct history *history = make(MEGABYTE, false);
	struct sample *sample = sample_new(0, false);
	int64_t from_ns, to_ns;
	size_t count;

	(void)state;
	assert_false(history_span(history, &from_ns, &to_ns));
	for (int i = 0; i < 10; i++) {
		fill(sample, i, 0);
		if (i == 4)
			figure_drop(&sample->fig, FIG_FRAG);
		if (i == 7)
			history_gap(history, i * SECOND_NS);
		else
			history_add(history, sample);
	}
	count = history_points(history, FIG_FRAG, 0, INT64_MAX, point, MANY);
	assert_int_equal(count, 8);
	assert_true(point[4].gap && point[4].from_ns == 5 * SECOND_NS);
	assert_true(point[6].gap && point[6].from_ns == 8 * SECOND_NS);
	assert_true(point[0].mean == 0.25);
	assert_false(point[3].gap);
	assert_int_equal(history_points(history, FIG_PSS_BYTES, 0, INT64_MAX, point, 9),
			 0);
	assert_int_equal(
		history_points(history, FIG_MALLINFO2_ARENA, 0, INT64_MAX, point, 9), 0);
	history_columns(history, FIG_MALLINFO2_ARENA, 0, SECOND_NS, point, 2);
	assert_int_equal(point[0].count + point[1].count, 0);
	history_columns(history, FIG_RSS_BYTES, 0, 10 * SECOND_NS, point, 2);
	assert_int_equal(point[0].count, 5);
	assert_int_equal(point[1].count, 4);
	assert_true(history_span(history, &from_ns, &to_ns));
	assert_int_equal(from_ns, 0);
	assert_int_equal(to_ns, 9 * SECOND_NS);
	sample_free(sample);
	history_free(history);
}

static void another_process_is_a_gap(void **state)
{
	struct history *history = make(MEGABYTE, false);
	struct sample *sample = sample_new(0, false);

	(void)state;
	fill(sample, 1, 0);
	history_add(history, sample);
	fill(sample, 2, 0);
	sample->pid = 43;
	history_add(history, sample);
	assert_int_equal(history_points(history, FIG_RSS_BYTES, 0, INT64_MAX, point, 9),
			 2);
	assert_true(point[1].gap);
	sample_free(sample);
	history_free(history);
}

static void a_clock_that_is_set_back_moves_all(void **state)
{
	struct history *history = make(MEGABYTE, false);
	struct sample *sample = sample_new(0, false);

	(void)state;
	for (int i = 100; i < 110; i++) {
		fill(sample, i, 0);
		figure_drop(&sample->fig, FIG_FRAG);
		history_add(history, sample);
	}
	history_mark(history, 105 * SECOND_NS, MARK_FAILURE, 7);
	fill(sample, 50, 0);
	history_add(history, sample);
	assert_int_equal(history_at(history, 0)->time_ns, 50 * SECOND_NS);
	assert_int_equal(history_at(history, 1)->time_ns, 50 * SECOND_NS);
	assert_int_equal(history_at(history, 10)->time_ns, 41 * SECOND_NS);
	assert_int_equal(history_points(history, FIG_RSS_BYTES, 0, INT64_MAX, point, 20),
			 11);
	assert_int_equal(point[0].from_ns, 41 * SECOND_NS);
	assert_int_equal(history_points(history, FIG_FRAG, 0, INT64_MAX, point, 20), 1);
	assert_int_equal(point[0].from_ns, 50 * SECOND_NS);
	assert_int_equal(history_marks(history, 0, INT64_MAX, mark, 9), 1);
	assert_int_equal(mark[0].time_ns, 46 * SECOND_NS);
	sample_free(sample);
	history_free(history);
}

static void marks_come_in_order(void **state)
{
	struct history *history = make(MEGABYTE, false);

	(void)state;
	history_mark(history, 9 * SECOND_NS, MARK_KILL, 0);
	for (int i = 0; i < 5000; i++)
		history_mark(history, i * SECOND_NS, MARK_GROWTH, 10);
	history_mark(history, 4999 * SECOND_NS + 5, MARK_GROWTH, 20);
	history_mark(history, 4500 * SECOND_NS, MARK_FAILURE, 3);
	assert_int_equal(history_marks(history, 0, INT64_MAX, mark, MANY), 1026);
	assert_int_equal(mark[0].kind, MARK_KILL);
	assert_int_equal(mark[1].time_ns, (5000 - 1024) * SECOND_NS);
	assert_int_equal(mark[1025].count, 2);
	assert_int_equal(mark[1025].bytes, 30);
	for (int i = 1; i < 1026; i++)
		assert_true(mark[i].time_ns >= mark[i - 1].time_ns);
	assert_int_equal(
		history_marks(history, 4500 * SECOND_NS, 4500 * SECOND_NS, mark, MANY),
		2);
	/* The latest, whatever the kind. */
	assert_int_equal(history_marks(history, 0, 4501 * SECOND_NS, mark, 3), 3);
	assert_int_equal(mark[2].time_ns, 4501 * SECOND_NS);
	assert_int_equal(mark[0].time_ns + mark[1].time_ns, 9000 * SECOND_NS);
	assert_int_equal(history_marks(history, 0, INT64_MAX, mark, 0), 0);
	history_free(history);
}

/* A day at one sample a second: from malloc it takes nothing. */
static void a_day_takes_no_more_memory(void **state)
{
	struct history *history = make(4 * MEGABYTE, false);
	struct sample *sample = sample_new(ARENAS, false);
	struct mallinfo2 before = mallinfo2(), after;
	uint64_t values = 0;
	size_t count;

	(void)state;
	for (int i = 0; i < 86400; i++) {
		fill(sample, i, 2);
		assert_int_equal(history_add(history, sample), 0);
	}
	after = mallinfo2();
	assert_int_equal(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
	count = history_points(history, FIG_RSS_BYTES, 0, INT64_MAX, point, MANY);
	for (size_t i = 0; i < count; i++)
		values += point[i].count;
	assert_int_equal(values, 86400);
	assert_int_equal(point[0].from_ns, 0);
	sample_free(sample);
	history_free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_small_a_budget_is_refused),
		cmocka_unit_test(samples_are_kept_whole),
		cmocka_unit_test(a_day_of_samples_is_thinned),
		cmocka_unit_test(bins_that_are_not_wanted_are_left_out),
		cmocka_unit_test(a_sample_beyond_the_budget_leaves_its_figures),
		cmocka_unit_test(an_instant_finds_its_sample),
		cmocka_unit_test(absent_figures_are_gaps),
		cmocka_unit_test(another_process_is_a_gap),
		cmocka_unit_test(a_clock_that_is_set_back_moves_all),
		cmocka_unit_test(marks_come_in_order),
		cmocka_unit_test(a_day_takes_no_more_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
