/* test_text.c: src/base: the text builder, units and clock. */
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static char buf[256];
static struct text text;

static int setup(void **state)
{
	(void)state;
	text_init(&text, buf, sizeof(buf));
	return 0;
}

static void numbers(void **state)
{
	(void)state;
	text_u64(&text, 0);
	text_char(&text, ' ');
	text_u64(&text, UINT64_MAX);
	text_char(&text, ' ');
	text_i64(&text, INT64_MIN);
	text_char(&text, ' ');
	text_i64(&text, -1);
	text_char(&text, ' ');
	text_hex(&text, 0x7f00deadbeef);
	text_char(&text, ' ');
	text_hex(&text, UINT64_MAX);
	text_char(&text, ' ');
	text_digits(&text, 7, 3);
	text_digits(&text, 1234, 3);
	assert_string_equal(buf, "0 18446744073709551615 -9223372036854775808 -1 "
				 "0x7f00deadbeef 0xffffffffffffffff 0071234");
	assert_false(text.overflow);
}

static void fixed_point(void **state)
{
	static const struct {
		double value;
		unsigned decimals;
		const char *want;
	} cases[] = {
		{0, 4, "0.0000"},
		{-0.0, 4, "0.0000"},
		{1, 0, "1"},
		{0.5, 0, "1"},
		{0.49, 0, "0"},
		{0.12345, 4, "0.1235"},
		{0.99995, 4, "1.0000"},
		{0.99994, 4, "0.9999"},
		{-1.25, 1, "-1.3"},
		{-0.00001, 4, "0.0000"},
		{12345678.5, 2, "12345678.50"},
		{1.0 / 3, 9, "0.333333333"},
		{1e300, 4, "inf"},
		{-INFINITY, 4, "-inf"},
		{NAN, 4, "nan"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_clear(&text);
		text_fixed(&text, cases[i].value, cases[i].decimals);
		assert_string_equal(buf, cases[i].want);
	}
}

static void alignment(void **state)
{
	size_t from;

	(void)state;
	text_string(&text, "<");
	from = text.length;
	text_string(&text, "ab");
	text_align_right(&text, from, 5);
	text_string(&text, "|");
	from = text.length;
	text_string(&text, "cd");
	text_align_left(&text, from, 5);
	text_string(&text, "|");
	from = text.length;
	text_string(&text, "wide");
	text_align_right(&text, from, 3);
	text_align_left(&text, from, 3);
	assert_string_equal(buf, "<   ab|cd   |wide");
}

/* What does not fit leaves the text as it was, and all that follows is refused. */
static void overflow(void **state)
{
	char small[8];

	(void)state;
	memset(small, 'x', sizeof(small));
	text_init(&text, small, sizeof(small) - 1);
	text_string(&text, "1234");
	text_string(&text, "567");
	assert_true(text.overflow);
	assert_string_equal(small, "1234");
	text_char(&text, '5');
	text_repeat(&text, ' ', 1);
	text_align_right(&text, 0, 6);
	assert_string_equal(small, "1234");
	assert_int_equal(small[7], 'x');

	text_clear(&text);
	text_string(&text, "123456");
	assert_false(text.overflow);
	text_align_right(&text, 0, 7);
	assert_true(text.overflow);
	assert_string_equal(small, "123456");
}

static void utf8(void **state)
{
	static const struct {
		const char *string;
		size_t want;
	} cases[] = {
		{"a", 1},
		{"\x7f", 1},
		{"\xc3\xa4", 2},
		{"\xe2\x82\xac", 3},
		{"\xf0\x9f\x98\x80", 4},
		{"\xf4\x8f\xbf\xbf", 4},
		{"\x80", 0},
		{"\xff", 0},
		{"\xc3", 0},	     /* cut short */
		{"\xe2\x82", 0},     /* cut short */
		{"\xf0\x9f\x98", 0}, /* cut short */
		{"\xc0\xaf", 0},     /* a longer form than needed */
		{"\xe0\x80\xaf", 0},
		{"\xed\xa0\x80", 0},	 /* a surrogate */
		{"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(text_utf8_length(cases[i].string), cases[i].want);
}

/* Whether C, written as UTF-8, may be shown as it is. */
static bool shows(uint32_t c)
{
	char s[] = {(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
		    (char)(0x80 | (c & 0x3f)), '\0'};
	char two[] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)), '\0'};
	char one[] = {(char)c, '\0'};
	bool plain;

	assert_int_equal(text_next(c < 0x80    ? one
				   : c < 0x800 ? two
					       : s,
				   &plain),
			 c < 0x80    ? 1
			 : c < 0x800 ? 2
				     : 3);
	return plain;
}

static void what_does_something_is_not_plain(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < 0xd800; c++) {
		bool bad = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c ||
			   c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
			   (c >= 0x2066 && c <= 0x2069);

		if (shows(c) == bad)
			fail_msg("U+%04X", c);
	}
}

static void escapes_are_undone(void **state)
{
	static const struct {
		const char *escaped, *want;
	} cases[] = {
		{"a\\x1b]0;\\xff", "a\x1b]0;\xff"},
		{"\\\\x1b", "\\x1b"},
		{"\\\\\\x0a", "\\\n"},
		{"\\x00", "\\x00"},
		{"\\x1", "\\x1"},
		{"\\", "\\"},
		{"\\x", "\\x"},
		{"\\xAB\\n", "\\xAB\\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(buf, cases[i].escaped);
		text_unescape(buf);
		assert_string_equal(buf, cases[i].want);
	}
}

static void printable(void **state)
{
	(void)state;
	assert_int_equal(
		text_printable(&text, "a\x1b[1m\xc3\xa4\n\xff\xc2\x9b\xc2\xa0", 99), 26);
	assert_string_equal(buf, "a\\x1b[1m\xc3\xa4\\x0a\\xff\\xc2\\x9b\xc2\xa0");
	text_clear(&text);
	assert_int_equal(text_printable(&text, "ab\x1b", 5), 2);
	assert_string_equal(buf, "ab");
	assert_int_equal(text_columns("ab\x1b\xe2\x80\xae"), 18);
	text_clear(&text);
	assert_int_equal(text_printable(&text,
					"\xc3\xa4\xc3\xb6"
					"cd",
					3),
			 3);
	assert_string_equal(buf, "\xc3\xa4\xc3\xb6"
				 "c");
}

struct scale_case {
	uint64_t value;
	const char *want;
};

static void check_scale(void (*scale)(struct text *, uint64_t),
			const struct scale_case *cases, size_t count, size_t width)
{
	for (size_t i = 0; i < count; i++) {
		text_clear(&text);
		scale(&text, cases[i].value);
		assert_string_equal(buf, cases[i].want);
		assert_true(text.length <= width);
	}
}

#define CHECK_SCALE(scale, cases, width) \
	check_scale(scale, cases, sizeof(cases) / sizeof(cases[0]), width)

static void bytes_for_people(void **state)
{
	static const struct scale_case cases[] = {
		{0, "0"},
		{1023, "1023"},
		{1024, "1.00K"},
		{1029, "1.00K"},
		{1030, "1.01K"},
		{10235, "10.0K"}, /* 9.995 */
		{1300000000, "1.21G"},
		{102400, "100K"},
		{1048064, "1.00M"}, /* 1023.5K */
		{1048063, "1023K"},
		{1048576, "1.00M"},
		{UINT64_C(1) << 40, "1.00T"},
		{UINT64_MAX, "16.0E"},
	};

	(void)state;
	CHECK_SCALE(units_bytes, cases, 5);
}

static void numbers_are_whole(void **state)
{
	(void)state;
	assert_true(units_whole(0.4) == 0 && units_whole(0.6) == 1);
	assert_true(units_whole(1e15 + 0.7) == 1000000000000001.0);
	assert_true(units_whole(-5) == 0 && units_whole(NAN) == 0);
	assert_true(units_whole(1e30) == UINT64_MAX &&
		    units_whole(INFINITY) == UINT64_MAX);
}

static void counts_for_people(void **state)
{
	static const struct scale_case cases[] = {
		{0, "0"},	    {99999, "99999"},	   {100000, "100k"},
		{152300, "152k"},   {999499, "999k"},	   {999500, "1.00m"},
		{9350000, "9.35m"}, {UINT64_MAX, "18.4e"},
	};

	(void)state;
	CHECK_SCALE(units_count, cases, 5);
}

static void times_for_people(void **state)
{
	static const struct scale_case cases[] = {
		{0, "0ns"},
		{999, "999ns"},
		{1000, "1.00us"},
		{999499, "999us"},
		{999500, "1.00ms"},
		{12300000, "12.3ms"},
		{365000000, "365ms"},
		{999500000, "1.00s"},
		{UINT64_C(90000000000), "90.0s"},
	};

	(void)state;
	CHECK_SCALE(units_ns, cases, 6);
}

static void ratios_for_people(void **state)
{
	static const struct {
		double value;
		const char *want;
	} cases[] = {
		{0, "0.000"},	   {0.95, "0.950"},   {9.9994, "9.999"},
		{9.9995, "10.00"}, {12.344, "12.34"}, {123.44, "123.4"},
		{1234.4, "1234"},  {99999, "99999"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_clear(&text);
		units_ratio(&text, cases[i].value);
		assert_string_equal(buf, cases[i].want);
	}
}

static void parse_bytes(void **state)
{
	static const struct {
		const char *string;
		int error;
		uint64_t want;
	} cases[] = {
		{"0", 0, 0},
		{"64K", 0, 65536},
		{"64k", 0, 65536},
		{"1M", 0, 1048576},
		{"3G", 0, UINT64_C(3) << 30},
		{"2T", 0, UINT64_C(2) << 40},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999T", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1.5K", -EINVAL, 0},
		{"64Q", -EINVAL, 0},
		{"64KB", 0, 65536},
		{"10MB", 0, 10485760},
		{"10MiB", 0, 10485760},
		{"3gib", 0, UINT64_C(3221225472)},
		{"30B", 0, 30},
		{"30BB", -EINVAL, 0},
		{"30iB", -EINVAL, 0},
		{"64KBs", -EINVAL, 0},
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(units_parse_bytes(cases[i].string, &value),
				 cases[i].error);
		if (!cases[i].error)
			assert_true(value == cases[i].want);
	}
}

static void parse_ns(void **state)
{
	static const struct {
		const char *string;
		int error;
		int64_t want;
	} cases[] = {
		{"1", 0, 1000000000},
		{"0", 0, 0},
		{"0.5", 0, 500000000},
		{".5", 0, 500000000},
		{"500ms", 0, 500000000},
		{"10s", 0, INT64_C(10000000000)},
		{"5m", 0, INT64_C(300000000000)},
		{"1.5h", 0, INT64_C(5400000000000)},
		{"250us", 0, 250000},
		{"7ns", 0, 7},
		{"0.0000000019", 0, 1},
		{"9223372036.854775807", 0, INT64_MAX},
		{"9223372036.854775808", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"", -EINVAL, 0},
		{".", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"1,5", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"5min", 0, INT64_C(300000000000)},
		{"5minutes", 0, INT64_C(300000000000)},
		{"30sec", 0, INT64_C(30000000000)},
		{"1.5hours", 0, INT64_C(5400000000000)},
		{"2d", 0, 172800000000000},
		{"1w", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
	};
	int64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(units_parse_ns(cases[i].string, &value), cases[i].error);
		if (!cases[i].error)
			assert_true(value == cases[i].want);
	}
}

static void parse_count(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(units_parse_count("42", &value), 0);
	assert_int_equal(value, 42);
	assert_int_equal(units_parse_count("42x", &value), -EINVAL);
	assert_int_equal(units_parse_count("18446744073709551620", &value), -ERANGE);
}

static void rfc3339(void **state)
{
	static const struct {
		int64_t ns;
		const char *want;
	} cases[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{INT64_C(1795238263123999999), "2026-11-21T05:17:43.123Z"},
		{INT64_C(951782400000000000), "2000-02-29T00:00:00.000Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_clear(&text);
		clock_rfc3339(&text, cases[i].ns);
		assert_string_equal(buf, cases[i].want);
	}
}

static void local_time(void **state)
{
	(void)state;
	setenv("TZ", "TST-2:30", 1);
	tzset();
	clock_local(&text, INT64_C(1795238263123999999));
	assert_string_equal(buf, "07:47:43");
}

static void wait_until(void **state)
{
	int64_t due = clock_monotonic_ns() + 2000000;

	(void)state;
	assert_int_equal(clock_wait_until(due, NULL), 0);
	assert_true(clock_monotonic_ns() >= due);
	assert_int_equal(clock_wait_until(due, NULL), 0); /* in the past: at once */
}

static void on_signal(int number)
{
	(void)number;
}

/* A signal that is pending when the wait begins ends it, though it was blocked before. */
static void wait_is_interrupted(void **state)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t usr1, before;

	(void)state;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &usr1, &before);
	raise(SIGUSR1);
	assert_int_equal(clock_wait_until(INT64_MAX, &before), -EINTR);
	raise(SIGUSR1);
	assert_int_equal(clock_wait_until(0, &before), -EINTR);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void units_as_strings(void **state)
{
	(void)state;
	assert_string_equal(units_bytes_text(1536).s, "1.50K");
	assert_string_equal(units_count_text(99999).s, "99999");
	assert_string_equal(units_ns_text(1210000).s, "1.21ms");
	assert_string_equal(units_share_text(0.97).s, "97%");
	assert_string_equal(units_share_text(0.004).s, "0.4%");
	assert_string_equal(units_share_text(0.998).s, "99.8%");
	assert_string_equal(units_share_text(1).s, "100%");
	assert_string_equal(units_share_text(0).s, "0%");
	assert_string_equal(units_span_text(4.56).s, "4.6 s");
	assert_string_equal(units_span_text(12).s, "12 s");
	assert_string_equal(units_span_text(120).s, "2.0 min");
	assert_string_equal(units_span_text(7200).s, "2.0 hours");
	assert_string_equal(units_span_text(3.0 * 86400).s, "3.0 days");
	assert_string_equal(units_span_text(1e9).s, "32 years");
	assert_string_equal(units_span_text(1e30).s, "over 1000 years");
}

static void things_are_counted(void **state)
{
	(void)state;
	assert_string_equal(units_counted_text(1, "chunk").s, "1 chunk");
	assert_string_equal(units_counted_text(0, "chunk").s, "0 chunks");
	assert_string_equal(units_counted_text(250000, "free chunk").s,
			    "250k free chunks");
	assert_string_equal(units_counted_text(2, "process").s, "2 processes");
	assert_string_equal(units_counted_text(2, "entry").s, "2 entries");
	assert_string_equal(units_counted_text(2, "day").s, "2 days");
	assert_string_equal(units_ordinal_text(1).s, "1st");
	assert_string_equal(units_ordinal_text(12).s, "12th");
	assert_string_equal(units_ordinal_text(22).s, "22nd");
	assert_string_equal(units_ordinal_text(103).s, "103rd");
	assert_string_equal(units_ordinal_text(111).s, "111th");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers, setup),
		cmocka_unit_test_setup(fixed_point, setup),
		cmocka_unit_test_setup(alignment, setup),
		cmocka_unit_test_setup(overflow, setup),
		cmocka_unit_test(utf8),
		cmocka_unit_test_setup(printable, setup),
		cmocka_unit_test(what_does_something_is_not_plain),
		cmocka_unit_test(escapes_are_undone),
		cmocka_unit_test_setup(bytes_for_people, setup),
		cmocka_unit_test(numbers_are_whole),
		cmocka_unit_test_setup(counts_for_people, setup),
		cmocka_unit_test_setup(times_for_people, setup),
		cmocka_unit_test_setup(ratios_for_people, setup),
		cmocka_unit_test(parse_bytes),
		cmocka_unit_test(parse_ns),
		cmocka_unit_test(parse_count),
		cmocka_unit_test_setup(rfc3339, setup),
		cmocka_unit_test_setup(local_time, setup),
		cmocka_unit_test(wait_until),
		cmocka_unit_test(wait_is_interrupted),
		cmocka_unit_test(units_as_strings),
		cmocka_unit_test(things_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
