/* test_events.c: events to the letter, in both formats. */
#include "view/events.h"
#include "view/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)

static struct event event;
static char buf[EVENT_TEXT_BYTES];

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	memset(&event, 0, sizeof(event));
	event.time_ns = INT64_C(1795238263123999999);
	event.pid = event.tid = 4711;
	strcpy(event.comm, "server");
	return 0;
}

static const char *in_text(void)
{
	struct text text;

	text_init(&text, buf, sizeof(buf));
	events_text(&text, &event);
	assert_false(text.overflow);
	return buf;
}

static const char *in_json(void)
{
	struct text text;

	text_init(&text, buf, sizeof(buf));
	events_json(&text, &event);
	assert_false(text.overflow);
	return buf;
}

static void add_frame(const char *function, const char *module, uint64_t pc,
		      uint64_t offset)
{
	event.frame[event.frame_count++] = (struct frame){
		.pc = pc, .function = function, .module = module, .offset = offset};
	event.has |= EVENT_HAS_STACK;
}

/* The main arena grows in a thread, and all is known. */
static void fill_growth(void)
{
	event.kind = EVENT_BRK;
	event.tid = 4713;
	strcpy(event.comm, "io_thd_1");
	event.has = EVENT_HAS_BYTES | EVENT_HAS_REQUEST | EVENT_HAS_ARENA |
		    EVENT_HAS_LARGEST | EVENT_HAS_READING;
	event.bytes = 135168;
	event.request = (struct event_request){.bytes = 102400, .tolerance_bytes = 4095};
	event.arena = (struct event_arena){.addr = 0x7f12345c8c60,
					   .system_bytes = 1299227607,
					   .top_bytes = 3174,
					   .largest_binned_bytes = 831488};
	event.reading = (struct event_reading){.time_ns = INT64_C(1795238261000000000),
					       .rss_bytes = 4 * G,
					       .free_bytes = 1095216660,
					       .free_chunks = 40123,
					       .largest_free_bytes = 1153434};
	event.stack_whole = true;
	add_frame("brk", "libc.so.6", 0x7f12344e5a0b, 11);
	add_frame("sysmalloc", "libc.so.6", 0x7f12344812a4, 0x2a4);
	add_frame("malloc", "libc.so.6", 0x7f1234482f13, 0x123);
	add_frame(NULL, "libparse.so", 0x7f1234001234, 0x1234);
	add_frame("main", "server", 0x401136, 0x16);
}

static void growth_in_text(void **state)
{
	(void)state;
	fill_growth();
	assert_string_equal(
		in_text(),
		"05:17:43.123 io_thd_1[4711/4713] brk +132K for a request of 96.0K to "
		"100K (derived)\n"
		"    arena 0x7f12345c8c60: top 3.10K, system 1.21G, largest binned chunk "
		"812K\n"
		"    at 05:17:41 (last reading): 1.02G free in 40123 chunks, largest "
		"1.10M; resident 4.00G\n"
		"    #4   0x401136       main+0x16 in server\n"
		"    #3   0x7f1234001234 libparse.so+0x1234\n"
		"    #2   0x7f1234482f13 malloc+0x123 in libc.so.6\n"
		"    #1   0x7f12344812a4 sysmalloc+0x2a4 in libc.so.6\n"
		"    #0   0x7f12344e5a0b brk+0xb in libc.so.6\n");
}

static void growth_in_json(void **state)
{
	(void)state;
	fill_growth();
	assert_string_equal(
		in_json(),
		"{\"time\":\"2026-11-21T05:17:43.123Z\",\"pid\":4711,\"tid\":4713,"
		"\"comm\":\"io_thd_1\",\"kind\":\"brk\",\"bytes\":135168,"
		"\"request\":{\"bytes\":102400,\"tolerance_bytes\":4095,"
		"\"how\":\"derived\"},"
		"\"arena\":{\"addr\":\"0x7f12345c8c60\",\"system_bytes\":1299227607,"
		"\"top_bytes\":3174,\"largest_binned_bytes\":831488},"
		"\"last_reading\":{\"time\":\"2026-11-21T05:17:41.000Z\","
		"\"rss_bytes\":4294967296,\"free_bytes\":1095216660,"
		"\"free_chunks\":40123,\"largest_free_bytes\":1153434},"
		"\"stack\":["
		"{\"function\":\"main\",\"offset\":22,\"module\":\"server\","
		"\"pc\":\"0x401136\"},"
		"{\"offset\":4660,\"module\":\"libparse.so\",\"pc\":\"0x7f1234001234\"},"
		"{\"function\":\"malloc\",\"offset\":291,\"module\":\"libc.so.6\","
		"\"pc\":\"0x7f1234482f13\"},"
		"{\"function\":\"sysmalloc\",\"offset\":676,\"module\":\"libc.so.6\","
		"\"pc\":\"0x7f12344812a4\"},"
		"{\"function\":\"brk\",\"offset\":11,\"module\":\"libc.so.6\","
		"\"pc\":\"0x7f12344e5a0b\"}],"
		"\"stack_whole\":true,\"not_malloc\":false}\n");
}

static void what_is_absent_is_left_out(void **state)
{
	(void)state;
	event.kind = EVENT_NEW_HEAP;
	assert_string_equal(in_text(), "05:17:43.123 server[4711] new heap\n");
	assert_string_equal(in_json(), "{\"time\":\"2026-11-21T05:17:43.123Z\","
				       "\"pid\":4711,\"tid\":4711,\"comm\":\"server\","
				       "\"kind\":\"new_heap\"}\n");
	event.has = EVENT_HAS_ARENA;
	assert_string_equal(in_text(), "05:17:43.123 server[4711] new heap\n"
				       "    arena 0x0: top 0, system 0\n");
	assert_null(strstr(in_json(), "largest"));
	event.has |= EVENT_HAS_LARGEST;
	assert_non_null(strstr(in_text(), "system 0, bins empty\n"));
	assert_non_null(strstr(in_json(), "\"largest_binned_bytes\":0}"));
}

static void growth_of_every_kind(void **state)
{
	static const struct {
		enum event_kind kind;
		const char *text;
	} cases[] = {
		{EVENT_BRK, "brk +132K\n"},
		{EVENT_FALLBACK, "brk refused, mmap +132K\n"},
		{EVENT_NEW_HEAP, "new heap +132K\n"},
		{EVENT_MPROTECT, "mprotect +132K\n"},
		{EVENT_MMAP, "mmap +132K\n"},
		{EVENT_MREMAP, "mremap +132K\n"},
	};

	(void)state;
	event.has = EVENT_HAS_BYTES;
	event.bytes = 135168;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		event.kind = cases[i].kind;
		assert_string_equal(in_text() + strlen("05:17:43.123 server[4711] "),
				    cases[i].text);
	}
}

static void requests(void **state)
{
	static const struct {
		struct event_request request;
		const char *want;
	} cases[] = {
		{{1040, 0, true}, " for a request of 1.02K (exact)\n"},
		{{48, 16, false}, " for a request of 32 to 48 (derived)\n"},
		{{64 * M, 4112, false}, " for a request of 64.0M (derived)\n"},
		{{4096, 4064, false}, " for a request of 32 to 4.00K (derived)\n"},
	};

	(void)state;
	event.has = EVENT_HAS_REQUEST;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		event.request = cases[i].request;
		assert_string_equal(in_text() + strlen("05:17:43.123 server[4711] brk"),
				    cases[i].want);
	}
	event.request = cases[0].request;
	assert_non_null(strstr(in_json(), "\"request\":{\"bytes\":1040,"
					  "\"tolerance_bytes\":0,\"how\":\"exact\"}"));
}

static void failures_tell_their_cause(void **state)
{
	static const struct {
		struct event_cause cause;
		const char *text, *json;
	} cases[] = {
		{{CAUSE_UNKNOWN, false, 9, 9, 9}, "of unknown cause", "\"unknown\"}"},
		{{CAUSE_RLIMIT_AS, true, 512 * M, 480 * M, 67215360},
		 "RLIMIT_AS: limit 512M, used 480M, asked 64.1M",
		 "\"rlimit_as\",\"limit\":536870912,\"used\":503316480,"
		 "\"asked\":67215360}"},
		{{CAUSE_RLIMIT_DATA, true, 0, 4096, 4096},
		 "RLIMIT_DATA: limit 0, used 4.00K, asked 4.00K",
		 "\"rlimit_data\",\"limit\":0,\"used\":4096,\"asked\":4096}"},
		{{CAUSE_OVERCOMMIT, true, 18 * G, 0, 20 * G},
		 "overcommit: limit 18.0G, asked 20.0G",
		 "\"overcommit\",\"limit\":19327352832,\"used\":0,"
		 "\"asked\":21474836480}"},
		{{CAUSE_OVERCOMMIT, false, 0, 0, 0}, "overcommit", "\"overcommit\"}"},
		{{CAUSE_MAP_COUNT, true, 65530, 65531, 1},
		 "vm.max_map_count: limit 65530, used 65531, asked 1",
		 "\"max_map_count\",\"limit\":65530,\"used\":65531,\"asked\":1}"},
		{{CAUSE_ABSURD, true, UINT64_C(0x7ffffffff000), 480 * M,
		  UINT64_C(1) << 48},
		 "no address space is that large: limit 128T, used 480M, asked 256T",
		 "\"absurd\",\"limit\":140737488351232,\"used\":503316480,"
		 "\"asked\":281474976710656}"},
	};
	static const char start[] =
		"05:17:43.123 server[4711] FAILED: malloc got nothing for 64.0M: ";

	(void)state;
	event.kind = EVENT_FAILURE;
	event.has = EVENT_HAS_BYTES | EVENT_HAS_CAUSE;
	event.bytes = 64 * M;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		event.cause = cases[i].cause;
		assert_memory_equal(in_text(), start, strlen(start));
		assert_memory_equal(buf + strlen(start), cases[i].text,
				    strlen(cases[i].text));
		assert_string_equal(buf + strlen(start) + strlen(cases[i].text), "\n");
		assert_non_null(strstr(in_json(), "\"kind\":\"failure\","
						  "\"bytes\":67108864,"
						  "\"cause\":{\"kind\":"));
		assert_non_null(strstr(buf, cases[i].json));
	}
}

static void failure_with_request(void **state)
{
	(void)state;
	event.kind = EVENT_FAILURE;
	event.has = EVENT_HAS_BYTES | EVENT_HAS_REQUEST;
	event.bytes = 65 * M;
	event.request = (struct event_request){.bytes = 64 * M, .exact = true};
	assert_string_equal(in_text(), "05:17:43.123 server[4711] FAILED: malloc got "
				       "nothing for a request of 64.0M (exact)\n");
}

static void thresholds(void **state)
{
	(void)state;
	event.kind = EVENT_THRESHOLD;
	event.has = EVENT_HAS_BYTES;
	event.bytes = 3776512;
	assert_string_equal(in_text(), "05:17:43.123 server[4711] mmap and trim "
				       "thresholds, raised by this free of 3.60M\n");
	event.has |= EVENT_HAS_THRESHOLDS;
	event.thresholds = (struct event_thresholds){131072, 3774464, 131072, 7548928};
	assert_string_equal(in_text(), "05:17:43.123 server[4711] mmap threshold 128K -> "
				       "3.60M, trim threshold 128K -> 7.20M, raised by "
				       "this free of 3.60M\n");
	assert_non_null(strstr(in_json(), "\"kind\":\"threshold\",\"bytes\":3776512,"
					  "\"thresholds\":{\"old_mmap_bytes\":131072,"
					  "\"new_mmap_bytes\":3774464,"
					  "\"old_trim_bytes\":131072,"
					  "\"new_trim_bytes\":7548928}}\n"));
}

static void fill_kill(void)
{
	event.kind = EVENT_KILL;
	event.has = EVENT_HAS_VICTIM | EVENT_HAS_CAUSE;
	strcpy(event.comm, "hog");
	event.victim = (struct event_victim){.pid = 4711,
					     .comm = "hog",
					     .oom_score_adj = -17,
					     .total_vm_bytes = 2 * G,
					     .anon_bytes = 1288490189,
					     .file_bytes = 3 * M};
}

static void kills(void **state)
{
	(void)state;
	fill_kill();
	event.cause = (struct event_cause){CAUSE_CGROUP, true, 512 * M, 512 * M, 0};
	assert_string_equal(in_text(),
			    "05:17:43.123 hog[4711] KILLED by the kernel's OOM killer: "
			    "memory cgroup: limit 512M, used 512M; "
			    "oom_score_adj -17, held anon 1.20G, file 3.00M, shmem 0 of "
			    "2.00G mapped\n");
	assert_string_equal(
		in_json(),
		"{\"time\":\"2026-11-21T05:17:43.123Z\",\"pid\":4711,\"tid\":4711,"
		"\"comm\":\"hog\",\"kind\":\"kill\",\"cause\":{\"kind\":\"cgroup\","
		"\"limit\":536870912,\"used\":536870912},\"victim\":{\"pid\":4711,"
		"\"comm\":\"hog\",\"oom_score_adj\":-17,\"total_vm_bytes\":2147483648,"
		"\"anon_bytes\":1288490189,\"file_bytes\":3145728,"
		"\"shmem_bytes\":0}}\n");
	event.cause = (struct event_cause){.kind = CAUSE_HOST};
	assert_non_null(
		strstr(in_text(), "OOM killer: the host had no memory left; oom_score"));
	assert_non_null(strstr(in_json(), "\"cause\":{\"kind\":\"host\"},"));
}

/* ---- stacks ---- */

static void growth_that_is_not_mallocs(void **state)
{
	(void)state;
	event.has = EVENT_HAS_BYTES;
	event.bytes = 4096;
	event.not_malloc = true; /* without a stack nothing shows it */
	assert_string_equal(in_text(), "05:17:43.123 server[4711] brk +4.00K\n");
	assert_null(strstr(in_json(), "not_malloc"));
	event.stack_whole = true;
	add_frame("main", "server", 0x401136, 0x16);
	assert_string_equal(in_text(),
			    "05:17:43.123 server[4711] brk +4.00K, not malloc's\n"
			    "    #0   0x401136       main+0x16 in server\n");
	assert_non_null(strstr(in_json(), "\"stack_whole\":true,\"not_malloc\":true}\n"));
}

/* People are spared what comes before main; machines get it all. */
static void what_comes_before_main(void **state)
{
	(void)state;
	event.stack_whole = true;
	add_frame("main", "server", 0x401136, 0x16);
	for (unsigned i = 0; i < 3; i++) {
		add_frame(i ? "start" : NULL, "libc.so.6", 0x1000, 1);
		assert_int_equal(events_frames(&event), 1);
	}
	assert_string_equal(in_text(), "05:17:43.123 server[4711] brk\n"
				       "    #0   0x401136       main+0x16 in server\n");
	assert_non_null(strstr(in_json(), "\"stack\":[{\"function\":\"start\","));
	add_frame("f", "server", 0x1000, 1);
	assert_int_equal(events_frames(&event), 5);
	event.frame_count = 0;
	assert_int_equal(events_frames(&event), 0);
	add_frame("f", "server", 0x1000, 1);
	assert_int_equal(events_frames(&event), 1);
}

#define CUT_START "05:17:43.123 server[4711] brk\n    ...  "

#define CUT_FULL CUT_START "more frames than are shown\n    #127 0x401136       f+0x16"

static void cut_stacks_say_why(void **state)
{
	(void)state;
	add_frame("f", "server", 0x401136, 0x16);
	assert_string_equal(in_text(),
			    CUT_START "the rest was not copied (--stack-bytes 64K takes "
				      "more), or this code does not show who called it\n"
				      "    #0   0x401136       f+0x16 in server\n");
	assert_non_null(strstr(in_json(), "\"stack_whole\":false,"));
	add_frame(NULL, NULL, 0x7fffdeadbeef, 0);
	assert_string_equal(in_text(), CUT_START
			    "code that is in no file does not show who called it\n"
			    "    #1   0x7fffdeadbeef in no file\n"
			    "    #0   0x401136       f+0x16 in server\n");
	assert_non_null(strstr(in_json(), "\"stack\":[{\"pc\":\"0x7fffdeadbeef\"},"));
	while (event.frame_count < EVENT_FRAMES)
		add_frame("f", "server", 0x401136, 0x16);
	assert_memory_equal(in_text(), CUT_FULL, strlen(CUT_FULL));
}

static void names_are_made_harmless(void **state)
{
	(void)state;
	strcpy(event.comm, "a\x1b[31m\"\n");
	event.stack_whole = true;
	add_frame("f\n<\"\xc3\xa4\xff\\>", "mo\tdule", 0x1000, 1);
	assert_string_equal(in_text(),
			    "05:17:43.123 a\\x1b[31m\"\\x0a[4711] brk\n"
			    "    #0   0x1000         f\\x0a<\"\xc3\xa4\\xff\\>+0x1 in "
			    "mo\\x09dule\n");
	assert_non_null(strstr(in_json(), "\"comm\":\"a\\u001b[31m\\\"\\n\""));
	assert_non_null(strstr(buf, "\"function\":\"f\\n<\\\"\xc3\xa4\\ufffd\\\\>\""));
	assert_non_null(strstr(buf, "\"module\":\"mo\\tdule\""));
}

static void long_names_are_cut(void **state)
{
	static char exact[EVENT_NAME_CHARACTERS + 1], longer[EVENT_NAME_CHARACTERS + 2];
	static char json[EVENT_NAME_BYTES + 2];
	char want[EVENT_NAME_BYTES + 64];

	(void)state;
	memset(exact, 'x', sizeof(exact) - 1);
	memset(longer, 'y', sizeof(longer) - 1);
	memset(json, 'z', sizeof(json) - 1);
	event.stack_whole = true;
	add_frame(exact, NULL, 0x1000, 1);
	snprintf(want, sizeof(want), " %s+0x1\n", exact);
	assert_non_null(strstr(in_text(), want));
	event.frame[0].function = longer;
	snprintf(want, sizeof(want), " %.*s...+0x1\n", EVENT_NAME_CHARACTERS - 3, longer);
	assert_non_null(strstr(in_text(), want));
	snprintf(want, sizeof(want), "\"function\":\"%s\"", longer);
	assert_non_null(strstr(in_json(), want));
	event.frame[0].function = json;
	snprintf(want, sizeof(want), "\"function\":\"%.*s...\"", EVENT_NAME_BYTES - 3,
		 json);
	assert_non_null(strstr(in_json(), want));
	json[EVENT_NAME_BYTES] = '\0';
	snprintf(want, sizeof(want), "\"function\":\"%s\"", json);
	assert_non_null(strstr(in_json(), want));
}

/* No escape and no character of several bytes is cut in its middle. */
static void strings_are_cut_between_characters(void **state)
{
	static const struct {
		const char *value;
		size_t max_bytes;
		const char *want;
	} cases[] = {
		{"", 3, "\"\""},
		{"abc", 3, "\"abc\""},
		{"abcd", 3, "\"...\""},
		{"abcdef", 5, "\"ab...\""},
		{"a\"cdef", 5, "\"a...\""},
		{"a\"cdef", 6, "\"a\\\"...\""},
		{"\x01", 6, "\"\\u0001\""},
		{"\x01x", 6, "\"...\""},
		{"\xc3\xa4\xc3\xa4\xc3\xa4", 6, "\"\xc3\xa4\xc3\xa4\xc3\xa4\""},
		{"\xc3\xa4\xc3\xa4\xc3\xa4", 5, "\"\xc3\xa4...\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct text text;

		text_init(&text, buf, sizeof(buf));
		json_string_cut(&text, cases[i].value, cases[i].max_bytes);
		assert_string_equal(buf, cases[i].want);
	}
}

/* All that an event can have, each at its longest. */
static void any_event_fits(void **state)
{
	static char wide[4 * 4096 + 1], strange[4097];

	(void)state;
	memset(&event, 0xff, sizeof(event));
	for (size_t i = 0; i < 4096; i++)
		memcpy(wide + 4 * i, "\xf0\x9f\x98\x80", 4);
	memset(strange, 0x01, sizeof(strange) - 1);
	memset(event.comm, 0x01, sizeof(event.comm) - 1);
	event.comm[sizeof(event.comm) - 1] = '\0';
	memcpy(event.victim.comm, event.comm, sizeof(event.comm));
	event.cause.kind = CAUSE_ABSURD;
	event.cause.has_figures = event.request.exact = true;
	event.stack_whole = event.not_malloc = false;
	event.time_ns = event.reading.time_ns = INT64_C(1795238263123999999);
	event.frame_count = EVENT_FRAMES;
	for (unsigned i = 0; i < EVENT_FRAMES; i++)
		event.frame[i] = (struct frame){.pc = UINT64_MAX,
						.function = i % 2 ? wide : strange,
						.module = i % 3 ? wide : strange,
						.offset = UINT64_MAX};
	for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
		event.kind = (enum event_kind)kind;
		in_text();
		in_json();
	}
}

/* Several events after each other in one text: no comma gets between them. */
static void events_follow_each_other(void **state)
{
	struct text text;

	(void)state;
	text_init(&text, buf, sizeof(buf));
	events_json(&text, &event);
	events_json(&text, &event);
	assert_non_null(strstr(buf, "\"kind\":\"brk\"}\n{\"time\":"));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(growth_in_text),
		TEST(growth_in_json),
		TEST(what_is_absent_is_left_out),
		TEST(growth_of_every_kind),
		TEST(requests),
		TEST(failures_tell_their_cause),
		TEST(failure_with_request),
		TEST(thresholds),
		TEST(kills),
		TEST(growth_that_is_not_mallocs),
		TEST(what_comes_before_main),
		TEST(cut_stacks_say_why),
		TEST(names_are_made_harmless),
		TEST(long_names_are_cut),
		TEST(strings_are_cut_between_characters),
		TEST(any_event_fits),
		TEST(events_follow_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
