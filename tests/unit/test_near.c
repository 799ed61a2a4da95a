/* test_near.c: which word was meant. */
#include "base/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const words[] = {"arenas",  "csv",	  "json",   "source",
				    "swap-in", "threads", "output", "no-header"};

static const char *nearest(const char *word)
{
	struct near near = near_of(word, strlen(word));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		near_offer(&near, words[i]);
	return near.best ? near.best : "";
}

static void slips(void **state)
{
	static const struct {
		const char *word, *want;
	} cases[] = {
		{"arenas", "arenas"},
		{"arean", "arenas"},
		{"areans", "arenas"},
		{"aernas", "arenas"},
		{"cvs", "csv"},
		{"jsno", "json"},
		{"sourc", "source"},
		{"ssource", "source"},
		{"sauce", "source"},
		{"thread", "threads"},
		{"no", "no-header"},
		{"noheader", "no-header"},
		{"swapin", "swap-in"},
		{"n", ""},
		{"", ""},
		{"x", ""},
		{"verbose", ""},
		{"banana", ""},
		{"ab", ""},
		{"outputoutputoutputoutputoutputoutput", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(nearest(cases[i].word), cases[i].want);
}

/* Of equals the first; of a part, the whole is meant. */
static void parts(void **state)
{
	struct near near = near_of("larget_free=1", strlen("larget_free"));

	(void)state;
	near_offer(&near, "largest_free_bytes");
	assert_null(near.best);
	near_offer_part(&near, "largest_free_bytes", strlen("largest_free"));
	assert_string_equal(near.best, "largest_free_bytes");
	near_offer(&near, "largit_free");
	assert_string_equal(near.best, "largest_free_bytes");
	near_offer(&near, "larget_free");
	assert_string_equal(near.best, "larget_free");
}

static void questions(void **state)
{
	struct near near = near_of("arean", 5);
	char buf[NEAR_TEXT];

	(void)state;
	assert_string_equal(near_question(&near, "--", buf), "");
	near_offer(&near, "arenas");
	assert_string_equal(near_question(&near, "--", buf),
			    ": did you mean '--arenas'?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips),
		cmocka_unit_test(parts),
		cmocka_unit_test(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
