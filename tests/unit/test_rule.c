/* test_rule.c: what the language of rules takes, and where it says it is wrong. */
#include "analysis/rule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct rules rules;
static struct fault fault;

static const struct rule *good(const char *text)
{
	int error = rules_add(&rules, text, &fault);

	if (error)
		fail_msg("'%s': %s", text, fault.text);
	return &rules.rule[rules.count - 1];
}

static int start(void **state)
{
	(void)state;
	memset(&rules, 0, sizeof(rules));
	return 0;
}

static void a_comparison_is_read(void **state)
{
	const struct rule *rule =
		good("big: free_resident > 64M for 1m severity critical");

	(void)state;
	assert_string_equal(rule->name, "big");
	assert_string_equal(rule->text, "free_resident > 64M for 1m severity critical");
	assert_int_equal(rule->severity, SEVERITY_CRITICAL);
	assert_int_equal(rule->for_ns, INT64_C(60000000000));
	assert_int_equal(rule->term_count, 1);
	assert_int_equal(rule->term[0].kind, TERM_COMPARE);
	assert_int_equal(rule->term[0].comparison, COMPARE_MORE);
	assert_int_equal(rule->term[0].quantity.a, FIG_FREE_RESIDENT_BYTES);
	assert_float_equal(rule->term[0].value, 64 * 1048576.0, 0);
}

static void the_rules_that_people_ask_for_are_read(void **state)
{
	static const char *const texts[] = {
		"largest_free drops 50% in 5m",
		"free_chunks rising 10m while free_bytes flat",
		"frag > 0.9 and free_resident > 64M for 1m",
		"limit < 10%",
		"failed_allocs > 0",
		"rss rises 9M in 1h or (swap > 0 and not live falling 10m by 2M at 0.1%)",
		"free_bytes - largest_free rising 30s until frag<0.5",
		"mallinfo2.keepcost==0",
		"pause > 5ms severity note",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		good(texts[i]);
	assert_string_equal(rules.rule[2].name, "rule-3");
	assert_true(rules_need_limit(&rules));
	assert_true(rules_need(&rules, FIG_FAILED_ALLOCATIONS));
	assert_false(rules_need(&rules, FIG_GROWTH_EVENTS));
}

static void terms_have_their_windows_and_values(void **state)
{
	const struct rule *rule = good("free_chunks rising 10m while free_bytes flat");

	(void)state;
	assert_int_equal(rule->term[1].kind, TERM_FLAT);
	assert_int_equal(rule->term[1].window_ns, INT64_C(600000000000));
	assert_true(rule->term[1].is_share);
	assert_float_equal(rule->term[0].value, 0.1, 0);
	assert_float_equal(rule->term[0].significance, 0.01, 0);
	rule = good("limit < 10%");
	assert_float_equal(rule->term[0].value, 0.1, 1e-12);
	rule = good("largest_free / free drops 0.25 in 1m");
	assert_int_equal(rule->term[0].quantity.kind, QUANTITY_RATIO);
	assert_false(rule->term[0].is_share);
	assert_float_equal(rule->term[0].value, 0.25, 0);
}

static void units_may_be_words_of_their_own(void **state)
{
	static const char *const same[] = {
		"rss drops 10MB in 5m",	       "rss drops 10 MB in 5m",
		"rss drops 10MiB in 5minutes", "rss drops 10 M in 5 minutes",
		"rss drops 10M in 5min",       "rss drops 10485760B in 300 s",
	};
	const struct rule *rule;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		rule = good(same[i]);
		assert_float_equal(rule->term[0].value, 10485760, 0);
		assert_int_equal(rule->term[0].window_ns, INT64_C(300000000000));
	}
	rule = good("rss drops 50 % in 5 m for 1 min severity note");
	assert_true(rule->term[0].is_share);
	assert_float_equal(rule->term[0].value, 0.5, 0);
	assert_int_equal(rule->for_ns, INT64_C(60000000000));
	rule = good("rss > 5 or swap > 10 while frag > 50 %");
	assert_float_equal(rule->term[0].value, 5, 0);
	assert_float_equal(rule->term[2].value, 0.5, 0);
}

/* Of each of them the other side of the bound can hold. */
static void rules_at_the_bounds_are_read(void **state)
{
	static const char *const texts[] = {
		"limit <= 0",
		"limit < 100%",
		"frag > 0",
		"frag >= 1",
		"frag != 0",
		"slack > 2",
		"rss > 0",
		"swap == 0",
		"swap != 0",
		"free - largest_free >= 0",
		"free - live < 0",
		"rss / live > 2",
		"rss drops 100% in 5m",
		"frag rises 1 in 5m",
		"frag rises 400% in 5m",
		"free - live drops 150% in 5m",
		"rss rising 5m by 300%",
		"rss rising 5m by 0%",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		good(texts[i]);
}

static void what_never_or_always_holds_is_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} wrong[] = {
		{"limit < 10", "column 9: limit is between 0 and 1: this always holds. "
			       "Is it 10%?"},
		{"frag > 2", "column 8: frag is between 0 and 1: this never holds"},
		{"frag > 150%", "column 8: frag is between 0 and 1: this never holds"},
		{"frag > 1", "this never holds"},
		{"frag <= 1", "this always holds"},
		{"frag == 2", "this never holds"},
		{"frag != 2", "this always holds"},
		{"unusable >= 0", "column 13: unusable is between 0 and 1: this always"},
		{"rss < 0", "column 7: rss_bytes is never below 0: this never holds"},
		{"rss >= 0", "rss_bytes is never below 0: this always holds"},
		{"rss / live < 0", "rss_bytes / live_bytes is never below 0: this never"},
		{"rss > 1 until frag >= 0", "column 23: frag is between"},
		{"rss drops 150% in 5m", "column 11: nothing drops by more than 100%"},
		{"rss drops 0% in 5m", "column 11: a change by 0 is none"},
		{"rss rises 0 in 5m", "column 11: a change by 0 is none"},
		{"limit drops 10 in 5m", "column 13: limit is between 0 and 1: it cannot "
					 "move so far. Is it 10%?"},
		{"limit falling 10m by 5", "column 22: limit is between 0 and 1: it "
					   "cannot move so far. Is it 5%?"},
		{"rss > -5M", "column 7: '-' where a size"},
		{"largest_free drops 30 in 5m",
		 "column 20: '30': 30% or 30M? Give a unit (B for bytes)"},
		{"rss rising 5m by 30", "column 18: '30': 30% or 30M?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(rules_add(&rules, wrong[i].text, &fault), -EINVAL);
		if (!strstr(fault.text, wrong[i].want))
			fail_msg("'%s': %s", wrong[i].text, fault.text);
	}
}

static void and_binds_before_or(void **state)
{
	static const enum step_kind want[] = {STEP_TERM, STEP_TERM, STEP_TERM,
					      STEP_NOT,	 STEP_AND,  STEP_OR};
	const struct rule *rule = good("frag > 0.5 or rss > 1 and not swap > 2");

	(void)state;
	assert_int_equal(rule->when.count, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(rule->when.step[i].kind, want[i]);
}

static void errors_name_the_column(void **state)
{
	static const struct {
		const char *text, *want;
	} wrong[] = {
		{"", "column 1: a figure is missing here"},
		{"frag",
		 "column 5: a comparison, drops, rises, rising, falling or flat is"},
		{"frag > ", "column 8: a number or a share (50%) is missing"},
		{"frag > 1x", "column 8: '1x' where a number"},
		{"rss > 5ms", "column 7: '5ms' where a size (512K, 64M)"},
		{"rss drops 50% on 5m", "column 15: 'on' where 'in' and a time"},
		{"rss drops 50% in 25h", "column 18: '25h' is longer than 24h"},
		{"rss rising", "column 11: a time, such as 30s, 5m or 2h is missing"},
		{"free flat", "column 10: a time"},
		{"free - frag > 1", "column 8: 'frag' has another unit than free_bytes"},
		{"(rss > 1", "column 9: ')' is missing here"},
		{"rss > 1 for 1m for 2m", "column 20: a second 'for'"},
		{"rss > 1 often", "column 9: 'often' where and, or, while"},
		{"rss > 1 severity high",
		 "column 18: 'high' where note, warning or critical"},
		{"a b: rss > 1", "column 1: there is no figure 'a'"},
		{": rss > 1", "column 1: a name has 1 to 31"},
		{"rss rising 5m at 60%",
		 "column 18: '60%' where a share between 0% and 50%"},
		{"((((((((( rss > 1 )))))))))", "nested too deeply"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int error = rules_add(&rules, wrong[i].text, &fault);

		assert_int_equal(error, -EINVAL);
		if (!strstr(fault.text, wrong[i].want))
			fail_msg("'%s': %s", wrong[i].text, fault.text);
		assert_int_equal(fault.status, EXIT_USAGE);
	}
}

static void a_file_has_a_section_a_rule(void **state)
{
	static const char text[] = "# mine\n"
				   "[crumbs]\n"
				   "when = frag > 0.9 and free > 64M\n"
				   "for = 1m\n"
				   "until = frag\n"
				   "\t  <  0.7\n"
				   "severity = critical\n"
				   "\n"
				   "; the other\n"
				   "[near-limit]\r\n"
				   "when = limit < 10% for 5s\r\n";

	(void)state;
	assert_int_equal(rules_add_file(&rules, "f", text, strlen(text), &fault), 0);
	assert_int_equal(rules.count, 2);
	assert_string_equal(rules.rule[0].name, "crumbs");
	assert_string_equal(
		rules.rule[0].text,
		"frag > 0.9 and free > 64M for 1m until frag < 0.7 severity critical");
	assert_int_equal(rules.rule[0].until.count, 1);
	assert_int_equal(rules.rule[1].for_ns, INT64_C(5000000000));
}

static void errors_in_files_name_the_line(void **state)
{
	static const struct {
		const char *text, *want;
	} wrong[] = {
		{"", "f:1:1: there is no rule in this file"},
		{"when = rss > 1\n", "f:1:1: 'when' where [NAME]"},
		{"[a]\n", "f:2:1: the rule 'a' before this has no 'when'"},
		{"[a]\nwhen = rss > 1\n[a]\nwhen = rss > 1\n",
		 "f:3:2: a second rule 'a'"},
		{"[a]\nwhen = rss > 1\nwhen = rss > 2\n", "f:3:8: a second 'when'"},
		{"[a]\n\n  when = rss >> 1\n", "f:3:15: '>' where a size"},
		{"[a]\nhow = 1\n", "f:2:1: 'how' where when, for, until or severity"},
		{"[a\n", "f:1:3: ']' is missing here"},
		{"[a]\nwhen = rss > 1\n  and rss > x\n", "f:3:13: 'x' where a size"},
		{"[a]\nwhen = rss > 1\n and\n\n", "f:3:5: a figure is missing"},
		{"[a] x\n", "f:1:5: 'x' where the line's end"},
		{"[a]\nfor = 1m 2\n", "f:2:10: '2' where the line's end"},
		{"[a]\nfor 1m\n", "f:2:5: '1m' where '='"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		rules.count = 0;
		assert_int_equal(rules_add_file(&rules, "f", wrong[i].text,
						strlen(wrong[i].text), &fault),
				 -EINVAL);
		if (!strstr(fault.text, wrong[i].want))
			fail_msg("'%s': %s", wrong[i].text, fault.text);
	}
}

static void a_nul_hides_no_rule(void **state)
{
	static const char text[] = "[a]\nwhen = rss > 1\n# \0\n[b]\nwhen = rss > 2\n";

	(void)state;
	assert_int_equal(rules_add_file(&rules, "f", text, sizeof(text) - 1, &fault),
			 -EINVAL);
	assert_string_equal(fault.text, "f:3:3: a NUL byte: this is no text file");
}

/* "rss > 1", and so many terms more. */
static const char *many(const char *more, unsigned count)
{
	static char buf[1024];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	text_string(&text, "rss > 1");
	while (count--)
		text_string(&text, more);
	return buf;
}

static void rules_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RULES_MAX; i++)
		good("rss > 1");
	assert_int_equal(rules_add(&rules, "rss > 1", &fault), -EINVAL);
	rules.count = 0;
	assert_int_equal(rules_add(&rules, many(" and rss > 1", RULE_TERMS), &fault),
			 -EINVAL);
	assert_non_null(strstr(fault.text, "too long: 12 terms at most"));
	assert_int_equal(rules_add(&rules,
				   many(" and live_resident_bytes > 00000000000000000001",
					RULE_TERMS - 1),
				   &fault),
			 -EINVAL);
	assert_non_null(strstr(fault.text, "too long: 319 characters at most"));
	assert_int_equal(rules.count, 0);
}

static void default_rules_fit_any_interval(void **state)
{
	static const int64_t intervals_s[] = {0, 1, 7, 60, 1800, 7200};

	(void)state;
	for (size_t i = 0; i < sizeof(intervals_s) / sizeof(intervals_s[0]); i++) {
		int64_t interval_ns = intervals_s[i] * INT64_C(1000000000);

		rules.count = 0;
		rules_add_defaults(&rules, interval_ns);
		assert_int_equal(rules.count, 4);
		if (rules_fit(&rules, interval_ns, &fault))
			fail_msg("%s", fault.text);
	}
	rules.count = 0;
	good("rss rising 30s");
	assert_int_equal(rules_fit(&rules, INT64_C(10000000000), &fault), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_comparison_is_read, start),
		cmocka_unit_test_setup(the_rules_that_people_ask_for_are_read, start),
		cmocka_unit_test_setup(terms_have_their_windows_and_values, start),
		cmocka_unit_test_setup(units_may_be_words_of_their_own, start),
		cmocka_unit_test_setup(rules_at_the_bounds_are_read, start),
		cmocka_unit_test_setup(what_never_or_always_holds_is_refused, start),
		cmocka_unit_test_setup(and_binds_before_or, start),
		cmocka_unit_test_setup(errors_name_the_column, start),
		cmocka_unit_test_setup(a_file_has_a_section_a_rule, start),
		cmocka_unit_test_setup(errors_in_files_name_the_line, start),
		cmocka_unit_test_setup(a_nul_hides_no_rule, start),
		cmocka_unit_test_setup(rules_are_bounded, start),
		cmocka_unit_test_setup(default_rules_fit_any_interval, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
