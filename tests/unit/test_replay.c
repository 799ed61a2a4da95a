/* test_replay.c: what the views write is read again to the letter; what is wrong is named
 * with its line; no damage does more. */
#include "base/text.h"
#include "source/replay.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

enum { TEXT = 1 << 20, ARENAS = 5, SAMPLES = 40 };

static char written[TEXT], again[TEXT];
static struct fault fault;
static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int new_file(void)
{
	int fd = memfd_create("recording", 0);

	assert_true(fd >= 0);
	return fd;
}

/* All of FD as a string in TEXT; FD is closed. */
static size_t take_text(int fd, char *text)
{
	ssize_t length = pread(fd, text, TEXT - 1, 0);

	assert_true(length >= 0 && length < TEXT - 1);
	text[length] = '\0';
	close(fd);
	return (size_t)length;
}

/* A replay of LENGTH bytes of TEXT; null when they are refused. */
static struct replay *open_bytes(const char *text, size_t length)
{
	struct replay *replay = NULL;
	char name[64];
	int fd = new_file(), error;

	assert_int_equal(write(fd, text, length), length);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	error = replay_open(&replay, name, &fault);
	close(fd);
	assert_true(!error == !!replay);
	return replay;
}

static struct replay *open_text(const char *text)
{
	return open_bytes(text, strlen(text));
}

/* Reads REPLAY to its end and closes it; what it ended with. *COUNT: the samples. */
static int read_all(struct replay *replay, unsigned *count)
{
	const struct sample *sample;
	int result;

	*count = 0;
	while (!(result = replay_next(replay, &sample, &fault)))
		++*count;
	/* It stays so. */
	assert_int_equal(replay_next(replay, &sample, NULL), result);
	replay_close(replay);
	return result;
}

/* ---- to the letter ---- */

static uint64_t any_number(void)
{
	uint64_t shift = next_random() % 64;

	return next_random() >> shift;
}

static void fill_figures(struct figures *fig, enum figure_scope scope)
{
	for (unsigned f = 0; f < FIG_COUNT; f++) {
		if (!(figure_info[f].scope & scope) || next_random() % 4 == 0)
			continue;
		if (figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(fig, f, (double)(any_number() >> 14) / 12345.0);
		else
			figure_set(fig, f, any_number());
	}
}

static void fill_bins(struct arena_bins *bins)
{
	bins->split = next_random() % 4;
	for (unsigned i = 0; bins->split && i < SAMPLE_FASTBINS; i++)
		if (next_random() % 2)
			bins->fast[i] =
				(struct bin_total){16 * (i + 2), 16 * (i + 2), 99, 1};
	for (unsigned i = 0; bins->split && i < SAMPLE_BINS; i++)
		if (next_random() % 3 == 0)
			bins->bins[i] =
				(struct bin_total){any_number(), any_number(),
						   any_number(), 1 + any_number() / 2};
}

static void fill_classes(struct size_classes *classes)
{
	classes->count = next_random() % 3 * (next_random() % (SAMPLE_CLASSES + 1)) / 2;
	classes->has_slabs = next_random() % 2;
	for (unsigned i = 0; i < classes->count; i++)
		classes->class[i] = (struct region_class){any_number(), any_number(),
							  any_number(), any_number()};
}

static void fill_text(char *text)
{
	static const char *const pieces[] = {
		"a",
		"Z",
		" ",
		",",
		"\"",
		"\n",
		"\r",
		"\t",
		"\\",
		"\x1b",
		"\xc3\xa9",
		"\xff",
		"\xef\xbf\xbd",
		"\xf0\x9f\x98\x80",
		"'",
		"{",
		"/",
	};

	struct text all;

	text_init(&all, text, SAMPLE_TEXT);
	for (unsigned i = next_random() % 9; i; i--)
		text_string(&all,
			    pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))]);
}

/* The status of an arena is its own. */
static void fill(struct sample *sample, int64_t time_ns)
{
	sample_clear(sample);
	sample->time_ns = time_ns;
	sample->pid = 1 + (int)(next_random() % 3);
	sample->source = next_random() % 3;
	sample->status = next_random() % 3;
	fill_text(sample->comm);
	fill_text(sample->allocator);
	if (next_random() % 2)
		fill_text(sample->missing);
	fill_figures(&sample->fig, SCOPE_PROCESS);
	if (sample->classes)
		fill_classes(sample->classes);
	sample->arena_count = next_random() % (ARENAS + 1);
	for (unsigned i = 0; i < sample->arena_count; i++) {
		struct arena_row *row = &sample->arena[i];

		row->index = i;
		row->addr = next_random() % 3 ? any_number() : 0;
		row->status = next_random() % 3;
		fill_figures(&row->fig, SCOPE_ARENA);
		if (row->bins)
			fill_bins(row->bins);
	}
}

static struct view *view_of(int fd, enum view_format format, bool arenas)
{
	const struct view_options options = {
		.format = format, .header = true, .arenas = arenas};
	struct view *view;

	assert_int_equal(view_open(&view, fd, &options), 0);
	assert_int_equal(view_header(view), 0);
	return view;
}

/* A recording of random samples in WRITTEN; its length. */
static size_t record(enum view_format format, bool arenas, bool bins)
{
	struct sample *sample = sample_new(ARENAS, bins);
	int fd = new_file();
	struct view *view = view_of(fd, format, arenas);

	for (int i = 0; i < SAMPLES; i++) {
		fill(sample, INT64_C(1795000000123000000) + i * INT64_C(977000000));
		assert_int_equal(view_sample(view, sample), 0);
	}
	view_close(view);
	sample_free(sample);
	return take_text(fd, written);
}

static void check_round_trip(enum view_format format, bool arenas, bool bins)
{
	size_t length = record(format, arenas, bins);
	struct replay *replay = open_bytes(written, length);
	const struct sample *sample;
	int fd = new_file(), result;
	struct view *view = view_of(fd, format, arenas);

	if (!replay)
		fail_msg("%s", fault.text);
	while (!(result = replay_next(replay, &sample, &fault)))
		assert_int_equal(view_sample(view, sample), 0);
	if (result != SOURCE_ENDED)
		fail_msg("%s", fault.text);
	view_close(view);
	replay_close(replay);
	take_text(fd, again);
	assert_string_equal(again, written);
}

static void what_was_written_is_read_to_the_letter(void **state)
{
	(void)state;
	for (random_state = 1; random_state < 20; random_state++) {
		uint64_t seed = random_state;

		check_round_trip(VIEW_CSV, false, false);
		check_round_trip(VIEW_CSV, true, false);
		check_round_trip(VIEW_JSON, false, false);
		check_round_trip(VIEW_JSON, true, false);
		check_round_trip(VIEW_JSON, true, true);
		random_state = seed;
	}
}

/* ---- single rows ---- */

#define ROW                                                                     \
	"{\"time\":\"2026-11-21T05:17:43.123Z\",\"pid\":7,\"source\":\"heap\"," \
	"\"status\":\"complete\""
#define CSV_HEAD    "time,pid,source,status,free_bytes"
#define CSV_ROW	    "2026-11-21T05:17:43.123Z,7,heap,complete,5"
#define GIVES(text) gives(__LINE__, text)

static const struct sample *gives(int line, const char *text)
{
	static struct replay *replay;
	const struct sample *sample = NULL;

	replay_close(replay);
	replay = open_text(text);
	if (!replay || replay_next(replay, &sample, &fault))
		fail_msg("line %d: %s", line, fault.text);
	return sample;
}

static void fields_are_read(void **state)
{
	const struct sample *sample = GIVES(ROW ",\"comm\":\"a\\\"b\",\"frag\":0.25}\n");

	(void)state;
	assert_true(sample->time_ns == INT64_C(1795238263123000000));
	assert_int_equal(sample->pid, 7);
	assert_string_equal(sample->comm, "a\"b");
	assert_string_equal(sample->allocator, "");
	assert_true(sample->fig.v[FIG_FRAG].d == 0.25);
	assert_false(figure_has(&sample->fig, FIG_FREE_BYTES));
	sample = GIVES(CSV_HEAD "\r\n" CSV_ROW "\r\n");
	assert_int_equal(sample->fig.v[FIG_FREE_BYTES].u, 5);
	/* Numbers as other programs rewrite them; null is absent. */
	sample = GIVES(ROW ",\"frag\":2.5e-05,\"slack\":1E1,\"rss_bytes\":null}\n");
	assert_true(sample->fig.v[FIG_FRAG].d == 2.5e-05);
	assert_true(sample->fig.v[FIG_SLACK].d == 10);
	assert_false(figure_has(&sample->fig, FIG_RSS_BYTES));
	sample = GIVES(ROW ",\"frag\":0.00001234567890123456789012345}\n");
	assert_true(sample->fig.v[FIG_FRAG].d == 0.0000123456789012345678);
	/* An editor's mark, blank lines, spaces. */
	GIVES("\xef\xbb\xbf" CSV_HEAD "\n" CSV_ROW "\n");
	GIVES("\n\n " ROW " } \n\n");
}

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} times[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1969-12-31T23:59:59.000Z", -1},
		{"2000-02-29T12:00:00.0Z", 951825600},
		{"2100-03-01T00:00:00.000Z", 4107542400},
		{"2001-09-09T01:46:40Z", 1000000000},
	};
	char row[200];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(row, sizeof(row), "time,pid,source,status\n%s,1,heap,torn\n",
			 times[i].text);
		assert_true(GIVES(row)->time_ns == times[i].seconds * 1000000000);
	}
}

/* Fewer columns, in another order, and columns of a later version. */
static void recordings_of_other_versions_are_read(void **state)
{
	struct replay *replay = open_text("novel_bytes,pid,status,source,time,x y\n"
					  "9,7,torn,proc,2026-11-21T05:17:43Z,\n");
	const struct sample *sample;

	(void)state;
	assert_non_null(replay);
	assert_non_null(strstr(replay_describe(replay), "novel_bytes, x y"));
	assert_int_equal(replay_next(replay, &sample, &fault), SOURCE_READ);
	assert_int_equal(sample->status, STATUS_TORN);
	replay_close(replay);
	replay = open_text(ROW ",\"novel\":{\"a\":[1,{}]},\"mallinfo2\":{\"arena\":3,"
			       "\"new\":1}}\n" ROW ",\"novel\":1}\n");
	assert_int_equal(replay_next(replay, &sample, &fault), SOURCE_READ);
	assert_int_equal(sample->fig.v[FIG_MALLINFO2_ARENA].u, 3);
	assert_non_null(strstr(replay_describe(replay), ": novel, mallinfo2.new"));
	replay_close(replay);
}

static void arenas_belong_to_the_row_before(void **state)
{
	unsigned count;
	const struct sample *sample =
		GIVES(ROW "}\n" ROW ",\"arena\":0}\n" ROW ",\"arena\":4}\n" ROW "}\n");

	(void)state;
	assert_int_equal(sample->arena_count, 2);
	assert_int_equal(sample->arena[1].index, 4);
	assert_null(sample->arena[1].bins);
	/* One more than there was room for, with bins from then on. */
	{
		struct replay *replay;
		size_t length = (size_t)sprintf(written, "%s}\n", ROW);

		for (int i = 0; i < 200; i++)
			length += (size_t)sprintf(written + length,
						  ROW ",\"arena\":%d%s}\n", i,
						  i < 100 ? "" : ",\"bins\":null");
		replay = open_text(written);
		assert_int_equal(replay_next(replay, &sample, &fault), SOURCE_READ);
		assert_int_equal(sample->arena_count, 200);
		for (unsigned i = 0; i < 200; i++) {
			assert_int_equal(sample->arena[i].index, i);
			assert_true(!sample->arena[i].bins == (i < 100));
		}
		assert_int_equal(read_all(replay, &count), SOURCE_ENDED);
		assert_int_equal(count, 0);
	}
}

/* ---- what is wrong ---- */

static void what_is_no_recording_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "is empty"},
		{"\n\n", "is empty"},
		{"hello\n", "no recording"},
		{"a,b\n1,2\n", "no recording"},
		{"[{}]\n", "no recording"},
		{"{}\n", "line 1: it has no 'time'"},
		{"{\"time\":\n", "line 1: it is not a JSON object"},
		{CSV_HEAD, "cut short"},
		{CSV_HEAD ",pid\n", "line 1: the column 'pid' is there twice"},
		{"\"time,pid\n", "quotes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(open_text(bad[i].text));
		if (!strstr(fault.text, bad[i].why))
			fail_msg("'%s': %s", bad[i].text, fault.text);
		assert_int_equal(fault.status, EXIT_NO_SOURCE);
	}
	assert_null(open_bytes("time,pid\0\n", 10));
	assert_non_null(strstr(fault.text, "line 1: it is no text"));
}

static void files_that_cannot_be_read_are_refused(void **state)
{
	struct replay *replay = NULL;

	(void)state;
	assert_int_equal(replay_open(&replay, "/nonexistent/x", &fault), -ENOENT);
	assert_int_equal(fault.status, EXIT_NO_SOURCE);
	assert_string_equal(fault.text, "cannot open recording '/nonexistent/x': No such "
					"file or directory");
	assert_int_equal(replay_open(&replay, "/tmp", &fault), -EISDIR);
	assert_int_equal(replay_open(&replay, "/tmp", NULL), -EISDIR);
	assert_null(replay);
	replay_close(NULL);
}

/* GOOD rows, then one that is wrong: those are given, then line and reason. */
static const struct {
	const char *text;
	unsigned good;
	const char *why;
} wrong[] = {
	{CSV_HEAD "\n" CSV_ROW "\n2026", 1, "line 3: it is cut short"},
	{CSV_HEAD "\n" CSV_ROW "\n" CSV_ROW, 1, "line 3: it is cut short"},
	{CSV_HEAD "\n" CSV_ROW ",1\n", 0, "it has 6 fields where the header has 5"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,7,heap,complete\n", 0, "it has 4 fields"},
	{CSV_HEAD "\n" CSV_ROW "x\n", 0, "'free_bytes' cannot be '5x'"},
	{CSV_HEAD "\n" CSV_ROW "99999999999999999999\n", 0, "'free_bytes' cannot"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,7,heap,complete,-5\n", 0, "cannot be '-5'"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,,heap,complete,5\n", 0, "it has no 'pid'"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,7,moon,complete,5\n", 0, "'moon'"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,7,heap,good,5\n", 0, "'good'"},
	{CSV_HEAD "\n2026-02-29T05:17:43Z,7,heap,torn,5\n", 0, "'time' cannot"},
	{CSV_HEAD "\n2026-11-21T05:17:43,7,heap,torn,5\n", 0, "'time' cannot"},
	{CSV_HEAD "\n2026-11-21T24:00:00Z,7,heap,torn,5\n", 0, "'time' cannot"},
	{CSV_HEAD "\n9999-11-21T05:17:43Z,7,heap,torn,5\n", 0, "'time' cannot"},
	{CSV_HEAD "\n2026-11-21T05:17:43Z,4294967303,heap,torn,5\n", 0, "'pid'"},
	{CSV_HEAD "\n\"" CSV_ROW "\n", 0, "cut short"},
	{CSV_HEAD "\n\"2026\"-11" CSV_ROW "\n", 0, "quotes"},
	{CSV_HEAD ",arena\n" CSV_ROW ",0\n", 0, "line 2: the row of an arena"},
	{ROW "}\n" ROW ",\"pid\":8}\n", 1, "line 2: 'pid' is there twice"},
	{ROW "}\n" ROW ",\"frag\":1,\"frag\":1}\n", 1, "'frag' is there twice"},
	{ROW "}\n" ROW ",\"frag\":\"1\"}\n", 1, "'frag' is no number"},
	{ROW "}\n" ROW ",\"comm\":1}\n", 1, "'comm' is no string"},
	{ROW "}\n" ROW ",\"frag\":x}\n", 1, "line 2: it is not a JSON object"},
	{ROW "}\n" ROW "\n", 1, "line 2: it is not a JSON object"},
	{ROW "}\n" ROW "}}\n", 1, "line 2: it is not a JSON object"},
	{ROW "}\n" ROW "}", 1, "line 2: it is cut short"},
	{ROW "}\n\n" ROW ",\"arena\":-1}\n", 1, "line 3: 'arena' cannot be '-1'"},
	{ROW "}\n" ROW ",\"bins\":7}\n", 1, "not a JSON object"},
	{ROW "}\n" ROW ",\"bins\":{\"sorted\":[{\"bin\":1,\"count\":1}]}}\n", 1,
	 "a bin is there twice"},
	{ROW "}\n" ROW ",\"bins\":{\"sorted\":[{\"bin\":128,\"count\":1}]}}\n", 1,
	 "a bin is there twice"},
	{ROW "}\n" ROW ",\"bins\":{\"fast\":[{\"from\":16,\"count\":1}]}}\n", 1,
	 "a bin is there twice"},
	{ROW "}\n" ROW ",\"bins\":{\"fast\":[{\"from\":1.5,\"count\":1}]}}\n", 1,
	 "'from' of a bin or class cannot be '1.5'"},
	{ROW "}\n" ROW ",\"classes\":[{\"region\":-1}]}\n", 1,
	 "'region' of a bin or class cannot be '-1'"},
	{ROW "}\n" ROW ",\"classes\":[{}],\"classes\":[]}\n", 1,
	 "'classes' is there twice"},
	{ROW "}\n" ROW ",\"bins\":null,\"bins\":null}\n", 1, "twice"},
};

static void wrong_rows_are_named(void **state)
{
	unsigned count;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct replay *replay = open_text(wrong[i].text);

		if (!replay)
			fail_msg("%zu: %s", i, fault.text);
		assert_int_equal(read_all(replay, &count), -EPROTO);
		if (count != wrong[i].good || !strstr(fault.text, wrong[i].why))
			fail_msg("%zu: %u samples: %s", i, count, fault.text);
		assert_int_equal(fault.status, EXIT_FAILED);
	}
}

static void a_value_of_a_terminal_is_not_obeyed(void **state)
{
	unsigned count;

	(void)state;
	assert_int_equal(
		read_all(open_text(CSV_HEAD "\n2026\x1b[2J,7,heap,torn,5\n"), &count),
		-EPROTO);
	assert_null(strchr(fault.text, '\x1b'));
}

static void a_line_longer_than_any_row_is_refused(void **state)
{
	unsigned count;
	size_t length = (size_t)sprintf(written, "%s\n%s\n", CSV_HEAD, CSV_ROW);

	(void)state;
	memset(written + length, 'x', 100000);
	memcpy(written + length + 100000, "\n", 2);
	assert_int_equal(read_all(open_text(written), &count), -EPROTO);
	assert_int_equal(count, 1);
	assert_non_null(strstr(fault.text, "line 3: it is longer than any row"));
	assert_null(open_text(written + length));
}

static void a_header_alone_has_no_samples(void **state)
{
	unsigned count;

	(void)state;
	assert_int_equal(read_all(open_text(CSV_HEAD "\n"), &count), SOURCE_ENDED);
	assert_int_equal(count, 0);
	assert_non_null(strstr(fault.text, "ends after 0 rows"));
	assert_int_equal(fault.status, EXIT_DONE);
}

/* ---- standard input, which comes in pieces ---- */

static void a_pipe_is_read(void **state)
{
	size_t length = record(VIEW_JSON, true, false);
	struct replay *replay;
	int ends[2], saved = dup(STDIN_FILENO);
	unsigned count;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (!child) {
		for (size_t i = 0; i < length; i += 700)
			if (write(ends[1], written + i,
				  length - i < 700 ? length - i : 700) < 0)
				_exit(1);
		_exit(0);
	}
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	assert_int_equal(replay_open(&replay, "-", &fault), 0);
	assert_non_null(strstr(replay_describe(replay), "'standard input', JSON"));
	assert_int_equal(read_all(replay, &count), SOURCE_ENDED);
	assert_int_equal(count, SAMPLES);
	/* It is the caller's: it stays open. */
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

/* ---- damage ---- */

/* Whatever is changed: samples that are sound, then an end. */
static void read_damaged(const char *text, size_t length)
{
	struct replay *replay = open_bytes(text, length);
	const struct sample *sample;
	int result;

	if (!replay)
		return;
	while (!(result = replay_next(replay, &sample, &fault))) {
		assert_true(sample->arena_count <= sample->arena_capacity);
		assert_true(memchr(sample->comm, '\0', sizeof(sample->comm)));
		assert_true(sample->source <= SOURCE_PRELOAD);
		assert_true(sample->status <= STATUS_PARTIAL);
	}
	assert_true(result == SOURCE_ENDED || result == -EPROTO);
	assert_true(*replay_describe(replay));
	replay_close(replay);
}

static void damage(char *text, size_t length)
{
	static const char signs[] = "{}[]\",:\n\\0-.eE ";
	size_t at = next_random() % length, other = next_random() % length;
	size_t span = 1 + next_random() % 60;

	if (span > length - (at > other ? at : other))
		span = 1;
	switch (next_random() % 4) {
	case 0:
		text[at] = (char)next_random();
		break;
	case 1:
		text[at] = signs[next_random() % (sizeof(signs) - 1)];
		break;
	case 2:
		memmove(text + at, text + other, span);
		break;
	default:
		memset(text + at, text[other], span);
	}
}

static void damage_does_no_more_than_to_be_told(void **state)
{
	static const struct {
		enum view_format format;
		bool arenas, bins;
	} kinds[] = {{VIEW_CSV, true, false},
		     {VIEW_JSON, true, false},
		     {VIEW_JSON, true, true}};
	static char text[TEXT];

	(void)state;
	random_state = 4711;
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		size_t length =
			record(kinds[kind].format, kinds[kind].arenas, kinds[kind].bins);

		/* The rows at the start say it all; a short text is soon read. */
		length = length < 40000 ? length : 40000;
		for (int round = 0; round < 400; round++) {
			size_t kept = round % 5 ? length : next_random() % length + 1;

			memcpy(text, written, length);
			for (unsigned i = 1 + next_random() % 5; i; i--)
				damage(text, kept);
			read_damaged(text, kept);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_to_the_letter),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(recordings_of_other_versions_are_read),
		cmocka_unit_test(arenas_belong_to_the_row_before),
		cmocka_unit_test(what_is_no_recording_is_refused),
		cmocka_unit_test(files_that_cannot_be_read_are_refused),
		cmocka_unit_test(wrong_rows_are_named),
		cmocka_unit_test(a_value_of_a_terminal_is_not_obeyed),
		cmocka_unit_test(a_line_longer_than_any_row_is_refused),
		cmocka_unit_test(a_header_alone_has_no_samples),
		cmocka_unit_test(a_pipe_is_read),
		cmocka_unit_test(damage_does_no_more_than_to_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
