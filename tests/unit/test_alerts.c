/* test_alerts.c: alerts as lines: for people, and as JSON that holds what is needed. */
#include "view/alerts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define START_NS INT64_C(1700000000000000000)

static struct rules rules;
static struct alert alert;
static char buf[ALERT_TEXT_BYTES];

/* An alert by the rule that TEXT says, with nothing in its evidence yet. */
static void begin(const char *text)
{
	struct fault fault;

	rules.count = 0;
	if (rules_add(&rules, text, &fault))
		fail_msg("%s", fault.text);
	alert = (struct alert){
		.kind = ALERT_BEGIN,
		.reason = ALERT_HOLDS,
		.rule = &rules.rule[0],
		.time_ns = START_NS,
		.since_ns = START_NS,
		.pid = 4711,
		.comm = "a\"b\n",
	};
}

static struct evidence *add(unsigned term, double now)
{
	struct evidence *evidence = &alert.evidence[alert.evidence_count++];

	*evidence = (struct evidence){.term = &rules.rule[0].term[term], .now = now};
	return evidence;
}

static const char *written(void (*write)(struct text *text, const struct alert *alert))
{
	struct text text;

	text_init(&text, buf, sizeof(buf));
	write(&text, &alert);
	assert_false(text.overflow);
	return buf;
}

static void assert_sentence(const char *want)
{
	assert_string_equal(written(alert_sentence), want);
}

static void a_comparison_tells_its_bound(void **state)
{
	(void)state;
	begin("frag > 0.9 and limit < 10% and free - top >= 0");
	add(0, 0.95);
	add(1, 0.07)->limit = "RLIMIT_AS";
	add(2, 3 * 1048576.0);
	assert_sentence("frag is 0.950 (> 0.900); limit RLIMIT_AS is 7% (< 10%); "
			"free_bytes - top_bytes is 3.00M (>= 0)");
}

static void a_change_tells_from_what(void **state)
{
	struct evidence *evidence;

	(void)state;
	begin("largest drops 50% in 5m or free_chunks rises 10 in 1m");
	evidence = add(0, 1048576);
	evidence->was = 4 * 1048576.0;
	evidence->was_ns = START_NS - INT64_C(90000000000);
	evidence = add(1, 30);
	evidence->was_ns = START_NS - INT64_C(2000000000);
	assert_sentence("largest_free_bytes fell from 4.00M to 1.00M (75%) in 90.0s; "
			"free_chunks rose from 0 to 30 in 2.00s");
}

static void a_trend_tells_how_sure_it_is(void **state)
{
	struct evidence *evidence;

	(void)state;
	begin("free_chunks rising 100s and live falling 100s while free flat");
	evidence = add(0, 0);
	evidence->trend = (struct trend){.slope_per_s = 2, .p = 0.0042};
	evidence = add(1, 0);
	evidence->trend = (struct trend){.slope_per_s = -1024, .p = 1e-9};
	evidence = add(2, 0);
	evidence->median = 2048;
	assert_sentence("free_chunks rises by 200 in 100s (p = 0.0042); live_bytes falls "
			"by 100K in 100s (p < 0.0001); free_bytes stays about 2.00K");
}

static void a_line_is_one_line(void **state)
{
	static const struct origin origin = {"w\n1", START_NS - INT64_C(3000000000)};

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	begin("crumbs: frag > 0.9 severity critical");
	add(0, 0.95);
	assert_string_equal(written(alert_text),
			    "2023-11-14 22:13:20 BEGIN critical a\"b\\x0a[4711] "
			    "crumbs: frag is 0.950 (> 0.900)\n");
	alert.kind = ALERT_END;
	alert.reason = ALERT_HOLDS_NOT;
	alert.time_ns += INT64_C(65000000000);
	alert.origin = &origin;
	assert_string_equal(written(alert_text),
			    "2023-11-14 22:14:25 w\\x0a1 END   critical "
			    "a\"b\\x0a[4711] crumbs: after 65.0s, holds no longer; "
			    "frag is 0.950; process started 2023-11-14 22:13:17\n");
	assert_non_null(strstr(written(alert_json),
			       "\"host\":\"w\\n1\",\"started\":\"2023-11-14T22:13:17"));
	alert.gap_ns = INT64_C(380160000000000000);
	alert.time_ns += alert.gap_ns;
	assert_sentence("after 65.0s and 12 years without readings, holds no longer; "
			"frag is 0.950");
	assert_non_null(strstr(written(alert_json), "\"gap_ns\":380160000000000000,"));
}

static void an_end_says_why_and_the_last_values(void **state)
{
	(void)state;
	begin("largest / free drops 50% in 5m and largest / free < 0.5 and frag rising "
	      "5m");
	alert.kind = ALERT_END;
	alert.reason = ALERT_PROCESS_ENDED;
	alert.time_ns += INT64_C(65000000000);
	add(0, 0.25);
	add(1, 0.25);
	add(2, 0.75)->is_last = true;
	assert_sentence("after 65.0s, process ended; largest_free_bytes / free_bytes is "
			"0.250; frag is 0.750");
	assert_non_null(strstr(written(alert_json),
			       "\"of\":\"frag\",\"now\":0.750000000,\"window_ns\":"));
	alert.reason = ALERT_WATCH_ENDED;
	assert_non_null(strstr(written(alert_json), "\"reason\":\"watch ended\""));
}

static void json_has_it_all(void **state)
{
	struct evidence *evidence;

	(void)state;
	begin("r: largest drops 50% in 5m");
	evidence = add(0, 10);
	evidence->was = 40;
	evidence->was_ns = START_NS - INT64_C(1000000000);
	assert_string_equal(
		written(alert_json),
		"{\"time\":\"2023-11-14T22:13:20.000Z\",\"event\":\"begin\",\"rule\":"
		"\"r\","
		"\"severity\":\"warning\",\"pid\":4711,\"comm\":\"a\\\"b\\n\","
		"\"since\":\"2023-11-14T22:13:20.000Z\",\"reason\":\"holds\","
		"\"says\":\"largest drops 50% in 5m\",\"message\":\"largest_free_bytes "
		"fell "
		"from 40 to 10 (75%) in 1.00s\",\"evidence\":[{\"term\":\"drops\","
		"\"of\":\"largest_free_bytes\",\"now\":10,\"was\":40,"
		"\"was_time\":\"2023-11-14T22:13:19.000Z\",\"window_ns\":300000000000}]}"
		"\n");
}

/* The latest value NOW is written as WANT. */
static void assert_now(double now, const char *want)
{
	begin("r: largest > 1");
	add(0, now);
	if (!strstr(written(alert_json), want))
		fail_msg("%s: %s", want, buf);
}

static void json_has_numbers_only(void **state)
{
	struct evidence *evidence;

	(void)state;
	assert_now(0.25, "\"now\":0.250000000}");
	assert_now(-3, "\"now\":-3}");
	assert_now(1e18, "\"now\":1000000000000000000}");
	assert_now(12345678901234.5, "\"now\":12345678901234.50}");
	assert_now(1e300, "\"of\":\"largest_free_bytes\"}");
	begin("frag rising 10m");
	evidence = add(0, 0.5);
	evidence->trend = (struct trend){.slope_per_s = 2.5e-5, .p = 3e-7};
	written(alert_json);
	assert_non_null(strstr(buf, "\"per_second\":0.000025000,"));
	assert_non_null(strstr(buf, "\"p\":0.000000300,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_comparison_tells_its_bound),
		cmocka_unit_test(a_change_tells_from_what),
		cmocka_unit_test(a_trend_tells_how_sure_it_is),
		cmocka_unit_test(a_line_is_one_line),
		cmocka_unit_test(an_end_says_why_and_the_last_values),
		cmocka_unit_test(json_has_it_all),
		cmocka_unit_test(json_has_numbers_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
