/* test_recording.c: what is recorded comes back, figure by figure: second by second, from
 * any instant on, after rotation, on a full disk, by minutes when the seconds are gone;
 * and a damaged file is said to be one. */
#include "recording/codec.h"
#include "recording/look_codec.h"
#include "recording/recorder.h"
#include "recording/recording.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARENAS = 5, SAMPLES = 2000 };

static const int64_t second_ns = 1000000000;
static const int64_t start_ns = INT64_C(1764000000) * 1000000000;

static char directory[SCRATCH_NAME], file[80];

static void random_figures(struct figures *fig, uint64_t *state)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		uint64_t dice = random_next(state) % 16;

		if (dice == 0)
			figure_drop(fig, f);
		else if (dice < 4 && figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(fig, f, (double)random_next(state) / 1e19);
		else if (dice == 1)
			figure_set(fig, f, random_next(state));
		else if (dice < 4 && figure_info[f].unit != UNIT_RATIO)
			figure_set(fig, f, figure_has(fig, f) ? fig->v[f].u + dice : 1);
	}
	if (random_next(state) % 2)
		figures_derive(fig);
	fig->estimated = 0;
	for (unsigned f = 0; random_next(state) % 8 == 0 && f < FIG_COUNT; f++)
		if (figure_can_be_estimated(f) && figure_has(fig, f) &&
		    figure_number(fig, f) < 1e12)
			figure_set_range(fig, f, figure_number(fig, f) * 0.9 - 5,
					 figure_number(fig, f) * 1.2 + 77);
}

/* SAMPLE becomes the one of second I of process PID: always the same for the same. */
static void random_sample(struct sample *sample, unsigned i, int pid, uint64_t *state)
{
	sample->time_ns = start_ns + (int64_t)i * second_ns;
	sample->pid = pid;
	snprintf(sample->comm, SAMPLE_TEXT, "prog%u", i / 700);
	snprintf(sample->allocator, SAMPLE_TEXT, "glibc-2.36");
	sample->status = random_next(state) % 50 ? STATUS_COMPLETE : STATUS_PARTIAL;
	snprintf(sample->missing, SAMPLE_TEXT, "%s",
		 sample->status == STATUS_PARTIAL ? "arena 3" : "");
	random_figures(&sample->fig, state);
	sample->arena_count = 1 + i / 100 % ARENAS;
	for (unsigned a = 0; a < sample->arena_count; a++) {
		sample->arena[a].index = a;
		sample->arena[a].addr = 0x7f0000000000 + a * 0x4000000;
		random_figures(&sample->arena[a].fig, state);
	}
}

static void assert_figures(const struct figures *a, const struct figures *b)
{
	double low[2], high[2];

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		assert_int_equal(figure_has(a, f), figure_has(b, f));
		if (!figure_has(a, f))
			continue;
		assert_memory_equal(&a->v[f], &b->v[f], sizeof(a->v[f]));
		assert_int_equal(figure_range(a, f, &low[0], &high[0]),
				 figure_range(b, f, &low[1], &high[1]));
		assert_true(low[0] == low[1] && high[0] == high[1]);
	}
}

static void assert_samples(const struct sample *got, const struct sample *want)
{
	assert_int_equal(got->time_ns, want->time_ns);
	assert_int_equal(got->pid, want->pid);
	assert_int_equal(got->status, want->status);
	assert_string_equal(got->comm, want->comm);
	assert_string_equal(got->allocator, want->allocator);
	assert_string_equal(got->missing, want->missing);
	assert_int_equal(got->arena_count, want->arena_count);
	assert_figures(&got->fig, &want->fig);
	for (unsigned a = 0; a < want->arena_count; a++) {
		assert_int_equal(got->arena[a].index, want->arena[a].index);
		assert_int_equal(got->arena[a].addr, want->arena[a].addr);
		assert_figures(&got->arena[a].fig, &want->arena[a].fig);
	}
}

static struct recorder *open_recorder(bool append, int64_t keep_ns, uint64_t max_bytes)
{
	struct recorder_options options = {
		.file = file,
		.append = append,
		.lives = 2,
		.arenas = ARENAS,
		.keep_ns = keep_ns,
		.max_bytes = max_bytes,
		.looks = true,
	};
	struct recorder *recorder;
	struct fault fault;

	assert_int_equal(recorder_open(&recorder, &options, &fault), 0);
	return recorder;
}

static unsigned begin(struct recorder *recorder, const char *service, int pid)
{
	struct recorder_life as = {service, pid, start_ns - second_ns, start_ns};
	struct fault fault;
	unsigned life;

	assert_int_equal(recorder_begin(recorder, &as, &life, &fault), 0);
	return life;
}

/* Records COUNT random seconds of one process from second FROM on. */
static void record(struct recorder *recorder, unsigned life, unsigned from,
		   unsigned count, struct sample *sample, uint64_t *state)
{
	struct fault fault;

	for (unsigned i = from; i < from + count; i++) {
		random_sample(sample, i, 42, state);
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
	}
}

static struct recording *open_recording(void)
{
	struct recording *recording;
	struct fault fault;

	assert_int_equal(recording_open(&recording, file, &fault), 0);
	return recording;
}

static int setup(void **state)
{
	(void)state;
	if (scratch_make(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/a.db", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return scratch_remove(directory);
}

/* Reads all from FROM on and compares it with what RECORD wrote. */
static void check_from(struct recording *recording, unsigned from, unsigned total)
{
	struct sample *want = sample_new(ARENAS, false);
	const struct sample *got;
	uint64_t state = 7;
	struct fault fault;
	unsigned life;

	for (unsigned i = 0; i < total; i++) {
		random_sample(want, i, 42, &state);
		if (i < from)
			continue;
		assert_int_equal(recording_next(recording, &got, &life, &fault),
				 RECORDING_READ);
		assert_samples(got, want);
	}
	assert_int_equal(recording_next(recording, &got, &life, &fault), RECORDING_END);
	sample_free(want);
}

static void write_all(unsigned total)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *sample = sample_new(ARENAS, false);
	uint64_t state = 7;

	record(recorder, begin(recorder, "server", 42), 0, total, sample, &state);
	sample_free(sample);
	recorder_close(recorder);
}

static void test_round(void **unused)
{
	struct recording *recording;
	struct fault fault;

	(void)unused;
	write_all(SAMPLES);
	recording = open_recording();
	assert_int_equal(recording_lives(recording), 1);
	assert_string_equal(recording_life(recording, 0)->service, "server");
	assert_int_equal(recording_life(recording, 0)->pid, 42);
	assert_null(recording_life(recording, 0)->end);
	check_from(recording, 0, SAMPLES);
	for (unsigned from = 1; from < SAMPLES; from += 397) {
		int64_t from_ns = start_ns + (int64_t)from * second_ns;

		assert_int_equal(recording_seek(recording, from_ns, &fault), 0);
		check_from(recording, from, SAMPLES);
	}
	recording_close(recording);
}

static void test_append(void **unused)
{
	struct recorder_options options = {.file = file, .lives = 1, .arenas = 1};
	struct recorder *recorder;
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	uint64_t state = 7;
	struct fault fault;
	unsigned life;

	(void)unused;
	write_all(10);
	assert_int_equal(recorder_open(&recorder, &options, &fault), -EEXIST);
	assert_non_null(strstr(fault.text, "--append"));
	recorder = open_recorder(true, 0, 0);
	life = begin(recorder, "server", 43);
	random_sample(sample, 20, 43, &state);
	assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
	assert_int_equal(
		recorder_fact(recorder, life, start_ns, "kernel", "6.18", &fault), 0);
	assert_int_equal(
		recorder_end(recorder, life, sample->time_ns, "it exited", &fault), 0);
	assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
	recorder_close(recorder);
	recording = open_recording();
	assert_int_equal(recording_lives(recording), 2);
	assert_string_equal(recording_life(recording, 1)->end, "it exited");
	assert_string_equal(
		recording_fact(recording, recording_life(recording, 1)->life, "kernel"),
		"6.18");
	assert_null(
		recording_fact(recording, recording_life(recording, 0)->life, "kernel"));
	recording_close(recording);
	sample_free(sample);
}

/* As logrotate does it: the file gets another name, then the recorder opens its own. */
static void test_reopen(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	char moved[96];
	uint64_t state = 7;
	struct fault fault;
	unsigned life = begin(recorder, "server", 42), whose;
	const struct sample *got;

	(void)unused;
	record(recorder, life, 0, 100, sample, &state);
	snprintf(moved, sizeof(moved), "%s.1", file);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(recorder_reopen(recorder, &fault), 0);
	record(recorder, life, 100, 50, sample, &state);
	recorder_close(recorder);
	recording = open_recording();
	assert_string_equal(recording_life(recording, 0)->service, "server");
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(recording_next(recording, &got, &whose, &fault),
				 RECORDING_READ);
		assert_int_equal(got->time_ns, start_ns + (100 + i) * second_ns);
	}
	assert_samples(got, sample);
	recording_close(recording);
	sample_free(sample);
}

/* SIGHUP without a rotation changes nothing; what the old file of a rotation says of its
 * lives ends. */
static void test_reopen_same(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	char moved[96];
	uint64_t state = 7;
	struct fault fault;
	unsigned life = begin(recorder, "server", 42);

	(void)unused;
	record(recorder, life, 0, 10, sample, &state);
	assert_int_equal(recorder_reopen(recorder, &fault), 0);
	record(recorder, life, 10, 10, sample, &state);
	recording = open_recording();
	assert_int_equal(recording_lives(recording), 1);
	check_from(recording, 0, 20);
	recording_close(recording);
	snprintf(moved, sizeof(moved), "%s.1", file);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(recorder_reopen(recorder, &fault), 0);
	assert_int_equal(recording_open(&recording, moved, &fault), 0);
	assert_string_equal(recording_life(recording, 0)->end,
			    "it goes on in another file");
	recording_close(recording);
	recorder_close(recorder);
	sample_free(sample);
}

/* A name that cannot be opened is tried again with what is written next; a file that was
 * left empty is a new one. */
static void test_reopen_later(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	char moved[96];
	uint64_t state = 7;
	struct fault fault;
	unsigned life = begin(recorder, "server", 42);

	(void)unused;
	record(recorder, life, 0, 10, sample, &state);
	snprintf(moved, sizeof(moved), "%s.1", file);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_true(recorder_reopen(recorder, &fault) < 0);
	assert_true(recorder_sample(recorder, life, sample, &fault) < 0);
	assert_int_equal(rmdir(file), 0);
	assert_int_equal(close(open(file, O_CREAT | O_WRONLY, 0600)), 0);
	record(recorder, life, 10, 10, sample, &state);
	recorder_close(recorder);
	recording = open_recording();
	assert_int_equal(recording_lives(recording), 1);
	recording_close(recording);
	sample_free(sample);
}

/* Where the clock is set back each sample is still what it was: the process is another
 * life from there on, of which all is known. */
static void test_clock(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *want[200];
	struct recording *recording;
	const struct sample *got;
	uint64_t state = 7;
	struct fault fault;
	unsigned life = begin(recorder, "server", 42), seen = 0, whose;

	(void)unused;
	assert_int_equal(
		recorder_fact(recorder, life, start_ns, "kernel", "6.18", &fault), 0);
	for (unsigned i = 0; i < 200; i++) {
		want[i] = sample_new(ARENAS, false);
		/* From second 100 on it is a minute earlier than it was. */
		random_sample(want[i], i < 100 ? i : i - 60, 42, &state);
		assert_int_equal(recorder_sample(recorder, life, want[i], &fault), 0);
	}
	assert_int_equal(recorder_commit(recorder, want[199]->time_ns, &fault), 0);
	recorder_close(recorder);
	recording = open_recording();
	assert_int_equal(recording_lives(recording), 2);
	assert_string_equal(recording_life(recording, 0)->end, "the clock was set back");
	assert_string_equal(
		recording_fact(recording, recording_life(recording, 1)->life, "kernel"),
		"6.18");
	while (recording_next(recording, &got, &whose, &fault) == RECORDING_READ) {
		int64_t second = (got->time_ns - start_ns) / second_ns;

		assert_samples(got, want[whose ? second + 60 : second]);
		seen++;
	}
	assert_int_equal(seen, 200);
	recording_close(recording);
	for (unsigned i = 0; i < 200; i++)
		sample_free(want[i]);
}

/* A steady figure, one that moves within each minute, and one that ends. */
static void simple_sample(struct sample *sample, unsigned i)
{
	sample_clear(sample);
	sample->time_ns = start_ns + (int64_t)i * second_ns;
	sample->pid = 42;
	strcpy(sample->comm, "server");
	figure_set(&sample->fig, FIG_RSS_BYTES, 1000000);
	figure_set(&sample->fig, FIG_LIVE_BYTES, 5000 + i % 60);
	if (i < 5 * 3600)
		figure_set(&sample->fig, FIG_FREE_BYTES, 77);
	figure_set_ratio(&sample->fig, FIG_FRAG, 0.5);
	figure_set(&sample->fig, FIG_GROWTH_EVENTS, i % 2);
}

static void record_simple(struct recorder *recorder, unsigned life, unsigned seconds)
{
	struct sample *sample = sample_new(ARENAS, false);
	struct fault fault;

	for (unsigned i = 0; i < seconds; i++) {
		simple_sample(sample, i);
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		if (i % 60 == 59)
			assert_int_equal(
				recorder_commit(recorder, sample->time_ns, &fault), 0);
	}
	assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
	sample_free(sample);
}

/* What is left of 10 hours when seconds stay for one: minutes, then seconds, no gap of
 * more than some minutes, and no figure that was absent. */
static void test_tiers(void **unused)
{
	struct recorder *recorder = open_recorder(false, 3600 * second_ns, 0);
	struct recording *recording;
	const struct sample *got;
	int64_t before_ns = start_ns - 60 * second_ns, step_ns;
	unsigned minutes = 0, seconds = 0, life;
	uint64_t grown = 0;
	struct fault fault;

	(void)unused;
	record_simple(recorder, begin(recorder, "server", 42), 36000);
	recorder_close(recorder);
	recording = open_recording();
	while (recording_next(recording, &got, &life, &fault) == RECORDING_READ) {
		step_ns = got->time_ns - before_ns;
		before_ns = got->time_ns;
		assert_true(step_ns > 0 && step_ns <= 420 * second_ns);
		minutes += step_ns == 60 * second_ns;
		seconds += step_ns == second_ns;
		assert_int_equal(got->fig.v[FIG_RSS_BYTES].u, 1000000);
		assert_true(got->fig.v[FIG_FRAG].d == 0.5);
		/* What is counted since the row before adds up, whatever is left. */
		grown += got->fig.v[FIG_GROWTH_EVENTS].u;
		assert_int_equal(figure_has(&got->fig, FIG_FREE_BYTES),
				 got->time_ns < start_ns + 5 * 3600 * second_ns);
	}
	assert_in_range(minutes, 520, 545);
	assert_in_range(grown, 17500, 18000);
	assert_in_range(seconds, 3300, 3700);
	recording_close(recording);
}

static uint64_t size_of(const char *name)
{
	struct stat status;

	assert_int_equal(stat(name, &status), 0);
	return (uint64_t)status.st_size;
}

/* The file stays below its bound, and the newest samples are in it. */
static void test_bound(void **unused)
{
	const uint64_t max_bytes = 4 << 20;
	struct recorder *recorder = open_recorder(false, 0, max_bytes);
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	const struct sample *got;
	uint64_t state = 7;
	struct fault fault;
	unsigned life = begin(recorder, "server", 42), count = 0;

	(void)unused;
	for (unsigned i = 0; i < 40000; i++) {
		simple_sample(sample, i);
		random_figures(&sample->fig, &state);
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		if (i % 60 == 0)
			assert_int_equal(
				recorder_commit(recorder, sample->time_ns, &fault), 0);
	}
	recorder_close(recorder);
	assert_in_range(size_of(file), max_bytes / 4, max_bytes);
	recording = open_recording();
	assert_int_equal(recording_seek(recording, start_ns + 39000 * second_ns, &fault),
			 0);
	while (recording_next(recording, &got, &life, &fault) == RECORDING_READ)
		count++;
	assert_in_range(count, 900, 1000);
	recording_close(recording);
	sample_free(sample);
}

/* So does one of half an hour's events, and readings stay in it beside them. */
static void test_bound_of_events(void **unused)
{
	const uint64_t max_bytes = 4 << 20;
	struct recorder *recorder = open_recorder(false, 0, max_bytes);
	struct sample *sample = sample_new(ARENAS, false);
	struct recording *recording;
	const struct sample *got;
	char json[1500];
	struct fault fault;
	unsigned life = begin(recorder, "server", 42), count = 0;

	(void)unused;
	memset(json, 'x', sizeof(json) - 1);
	json[sizeof(json) - 1] = '\0';
	for (unsigned i = 0; i < 1800; i++) {
		simple_sample(sample, i);
		assert_int_equal(recorder_sample(recorder, life, sample, &fault), 0);
		for (unsigned j = 0; j < 2; j++)
			assert_int_equal(recorder_event(recorder, life, sample->time_ns,
							"brk", 0, json, &fault),
					 0);
		assert_int_equal(recorder_commit(recorder, sample->time_ns, &fault), 0);
	}
	recorder_close(recorder);
	assert_in_range(size_of(file), max_bytes / 4, max_bytes);
	recording = open_recording();
	while (recording_next(recording, &got, &life, &fault) == RECORDING_READ)
		count++;
	assert_in_range(count, 120, 1700);
	recording_close(recording);
	sample_free(sample);
}

static void test_refused(void **unused)
{
	struct recording *recording;
	struct fault fault;
	sqlite3 *db;

	(void)unused;
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(recording_open(&recording, file, &fault), -EPROTO);
	assert_non_null(strstr(fault.text, "another program"));
	assert_int_equal(unlink(file), 0);
	write_all(3);
	assert_true(recording_is_database(file));
	sqlite3_open(file, &db);
	sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_equal(recording_open(&recording, file, &fault), -EPROTO);
	assert_non_null(strstr(fault.text, "version 99"));
	assert_int_equal(recording_open(&recording, "/nowhere/x", &fault), -ENOENT);
}

/* A figure that a later version numbers is passed over; one it never had is numbered. */
static void test_other_version(void **unused)
{
	struct recorder *recorder;
	struct recording *recording;
	struct sample *sample = sample_new(ARENAS, false);
	const struct sample *got;
	uint64_t state = 7;
	struct fault fault;
	unsigned life;
	sqlite3 *db;

	(void)unused;
	write_all(5);
	sqlite3_open(file, &db);
	assert_int_equal(sqlite3_exec(db,
				      "UPDATE figure SET name='of_later' WHERE"
				      " name='live_bytes'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	recorder = open_recorder(true, 0, 0);
	life = begin(recorder, "server", 42);
	record(recorder, life, 10, 1, sample, &state);
	recorder_close(recorder);
	recording = open_recording();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(recording_next(recording, &got, &life, &fault),
				 RECORDING_READ);
		assert_false(figure_has(&got->fig, FIG_LIVE_BYTES));
	}
	assert_int_equal(recording_next(recording, &got, &life, &fault), RECORDING_READ);
	assert_samples(got, sample);
	recording_close(recording);
	sample_free(sample);
}

/* Cut short or overwritten anywhere: an error or fewer samples, never a wrong end of the
 * program. */
static void test_damage(void **unused)
{
	struct recording *recording;
	const struct sample *got;
	uint64_t state = 99, size;
	struct fault fault;
	unsigned life;

	(void)unused;
	for (unsigned round = 0; round < 60; round++) {
		unsigned char noise[64];
		int fd;

		unlink(file);
		write_all(300);
		size = size_of(file);
		fd = open(file, O_RDWR);
		for (unsigned i = 0; i < sizeof(noise); i++)
			noise[i] = (unsigned char)random_next(&state);
		if (round % 2)
			assert_int_equal(
				ftruncate(fd, (off_t)(random_next(&state) % size)), 0);
		else
			assert_int_equal(pwrite(fd, noise, sizeof(noise),
						(off_t)(random_next(&state) % size)),
					 sizeof(noise));
		close(fd);
		if (recording_open(&recording, file, &fault))
			continue;
		while (recording_next(recording, &got, &life, &fault) == RECORDING_READ)
			assert_true(got->arena_count <= ARENAS);
		recording_close(recording);
	}
}

enum { DAMAGED_S = 1500, PAGE_BYTES = 4096 };

struct truth {
	struct sample *sample[DAMAGED_S];
	unsigned char *data;
	size_t bytes;
};

static void make_truth(struct truth *truth)
{
	struct sample *sample = sample_new(ARENAS, false);
	uint64_t state = 7;
	FILE *in;

	write_all(DAMAGED_S);
	for (unsigned i = 0; i < DAMAGED_S; i++) {
		random_sample(sample, i, 42, &state);
		truth->sample[i] = sample_new(ARENAS, false);
		assert_int_equal(sample_copy(truth->sample[i], sample), 0);
	}
	sample_free(sample);
	truth->bytes = size_of(file);
	truth->data = malloc(truth->bytes);
	in = fopen(file, "r");
	assert_int_equal(fread(truth->data, 1, truth->bytes, in), truth->bytes);
	fclose(in);
}

static void free_truth(struct truth *truth)
{
	for (unsigned i = 0; i < DAMAGED_S; i++)
		sample_free(truth->sample[i]);
	free(truth->data);
}

static void write_file(const unsigned char *data, size_t bytes)
{
	FILE *out = fopen(file, "w");

	assert_int_equal(fwrite(data, 1, bytes, out), bytes);
	fclose(out);
}

/* How many samples are read; each is right. *RESULT: what reading ends with. */
static unsigned read_what_is_left(const struct truth *truth, int *result,
				  struct fault *fault)
{
	struct recording *recording;
	const struct sample *got;
	unsigned count = 0, life;
	int64_t second;

	*result = recording_open(&recording, file, fault);
	if (*result)
		return 0;
	while ((*result = recording_next(recording, &got, &life, fault)) ==
	       RECORDING_READ) {
		second = (got->time_ns - start_ns) / second_ns;
		assert_in_range(second, 0, DAMAGED_S - 1);
		assert_samples(got, truth->sample[second]);
		count++;
	}
	recording_close(recording);
	return count;
}

/* One page overwritten: what is on other pages is read, and what is not is said. */
static void test_lost_page(void **unused)
{
	unsigned char page[PAGE_BYTES];
	unsigned count, whole = 0, passed = 0;
	struct fault fault;
	struct truth truth;
	int result;

	(void)unused;
	make_truth(&truth);
	for (size_t at = 0; at < truth.bytes; at += 5 * PAGE_BYTES) {
		memcpy(page, truth.data + at, PAGE_BYTES);
		memset(truth.data + at, 0xa5, PAGE_BYTES);
		write_file(truth.data, truth.bytes);
		memcpy(truth.data + at, page, PAGE_BYTES);
		count = read_what_is_left(&truth, &result, &fault);
		if (result == RECORDING_END)
			assert_int_equal(count, DAMAGED_S);
		else
			assert_non_null(strstr(fault.text, "damaged"));
		whole += count == DAMAGED_S;
		/* Up to the next whole sample, five minutes at most, and the page. */
		passed += count < DAMAGED_S && count >= DAMAGED_S - 320 &&
			  strstr(fault.text, "readings are lost from") != NULL;
	}
	print_message("# %u pages do not matter, %u are passed over\n", whole, passed);
	/* Without the tables' beginnings nothing is understood. */
	assert_true(whole + passed + 5 >= truth.bytes / PAGE_BYTES / 5);
	assert_true(passed > whole);
	free_truth(&truth);
}

/* Cut off anywhere behind its tables: what is there is read. */
static void test_cut_off(void **unused)
{
	unsigned count, before = 0;
	struct fault fault;
	struct truth truth;
	int result;

	(void)unused;
	make_truth(&truth);
	for (unsigned parts = 3; parts < 10; parts++) {
		write_file(truth.data, truth.bytes * parts / 10);
		count = read_what_is_left(&truth, &result, &fault);
		assert_int_equal(result, -EPROTO);
		assert_non_null(strstr(fault.text, "cut off"));
		assert_non_null(strstr(fault.text, "to its end"));
		assert_true(count > before && count < DAMAGED_S);
		before = count;
	}
	assert_true(before > DAMAGED_S * 3 / 4);
	free_truth(&truth);
}

/* The bytes of a sample, damaged: refused, or read as another one. */
static void test_codec_damage(void **unused)
{
	static unsigned char buf[1 << 16];
	struct codec_numbers numbers = {.count = FIG_COUNT};
	struct sample *sample = sample_new(ARENAS, false);
	struct codec_state *state = codec_new(ARENAS);
	uint64_t seed = 3;
	unsigned arenas;
	size_t length;

	(void)unused;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		numbers.number[f] = numbers.figure[f] = f;
	for (unsigned f = FIG_COUNT; f < CODEC_FIGURES; f++)
		numbers.figure[f] = FIG_COUNT;
	assert_true(codec_bound(ARENAS) <= sizeof(buf));
	for (unsigned i = 0; i < 3000; i++) {
		random_sample(sample, i, 1, &seed);
		codec_reset(state);
		length = codec_write(state, &numbers, sample, buf);
		assert_true(length && length <= codec_bound(ARENAS));
		for (unsigned n = 0; n < 4; n++)
			buf[random_next(&seed) % length] =
				(unsigned char)random_next(&seed);
		codec_reset(state);
		sample_clear(sample);
		(void)codec_read(state, &numbers, buf, random_next(&seed) % (length + 1),
				 sample, &arenas);
	}
	free(state);
	sample_free(sample);
}

/* ---- what is looked at besides ---- */

enum { CELLS = 200 };

static void random_cell(struct map_cell *cell, uint64_t from, uint64_t *state)
{
	*cell = (struct map_cell){
		.from = from + (random_next(state) % 8 ? 0 : 1 << 20),
		.resident_bytes = random_next(state) % 8192,
		.largest_free_bytes =
			random_next(state) % 3 ? 0 : random_next(state) >> 40,
		.live_chunks = (uint32_t)(random_next(state) % 100),
		.fingerprint = random_next(state) & UINT32_MAX,
	};
	cell->to = cell->from + 8192;
	cell->bytes[random_next(state) % MAP_KINDS] = 8192;
	cell->top_bytes = random_next(state) % 20 ? 0 : 8192;
}

static void random_map(struct heap_map *map, unsigned arena, int64_t time_ns,
		       uint64_t *state)
{
	uint64_t from = 0x7f1200000000;

	heap_map_clear(map);
	map->arena = arena;
	map->time_ns = time_ns;
	map->status = STATUS_PARTIAL;
	strcpy(map->missing, "one page is swapped out");
	map->arena_from = from;
	map->cell_bytes = 8192;
	map->cell_count = 1 + (unsigned)(random_next(state) % CELLS);
	for (unsigned i = 0; i < map->cell_count; i++) {
		random_cell(&map->cell[i], from, state);
		from = map->cell[i].to;
	}
	map->arena_to = from;
	map->total = map->cell[0];
	map->total.to = from;
}

static void assert_maps(const struct heap_map *got, const struct heap_map *want)
{
	assert_int_equal(got->time_ns, want->time_ns);
	assert_int_equal(got->arena, want->arena);
	assert_int_equal(got->status, want->status);
	assert_string_equal(got->missing, want->missing);
	assert_int_equal(got->arena_from, want->arena_from);
	assert_int_equal(got->arena_to, want->arena_to);
	assert_int_equal(got->cell_bytes, want->cell_bytes);
	assert_int_equal(got->cell_count, want->cell_count);
	assert_memory_equal(&got->total, &want->total, sizeof(want->total));
	assert_memory_equal(got->cell, want->cell,
			    want->cell_count * sizeof(*want->cell));
}

static sqlite3_int64 ask_file(const char *query)
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

/* Maps at seconds 10, 20 and 30 of arenas 0 and 3; at 20 nothing has changed. */
static void test_maps(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct heap_map *map[4], *got = heap_map_new(RECORDING_CELLS, 0);
	unsigned life = begin(recorder, "server", 42);
	struct recording *recording;
	struct fault fault;
	uint64_t state = 5;

	(void)unused;
	for (unsigned i = 0; i < 4; i++) {
		map[i] = heap_map_new(CELLS, 0);
		random_map(map[i], i % 2 ? 3 : 0,
			   start_ns + (i < 2 ? 10 : 30) * second_ns, &state);
		assert_int_equal(recorder_map(recorder, life, map[i], &fault), 0);
		if (i != 1)
			continue;
		for (unsigned same = 0; same < 2; same++) {
			map[same]->time_ns = start_ns + 20 * second_ns;
			assert_int_equal(recorder_map(recorder, life, map[same], &fault),
					 0);
		}
	}
	assert_int_equal(recorder_commit(recorder, start_ns, &fault), 0);
	recorder_close(recorder);
	assert_int_equal(ask_file("SELECT count(*) FROM look WHERE data IS NULL"), 2);
	recording = open_recording();
	got->arena = 3;
	assert_int_equal(
		recording_map(recording, 1, start_ns + 9 * second_ns, got, &fault),
		RECORDING_END);
	assert_int_equal(
		recording_map(recording, 1, start_ns + 29 * second_ns, got, &fault),
		RECORDING_READ);
	assert_maps(got, map[1]);
	assert_int_equal(recording_map(recording, 1, INT64_MAX, got, &fault),
			 RECORDING_READ);
	assert_maps(got, map[3]);
	got->arena = 0;
	assert_int_equal(recording_map(recording, 1, INT64_MAX, got, &fault),
			 RECORDING_READ);
	assert_maps(got, map[2]);
	recording_close(recording);
	for (unsigned i = 0; i < 4; i++)
		heap_map_free(map[i]);
	heap_map_free(got);
}

static void random_bins(struct sample *sample, uint64_t *state)
{
	sample->arena_count = ARENAS;
	for (unsigned a = 0; a < ARENAS; a++) {
		struct arena_row *row = &sample->arena[a];

		row->index = a * 2;
		row->bins->split = a % 2;
		row->bins->sized = true;
		if (a)
			figure_set(&row->fig, FIG_TOP_BYTES,
				   random_next(state) % (1 << 20));
		row->bins->fast[a] = (struct bin_total){32, 32, 96, 3};
		for (unsigned i = 0; i < SAMPLE_BINS; i += 1 + random_next(state) % 9)
			row->bins->bins[i] =
				(struct bin_total){16 * i, 16 * i + 4096,
						   random_next(state) % (1 << 30), i + 2};
	}
}

static void test_sizes(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct sample *want = sample_new(ARENAS, true);
	unsigned life = begin(recorder, "server", 42);
	struct recording *recording;
	const struct sample *got;
	struct fault fault;
	uint64_t state = 5;

	(void)unused;
	random_bins(want, &state);
	for (unsigned i = 0; i < 3; i++) {
		want->time_ns = start_ns + (i * 1800 + 10) * second_ns;
		assert_int_equal(recorder_sizes(recorder, life, want, &fault), 0);
	}
	assert_int_equal(recorder_commit(recorder, start_ns, &fault), 0);
	recorder_close(recorder);
	/* What a row refers to is an hour old at most. */
	assert_int_equal(ask_file("SELECT count(*) FROM look WHERE data IS NULL"), 1);
	recording = open_recording();
	assert_int_equal(recording_sizes(recording, 1, INT64_MAX, &got, &fault),
			 RECORDING_READ);
	assert_int_equal(got->time_ns, want->time_ns);
	assert_int_equal(got->pid, 42);
	assert_int_equal(got->arena_count, ARENAS);
	for (unsigned a = 0; a < ARENAS; a++) {
		assert_int_equal(got->arena[a].index, a * 2);
		assert_figures(&got->arena[a].fig, &want->arena[a].fig);
		assert_memory_equal(got->arena[a].bins, want->arena[a].bins,
				    sizeof(struct arena_bins));
	}
	recording_close(recording);
	sample_free(want);
}

static struct owners *some_owners(void)
{
	struct owners *owners = calloc(1, sizeof(*owners));

	assert_non_null(owners);
	*owners = (struct owners){
		.time_ns = start_ns,
		.live_bytes = 1 << 30,
		.pinned_bytes = 5 << 20,
		.usual = 0x8001,
		.count = 2,
		.left_out = 7,
	};
	for (unsigned i = 0; i < 2; i++) {
		struct owner *owner = &owners->owner[i];

		owner->root = i ? OWNER_UNREFERENCED : OWNER_GLOBAL;
		snprintf(owner->name, sizeof(owner->name), "sessions%u", i);
		strcpy(owner->where, "sessiond+0x4040");
		strcpy(owner->identity, "text");
		owner->step_count = 1 + i;
		owner->step[i] = (struct owner_step){.chunks = 9, .offset = 16};
		strcpy(owner->step[i].type, "struct session");
		owner->step[i].is_linked = true;
		owner->unlocked_bytes = 4096 >> i;
		owner->share = 0.25;
	}
	return owners;
}

static void test_owners(void **unused)
{
	struct recorder *recorder = open_recorder(false, 0, 0);
	struct owners *want = some_owners(), *got = calloc(1, sizeof(*got));
	unsigned life = begin(recorder, "server", 42);
	struct recording *recording;
	struct fault fault;

	(void)unused;
	assert_int_equal(recorder_owners(recorder, life, want, &fault), 0);
	want->sampled_chunks = 0;
	assert_int_equal(recorder_owner(recorder, life, want, 0, "sessions0", &fault), 0);
	want->sampled_chunks = 9;
	assert_int_equal(recorder_owner(recorder, life, want, 1, "sessions1", &fault), 0);
	want->sampled_chunks = 0;
	assert_int_equal(recorder_commit(recorder, start_ns, &fault), 0);
	recorder_close(recorder);
	assert_int_equal(ask_file("SELECT unlocked_bytes FROM owner WHERE rank = 1"),
			 4096);
	assert_int_equal(
		ask_file("SELECT unlocked_bytes IS NULL FROM owner WHERE rank = 2"), 1);
	recording = open_recording();
	assert_int_equal(recording_owners(recording, 1, start_ns - 1, got, &fault),
			 RECORDING_END);
	assert_int_equal(recording_owners(recording, 1, start_ns, got, &fault),
			 RECORDING_READ);
	assert_memory_equal(got, want, sizeof(*got));
	recording_close(recording);
	free(want);
	free(got);
}

/* The bytes of a look, damaged: refused, or read as another one. */
static void test_look_damage(void **unused)
{
	static unsigned char good[1 << 16], bad[1 << 16];
	struct heap_map *map = heap_map_new(CELLS, 0);
	struct sample *sample = sample_new(ARENAS, true);
	struct owners *owners = some_owners();
	uint64_t seed = 3;
	size_t length[3];

	(void)unused;
	for (unsigned i = 0; i < 3000; i++) {
		size_t cut;

		random_map(map, 0, start_ns, &seed);
		length[0] = look_map_write(map, good, sizeof(good));
		if (i % 3 == 1) {
			sample_clear(sample);
			random_bins(sample, &seed);
			length[1] = look_sizes_write(sample, good, sizeof(good));
		} else if (i % 3 == 2) {
			free(owners);
			owners = some_owners();
			length[2] = look_owners_write(owners, good, sizeof(good));
		}
		assert_true(length[i % 3] > 0);
		memcpy(bad, good, length[i % 3]);
		for (unsigned n = 0; n < 4; n++)
			bad[random_next(&seed) % length[i % 3]] =
				(unsigned char)random_next(&seed);
		cut = random_next(&seed) % (length[i % 3] + 1);
		(void)look_map_read(bad, cut, map);
		sample_clear(sample);
		(void)look_sizes_read(bad, cut, sample);
		(void)look_owners_read(bad, cut, owners);
	}
	heap_map_free(map);
	sample_free(sample);
	free(owners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tiers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound_of_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test(test_codec_damage),
		cmocka_unit_test_setup_teardown(test_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test(test_look_damage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
