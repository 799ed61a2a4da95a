/* test_top_actions.c: the table of actions is whole: nothing is bound twice at a place,
 * what is bound is explained, and the man page has the keys as the help has them. */
#include "base/text.h"
#include "top/actions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct action *find(uint32_t code, unsigned place)
{
	int argument;

	return action_of_key(&top_actions, code, place, &argument);
}

/* A key, or a spot, is of one row at each place. */
static void nothing_is_bound_twice_at_a_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < top_actions.count; i++) {
		const struct action *action = &top_actions.action[i];

		for (unsigned bit = 0; bit <= PANE_COUNT; bit++) {
			if (!(action->places & PLACE(bit)))
				continue;
			for (unsigned k = 0; k < ACTION_KEYS && action->keys[k]; k++)
				assert_ptr_equal(find(action->keys[k], PLACE(bit)),
						 action);
			for (unsigned k = 0; k < action->span; k++)
				assert_ptr_equal(find(action->keys[0] + k, PLACE(bit)),
						 action);
			if (action->spot)
				assert_ptr_equal(action_of_spot(&top_actions,
								action->spot, PLACE(bit)),
						 action);
		}
	}
}

static bool is_told_of(action_fn *act)
{
	for (size_t i = 0; i < top_actions.count; i++)
		if (top_actions.action[i].act == act && top_actions.action[i].help)
			return true;
	return false;
}

/* Some row that does the same says so, or the row before does the opposite and is told
 * of. What any reader of a screen knows, and the mouse, need no words. */
static bool is_explained(size_t i)
{
	const struct action *action = &top_actions.action[i];

	if (action->keys[0] >= PRESS_UP || action->spot)
		return true;
	return is_told_of(action->act) || (i && is_told_of(action[-1].act));
}

static void every_action_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < top_actions.count; i++) {
		const struct action *action = &top_actions.action[i];

		assert_non_null(action->act);
		assert_true(action->places);
		assert_true(action->keys[0] || action->spot);
		if (!is_explained(i))
			fail_msg("row %zu of the table is explained nowhere", i);
	}
}

static void what_is_shown_is_short_and_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < top_actions.count; i++) {
		const struct action *action = &top_actions.action[i];

		assert_true(!action->label || action->name);
		assert_true(!action->help || action->name);
		assert_true(!action->label || strlen(action->label) <= 7);
		assert_true(!action->name || strlen(action->name) <= 6);
		for (const char *c = action->name; c && *c; c++)
			assert_in_range(*c, ' ', '~');
	}
}

static void a_key_is_found_where_it_holds(void **state)
{
	int argument = 0;

	(void)state;
	assert_non_null(find('q', PLACE(PANE_MAP)));
	assert_null(find('q', PLACE_PICKER)); /* it is typed there */
	assert_non_null(find(PRESS_F10, PLACE_PICKER));
	assert_ptr_equal(find(PRESS_F1, PLACE(PANE_MAP)), find('?', PLACE(PANE_MAP)));
	assert_ptr_equal(find('h', PLACE(PANE_MAP)), find('?', PLACE(PANE_MAP)));
	action_of_key(&top_actions, '4', PLACE(PANE_EVENTS), &argument);
	assert_int_equal(argument, PANE_SIZES);
	action_of_key(&top_actions, PRESS_F2, PLACE(PANE_EVENTS), &argument);
	assert_int_equal(argument, PANE_ARENAS);
	action_of_key(&top_actions, '0' + PANE_COUNT, PLACE(PANE_MAP), &argument);
	assert_int_equal(argument, PANE_COUNT - 1);
	assert_null(find('1' + PANE_COUNT, PLACE(PANE_MAP)));
	assert_ptr_not_equal(find(PRESS_LEFT, PLACE(PANE_MAP)),
			     find(PRESS_LEFT, PLACE(PANE_OVERVIEW)));
	assert_null(find('s', PLACE(PANE_OVERVIEW)));
	assert_null(find(0x1F600, PLACE_ANY));
	assert_null(find(PRESS_NONE, PLACE_ANY));
}

/* ---- the man page ---- */

enum { PAGE_BYTES = 1 << 17, LINE_COLUMNS = 78 };

static char page[PAGE_BYTES], wanted[PAGE_BYTES];

/* HELP as a sentence in lines of the page. */
static void add_help(struct text *text, const char *help)
{
	size_t column = 0;

	while (*help) {
		size_t length = strcspn(help, " ");

		if (column && column + 1 + length > LINE_COLUMNS) {
			text_char(text, '\n');
			column = 0;
		} else if (column) {
			text_char(text, ' ');
			column++;
		}
		/* No line begins as a request does. */
		if (!column && (*help == '.' || *help == '\''))
			text_string(text, "\\&");
		text_bytes(text, help, length);
		column += length;
		help += length;
		help += *help == ' ';
	}
	text_char(text, '\n');
}

static void add_keys(struct text *text, unsigned place, unsigned but)
{
	for (size_t i = 0; i < top_actions.count; i++) {
		const struct action *action = &top_actions.action[i];

		if (!action_is_shown(action, place) || action->places & but)
			continue;
		text_string(text, ".It Ic ");
		for (const char *c = action->name; *c; c++) {
			if (strchr(".,?!-[]", *c))
				text_string(text, *c == '-' ? "\\" : "\\&");
			text_char(text, *c);
		}
		text_char(text, '\n');
		add_help(text, action->help);
	}
}

/* The list of keys, from its first to its last line. With UPDATE_GOLDEN=1 in the
 * environment the page is written anew. */
static void the_man_page_has_the_keys(void **state)
{
	static const char begin[] = ".\\\" Keys: the table of src/top/actions.c\n",
			  end[] = ".\\\" end of keys\n";
	const char *tree = getenv("FRAGSCOPE_SRCDIR");
	struct text text;
	char path[512], *from, *to;
	FILE *file;
	size_t length;

	(void)state;
	snprintf(path, sizeof(path), "%s/man/fragscope-top.1", tree ? tree : ".");
	file = fopen(path, "r");
	assert_non_null(file);
	length = fread(page, 1, sizeof(page) - 1, file);
	page[length] = '\0';
	fclose(file);
	from = strstr(page, begin);
	to = strstr(page, end);
	assert_non_null(from);
	assert_non_null(to);
	from += strlen(begin);
	text_init(&text, wanted, sizeof(wanted));
	text_string(&text, ".Bl -tag -width arrows\n");
	add_keys(&text, PLACE_PANES, 0);
	text_string(&text, ".El\n.Pp\nIn the list of processes:\n"
			   ".Bl -tag -width arrows\n");
	add_keys(&text, PLACE_PICKER, PLACE_PANES);
	text_string(&text, ".El\n");
	if (getenv("UPDATE_GOLDEN")) {
		file = fopen(path, "w");
		assert_non_null(file);
		fprintf(file, "%.*s%s%s", (int)(from - page), page, wanted, to);
		fclose(file);
		return;
	}
	*to = '\0';
	assert_string_equal(from, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_bound_twice_at_a_place),
		cmocka_unit_test(every_action_is_explained),
		cmocka_unit_test(what_is_shown_is_short_and_plain),
		cmocka_unit_test(a_key_is_found_where_it_holds),
		cmocka_unit_test(the_man_page_has_the_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
