/* test_sampler.c: the parts of the sampler that are not bound to a program: its settings,
 * its budget, what it makes of malloc_info's text; and where it is looked for. */
#include "engine/sampler.h"
#include "preload/budget.h"
#include "preload/info.h"
#include "preload/settings.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

/* ---- settings ---- */

static void settings_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t interval_ns, detail_ns;
		uint64_t max_cost_ppm;
		bool children;
	} cases[] = {
		{NULL, 1000 * MS, 0, 10000, true},
		{"", 1000 * MS, 0, 10000, true},
		{"interval=500ms", 500 * MS, 0, 10000, true},
		{"interval=0.25", 250 * MS, 0, 10000, true},
		{"interval=1.5s,detail=10s", 1500 * MS, 10000 * MS, 10000, true},
		{"interval=100000000ns,interval=7s", 100 * MS, 0, 10000, true},
		{"interval=2m", 120000 * MS, 0, 10000, true},
		{"interval=1us", MS, 0, 10000, true},
		{"interval=0", MS, 0, 10000, true},
		{"max_cost=0.5%,children=no", 1000 * MS, 0, 5000, false},
		{"max_cost=100", 1000 * MS, 0, 1000000, true},
		{"max_cost=300%", 1000 * MS, 0, 1000000, true},
		/* What makes no sense is as if it were not there. */
		{"interval=,max_cost=0,,=,x", 1000 * MS, 0, 10000, true},
		{"interval=-5s,interval=3 s,children", 1000 * MS, 0, 10000, true},
		{"interval=9999999999999999999999h", 1000 * MS, 0, 10000, true},
		{"intervals=5s,nterval=5s,interval=1x", 1000 * MS, 0, 10000, true},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings settings;

		settings_read(&settings, cases[i].text);
		assert_int_equal(settings.interval_ns, cases[i].interval_ns);
		assert_int_equal(settings.detail_ns, cases[i].detail_ns);
		assert_int_equal(settings.max_cost_ppm, cases[i].max_cost_ppm);
		assert_int_equal(settings.children, cases[i].children);
	}
}

static void one_process_is_meant(void **state)
{
	static const char want[] = "FRAGSCOPE=pid=4711,children=no,interval=7s";
	struct settings settings;
	char variable[100];

	(void)state;
	assert_true(settings_mark(variable, sizeof(variable), "children=no,interval=7s",
				  4711));
	assert_string_equal(variable, want);
	settings_read(&settings, variable + strlen("FRAGSCOPE="));
	assert_int_equal(settings.pid, 4711);
	assert_false(settings.children);
	assert_int_equal(settings.interval_ns, 7000 * MS);
	settings_read(&settings, "pid=0,children=no,pid=4711");
	assert_int_equal(settings.pid, 0);
	settings_read(&settings, NULL);
	assert_int_equal(settings.pid, 0);
	assert_true(settings_mark(variable, sizeof(variable), NULL, 1));
	assert_string_equal(variable, "FRAGSCOPE=pid=1");
	for (size_t bytes = 0; bytes < sizeof(want); bytes++)
		assert_false(
			settings_mark(variable, bytes, "children=no,interval=7s", 4711));
	assert_true(
		settings_mark(variable, sizeof(want), "children=no,interval=7s", 4711));
}

/* ---- the budget ---- */

static struct budget budget_of(const char *text)
{
	struct settings settings;
	struct budget budget;

	settings_read(&settings, text);
	budget_begin(&budget, &settings);
	return budget;
}

static void cheap_samples_keep_the_interval(void **state)
{
	struct budget budget = budget_of(NULL);

	(void)state;
	assert_true(budget_allows_detail(&budget, 0));
	for (int64_t now = 0; now < 10000 * MS; now += 1000 * MS) {
		assert_true(budget_allows_detail(&budget, now));
		assert_int_equal(budget_spend(&budget, now, 4 * MS, true, 4 * MS),
				 1000 * MS);
	}
}

static void costly_samples_stretch_it(void **state)
{
	struct budget budget = budget_of(NULL);

	(void)state;
	assert_int_equal(budget_spend(&budget, 0, 28 * MS, true, 30 * MS), 5600 * MS);
	assert_false(budget_allows_detail(&budget, 5600 * MS));
	assert_true(budget_allows_detail(&budget, 6000 * MS));
	/* One dear sample between cheap ones is the machine's doing. */
	budget = budget_of(NULL);
	budget_spend(&budget, 0, MS, false, 0);
	assert_int_equal(budget_spend(&budget, 1000 * MS, 900 * MS, false, 0), 1000 * MS);
	assert_int_equal(budget_spend(&budget, 2000 * MS, 900 * MS, false, 0),
			 180000 * MS);
}

static void the_share_is_kept(void **state)
{
	struct budget budget = budget_of("interval=10ms,max_cost=2%");
	int64_t now = 0, spent = 0;

	(void)state;
	while (now < 1000000 * MS) {
		bool detail = budget_allows_detail(&budget, now);

		spent += detail ? 12 * MS : 5 * MS;
		now += budget_spend(&budget, now, 5 * MS, detail, 7 * MS);
	}
	assert_true(spent <= now / 50 + 24 * MS);
	assert_true(spent >= now / 80);
}

static void details_have_a_rate_of_their_own(void **state)
{
	struct budget budget = budget_of("detail=10s");

	(void)state;
	budget_spend(&budget, 0, 0, true, 0);
	assert_false(budget_allows_detail(&budget, 9999 * MS));
	assert_true(budget_allows_detail(&budget, 10000 * MS));
}

/* ---- malloc_info ---- */

static const char two_arenas[] =
	"<malloc version=\"1\">\n"
	"<heap nr=\"0\">\n"
	"<sizes>\n"
	"  <size from=\"17\" to=\"32\" total=\"96\" count=\"3\"/>\n"
	"  <size from=\"129\" to=\"129\" total=\"258\" count=\"2\"/>\n"
	"  <unsorted from=\"1041\" to=\"5009\" total=\"6050\" count=\"2\"/>\n"
	"</sizes>\n"
	"<total type=\"fast\" count=\"3\" size=\"96\"/>\n"
	"<total type=\"rest\" count=\"5\" size=\"10308\"/>\n"
	"<system type=\"current\" size=\"135168\"/>\n"
	"<system type=\"max\" size=\"139264\"/>\n"
	"<aspace type=\"total\" size=\"135168\"/>\n"
	"</heap>\n"
	"<heap nr=\"1\">\n"
	"<sizes>\n"
	"</sizes>\n"
	"<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
	"<total type=\"rest\" count=\"1\" size=\"132208\"/>\n"
	"<system type=\"current\" size=\"135168\"/>\n"
	"</heap>\n"
	"<total type=\"fast\" count=\"3\" size=\"96\"/>\n"
	"<total type=\"rest\" count=\"6\" size=\"142516\"/>\n"
	"<total type=\"mmap\" count=\"7\" size=\"999424\"/>\n"
	"<system type=\"current\" size=\"270336\"/>\n"
	"</malloc>\n";

static struct info info;
static struct ring_sample sample;

/* Feeds TEXT in pieces of STEP bytes. */
static bool feed(const char *text, size_t step)
{
	size_t length = strlen(text);

	memset(&sample, 0, sizeof(sample));
	info_begin(&info, &sample);
	for (size_t at = 0; at < length; at += step)
		info_feed(&info, text + at, at + step < length ? step : length - at);
	return info_end(&info);
}

static void arenas_are_summed(void **state)
{
	static const uint64_t main_arena[] = {
		135168, 96 + 256 + 6048 + 4000, 7, 5008, 5008, 4000, 3, 96};
	static const uint64_t all[] = {270336, 142608, 7, 132208, 5008, 136208, 3, 96};

	(void)state;
	for (size_t step = 1; step < sizeof(two_arenas); step++) {
		assert_true(feed(two_arenas, step));
		assert_int_equal(sample.arenas_filled, 2);
		assert_memory_equal(sample.arena[0].value, main_arena,
				    sizeof(main_arena));
		assert_int_equal(sample.arena[1].index, 1);
		assert_int_equal(sample.arena[1].value[RING_TOP_BYTES], 132208);
		assert_memory_equal(sample.value, all, sizeof(all));
		assert_int_equal(sample.have, 0xff | 1 << RING_ARENA_COUNT);
		assert_int_equal(sample.value[RING_ARENA_COUNT], 2);
	}
}

static void fast_chunks_are_holes(void **state)
{
	(void)state;
	assert_true(feed("<heap nr=\"0\">\n"
			 "<size from=\"97\" to=\"112\" total=\"224\" count=\"2\"/>\n"
			 "<total type=\"fast\" count=\"2\" size=\"224\"/>\n"
			 "<total type=\"rest\" count=\"1\" size=\"48\"/>\n"
			 "<system type=\"current\" size=\"4096\"/>\n"
			 "</heap>\n</malloc>\n",
			 9));
	assert_int_equal(sample.value[RING_LARGEST_HOLE_BYTES], 112);
	assert_int_equal(sample.value[RING_LARGEST_FREE_BYTES], 112);
	assert_int_equal(sample.value[RING_FREE_BYTES], 272);
}

static void what_is_cut_off_or_odd_is_nothing(void **state)
{
	static const char *const odd[] = {
		"",
		"</malloc>\n",
		"<heap nr=\"0\">\n</malloc>\n",
		"<heap nr=\"0\">\n<total type=\"rest\" count=\"9\" "
		"size=\"1\"/>\n</heap>\n"
		"</malloc>\n",
		"<heap nr=\"x\">\n</heap>\n</malloc>\n",
		"<heap nr=\"0\">\n<size from=\"1\"/>\n<total type=\"rest\" count=\"1\" "
		"size=\"1\"/>\n</heap>\n</malloc>\n",
	};
	static char text[sizeof(two_arenas)];

	(void)state;
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_false(feed(odd[i], 7));
		assert_true(!sample.have && !sample.arenas_filled);
	}
	/* The last newline is not missed. */
	for (size_t length = 0; length < sizeof(two_arenas) - 2; length++) {
		memcpy(text, two_arenas, length);
		text[length] = '\0';
		assert_false(feed(text, 64));
		assert_true(!sample.have && !sample.arenas_filled);
	}
	memset(text, 'x', sizeof(text) - 1);
	assert_false(feed(text, 100));
}

static void many_arenas_are_counted(void **state)
{
	static char text[64 << 10];
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < RING_ARENAS + 50; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "<heap nr=\"%u\">\n<total type=\"rest\" "
					 "count=\"1\" size=\"%u\"/>\n</heap>\n",
					 i, i * 16);
	snprintf(text + used, sizeof(text) - used, "</malloc>\n");
	assert_true(feed(text, 4096));
	assert_int_equal(sample.arenas_filled, RING_ARENAS);
	assert_int_equal(sample.value[RING_ARENA_COUNT], RING_ARENAS + 50);
	assert_int_equal(sample.value[RING_LARGEST_FREE_BYTES], (RING_ARENAS + 49) * 16);
}

/* The text that this libc really writes. */
static void it_agrees_with_mallinfo2(void **state)
{
	static void *chunk[2000];
	static char text[256 << 10];
	FILE *stream = fmemopen(text, sizeof(text), "w");
	struct mallinfo2 now;

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		chunk[i] = malloc(1 + i * 7 % 3000);
	for (unsigned i = 0; i < 2000; i += 2)
		free(chunk[i]);
	setvbuf(stream, NULL, _IONBF, 0);
	assert_int_equal(malloc_info(0, stream), 0);
	now = mallinfo2();
	fclose(stream);
	assert_true(feed(text, 100));
	assert_int_equal(sample.value[RING_SYSTEM_BYTES], now.arena);
	assert_int_equal(sample.value[RING_FREE_BYTES], now.fordblks);
	assert_int_equal(sample.value[RING_FAST_BYTES], now.fsmblks);
	assert_int_equal(sample.value[RING_FREE_CHUNKS] + sample.arenas_filled,
			 now.ordblks + now.smblks);
	assert_int_equal(sample.arena[0].value[RING_TOP_BYTES], now.keepcost);
	for (unsigned i = 1; i < 2000; i += 2)
		free(chunk[i]);
}

/* ---- its place ---- */

static void directories_are_seen_from_others(void **state)
{
	static const struct {
		const char *from, *to, *want;
	} cases[] = {
		{"/usr/bin", "/usr/lib/fragscope", "../lib/fragscope"},
		{"/usr/bin", "/usr/lib/x86_64-linux-gnu/fragscope",
		 "../lib/x86_64-linux-gnu/fragscope"},
		{"/usr/local/bin/", "/usr/local/lib64//fragscope", "../lib64//fragscope"},
		{"/usr/bin", "/usr/binaries", "../binaries"},
		{"/usr/bin", "/usr/bin/fragscope", "fragscope"},
		{"/bin", "/opt/x", "../opt/x"},
		{"/a/b/c", "/a/x", "../../x"},
		{"/a/b", "/a/b", "../b"},
	};
	char path[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(
			sampler_relative(cases[i].from, cases[i].to, path, sizeof(path)));
		assert_string_equal(path, cases[i].want);
	}
	assert_false(sampler_relative("/usr/bin", "/usr/lib/fragscope", path, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_read),
		cmocka_unit_test(one_process_is_meant),
		cmocka_unit_test(cheap_samples_keep_the_interval),
		cmocka_unit_test(costly_samples_stretch_it),
		cmocka_unit_test(the_share_is_kept),
		cmocka_unit_test(details_have_a_rate_of_their_own),
		cmocka_unit_test(arenas_are_summed),
		cmocka_unit_test(fast_chunks_are_holes),
		cmocka_unit_test(what_is_cut_off_or_odd_is_nothing),
		cmocka_unit_test(many_arenas_are_counted),
		cmocka_unit_test(it_agrees_with_mallinfo2),
		cmocka_unit_test(directories_are_seen_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
