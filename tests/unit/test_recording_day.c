/* test_recording_day.c: days on a clock of our own: 86,400 seconds of a server with five
 * arenas, 200 figures a second, as record writes them. How large the file is, what --keep
 * and --max-size leave of it, and what the minutes and hours say; what writing costs is
 * printed. With arguments it writes one such file: the recordings in tests/recordings are
 * from there. */
#include "recording/recorder.h"
#include "recording/recording.h"
#include "tests/unit/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	FIGURES = 200,
	ARENAS = 5,
	ARENA_FIGURES = 28,
	BUSY_ARENAS = 2,
	DAY_S = 86400,
	HOUR_S = 3600,
};

static const int64_t second_ns = 1000000000;
static const int64_t start_ns = INT64_C(1764028800) * 1000000000; /* a midnight */

static char directory[SCRATCH_NAME], file[80];

/* ---- a server ---- */

/* How much there is to do at second I: little at night, and never twice the same. */
static double load_at(unsigned i, uint64_t *state)
{
	double day = 0.5 - 0.5 * cos(2 * 3.14159265 * (double)(i % DAY_S) / DAY_S);

	return 0.2 + 0.7 * day + 0.1 * (double)(random_next(state) % 1000) / 1000;
}

/* Of a row at work six figures of ten move in a second, of one at rest one of fifty. What
 * moves does so by chunks: by bytes in sixteens, mostly few, at times many. */
static void move_figure(struct figures *fig, enum figure f, bool is_busy, double load,
			uint64_t *state)
{
	uint64_t dice = random_next(state), most = UINT64_C(16) << (dice >> 32) % 14, by;

	if (is_busy ? f % 10 >= 6 && dice % 200 : dice % 50)
		return;
	if (!figure_has(fig, f) || figure_info[f].derive)
		return;
	if (figure_info[f].unit == UNIT_RATIO) {
		figure_set_ratio(fig, f, (double)(dice % 10000) / 10000 * load);
		return;
	}
	by = (uint64_t)((double)(random_next(state) % most) * load);
	if (figure_info[f].unit == UNIT_BYTES)
		by &= ~UINT64_C(15);
	else
		by >>= 4;
	fig->v[f].u += dice & 1 && fig->v[f].u > by ? -by : by;
}

/* No process has all figures. */
static void first_figures(struct figures *fig, enum figure_scope scope, unsigned count)
{
	for (unsigned f = 0; f < FIG_COUNT && count; f++) {
		if (!(figure_info[f].scope & scope))
			continue;
		count--;
		if (figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(fig, f, 0.25);
		else
			figure_set(fig, f,
				   figure_info[f].unit == UNIT_BYTES ? 1 << 28 : 20000);
	}
}

/* Whole seconds since the beginning, for who checks. */
static void mark(struct sample *sample, unsigned i)
{
	figure_set(&sample->fig, FIG_RSS_BYTES, (uint64_t)(1 + i) << 12);
}

static struct sample *first_sample(void)
{
	struct sample *sample = sample_new(ARENAS, false);

	assert_non_null(sample);
	strcpy(sample->comm, "server");
	strcpy(sample->allocator, "glibc-2.36");
	sample->pid = 4711;
	sample->arena_count = ARENAS;
	first_figures(&sample->fig, SCOPE_PROCESS, FIGURES - ARENAS * ARENA_FIGURES);
	for (unsigned a = 0; a < ARENAS; a++) {
		sample->arena[a].index = a;
		sample->arena[a].addr = 0x7f0000000000 + a * 0x4000000;
		first_figures(&sample->arena[a].fig, SCOPE_ARENA, ARENA_FIGURES);
	}
	return sample;
}

/* SAMPLE, the one of the second before, becomes that of second I. */
static void move_sample(struct sample *sample, unsigned i, uint64_t *state)
{
	double load = load_at(i, state);

	sample->time_ns = start_ns + (int64_t)i * second_ns;
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (figure_info[f].scope & SCOPE_PROCESS)
			move_figure(&sample->fig, f, true, load, state);
		if (!(figure_info[f].scope & SCOPE_ARENA))
			continue;
		for (unsigned a = 0; a < ARENAS; a++)
			move_figure(&sample->arena[a].fig, f, a < BUSY_ARENAS, load,
				    state);
	}
	mark(sample, i);
}

static unsigned figures_of(const struct sample *sample)
{
	unsigned count = 0;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		count += figure_has(&sample->fig, f);
		for (unsigned a = 0; a < sample->arena_count; a++)
			count += figure_has(&sample->arena[a].fig, f);
	}
	return count;
}

/* ---- a recorder ---- */

static struct recorder *open_recorder(int64_t keep_ns, uint64_t max_bytes)
{
	const struct recorder_options options = {
		.file = file,
		.lives = 1,
		.arenas = ARENAS,
		.keep_ns = keep_ns,
		.max_bytes = max_bytes,
	};
	struct recorder *recorder;
	struct fault fault;

	assert_int_equal(recorder_open(&recorder, &options, &fault), 0);
	return recorder;
}

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * second_ns + now.tv_nsec;
}

static uint64_t size_of_file(void)
{
	struct stat status;

	assert_int_equal(stat(file, &status), 0);
	return (uint64_t)status.st_size;
}

/* Called each second, after its sample. */
typedef void second_fn(unsigned i);

/* Records SECONDS. What a sample cost, without making it up. */
static int64_t record_seconds(unsigned seconds, int64_t keep_ns, uint64_t max_bytes,
			      second_fn *each)
{
	struct recorder *recorder = open_recorder(keep_ns, max_bytes);
	const struct recorder_life as = {"server", 4711, start_ns - HOUR_S * second_ns,
					 start_ns};
	struct sample *sample = first_sample();
	uint64_t state = 7;
	int64_t spent_ns = 0;
	struct fault fault;
	unsigned life;

	assert_int_equal(recorder_begin(recorder, &as, &life, &fault), 0);
	assert_int_equal(
		recorder_fact(recorder, life, start_ns, "kernel", "6.18", &fault), 0);
	for (unsigned i = 0; i < seconds; i++) {
		int64_t begin_ns;

		move_sample(sample, i, &state);
		begin_ns = cpu_ns();
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
		spent_ns += cpu_ns() - begin_ns;
		if (each)
			each(i);
	}
	assert_int_equal(figures_of(sample), FIGURES);
	recorder_end(recorder, life, sample->time_ns, "it exited", &fault);
	assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
	recorder_close(recorder);
	sample_free(sample);
	return spent_ns / seconds;
}

static int setup(void **state)
{
	(void)state;
	if (scratch_make(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/day.db", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return scratch_remove(directory);
}

/* ---- what is in the file ---- */

static sqlite3_int64 ask(const char *query)
{
	sqlite3_stmt *select;
	sqlite3_int64 value;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &select, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(select), SQLITE_ROW);
	value = sqlite3_column_int64(select, 0);
	sqlite3_finalize(select);
	sqlite3_close(db);
	return value;
}

/* Of rss_bytes, which is a page more each second. */
static void check_tiers(void)
{
	const char *of_rss = "SELECT count(*) FROM tier JOIN figure USING(number) WHERE"
			     " name='rss_bytes' AND arena=-1 AND seconds=%d AND n=%d AND"
			     " min=4096*(1+time_s-%lld) AND max=min+4096*(seconds-1) AND"
			     " last=max AND mean=(min+max)/2.0";
	char query[512];

	snprintf(query, sizeof(query), of_rss, 60, 60, (long long)(start_ns / second_ns));
	assert_int_equal(ask(query), DAY_S / 60);
	snprintf(query, sizeof(query), of_rss, HOUR_S, HOUR_S,
		 (long long)(start_ns / second_ns));
	assert_int_equal(ask(query), 24);
	assert_int_equal(ask("SELECT count(*) FROM sample"), DAY_S);
}

static void check_read(void)
{
	struct recording *recording;
	const struct sample *got;
	struct fault fault;
	unsigned life;

	assert_int_equal(recording_open(&recording, file, &fault), 0);
	for (unsigned i = 0; i < DAY_S; i++) {
		assert_int_equal(recording_next(recording, &got, &life, &fault),
				 RECORDING_READ);
		assert_int_equal(got->time_ns, start_ns + (int64_t)i * second_ns);
		assert_int_equal(got->fig.v[FIG_RSS_BYTES].u, (uint64_t)(1 + i) << 12);
	}
	assert_int_equal(recording_next(recording, &got, &life, &fault), RECORDING_END);
	recording_close(recording);
}

/* All of a day in below 30 MB. */
static void test_day(void **unused)
{
	int64_t cost_ns = record_seconds(DAY_S, 0, 0, NULL);

	(void)unused;
	print_message("# a day of seconds: %.1f MB, %.1f us of a processor each\n",
		      (double)size_of_file() / 1e6, (double)cost_ns / 1e3);
	assert_in_range(size_of_file(), 1 << 20, 30000000);
	check_tiers();
	check_read();
}

/* Of three hours the last one; the minutes of all. */
static void test_keep(void **unused)
{
	(void)unused;
	record_seconds(3 * HOUR_S, HOUR_S * second_ns, 0, NULL);
	assert_in_range(ask("SELECT count(*) FROM sample"), HOUR_S, HOUR_S + 120);
	assert_in_range(ask("SELECT (max(time_ns)-min(time_ns))/1000000000 FROM sample"),
			HOUR_S - 1, HOUR_S + 120);
	assert_int_equal(ask("SELECT count(DISTINCT time_s) FROM tier WHERE seconds=60"),
			 180);
	assert_int_equal(
		ask("SELECT count(DISTINCT time_s) FROM tier WHERE seconds=3600"), 3);
	assert_int_equal(ask("SELECT count(*) FROM whole WHERE time_ns <"
			     " (SELECT min(time_ns) FROM sample)"),
			 0);
}

enum { BOUND_BYTES = 2 << 20 };

static uint64_t largest_bytes;

static void note_size(unsigned i)
{
	if (i % 60 == 0 && size_of_file() > largest_bytes)
		largest_bytes = size_of_file();
}

/* Never above the bound at any minute, and what is left is the newest. */
static void test_max_size(void **unused)
{
	(void)unused;
	largest_bytes = 0;
	record_seconds(4 * HOUR_S, 0, BOUND_BYTES, note_size);
	print_message("# at most %.2f MB of %.2f\n", (double)largest_bytes / 1e6,
		      BOUND_BYTES / 1e6);
	assert_in_range(largest_bytes, BOUND_BYTES / 2, BOUND_BYTES);
	assert_int_equal(ask("SELECT max(time_ns)/1000000000 FROM sample"),
			 start_ns / second_ns + 4 * HOUR_S - 1);
	assert_true(ask("SELECT count(*) FROM sample") < 4 * HOUR_S);
	assert_int_equal(ask("SELECT count(*)=0 FROM sample WHERE time_ns <"
			     " (SELECT max(time_ns) FROM sample) - 14400000000000"),
			 1);
}

/* FILE SECONDS KEEP_SECONDS */
static int generate(char **arguments)
{
	snprintf(file, sizeof(file), "%s", arguments[1]);
	record_seconds((unsigned)atoi(arguments[2]), atoll(arguments[3]) * second_ns, 0,
		       NULL);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_day, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_max_size, setup, teardown),
	};

	if (argc == 4)
		return generate(argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
