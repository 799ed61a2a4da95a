/* test_keys.c: the table of keys is whole: nothing is bound twice at a place, everything
 * can be reached, and what the footer shows is explained. */
#include "tui/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void no_key_is_bound_twice_at_a_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_binding_count; i++)
		for (size_t j = 0; j < i; j++)
			if (key_bindings[i].code == key_bindings[j].code)
				assert_int_equal(key_bindings[i].places &
							 key_bindings[j].places,
						 0);
}

static void every_action_has_a_key_and_is_explained(void **state)
{
	/* Those that any reader of a screen knows. */
	const uint64_t known = UINT64_C(1) << ACTION_UP | UINT64_C(1) << ACTION_DOWN |
			       UINT64_C(1) << ACTION_LEFT | UINT64_C(1) << ACTION_RIGHT |
			       UINT64_C(1) << ACTION_PAGE_UP |
			       UINT64_C(1) << ACTION_PAGE_DOWN |
			       UINT64_C(1) << ACTION_FIRST | UINT64_C(1) << ACTION_LAST;
	/* The other direction's key tells of these. */
	const uint64_t paired =
		UINT64_C(1) << ACTION_LATER | UINT64_C(1) << ACTION_MUCH_LATER |
		UINT64_C(1) << ACTION_ZOOM_OUT | UINT64_C(1) << ACTION_PREVIOUS_TARGET |
		UINT64_C(1) << ACTION_PREVIOUS_ARENA;
	uint64_t bound = 0, told = known | paired;

	(void)state;
	for (size_t i = 0; i < key_binding_count; i++) {
		bound |= UINT64_C(1) << key_bindings[i].action;
		if (key_bindings[i].name && key_bindings[i].help)
			told |= UINT64_C(1) << key_bindings[i].action;
	}
	for (unsigned action = ACTION_NONE + 1; action <= ACTION_QUIT; action++) {
		assert_true(bound >> action & 1);
		assert_true(told >> action & 1);
	}
}

static void what_is_shown_is_short_and_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_binding_count; i++) {
		const struct key_binding *binding = &key_bindings[i];

		assert_true(!binding->label || binding->name);
		assert_true(!binding->help || binding->name);
		assert_true(!binding->label || strlen(binding->label) <= 7);
		assert_true(!binding->name || strlen(binding->name) <= 6);
		for (const char *c = binding->name; c && *c; c++)
			assert_in_range(*c, ' ', '~');
	}
}

static void a_key_is_found_where_it_holds(void **state)
{
	(void)state;
	assert_int_equal(key_find('q', PLACE_MAP)->action, ACTION_QUIT);
	assert_int_equal(key_find('4', PLACE_EVENTS)->argument, 3);
	assert_int_equal(key_find(PRESS_LEFT, PLACE_MAP)->action, ACTION_LEFT);
	assert_int_equal(key_find(PRESS_LEFT, PLACE_OVERVIEW)->action, ACTION_EARLIER);
	assert_int_equal(key_find(PRESS_ENTER, PLACE_PICKER)->action, ACTION_ENTER);
	assert_null(key_find('q', PLACE_PICKER)); /* it is typed there */
	assert_null(key_find('s', PLACE_OVERVIEW));
	assert_null(key_find(0x1F600, PLACE_ANY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_key_is_bound_twice_at_a_place),
		cmocka_unit_test(every_action_has_a_key_and_is_explained),
		cmocka_unit_test(what_is_shown_is_short_and_plain),
		cmocka_unit_test(a_key_is_found_where_it_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
