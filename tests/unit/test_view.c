/* test_view.c: rows to the letter, in every format. */
#include "view/report_parts.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct sample *sample;
static int file;
static char output[65536];

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	sample = sample_new(2, true);
	file = memfd_create("rows", MFD_CLOEXEC);
	if (!sample || file < 0)
		return -1;
	sample->time_ns = INT64_C(1795238263123999999);
	sample->pid = 4711;
	strcpy(sample->comm, "server");
	strcpy(sample->allocator, "glibc-2.36");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sample_free(sample);
	close(file);
	return 0;
}

/* Every figure gets the value that its place in the catalogue gives. */
static void fill(struct figures *fig)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(fig, f, f / 64.0);
		else
			figure_set(fig, f, UINT64_C(1000) * f);
}

static struct view *open_view(struct view_options options)
{
	struct view *view;

	assert_int_equal(view_open(&view, file, &options), 0);
	return view;
}

/* What was written since the last call. */
static const char *written(void)
{
	ssize_t length = pread(file, output, sizeof(output) - 1, 0);

	assert_in_range(length, 0, sizeof(output) - 2);
	output[length] = '\0';
	assert_int_equal(ftruncate(file, 0), 0);
	lseek(file, 0, SEEK_SET);
	return output;
}

static const char *rows(struct view_options options)
{
	struct view *view = open_view(options);

	assert_int_equal(view_header(view), 0);
	assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	return written();
}

static const struct view_options text80 = {
	.format = VIEW_TEXT, .header = true, .columns = 80};
static const struct view_options csv = {.format = VIEW_CSV, .arenas = true};
static const struct view_options json = {.format = VIEW_JSON, .arenas = true};

/* A process as the first screen of a user shows it. */
static void fill_plausible(struct figures *fig)
{
	figure_set(fig, FIG_RSS_BYTES, UINT64_C(1300000000));
	figure_set(fig, FIG_TRIMMABLE_BYTES, 123456789);
	figure_set(fig, FIG_PINNED_BYTES, 2345678);
	figure_set(fig, FIG_MMAPPED_RESIDENT_BYTES, 0);
	figure_set(fig, FIG_OTHER_RESIDENT_BYTES, 3456789);
	figure_set(fig, FIG_SYSTEM_BYTES, UINT64_C(1250000000));
	figure_set(fig, FIG_LIVE_BYTES, 900000000);
	figure_set(fig, FIG_FREE_BYTES, 350000000);
	figure_set(fig, FIG_FREE_CHUNKS, 1234567);
	figure_set(fig, FIG_LARGEST_FREE_BYTES, 65536);
	figure_set(fig, FIG_LARGEST_HOLE_BYTES, 4096);
	figure_set_ratio(fig, FIG_FRAG, 0.99981);
}

static void text_row_of_80(void **state)
{
	(void)state;
	fill_plausible(&sample->fig);
	assert_string_equal(rows(text80), "    time   rss  trim   pin mmres other  live  "
					  "free chunk large  frag status\n"
					  "05:17:43 1.21G  118M 2.24M     0 3.30M  858M  "
					  "334M 1.23m 64.0K 1.000 ok\n");
}

static void text_grows_with_the_width(void **state)
{
	struct view_options options = text80;

	(void)state;
	fill_plausible(&sample->fig);
	options.columns = 200;
	assert_string_equal(rows(options),
			    "    time   rss  trim   pin mmres other   sys  live "
			    " free chunk large  hole  frag status\n"
			    "05:17:43 1.21G  118M 2.24M     0 3.30M 1.16G  858M "
			    " 334M 1.23m 64.0K 4.00K 1.000 ok\n");
	options.columns = 31;
	assert_string_equal(rows(options), "    time   rss  live status\n"
					   "05:17:43 1.21G  858M ok\n");
	options.columns = 1;
	assert_string_equal(rows(options), "    time status\n05:17:43 ok\n");
}

static void no_text_row_is_too_wide(void **state)
{
	struct view_options options = text80;

	(void)state;
	fill(&sample->fig);
	sample->status = STATUS_TORN;
	figure_set(&sample->fig, FIG_IN_DOUBT_BYTES, 1239);
	for (options.columns = 60; options.columns < 250; options.columns += 7) {
		for (int several = 0; several < 2; several++) {
			const char *line;

			options.several = several;
			for (line = rows(options); *line; line = strchr(line, '\n') + 1)
				assert_in_range(strcspn(line, "\n"), 20, options.columns);
			assert_non_null(strstr(output, " torn 1.21K\n"));
		}
	}
}

static void text_of_several_with_arenas(void **state)
{
	struct view_options options = text80;

	(void)state;
	options.several = options.arenas = true;
	strcpy(sample->comm, "n\xc3\xa4me\x1b[31m\xff");
	sample->status = STATUS_PARTIAL;
	fill_plausible(&sample->fig);
	sample->arena_count = 2;
	figure_set(&sample->arena[0].fig, FIG_LIVE_BYTES, 5);
	sample->arena[1].index = 1;
	sample->arena[1].status = STATUS_TORN;
	figure_set(&sample->arena[1].fig, FIG_IN_DOUBT_BYTES, 16);
	assert_string_equal(rows(options), "    time     pid comm              rss  live "
					   " free chunk large  frag status\n"
					   "05:17:43    4711 n\xc3\xa4me\\x1b[31m    "
					   "1.21G  858M  334M 1.23m 64.0K 1.000 "
					   "partial\n"
					   "      #0    4711 n\xc3\xa4me\\x1b[31m        "
					   "-     5     -     -     -     - ok\n"
					   "      #1    4711 n\xc3\xa4me\\x1b[31m        "
					   "-     -     -     -     -     - "
					   "torn 16\n");
}

/* Columns are chosen at the first row; what is absent later is a dash. */
static void text_columns_stay(void **state)
{
	struct view_options options = text80;
	struct view *view;

	(void)state;
	options.columns = 37;
	view = open_view(options);
	figure_set(&sample->fig, FIG_RSS_BYTES, 1);
	figure_set(&sample->fig, FIG_LIVE_BYTES, 2);
	assert_int_equal(view_sample(view, sample), 0);
	figure_drop(&sample->fig, FIG_LIVE_BYTES);
	figure_set(&sample->fig, FIG_FREE_BYTES, 3);
	assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	assert_string_equal(written(), "    time   rss  live status\n"
				       "05:17:43     1     2 ok\n"
				       "05:17:43     1     - ok\n");
}

static void text_headings_repeat(void **state)
{
	struct view_options options = text80;
	struct view *view;

	(void)state;
	options.lines = 3;
	view = open_view(options);
	figure_set(&sample->fig, FIG_RSS_BYTES, 1);
	for (int i = 0; i < 5; i++)
		assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	assert_string_equal(written(), "    time   rss status\n"
				       "05:17:43     1 ok\n"
				       "05:17:43     1 ok\n"
				       "    time   rss status\n"
				       "05:17:43     1 ok\n"
				       "05:17:43     1 ok\n"
				       "    time   rss status\n"
				       "05:17:43     1 ok\n");
}

/* Headings wait until the arenas of a process are all out. */
static void text_headings_between_processes(void **state)
{
	struct view_options options = text80;
	struct view *view;

	(void)state;
	options.lines = 3;
	options.arenas = true;
	view = open_view(options);
	sample->arena_count = 2;
	for (int i = 0; i < 2; i++)
		assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	assert_string_equal(written(), "    time status\n"
				       "05:17:43 ok\n"
				       "      #0 ok\n"
				       "      #0 ok\n"
				       "    time status\n"
				       "05:17:43 ok\n"
				       "      #0 ok\n"
				       "      #0 ok\n");
}

static void text_notes(void **state)
{
	struct view_options options = text80;
	struct view *view = open_view(options);

	(void)state;
	assert_int_equal(view_note(view, "4711 (server): glibc-2.36"), 0);
	view_close(view);
	assert_string_equal(written(), "# 4711 (server): glibc-2.36\n");
	options.header = false;
	view = open_view(options);
	assert_int_equal(view_note(view, "x"), 0);
	assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	assert_string_equal(written(), "05:17:43 ok\n");
	view = open_view(csv);
	assert_int_equal(view_note(view, "x"), 0);
	view_close(view);
	assert_string_equal(written(), "");
}

#define CSV_HEADER                                                                       \
	"time,pid,comm,allocator,source,status,missing,arena,arena_addr,rss_bytes,"      \
	"live_resident_bytes,trimmable_bytes,pinned_bytes,retained_bytes,"               \
	"mmapped_resident_bytes,allocator_resident_bytes,other_resident_bytes,pss_"      \
	"bytes,"                                                                         \
	"swap_bytes,mappings,system_bytes,live_bytes,free_bytes,free_resident_bytes,"    \
	"free_chunks,largest_free_bytes,largest_hole_bytes,top_bytes,fast_chunks,fast_"  \
	"bytes,"                                                                         \
	"tcache_chunks,tcache_bytes,mmapped_chunks,mmapped_bytes,foreign_bytes,arenas,"  \
	"attached_threads,frag,unusable,unusable_for_bytes,slack,trim_threshold_bytes,"  \
	"mmap_threshold_bytes,mallinfo2.arena,mallinfo2.ordblks,mallinfo2.smblks,"       \
	"mallinfo2.hblks,mallinfo2.hblkhd,mallinfo2.usmblks,mallinfo2.fsmblks,"          \
	"mallinfo2.uordblks,mallinfo2.fordblks,mallinfo2.keepcost,in_doubt_bytes,pause_" \
	"ns,"                                                                            \
	"read_ns,growth_events,growth_bytes,failed_allocations,sample_cost_ns,"          \
	"sample_age_ns,sample_interval_ns,missed_samples,active_bytes,dirty_bytes,"      \
	"muzzy_bytes,heap_resident_bytes,mapped_bytes,unmapped_bytes,"                   \
	"largest_extent_bytes,slab_bytes,slab_free_bytes,peak_mapped_bytes,"             \
	"reserved_bytes,heap_threads,anon_huge_bytes,huge_page_bytes,"                   \
	"swapped_in_bytes,skew_bytes"

/* What was released stays, in its order; figures that came later follow it. */
static void begins(const char *row, const char *released)
{
	size_t length = strlen(released);

	assert_true(strlen(row) > length);
	assert_memory_equal(row, released, length);
	assert_non_null(strchr(",}\n", row[length]));
}

static void csv_header(void **state)
{
	struct view_options options = csv;
	struct view *view;

	(void)state;
	options.header = true;
	view = open_view(options);
	assert_int_equal(view_header(view), 0);
	view_close(view);
	begins(written(), CSV_HEADER);
	view = open_view(csv);
	assert_int_equal(view_header(view), 0);
	view_close(view);
	assert_string_equal(written(), "");
}

static void csv_row_of_all(void **state)
{
	(void)state;
	fill(&sample->fig);
	begins(rows(csv), "2026-11-21T05:17:43.123Z,4711,server,glibc-2.36,"
			  "heap,complete,,,,0,1000,2000,"
			  "3000,4000,5000,6000,7000,8000,9000,10000,11000,"
			  "12000,13000,14000,15000,16000,"
			  "17000,18000,19000,20000,21000,22000,23000,24000,"
			  "25000,26000,27000,0.4375,"
			  "0.4531,30000,0.4844,32000,33000,34000,35000,"
			  "36000,37000,38000,39000,40000,"
			  "41000,42000,43000,44000,45000,46000,"
			  "47000,48000,49000,50000,51000,52000,"
			  "53000,54000,55000,56000,57000,58000,59000,"
			  "60000,61000,62000,63000,64000,65000,"
			  "66000,67000,68000,69000");
}

static size_t commas(const char *line)
{
	size_t count = 0;

	for (; *line && *line != '\n'; line++)
		count += *line == ',';
	return count;
}

static void csv_absent_is_empty(void **state)
{
	const char *line;

	(void)state;
	sample->source = SOURCE_PROC;
	sample->status = STATUS_PARTIAL;
	*sample->allocator = '\0';
	strcpy(sample->missing, "pss");
	figure_set(&sample->fig, FIG_LIVE_RESIDENT_BYTES, 5);
	figure_set_ratio(&sample->fig, FIG_FRAG, NAN);
	sample->arena_count = 1;
	sample->arena[0].index = 3;
	sample->arena[0].addr = 0x7f00dead0030;
	line = rows(csv);
	assert_memory_equal(
		line, "2026-11-21T05:17:43.123Z,4711,server,,proc,partial,pss,,,,5,,",
		60);
	assert_int_equal(commas(line), 10 + FIG_COUNT);
	assert_null(strstr(line, "nan"));
	line = strchr(line, '\n') + 1;
	assert_memory_equal(line,
			    "2026-11-21T05:17:43.123Z,4711,server,,proc,complete,,3,"
			    "0x7f00dead0030,,,",
			    70);
	assert_int_equal(commas(line), 10 + FIG_COUNT);
}

/* A host may be called anything, as a process may. Rows of arenas do not repeat it. */
static void origin_comes_last(void **state)
{
	struct view_options with_arenas = json;
	const char *line;

	(void)state;
	strcpy(sample->origin.host, "web\x1b");
	sample->origin.started_ns = INT64_C(1795132800500000000);
	sample->arena_count = 1;
	line = rows(csv);
	assert_non_null(strstr(line, ",web\\x1b,2026-11-20T00:00:00.500Z\n"));
	assert_non_null(strstr(line, ",,\n"));
	with_arenas.arenas = true;
	line = strstr(rows(with_arenas), ",\"host\":\"web\\u001b\","
					 "\"started\":\"2026-11-20T00:00:00.500Z\"}\n");
	assert_non_null(line);
	assert_null(strstr(strchr(line, '\n'), "host"));
}

static void csv_quotes(void **state)
{
	static const struct {
		const char *comm, *want;
	} cases[] = {
		{"a b", ",a b,"},
		{"a,b", ",\"a,b\","},
		{"a\"b", ",\"a\"\"b\","},
		{"a\nb", ",a\\x0ab,"},
		{"a\rb,", ",\"a\\x0db,\","},
		{"\x1b]0;x\a\x7f\xc2\x9b", ",\\x1b]0;x\\x07\\x7f\\xc2\\x9b,"},
		{"\xe2\x80\xaeotxt", ",\\xe2\\x80\\xaeotxt,"},
		{"a\\x1b", ",a\\\\x1b,"},
		{" a", ",\" a\","},
		{"\xc3\xa4\xc3", ",\xc3\xa4\\xc3,"},
		{"", ",,"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(sample->comm, cases[i].comm);
		assert_memory_equal(rows(csv) + strlen("2026-11-21T05:17:43.123Z,4711"),
				    cases[i].want, strlen(cases[i].want));
	}
}

static void json_row_of_all(void **state)
{
	(void)state;
	fill(&sample->fig);
	begins(rows(json),
	       "{\"time\":\"2026-11-21T05:17:43.123Z\",\"pid\":4711,\"comm\":\"server\","
	       "\"allocator\":\"glibc-2.36\",\"source\":\"heap\",\"status\":"
	       "\"complete\","
	       "\"rss_bytes\":0,\"live_resident_bytes\":1000,\"trimmable_bytes\":2000,"
	       "\"pinned_bytes\":3000,\"retained_bytes\":4000,\"mmapped_resident_"
	       "bytes\":5000,"
	       "\"allocator_resident_bytes\":6000,\"other_resident_bytes\":7000,"
	       "\"pss_bytes\":8000,\"swap_bytes\":9000,\"mappings\":10000,"
	       "\"system_bytes\":11000,\"live_bytes\":12000,\"free_bytes\":13000,"
	       "\"free_resident_bytes\":14000,\"free_chunks\":15000,"
	       "\"largest_free_bytes\":16000,\"largest_hole_bytes\":17000,\"top_bytes\":"
	       "18000,"
	       "\"fast_chunks\":19000,\"fast_bytes\":20000,\"tcache_chunks\":21000,"
	       "\"tcache_bytes\":22000,\"mmapped_chunks\":23000,\"mmapped_bytes\":24000,"
	       "\"foreign_bytes\":25000,\"arenas\":26000,\"attached_threads\":27000,"
	       "\"frag\":0.4375,\"unusable\":0.4531,\"unusable_for_bytes\":30000,"
	       "\"slack\":0.4844,\"trim_threshold_bytes\":32000,\"mmap_threshold_"
	       "bytes\":33000,"
	       "\"mallinfo2\":{\"arena\":34000,\"ordblks\":35000,\"smblks\":36000,"
	       "\"hblks\":37000,\"hblkhd\":38000,\"usmblks\":39000,\"fsmblks\":40000,"
	       "\"uordblks\":41000,\"fordblks\":42000,\"keepcost\":43000},"
	       "\"in_doubt_bytes\":44000,\"pause_ns\":45000,\"read_ns\":46000,"
	       "\"growth_events\":47000,\"growth_bytes\":48000,\"failed_allocations\":"
	       "49000,\"sample_cost_ns\":50000,\"sample_age_ns\":51000,"
	       "\"sample_interval_ns\":52000,\"missed_samples\":53000,"
	       "\"active_bytes\":54000,\"dirty_bytes\":55000,\"muzzy_bytes\":56000,"
	       "\"heap_resident_bytes\":57000,\"mapped_bytes\":58000,"
	       "\"unmapped_bytes\":59000,\"largest_extent_bytes\":60000,"
	       "\"slab_bytes\":61000,\"slab_free_bytes\":62000,"
	       "\"peak_mapped_bytes\":63000,\"reserved_bytes\":64000,"
	       "\"heap_threads\":65000,\"anon_huge_bytes\":66000,"
	       "\"huge_page_bytes\":67000,\"swapped_in_bytes\":68000,\"skew_bytes\":"
	       "69000");
}

#define JSON_START "{\"time\":\"2026-11-21T05:17:43.123Z\",\"pid\":4711,\"comm\":"

static void json_escapes(void **state)
{
	(void)state;
	strcpy(sample->comm, "\"\\\n\r\t\b\f\x01\x1f\x7f/\xc3\xa4\xc3\xff");
	*sample->allocator = '\0';
	sample->status = STATUS_PARTIAL;
	strcpy(sample->missing, "why");
	assert_string_equal(
		rows(json), JSON_START
		"\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\\u007f/\xc3\xa4\\ufffd\\ufffd\","
		"\"allocator\":\"\",\"source\":\"heap\",\"status\":\"partial\","
		"\"missing\":\"why\"}\n");
}

/* C1 controls, and what turns the direction of writing. */
static void json_escapes_what_shows_not(void **state)
{
	(void)state;
	strcpy(sample->comm, "\xc2\x9b\xe2\x80\xae\xd8\x9c\xe2\x81\xa9\xc2\xa0");
	assert_memory_equal(rows(json) + strlen(JSON_START),
			    "\"\\u009b\\u202e\\u061c\\u2069\xc2\xa0\",", 29);
}

/* The nested object ends where its figures end, the row too. */
static void json_nests(void **state)
{
	(void)state;
	figure_set(&sample->fig, FIG_MALLINFO2_HBLKS, 1);
	figure_set(&sample->fig, FIG_MALLINFO2_KEEPCOST, UINT64_MAX);
	figure_set_ratio(&sample->fig, FIG_SLACK, INFINITY);
	assert_non_null(strstr(rows(json),
			       "\"status\":\"complete\",\"mallinfo2\":{\"hblks\":1,"
			       "\"keepcost\":18446744073709551615}}\n"));
	figure_set(&sample->fig, FIG_READ_NS, 2);
	assert_non_null(strstr(rows(json), "615},\"read_ns\":2}\n"));
}

#define JSON_ARENA                                                                \
	JSON_START "\"server\",\"allocator\":\"glibc-2.36\",\"source\":\"heap\"," \
		   "\"status\":\"complete\","

static void json_bins(void **state)
{
	const char *line;

	(void)state;
	sample->arena_count = 2;
	sample->arena[0].addr = 0x7f00dead0030;
	sample->arena[0].bins->split = true;
	sample->arena[0].bins->fast[0] = (struct bin_total){32, 32, 64, 2};
	sample->arena[0].bins->fast[9] = (struct bin_total){176, 176, 176, 1};
	sample->arena[0].bins->bins[0] = (struct bin_total){48, 4096, 5000, 7};
	sample->arena[0].bins->bins[1] = (struct bin_total){32, 32, 32, 1};
	sample->arena[0].bins->bins[126] = (struct bin_total){9999, 99999, 999999, 3};
	sample->arena[1].index = 1;
	line = strchr(rows(json), '\n') + 1;
	assert_string_equal(
		line, JSON_ARENA
		"\"arena\":0,\"arena_addr\":\"0x7f00dead0030\",\"bins\":{\"fast\":["
		"{\"from\":32,\"to\":32,\"total\":64,\"count\":2},"
		"{\"from\":176,\"to\":176,\"total\":176,\"count\":1}],"
		"\"unsorted\":{\"from\":48,\"to\":4096,\"total\":5000,\"count\":7},"
		"\"sorted\":[{\"bin\":2,\"from\":32,\"to\":32,\"total\":32,\"count\":1},"
		"{\"bin\":127,\"from\":9999,\"to\":99999,\"total\":999999,\"count\":3}]}}"
		"\n" JSON_ARENA "\"arena\":1,\"bins\":null}\n");
	sample->arena[0].bins->bins[0].count = 0;
	memset(sample->arena[0].bins->fast, 0, sizeof(sample->arena[0].bins->fast));
	assert_non_null(
		strstr(rows(json), "\"bins\":{\"fast\":[],\"sorted\":[{\"bin\":2,"));
}

static void json_classes(void **state)
{
	struct size_classes *classes = sample->classes;

	(void)state;
	classes->count = 2;
	classes->class[0] = (struct region_class){.region_bytes = 16, .free = 3};
	classes->class[1] = (struct region_class){32, 4, 508, 4};
	assert_non_null(strstr(rows(json), ",\"classes\":[{\"region\":16,\"free\":3},"
					   "{\"region\":32,\"free\":4}]}\n"));
	classes->has_slabs = true;
	assert_non_null(strstr(
		rows(json), "{\"region\":32,\"free\":4,\"used\":508,\"slabs\":4}]}\n"));
	classes->count = 0;
	assert_null(strstr(rows(json), "classes"));
}

/* The longest row there can be fits the buffer: it would be refused otherwise. */
static void longest_row(void **state)
{
	struct arena_bins *bins = sample->arena[0].bins;
	const struct bin_total largest = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

	(void)state;
	for (unsigned f = 0; f < FIG_COUNT; f++)
		figure_set(&sample->arena[0].fig, f, UINT64_MAX);
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(&sample->arena[0].fig, f, 1e15);
	for (unsigned i = 0; i < SAMPLE_FASTBINS; i++)
		bins->fast[i] = largest;
	for (unsigned i = 0; i < SAMPLE_BINS; i++)
		bins->bins[i] = largest;
	bins->split = true;
	for (unsigned i = 0; i < SAMPLE_CLASSES; i++)
		sample->classes->class[i] = (struct region_class){UINT64_MAX, UINT64_MAX,
								  UINT64_MAX, UINT64_MAX};
	sample->classes->count = SAMPLE_CLASSES;
	sample->classes->has_slabs = true;
	sample->fig = sample->arena[0].fig;
	sample->arena_count = 1;
	sample->arena[0].status = STATUS_PARTIAL;
	memset(sample->comm, 1, sizeof(sample->comm) - 1);
	memset(sample->allocator, 1, sizeof(sample->allocator) - 1);
	memset(sample->missing, 1, sizeof(sample->missing) - 1);
	assert_true(strlen(rows(json)) > 25000);
}

static void errors_are_returned(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct view *view;

	(void)state;
	if (full < 0)
		skip();
	assert_int_equal(view_open(&view, full, &json), 0);
	assert_int_equal(view_sample(view, sample), -ENOSPC);
	view_close(view);
	close(full);
}

/* Reads the pipe PIPE until its other end is closed; returns how many bytes came. */
static void *drain(void *pipe)
{
	static char bytes[1000];
	size_t total = 0;
	ssize_t length;

	while ((length = read(*(int *)pipe, bytes, sizeof(bytes))) > 0)
		total += (size_t)length;
	return (void *)total;
}

/* A pipe that takes a page at a time, and never waits, loses nothing. */
static void short_writes_go_on(void **state)
{
	size_t row_length = strlen(rows(json));
	struct view *view;
	pthread_t reader;
	int ends[2];
	void *total;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	assert_int_equal(view_open(&view, ends[1], &json), 0);
	assert_int_equal(pthread_create(&reader, NULL, drain, &ends[0]), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(view_sample(view, sample), 0);
	view_close(view);
	close(ends[1]);
	pthread_join(reader, &total);
	close(ends[0]);
	assert_int_equal((size_t)total, 2000 * row_length);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void free_memory_in_words(void **state)
{
	struct figures *fig = &sample->fig;
	char words[128];

	(void)state;
	figures_clear(fig);
	report_free(sample, words, sizeof(words));
	assert_string_equal(words, "");
	figure_set(fig, FIG_FREE_BYTES, 126 << 10);
	report_free(sample, words, sizeof(words));
	assert_string_equal(words, "126K free");
	figure_set(fig, FIG_FREE_CHUNKS, 0);
	figure_set(fig, FIG_LARGEST_FREE_BYTES, 123 << 10);
	figure_set(fig, FIG_LARGEST_HOLE_BYTES, 0);
	figure_set_ratio(fig, FIG_FRAG, 0.0234);
	report_free(sample, words, sizeof(words));
	assert_string_equal(words,
			    "126K free, all of it in tops; the largest 123K, below "
			    "the tops 0; frag 0.023");
	figure_set(fig, FIG_FREE_CHUNKS, 1);
	report_free(sample, words, sizeof(words));
	assert_string_equal(words,
			    "126K free in 1 chunk; the largest 123K, below the tops "
			    "0; frag 0.023");
	figure_set(fig, FIG_FREE_BYTES, 0);
	figure_set(fig, FIG_FREE_CHUNKS, 0);
	report_free(sample, words, sizeof(words));
	assert_true(strstr(words, "0 free in 0 chunks;") == words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_row_of_80),
		TEST(text_grows_with_the_width),
		TEST(no_text_row_is_too_wide),
		TEST(text_of_several_with_arenas),
		TEST(text_columns_stay),
		TEST(text_headings_repeat),
		TEST(text_headings_between_processes),
		TEST(text_notes),
		TEST(csv_header),
		TEST(csv_row_of_all),
		TEST(csv_absent_is_empty),
		TEST(origin_comes_last),
		TEST(csv_quotes),
		TEST(json_row_of_all),
		TEST(json_escapes),
		TEST(json_escapes_what_shows_not),
		TEST(json_nests),
		TEST(json_bins),
		TEST(json_classes),
		TEST(longest_row),
		TEST(errors_are_returned),
		TEST(short_writes_go_on),
		TEST(free_memory_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
