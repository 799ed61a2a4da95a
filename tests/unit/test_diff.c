/* test_diff.c: recordings of known difference, made on a simulated clock: which stacks
 * grew more, what arenas hold, what sizes free chunks have, and what is said of it. */
#include "engine/diff.h"
#include "recording/recorder.h"
#include "tests/unit/scratch.h"
#include "view/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS = 1200, TEXT = 1 << 20 };

static const int64_t second_ns = 1000000000;
static const int64_t start_ns = INT64_C(1764000000) * 1000000000;

static char directory[SCRATCH_NAME];
static char before[80], after[80];
static char text[TEXT];
static struct fault fault;
static const struct frontend nobody;
static struct diff_options wanted;
static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
	return random_next(&seed);
}

/* ---- recordings ---- */

/* What a stack does in each second: a growth with a chance of PERCENT. */
struct stack {
	const char *function;
	unsigned percent;
	uint64_t bytes;
};

struct made {
	struct recorder *recorder;
	unsigned life;
	struct sample *sample;
};

static void begin(struct made *made, const char *file)
{
	const struct recorder_options options = {.file = file, .lives = 1, .arenas = 2};
	const struct recorder_life as = {"server", 42, start_ns, start_ns};

	assert_int_equal(recorder_open(&made->recorder, &options, &fault), 0);
	assert_int_equal(recorder_begin(made->recorder, &as, &made->life, &fault), 0);
	made->sample = sample_new(2, false);
}

static void end(struct made *made)
{
	assert_int_equal(
		recorder_commit(made->recorder, start_ns + SECONDS * second_ns, &fault),
		0);
	recorder_close(made->recorder);
	sample_free(made->sample);
}

static void grow(struct made *made, int64_t time_ns, const char *kind,
		 const struct stack *stack)
{
	char json[512];

	snprintf(json, sizeof(json),
		 "{\"kind\":\"%s\",\"bytes\":%llu,\"stack\":["
		 "{\"function\":\"_start\",\"offset\":1,\"module\":\"a\"},"
		 "{\"function\":\"main\",\"offset\":1,\"module\":\"a\"},"
		 "{\"function\":\"%s\",\"offset\":7,\"module\":\"a\"},"
		 "{\"function\":\"malloc\",\"offset\":7,\"module\":\"libc.so.6\"}],"
		 "\"stack_whole\":true,\"not_malloc\":false}",
		 kind, (unsigned long long)stack->bytes, stack->function);
	assert_int_equal(recorder_event(made->recorder, made->life, time_ns, kind,
					stack->bytes, json, &fault),
			 0);
}

/* Twenty minutes, in which the STACKS do what they do. */
static void record(const char *file, const struct stack *stack, unsigned stacks)
{
	struct made made;

	begin(&made, file);
	for (unsigned i = 0; i < SECONDS; i++) {
		struct sample *sample = made.sample;
		uint64_t events = 0, bytes = 0;

		sample_clear(sample);
		sample->time_ns = start_ns + i * second_ns;
		sample->pid = 42;
		strcpy(sample->comm, "server");
		for (unsigned s = 0; s < stacks; s++) {
			if (next() % 100 >= stack[s].percent)
				continue;
			grow(&made, sample->time_ns - second_ns / 2,
			     stack[s].bytes ? "brk" : "failure", &stack[s]);
			events++;
			bytes += stack[s].bytes;
		}
		figure_set(&sample->fig, FIG_RSS_BYTES, (100 << 20) + next() % 4096);
		figure_set(&sample->fig, FIG_GROWTH_EVENTS, events);
		figure_set(&sample->fig, FIG_GROWTH_BYTES, bytes);
		assert_int_equal(
			recorder_sample(made.recorder, made.life, sample, &fault), 0);
	}
	end(&made);
}

static int setup(void **state)
{
	(void)state;
	if (scratch_make(directory))
		return -1;
	snprintf(before, sizeof(before), "%s/before.db", directory);
	snprintf(after, sizeof(after), "%s/after.db", directory);
	wanted = (struct diff_options){.frontend = &nobody, .what = {before, after}};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return scratch_remove(directory);
}

/* ---- comparisons ---- */

/* What diff says of BEFORE and AFTER, as TEXT. */
static void say(const struct diff *diff, bool json)
{
	int fd = memfd_create("diff", 0);
	ssize_t got;

	assert_true(fd >= 0);
	assert_int_equal(json ? diff_json(diff, fd) : diff_text(diff, fd), 0);
	got = pread(fd, text, TEXT - 1, 0);
	assert_true(got > 0);
	text[got] = '\0';
	close(fd);
}

static void compare(struct diff_side side[2], struct diff *diff)
{
	memset(side, 0, 2 * sizeof(*side));
	assert_int_equal(diff_gather(side, &wanted, &fault), 0);
	assert_int_equal(diff_of(&side[0], &side[1], diff), 0);
}

static const struct diff_stack *row_of(const struct diff *diff, const char *function,
				       bool is_failure)
{
	char stack[128];

	snprintf(stack, sizeof(stack), "main;%s;malloc", function);
	for (unsigned i = 0; i < diff->stack_count; i++)
		if (!strcmp(diff->stack[i].stack, stack) &&
		    diff->stack[i].is_failure == is_failure)
			return &diff->stack[i];
	return NULL;
}

static void check_rows(const struct diff *diff)
{
	static const struct {
		const char *function;
		enum compare_outcome outcome;
	} want[] = {
		{"steady", COMPARE_SAME},  {"more", COMPARE_CHANGED},
		{"gone", COMPARE_CHANGED}, {"new", COMPARE_CHANGED},
		{"rare", COMPARE_THIN},
	};

	for (unsigned i = 0; i < sizeof(want) / sizeof(*want); i++) {
		const struct diff_stack *row = row_of(diff, want[i].function, false);

		assert_non_null(row);
		print_message("# %s: %llu and %llu, %.0f to %.0f\n", want[i].function,
			      (unsigned long long)row->count[0],
			      (unsigned long long)row->count[1], row->comparison.low,
			      row->comparison.high);
		assert_int_equal(row->comparison.outcome, want[i].outcome);
	}
	assert_true(row_of(diff, "more", false)->comparison.low > 0);
	assert_true(row_of(diff, "gone", false)->comparison.high < 0);
}

/* One growth by itself says nothing, and what is no JSON is passed over. */
static void add_oddities(void)
{
	const struct recorder_options options = {
		.file = after, .append = true, .lives = 1, .arenas = 1};
	const struct recorder_life as = {"server", 42, start_ns, start_ns};
	const struct stack rare = {"rare", 0, 4096};
	struct made made;

	assert_int_equal(recorder_open(&made.recorder, &options, &fault), 0);
	assert_int_equal(recorder_begin(made.recorder, &as, &made.life, &fault), 0);
	grow(&made, start_ns + 600 * second_ns, "brk", &rare);
	assert_int_equal(recorder_event(made.recorder, made.life,
					start_ns + 601 * second_ns, "brk", 1,
					"{\"stack\":[{", &fault),
			 0);
	assert_int_equal(recorder_commit(made.recorder, start_ns, &fault), 0);
	recorder_close(made.recorder);
}

/* The rates are those that were made: so many in a hundred seconds. */
static void test_stacks(void **state)
{
	static const struct stack was[] = {{"steady", 10, 132 << 10},
					   {"more", 5, 132 << 10},
					   {"gone", 10, 1 << 20},
					   {"fails", 20, 0}},
				  is[] = {{"steady", 10, 132 << 10},
					  {"more", 40, 132 << 10},
					  {"new", 10, 2 << 20}};
	static struct diff_side side[2];
	static struct diff diff;
	const struct diff_stack *row;

	(void)state;
	record(before, was, 4);
	record(after, is, 3);
	add_oddities();
	compare(side, &diff);
	check_rows(&diff);
	row = row_of(&diff, "gone", false);
	assert_true(row->comparison.before > 300.0 * (1 << 20) &&
		    row->comparison.before < 420.0 * (1 << 20));
	row = row_of(&diff, "fails", true);
	assert_non_null(row);
	assert_true(row->comparison.before > 600 && row->comparison.before < 840);
	assert_true(row->comparison.after == 0);
	say(&diff, false);
	assert_non_null(strstr(text, "Growth an hour, by stack"));
	assert_non_null(strstr(text, "Failures an hour, by stack"));
	assert_non_null(strstr(text, "  new\n    new\n"));
	assert_non_null(strstr(text, "  gone\n    gone\n"));
	say(&diff, true);
	assert_non_null(strstr(text, "\"stack\":\"main;steady;malloc\""));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* Where growths were not recorded on one side, there is nothing to compare them with. */
static void test_no_events(void **state)
{
	static const struct stack was[] = {{"steady", 10, 132 << 10}};
	static struct diff_side side[2];
	static struct diff diff;
	struct made made;

	(void)state;
	record(before, was, 1);
	begin(&made, after);
	for (unsigned i = 0; i < SECONDS; i++) {
		made.sample->time_ns = start_ns + i * second_ns;
		made.sample->pid = 42;
		figure_set(&made.sample->fig, FIG_RSS_BYTES, 100 << 20);
		assert_int_equal(
			recorder_sample(made.recorder, made.life, made.sample, &fault),
			0);
	}
	end(&made);
	compare(side, &diff);
	assert_int_equal(diff.stack_count, 0);
	say(&diff, false);
	assert_non_null(strstr(text, "record both with --events"));
	say(&diff, true);
	assert_null(strstr(text, "\"stacks\""));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* Of one reading it is not known since when it counts: there are no rows of stacks. */
static void test_one_reading(void **state)
{
	static const struct stack was[] = {{"steady", 10, 132 << 10}};
	static struct diff_side side[2];
	static struct diff diff;

	(void)state;
	record(before, was, 1);
	record(after, was, 1);
	memset(side, 0, sizeof(side));
	assert_int_equal(diff_gather(side, &wanted, &fault), 0);
	side[1].count = 1;
	assert_int_equal(diff_of(&side[0], &side[1], &diff), 0);
	assert_int_equal(diff.stack_count, 0);
	say(&diff, true);
	assert_null(strstr(text, "\"stacks\""));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* However many stacks grew, those that failed have their rows. */
static void test_many_stacks(void **state)
{
	enum { GREW = DIFF_STACKS + 6 };
	static char name[GREW][16];
	static struct stack was[GREW + 1] = {[GREW] = {"fails", 20, 0}};
	static struct diff_side side[2];
	static struct diff diff;

	(void)state;
	for (unsigned i = 0; i < GREW; i++) {
		snprintf(name[i], sizeof(name[i]), "grows_%u", i);
		was[i] = (struct stack){name[i], 5, 132 << 10};
	}
	record(before, was, GREW + 1);
	record(after, was, GREW + 1);
	compare(side, &diff);
	assert_non_null(row_of(&diff, "fails", true));
	assert_int_equal(diff.stack_count, DIFF_STACKS + 1);
	assert_int_equal(diff.stacks_left, GREW - DIFF_STACKS);
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* A reading every second and a look at the free chunks every ten: of PID's FREE chunks of
 * 100 bytes in arena 0, which has so much live; with OTHER there is an arena 3, too. */
static void record_arenas(const char *file, uint64_t live, uint64_t chunks, bool other)
{
	const struct recorder_options options = {
		.file = file, .lives = 1, .arenas = 2, .looks = true};
	const struct recorder_life as = {"server", 42, start_ns, start_ns};
	struct made made;

	assert_int_equal(recorder_open(&made.recorder, &options, &fault), 0);
	assert_int_equal(recorder_begin(made.recorder, &as, &made.life, &fault), 0);
	made.sample = sample_new(2, true);
	for (unsigned i = 0; i < SECONDS; i++) {
		struct sample *sample = made.sample;
		struct bin_total *bin;

		sample_clear(sample);
		sample->time_ns = start_ns + i * second_ns;
		sample->pid = 42;
		sample->arena_count = other ? 2 : 1;
		sample->arena[1].index = 3;
		figure_set(&sample->fig, FIG_RSS_BYTES, 100 << 20);
		for (unsigned a = 0; a < sample->arena_count; a++) {
			struct arena_bins *bins = sample->arena[a].bins;

			memset(bins, 0, sizeof(*bins));
			figure_set(&sample->arena[a].fig, FIG_LIVE_BYTES,
				   live + next() % 1024);
			figure_set(&sample->arena[a].fig, FIG_TOP_BYTES, 4096);
			bins->split = bins->sized = true;
			bin = &bins->bins[6];
			bin->from_bytes = bin->to_bytes = 112;
			bin->count = a ? 0 : chunks + next() % 8;
			bin->total_bytes = bin->count * 112;
		}
		assert_int_equal(
			recorder_sample(made.recorder, made.life, sample, &fault), 0);
		if (i % 10 == 0)
			assert_int_equal(
				recorder_sizes(made.recorder, made.life, sample, &fault),
				0);
	}
	end(&made);
}

static const struct diff_detail *detail_of(const struct diff *diff, unsigned detail)
{
	for (unsigned i = 0; i < diff->detail_count; i++)
		if (diff->detail[i].detail == detail)
			return &diff->detail[i];
	return NULL;
}

/* Arenas by their index, and free chunks by their size, of the looks that a recording
 * has. */
static void test_details(void **state)
{
	static struct diff_side side[2];
	static struct diff diff;
	const struct diff_detail *row;

	(void)state;
	record_arenas(before, 1 << 20, 1000, false);
	record_arenas(after, 2 << 20, 5000, true);
	wanted.arenas = wanted.sizes = true;
	compare(side, &diff);
	row = detail_of(&diff, 0);
	assert_int_equal(row->comparison.outcome, COMPARE_CHANGED);
	assert_true(row->comparison.low > 1000000 && row->comparison.high < 1100000);
	row = detail_of(&diff, 3 * DIFF_ARENA_FIGURES);
	assert_true(!row->has[0] && row->has[1]);
	assert_int_equal(side[0].sizes_looks, SECONDS / 10);
	row = detail_of(&diff, DIFF_ARENAS * DIFF_ARENA_FIGURES + 1);
	assert_non_null(row);
	assert_int_equal(row->comparison.outcome, COMPARE_CHANGED);
	assert_true(row->comparison.low > 447000 && row->comparison.high < 449000);
	say(&diff, false);
	assert_non_null(strstr(text, "arena 3 live_bytes"));
	assert_non_null(strstr(text, "only after"));
	assert_non_null(strstr(text, "below 128"));
	assert_null(strstr(text, "below 256"));
	say(&diff, true);
	assert_non_null(strstr(text, "{\"size\":\"below 128\",\"outcome\":\"changed\""));
	assert_non_null(strstr(text, "\"outcome\":\"only_after\""));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* Without looks at them, that is what is said. */
static void test_no_sizes(void **state)
{
	static const struct stack none[1];
	static struct diff_side side[2];
	static struct diff diff;

	(void)state;
	record(before, none, 0);
	record(after, none, 0);
	wanted.arenas = wanted.sizes = true;
	compare(side, &diff);
	assert_int_equal(diff.detail_count, 0);
	say(&diff, false);
	assert_non_null(
		strstr(text, "Neither has free chunks by size: record with --maps"));
	assert_non_null(strstr(text, "Neither has single arenas"));
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
}

/* ---- series without recordings ---- */

enum { PAIRS = 200, READINGS = 600 };

static double noise(void)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += (double)(next() % 1000000) / 1e6;
	return sum;
}

/* Noise that is half remembered from one second to the next, and grows by so much. */
static void fill(struct diff_side *side, struct sample *sample, double growth_bytes)
{
	double value = 0;

	for (unsigned i = 0; i < READINGS; i++) {
		value = 0.5 * value + noise();
		sample->time_ns = start_ns + i * second_ns;
		figure_set(&sample->fig, FIG_RSS_BYTES,
			   (uint64_t)(1e8 + 1e5 * value + growth_bytes * i));
		assert_int_equal(diff_add(side, sample), 0);
	}
}

/* A clock that is set back again and again, as rows of a damaged file have it: the times
 * of a course do not fall. */
static void test_clock(void **state)
{
	enum { ROWS = 6000, AHEAD = 100, BACK = 30 };
	struct sample *sample = sample_new(1, false);
	static struct diff_side side[2];
	static struct diff diff;

	(void)state;
	for (unsigned i = 0; i < ROWS; i++) {
		sample->time_ns =
			start_ns + (int64_t)(i - i / AHEAD * (BACK + 1)) * second_ns;
		figure_set(&sample->fig, FIG_RSS_BYTES, (100 << 20) + next() % 4096);
		for (unsigned s = 0; s < 2; s++)
			assert_int_equal(diff_add(&side[s], sample), 0);
	}
	for (unsigned i = 1; i < ROWS; i++)
		assert_true(side[0].time_s[i] >= side[0].time_s[i - 1]);
	assert_true(diff_span_s(&side[0]) == ROWS - ROWS / AHEAD);
	assert_int_equal(diff_of(&side[0], &side[1], &diff), 0);
	assert_int_equal(diff.row[0].comparison.outcome, COMPARE_SAME);
	for (unsigned i = 0; i < 2; i++)
		diff_side_release(&side[i]);
	sample_free(sample);
}

/* How often the growth of two is called different when one grows by so much a second. */
static unsigned growths_changed(struct sample *sample, double growth_bytes)
{
	static struct diff_side side[2];
	static struct diff diff;
	unsigned changed = 0;

	for (unsigned pair = 0; pair < PAIRS; pair++) {
		fill(&side[0], sample, 0);
		fill(&side[1], sample, growth_bytes);
		assert_int_equal(diff_of(&side[0], &side[1], &diff), 0);
		for (unsigned i = 0; i < diff.row_count; i++)
			changed += diff.row[i].kind == DIFF_GROWTH &&
				   diff.row[i].comparison.outcome == COMPARE_CHANGED;
		for (unsigned i = 0; i < 2; i++)
			diff_side_release(&side[i]);
	}
	return changed;
}

static void test_growth(void **state)
{
	struct sample *sample = sample_new(1, false);
	unsigned none = growths_changed(sample, 0), some;

	(void)state;
	some = growths_changed(sample, 500);
	print_message("# growth: %u of %d without a change, %u with one\n", none, PAIRS,
		      some);
	/* 5% are 10; more than 20 are less likely than one in a thousand. */
	assert_true(none <= 20);
	assert_true(some > PAIRS * 9 / 10);
	sample_free(sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_details, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_stacks, setup, teardown),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_growth),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
