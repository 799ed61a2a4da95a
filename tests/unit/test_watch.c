/* test_watch.c: alerts begin and end when they should, and only then: by hand-made series
 * and by whole days of programs that do not exist (tests/rates). */
#include "analysis/watch.h"
#include "worlds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NS_PER_S INT64_C(1000000000)
#define START_NS (INT64_C(1700000000) * NS_PER_S)

enum { TOLD = 32 };

static struct rules rules;
static struct watch *watch;
static struct sample *sample;
static int64_t now_s;
static struct alert told[TOLD];
static unsigned told_count;

static void keep(const struct alert *alert, void *context)
{
	(void)context;
	assert_true(told_count < TOLD);
	told[told_count++] = *alert;
}

static void watch_by(const char *text)
{
	struct fault fault;

	rules.count = 0;
	if (text && rules_add(&rules, text, &fault))
		fail_msg("%s", fault.text);
	if (!text)
		rules_add_defaults(&rules, NS_PER_S);
	assert_int_equal(watch_new(&watch, &rules), 0);
	sample = sample_new(0, false);
	assert_non_null(sample);
	sample->pid = 7;
	now_s = 0;
	told_count = 0;
}

static void stop(void)
{
	watch_free(watch);
	sample_free(sample);
}

/* One sample a second later, with so many free chunks. */
static void see(uint64_t chunks)
{
	sample->time_ns = START_NS + ++now_s * NS_PER_S;
	figure_set(&sample->fig, FIG_FREE_CHUNKS, chunks);
	watch_sample(watch, sample, NULL, keep, NULL);
}

static void see_many(unsigned count, uint64_t chunks)
{
	while (count--)
		see(chunks);
}

/* One that was estimated. */
static void see_between(double low, uint64_t chunks, double high)
{
	sample->time_ns = START_NS + ++now_s * NS_PER_S;
	figure_set(&sample->fig, FIG_FREE_CHUNKS, chunks);
	figure_set_range(&sample->fig, FIG_FREE_CHUNKS, low, high);
	watch_sample(watch, sample, NULL, keep, NULL);
}

/* One without the figure. */
static void see_nothing(void)
{
	sample->time_ns = START_NS + ++now_s * NS_PER_S;
	figures_clear(&sample->fig);
	watch_sample(watch, sample, NULL, keep, NULL);
}

static void assert_told(unsigned which, enum alert_kind kind, int64_t at_s)
{
	assert_true(which < told_count);
	assert_int_equal(told[which].kind, kind);
	assert_int_equal((told[which].time_ns - START_NS) / NS_PER_S, at_s);
}

static void an_alert_begins_and_ends(void **state)
{
	(void)state;
	watch_by("free_chunks > 10");
	see_many(5, 10);
	see_many(5, 11);
	see_many(40, 10);
	assert_int_equal(told_count, 2);
	assert_told(0, ALERT_BEGIN, 6);
	assert_told(1, ALERT_END, 41); /* half a minute after it ceased to hold */
	assert_int_equal(told[1].reason, ALERT_HOLDS_NOT);
	assert_int_equal(told[1].since_ns, told[0].time_ns);
	assert_int_equal(told[0].evidence_count, 1);
	assert_float_equal(told[0].evidence[0].now, 11, 0);
	stop();
}

static void for_wants_it_to_hold_all_the_time(void **state)
{
	(void)state;
	watch_by("free_chunks > 10 for 10s");
	see_many(9, 11);
	see(10);
	see_many(10, 11);
	assert_int_equal(told_count, 0);
	see(11);
	assert_int_equal(told_count, 1);
	assert_told(0, ALERT_BEGIN, 21);
	stop();
}

static void until_ends_it_and_nothing_else_does(void **state)
{
	(void)state;
	watch_by("free_chunks > 100 until free_chunks < 50");
	see(101);
	see_many(100, 60);
	assert_int_equal(told_count, 1);
	see(49);
	assert_int_equal(told_count, 2);
	assert_int_equal(told[1].reason, ALERT_UNTIL);
	stop();
}

static void flapping_is_damped(void **state)
{
	(void)state;
	watch_by("free_chunks > 10 until free_chunks < 10");
	for (unsigned i = 0; i < 600; i++)
		see(i % 2 ? 11 : 9);
	/* Each end needs it to be gone for twice as long as the one before. */
	assert_int_equal(told_count, 3);
	assert_told(2, ALERT_BEGIN, 4);
	assert_int_equal(watch_active(watch), 1);
	see_many(40, 9);
	assert_int_equal(told_count, 4);
	stop();
}

static void a_gap_is_no_drop_to_zero(void **state)
{
	(void)state;
	watch_by("free_chunks drops 10% in 5m");
	see_many(20, 1000);
	for (unsigned i = 0; i < 20; i++)
		see_nothing();
	see_many(20, 1000);
	now_s += 200;
	see_many(20, 1000);
	assert_int_equal(told_count, 0);
	stop();
}

static void what_is_absent_ends_nothing(void **state)
{
	(void)state;
	watch_by("free_chunks > 10");
	see(11);
	for (unsigned i = 0; i < 100; i++)
		see_nothing();
	assert_int_equal(told_count, 1);
	assert_int_equal(watch_active(watch), 1);
	stop();
}

static void a_gap_begins_a_for_anew(void **state)
{
	(void)state;
	watch_by("free_chunks > 10 for 30s");
	see_many(5, 11);
	now_s += 60;
	see_many(30, 11);
	assert_int_equal(told_count, 0);
	see(11);
	assert_int_equal(told_count, 1);
	stop();
}

/* A clock that was set by twelve years, say: nobody saw an alert hold for so long. */
static void a_gap_is_no_part_of_how_long_it_held(void **state)
{
	const int64_t gap_s = 380160000;

	(void)state;
	watch_by("free_chunks > 10");
	see_many(20, 11);
	now_s += gap_s;
	see_many(5, 11);
	see_many(40, 10);
	assert_int_equal(told_count, 2);
	assert_int_equal(told[1].gap_ns, (gap_s + 1) * NS_PER_S);
	see_many(20, 11);
	see_many(400, 10);
	assert_int_equal(told_count, 4);
	assert_int_equal(told[3].gap_ns, 0);
	stop();
}

static void drops_are_told_from_the_top_of_the_window(void **state)
{
	(void)state;
	watch_by("free_chunks drops 50% in 1m");
	see_many(30, 1000);
	see_many(10, 600);
	see(10); /* one reading that is off */
	see_many(10, 600);
	assert_int_equal(told_count, 0);
	see_many(2, 499);
	assert_int_equal(told_count, 1);
	assert_float_equal(told[0].evidence[0].was, 1000, 0);
	assert_float_equal(told[0].evidence[0].now, 499, 0);
	stop();
	watch_by("free_chunks drops 50% in 1m");
	see_many(30, 1000);
	for (unsigned chunks = 1000; chunks; chunks--)
		see_many(1, chunks > 300 ? chunks : 300); /* too slowly */
	assert_int_equal(told_count, 0);
	stop();
}

static void rises_are_told_by_size_too(void **state)
{
	(void)state;
	watch_by("free_chunks rises 100 in 1m");
	see_many(30, 0);
	see_many(3, 99);
	assert_int_equal(told_count, 0);
	see_many(3, 100);
	assert_int_equal(told_count, 1);
	stop();
	watch_by("free_chunks rises 50% in 1m");
	see_many(30, 0);
	see_many(90, 100); /* a share of 0 is none */
	assert_int_equal(told_count, 0);
	stop();
}

static void trends_need_their_window(void **state)
{
	(void)state;
	watch_by("free_chunks rising 1m");
	for (unsigned i = 0; i < 44; i++)
		see(1000 + 10 * i);
	assert_int_equal(told_count, 0);
	for (unsigned i = 44; i < 50; i++)
		see(1000 + 10 * i);
	assert_int_equal(told_count, 1);
	assert_int_equal(told[0].evidence[0].trend.direction, TREND_RISING);
	assert_float_equal(told[0].evidence[0].trend.slope_per_s, 10, 0.5);
	stop();
}

/* Only an interval that lies on one side of a threshold says anything new. */
static void an_interval_over_a_threshold_changes_nothing(void **state)
{
	(void)state;
	watch_by("free_chunks > 10");
	for (unsigned i = 0; i < 20; i++)
		see_between(8, 12, 16);
	assert_int_equal(told_count, 0);
	see_between(11, 13, 16);
	assert_told(0, ALERT_BEGIN, 21);
	for (unsigned i = 0; i < 60; i++)
		see_between(7, 9, 12);
	assert_int_equal(told_count, 1);
	for (unsigned i = 0; i < 60; i++)
		see_between(6, 8, 9);
	assert_int_equal(told_count, 2);
	assert_int_equal(told[1].kind, ALERT_END);
	stop();
}

/* Divided by what may be nothing, it may be anything. */
static void a_ratio_to_what_may_be_nothing_has_no_upper_end(void **state)
{
	(void)state;
	watch_by("free_chunks / mmapped_chunks < 100");
	figure_set(&sample->fig, FIG_MMAPPED_CHUNKS, 10);
	see(500);
	assert_int_equal(told_count, 1);
	stop();
	watch_by("mmapped_chunks / free_chunks < 100");
	figure_set(&sample->fig, FIG_MMAPPED_CHUNKS, 500);
	for (unsigned i = 0; i < 5; i++)
		see_between(0, 10, 20);
	assert_int_equal(told_count, 0);
	see_between(6, 10, 20);
	assert_int_equal(told_count, 1);
	stop();
}

/* Estimates move from reading to reading: what they can be off by is no drop. */
static void a_drop_within_the_noise_is_none(void **state)
{
	(void)state;
	watch_by("free_chunks drops 10% in 60s");
	for (unsigned i = 0; i < 300; i++) {
		uint64_t chunks = 1000 - 90 + i * 7919 % 181;

		see_between((double)chunks - 100, chunks, (double)chunks + 100);
	}
	assert_int_equal(told_count, 0);
	for (unsigned i = 0; i < 3; i++)
		see_between(400, 500, 600);
	assert_int_equal(told_count, 1);
	assert_int_equal(told[0].kind, ALERT_BEGIN);
	stop();
}

static void another_process_starts_anew(void **state)
{
	(void)state;
	watch_by("free_chunks drops 50% in 1m or free_chunks > 5000");
	see_many(10, 6000);
	assert_int_equal(told_count, 1);
	sample->pid = 8;
	see_many(10, 100);
	assert_int_equal(told_count, 2);
	assert_told(1, ALERT_END, 10);
	assert_int_equal(told[1].reason, ALERT_NO_READINGS);
	assert_int_equal(told[1].pid, 7);
	stop();
}

static void the_end_of_readings_ends_alerts(void **state)
{
	(void)state;
	watch_by("free_chunks > 10");
	see_many(10, 11);
	watch_end(watch, ALERT_PROCESS_ENDED, keep, NULL);
	assert_int_equal(told_count, 2);
	assert_told(1, ALERT_END, 10);
	assert_int_equal(told[1].reason, ALERT_PROCESS_ENDED);
	assert_int_equal(told[1].evidence_count, 1);
	assert_float_equal(told[1].evidence[0].now, 11, 0);
	assert_int_equal(watch_active(watch), 0);
	watch_end(watch, ALERT_PROCESS_ENDED, keep, NULL);
	assert_int_equal(told_count, 2);
	stop();
}

static void a_clock_that_is_set_back_changes_nothing(void **state)
{
	(void)state;
	watch_by("free_chunks > 10 for 20s");
	see_many(10, 11);
	now_s -= 3600;
	see_many(9, 11);
	assert_int_equal(told_count, 0);
	see_many(4, 11);
	assert_int_equal(told_count, 1);
	stop();
}

static void new_rules_keep_what_is_the_same(void **state)
{
	static struct rules others;
	struct watch *other;

	(void)state;
	watch_by("a: free_chunks > 10");
	watch_free(watch);
	assert_int_equal(rules_add(&rules, "b: free_chunks > 5", NULL), 0);
	assert_int_equal(watch_new(&watch, &rules), 0);
	see_many(3, 11);
	assert_int_equal(told_count, 2);
	others.count = 0;
	assert_int_equal(rules_add(&others, "c: free_chunks > 12", NULL), 0);
	assert_int_equal(rules_add(&others, "b: free_chunks > 5", NULL), 0);
	assert_int_equal(watch_new(&other, &others), 0);
	watch_adopt(other, watch, keep, NULL);
	assert_int_equal(told_count, 3);
	assert_string_equal(told[2].rule->name, "a");
	assert_int_equal(told[2].reason, ALERT_RULES);
	watch_free(watch);
	watch = other;
	see_many(3, 11);
	assert_int_equal(told_count, 3);
	assert_int_equal(watch_active(watch), 1);
	stop();
}

static void unknown_limits_decide_nothing(void **state)
{
	struct headroom headroom = {.nearest = HEADROOM_ADDRESS_SPACE};

	(void)state;
	headroom.row[HEADROOM_ADDRESS_SPACE].left_share = 0.05;
	watch_by("limit < 10%");
	see_many(3, 1);
	assert_int_equal(told_count, 0);
	sample->time_ns += NS_PER_S;
	watch_sample(watch, sample, &headroom, keep, NULL);
	assert_int_equal(told_count, 1);
	assert_float_equal(told[0].evidence[0].now, 0.05, 0);
	stop();
}

/* ---- days of programs that do not exist ---- */

static void live_through(const char *name, int64_t ill_from_s, int64_t seconds)
{
	struct world world;

	world_begin(&world, world_kind(name), 1);
	world.ill_from_s = ill_from_s;
	while (world.second < seconds)
		if (world_next(&world, sample))
			watch_sample(watch, sample, NULL, keep, NULL);
}

static void healthy_days_are_quiet(void **state)
{
	static const char *const names[] = {"steady", "sawtooth", "daily"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		watch_by(NULL);
		live_through(names[i], 0, 86400);
		if (told_count)
			fail_msg("%s: %s", names[i], told[0].rule->name);
		stop();
	}
}

static void a_decay_is_told_within_a_minute(void **state)
{
	static const char *const names[] = {"decay-fast", "decay-daily"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		watch_by(NULL);
		live_through(names[i], 600, 660);
		assert_int_equal(told_count, 1);
		assert_string_equal(told[0].rule->name, "largest-free-falls");
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_alert_begins_and_ends),
		cmocka_unit_test(for_wants_it_to_hold_all_the_time),
		cmocka_unit_test(until_ends_it_and_nothing_else_does),
		cmocka_unit_test(flapping_is_damped),
		cmocka_unit_test(a_gap_is_no_drop_to_zero),
		cmocka_unit_test(what_is_absent_ends_nothing),
		cmocka_unit_test(a_gap_begins_a_for_anew),
		cmocka_unit_test(a_gap_is_no_part_of_how_long_it_held),
		cmocka_unit_test(drops_are_told_from_the_top_of_the_window),
		cmocka_unit_test(rises_are_told_by_size_too),
		cmocka_unit_test(trends_need_their_window),
		cmocka_unit_test(an_interval_over_a_threshold_changes_nothing),
		cmocka_unit_test(a_ratio_to_what_may_be_nothing_has_no_upper_end),
		cmocka_unit_test(a_drop_within_the_noise_is_none),
		cmocka_unit_test(another_process_starts_anew),
		cmocka_unit_test(the_end_of_readings_ends_alerts),
		cmocka_unit_test(a_clock_that_is_set_back_changes_nothing),
		cmocka_unit_test(new_rules_keep_what_is_the_same),
		cmocka_unit_test(unknown_limits_decide_nothing),
		cmocka_unit_test(healthy_days_are_quiet),
		cmocka_unit_test(a_decay_is_told_within_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
