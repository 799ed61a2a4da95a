/* test_histogram.c: classes of values, and what bursts have counted as text and JSON. */
#include "view/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char buf[HISTOGRAM_TEXT_BYTES];
static struct text text;
static struct bursts bursts;

static int setup(void **state)
{
	(void)state;
	text_init(&text, buf, sizeof(buf));
	bursts = (struct bursts){
		.time_ns = INT64_C(1763703943123000000),
		.pid = 4711,
		.comm = "a\"b",
		.bursts = 2,
		.watched_ns = 40000000,
		.calls = 400,
	};
	bursts.sizes.count[0] = 1;
	bursts.sizes.count[5] = 299;
	bursts.sizes.count[7] = 100;
	return 0;
}

static void classes_follow_each_other_without_gap(void **state)
{
	(void)state;
	assert_true(histogram_from(0) == 0 && histogram_to(0) == 0);
	for (unsigned i = 1; i < HISTOGRAM_CLASSES; i++) {
		assert_true(histogram_from(i) == histogram_to(i - 1) + 1);
		assert_true(histogram_to(i) >= histogram_from(i));
	}
	assert_true(histogram_to(HISTOGRAM_CLASSES - 1) == UINT64_MAX);
}

static void sizes_as_text(void **state)
{
	(void)state;
	histogram_text(&text, &bursts);
	assert_string_equal(
		buf, "process 4711 (a\"b): 2 bursts, 40.0ms in all, 400 calls of malloc\n"
		     " request, bytes   calls   share\n"
		     "     0 -      0       1    0.3%  #\n"
		     "     1 -      1       0    0.0%\n"
		     "     2 -      3       0    0.0%\n"
		     "     4 -      7       0    0.0%\n"
		     "     8 -     15       0    0.0%\n"
		     "    16 -     31     299   74.8%  "
		     "########################################\n"
		     "    32 -     63       0    0.0%\n"
		     "    64 -    127     100   25.0%  #############\n");
}

static void latency_as_text(void **state)
{
	(void)state;
	bursts.has_latency = true;
	bursts.latency_ns.count[10] = 400;
	bursts.own_latency_class = 9;
	histogram_text(&text, &bursts);
	assert_non_null(strstr(buf, "\n   took, ns   calls   share\n"
				    " 512 - 1023     400  100.0%  #######"));
	assert_non_null(
		strstr(buf, "the probe's own 256 to 511ns are part of each call's\n"));
}

static void no_calls_no_rows(void **state)
{
	(void)state;
	bursts = (struct bursts){
		.pid = 1, .comm = "x", .bursts = 1, .watched_ns = 20000000};
	histogram_text(&text, &bursts);
	assert_string_equal(buf,
			    "process 1 (x): 1 burst, 20.0ms in all, 0 calls of malloc\n");
}

static void json(void **state)
{
	(void)state;
	histogram_json(&text, &bursts);
	assert_string_equal(
		buf,
		"{\"time\":\"2025-11-21T05:45:43.123Z\",\"pid\":4711,\"comm\":\"a\\\"b\","
		"\"kind\":\"bursts\",\"bursts\":2,\"seconds\":0.040000,\"calls\":400,"
		"\"sizes\":[{\"from\":0,\"to\":0,\"count\":1},"
		"{\"from\":16,\"to\":31,\"count\":299},"
		"{\"from\":64,\"to\":127,\"count\":100}]}\n");
	text_clear(&text);
	bursts.has_latency = true;
	bursts.own_latency_class = 9;
	histogram_json(&text, &bursts);
	assert_non_null(strstr(buf, "\"latency_ns\":[],"
				    "\"latency_own_ns\":{\"from\":256,\"to\":511}}\n"));
}

static void the_fullest_fits(void **state)
{
	(void)state;
	bursts.has_latency = true;
	memset(&bursts.sizes, 0x7f, sizeof(bursts.sizes));
	memset(&bursts.latency_ns, 0x7f, sizeof(bursts.latency_ns));
	histogram_json(&text, &bursts);
	assert_false(text.overflow);
	text_clear(&text);
	histogram_text(&text, &bursts);
	assert_false(text.overflow);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_follow_each_other_without_gap),
		cmocka_unit_test_setup(sizes_as_text, setup),
		cmocka_unit_test_setup(latency_as_text, setup),
		cmocka_unit_test_setup(no_calls_no_rows, setup),
		cmocka_unit_test_setup(json, setup),
		cmocka_unit_test_setup(the_fullest_fits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
