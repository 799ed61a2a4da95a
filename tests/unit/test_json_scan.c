/* test_json_scan.c: JSON taken apart: what is none is refused, wherever it is cut. */
#include "base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char out[64];

static bool skips(const char *text)
{
	struct json_scan scan;

	json_scan_init(&scan, text);
	json_scan_skip(&scan);
	return json_scan_ends(&scan);
}

static bool takes_string(const char *text, const char *want)
{
	struct json_scan scan;

	json_scan_init(&scan, text);
	json_scan_string(&scan, out, sizeof(out));
	return json_scan_ends(&scan) && !strcmp(out, want);
}

static void values_are_passed_over(void **state)
{
	static const char *const good[] = {
		"1",
		"-0.5e+7",
		" \"a\\\"b\" ",
		"true",
		"false",
		"null",
		"{}",
		"[]",
		"[[],{}]",
		"{\"a\":1}",
		"[1, 2 , 3]",
		"{\"a\":{\"b\":[null]}}",
		"[1.25]",
		"{ \"a\" : \"\\u00e9\" , \"b\" : [ ] }",
	};
	static const char *const bad[] = {
		"",	 "01",	"1.",	  "1e",	     "-",	   "+1",  "tru",
		"nul",	 "\"a", "\"\\",	  "[",	     "[1",	   "[1,", "[1,]",
		"{",	 "{}}", "{\"a\"", "{\"a\":", "{a:1}",	   "[1}", "{\"a\":1]",
		"{1:2}", "[,]", "1 2",	  "\"\t\"",  "{\"a\":1,}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!skips(good[i]))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (skips(bad[i]))
			fail_msg("%s", bad[i]);
}

static void depth_is_bounded(void **state)
{
	char deep[400];

	(void)state;
	memset(deep, '[', 60);
	memset(deep + 60, ']', 60);
	deep[120] = '\0';
	assert_true(skips(deep));
	memset(deep, '[', 200);
	memset(deep + 200, ']', 199);
	deep[399] = '\0';
	assert_false(skips(deep));
}

static void strings_are_unescaped(void **state)
{
	(void)state;
	assert_true(takes_string("\"\"", ""));
	assert_true(takes_string("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t"));
	assert_true(takes_string("\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"));
	assert_true(takes_string("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"));
	assert_true(takes_string("\"\\ufffd\"", "\xff"));
	assert_true(takes_string("\"\xef\xbf\xbd\"", "\xef\xbf\xbd"));
	assert_false(takes_string("\"\\u0000\"", ""));
	assert_false(takes_string("\"\\ud83d\"", ""));
	assert_false(takes_string("\"\\ude00\"", ""));
	assert_false(takes_string("\"\\x\"", ""));
	assert_false(takes_string("\"\\u12", ""));
	assert_false(takes_string("7", ""));
}

static void what_does_not_fit_is_said(void **state)
{
	struct json_scan scan;

	(void)state;
	json_scan_init(&scan, "\"abcdefgh\"");
	json_scan_string(&scan, out, 8);
	assert_true(scan.failed && scan.too_long);
	json_scan_init(&scan, "\"abcdefg\"");
	json_scan_string(&scan, out, 8);
	assert_false(scan.failed);
	json_scan_init(&scan, "12345678");
	json_scan_number(&scan, out, 8);
	assert_true(scan.failed && scan.too_long);
	json_scan_init(&scan, "1234567 ");
	json_scan_number(&scan, out, 8);
	assert_true(json_scan_ends(&scan));
	assert_string_equal(out, "1234567");
	json_scan_init(&scan, "true");
	json_scan_number(&scan, out, 8);
	assert_true(scan.failed && !scan.too_long);
}

static void members_come_one_by_one(void **state)
{
	struct json_scan scan;
	bool inside = false, list = false;

	(void)state;
	json_scan_init(&scan, " { \"a\" : 1 , \"b\" : [ 2 , 3 ] } ");
	assert_int_equal(json_scan_peek(&scan), '{');
	assert_true(json_scan_next(&scan, '{', &inside));
	json_scan_key(&scan, out, sizeof(out));
	assert_string_equal(out, "a");
	assert_int_equal(json_scan_peek(&scan), '0');
	json_scan_number(&scan, out, sizeof(out));
	assert_true(json_scan_next(&scan, '{', &inside));
	json_scan_key(&scan, out, sizeof(out));
	assert_true(json_scan_next(&scan, '[', &list));
	json_scan_skip(&scan);
	assert_true(json_scan_next(&scan, '[', &list));
	json_scan_skip(&scan);
	assert_false(json_scan_next(&scan, '[', &list));
	assert_false(json_scan_next(&scan, '{', &inside));
	assert_true(json_scan_ends(&scan));
	assert_int_equal(json_scan_peek(&scan), '\0');
}

/* Every prefix of a text, in memory of its own length: nothing reads behind the end. */
static void a_text_may_be_cut_anywhere(void **state)
{
	static const char text[] = "{\"a\\u20ac\\ud83d\\ude00\":[1.5e-3,true,null,{\"b\":"
				   "\"\\\\\"}],\"c\":{},\"d\":-12}";

	(void)state;
	for (size_t length = 0; length < sizeof(text) - 1; length++) {
		char *cut = malloc(length + 1);
		struct json_scan scan;
		bool inside = false;

		memcpy(cut, text, length);
		cut[length] = '\0';
		assert_false(skips(cut));
		json_scan_init(&scan, cut);
		while (json_scan_next(&scan, '{', &inside)) {
			json_scan_key(&scan, out, sizeof(out));
			json_scan_skip(&scan);
		}
		assert_false(json_scan_ends(&scan));
		free(cut);
	}
	assert_true(skips(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_passed_over),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(strings_are_unescaped),
		cmocka_unit_test(what_does_not_fit_is_said),
		cmocka_unit_test(members_come_one_by_one),
		cmocka_unit_test(a_text_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
