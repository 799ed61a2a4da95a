/* test_canvas.c: cells, clipping, characters that no terminal may be given, and palettes.
 */
#include "tui/canvas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char buf[4096];
static struct text text;
static struct canvas *canvas;

static int setup(void **state)
{
	(void)state;
	text_init(&text, buf, sizeof(buf));
	assert_int_equal(canvas_new(&canvas, 60), 0);
	canvas_resize(canvas, 3, 10);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	canvas_free(canvas);
	return 0;
}

static struct area whole(void)
{
	return area_of(canvas, &(struct rect){0, 0, canvas->rows, canvas->columns});
}

static void assert_canvas(const char *wanted)
{
	text_clear(&text);
	canvas_text(canvas, &text);
	assert_string_equal(buf, wanted);
}

static void text_is_clipped_on_every_side(void **state)
{
	struct area part = area_of(canvas, &(struct rect){1, 2, 1, 5});

	(void)state;
	assert_int_equal(area_text(&part, 0, 3, "abcdef", INK_TEXT), 9);
	area_text(&part, 1, 0, "below", INK_TEXT);
	area_text(&part, 0, 99, "right", INK_TEXT);
	area_put(&part, 0, 0, '<', INK_TEXT);
	assert_canvas("\n  <  ab\n\n");
}

static void parts_are_clipped_by_what_they_are_parts_of(void **state)
{
	struct area all = whole();
	struct area part = area_part(&all, &(struct rect){2, 8, 5, 5});
	struct area outside = area_part(&all, &(struct rect){7, 0, 2, 2});

	(void)state;
	assert_int_equal(part.rect.rows, 1);
	assert_int_equal(part.rect.columns, 2);
	assert_int_equal(outside.rect.rows, 0);
	area_fill(&part, 0, 0, 100, '#', INK_TEXT);
	area_text(&outside, 0, 0, "x", INK_TEXT);
	assert_canvas("\n\n        ##\n");
}

static void numbers_stand_to_the_right(void **state)
{
	struct area all = whole();

	(void)state;
	area_right(&all, 0, 10, "12.5M", INK_TEXT);
	area_right(&all, 1, 3, "123456", INK_TEXT);
	assert_canvas("     12.5M\n456\n\n");
}

static void what_is_too_long_ends_in_an_ellipsis(void **state)
{
	struct area all = whole();

	(void)state;
	area_cut(&all, 0, 0, 5, "exact", INK_TEXT);
	area_cut(&all, 1, 0, 5, "longer", INK_TEXT);
	assert_int_equal(area_cut(&all, 2, 0, 0, "none", INK_TEXT), 0);
	assert_canvas("exact\nlong\u2026\n\n");
	canvas_resize(canvas, 3, 10);
	all = whole();
	area_cut(&all, 0, 0, 10, "four five six", INK_TEXT);
	area_cut(&all, 1, 0, 10, "one, two, three", INK_TEXT);
	area_cut(&all, 2, 0, 10, "a longerword", INK_TEXT);
	assert_canvas("four five\u2026\none, two\u2026\na longerw\u2026\n");
}

static void boxes(void **state)
{
	struct area all = whole();
	struct area inside = area_box(&all, "Title", INK_FAINT);

	(void)state;
	area_fill(&inside, 0, 0, 100, '.', INK_TEXT);
	assert_canvas("┌─ Tit… ─┐\n│........│\n└────────┘\n");
}

static void ascii_takes_the_place_of_what_is_not_there(void **state)
{
	struct area all = whole();

	(void)state;
	canvas->ascii = true;
	area_box(&all, NULL, INK_FAINT);
	area_text(&all, 1, 1, "↑↓→█░…é", INK_TEXT);
	assert_canvas("+--------+\n|^v>#-~? |\n+--------+\n");
}

/* Names come from other people's processes: no control characters, no bytes that are no
 * UTF-8, nothing that takes two columns, none, or turns the direction. */
static void hostile_names_stay_in_their_columns(void **state)
{
	static const char *const names[] = {
		"\x1b[2J",	"a\nb",	    "\xff\xfe", "\xc2\x9b",   "漢字",
		"e\u0301",	"\u202eab", "\u200b",	"\U0001f600", "\xe2\x82",
		"\xed\xa0\x80", "\x7f",	    "\xc0\x80", "\u00ad",
	};
	struct area all = whole();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned end;

		canvas_resize(canvas, 3, 10);
		end = area_text(&all, 0, 0, names[i], INK_TEXT);
		assert_int_equal(end, canvas_width(names[i]));
		for (unsigned column = 0; column < end; column++) {
			uint32_t c = canvas_at(canvas, 0, column)->character;

			assert_true(c >= 0x20 && c < 0x7f);
		}
	}
	canvas_resize(canvas, 1, 10);
	area_text(&all, 0, 0, "漢é\x1b[", INK_TEXT);
	assert_canvas("?é?[\n");
}

static void inks_are_a_grid_of_letters(void **state)
{
	struct area all = whole();

	(void)state;
	area_text(&all, 0, 1, "ab", INK_VALUE);
	area_fill(&all, 1, 0, 3, ' ', INK_HEADER);
	area_text(&all, 2, 0, "x", INK_TEXT);
	area_ink(&all, 0, 2, 1, INK_ERROR);
	canvas_inks(canvas, &text);
	assert_string_equal(buf, " ve\nHHH\nt\n");
}

static void cells_tell_what_lies_under_the_mouse(void **state)
{
	struct area all = whole();

	(void)state;
	area_spot(&all, 1, 2, 100, SPOT_ROW, 7);
	assert_int_equal(canvas_at(canvas, 1, 1)->spot, SPOT_NONE);
	assert_int_equal(canvas_at(canvas, 1, 9)->spot, SPOT_ROW);
	assert_int_equal(canvas_at(canvas, 1, 9)->index, 7);
	assert_null(canvas_at(canvas, 3, 0));
	assert_null(canvas_at(canvas, 0, 10));
	area_clear(&all);
	assert_int_equal(canvas_at(canvas, 1, 9)->spot, SPOT_NONE);
}

static void a_terminal_that_is_too_large_loses_rows(void **state)
{
	(void)state;
	canvas_resize(canvas, 100, 20);
	assert_int_equal(canvas->columns, 20);
	assert_int_equal(canvas->rows, 3);
	canvas_resize(canvas, 5, 1000);
	assert_true((size_t)canvas->rows * canvas->columns <= 60);
	canvas_resize(canvas, 0, 0);
	assert_canvas("");
}

static void every_ink_has_a_letter_of_its_own(void **state)
{
	bool seen[256] = {false};

	(void)state;
	for (unsigned ink = 0; ink < INK_COUNT; ink++) {
		unsigned char letter = (unsigned char)ink_letter(ink);

		assert_true(letter > ' ');
		assert_false(seen[letter]);
		seen[letter] = true;
	}
}

static void palettes_stay_within_their_colours(void **state)
{
	static const int32_t most[PALETTE_COUNT] = {
		[PALETTE_MONO] = COLOUR_DEFAULT,
		[PALETTE_8] = 7,
		[PALETTE_256] = 255,
		[PALETTE_TRUE] = 0xffffff,
	};

	(void)state;
	for (unsigned palette = 0; palette < PALETTE_COUNT; palette++)
		for (unsigned ink = 0; ink < INK_COUNT; ink++) {
			struct ink_look look = ink_look(ink, palette);

			assert_in_range(look.foreground + 1, 0, most[palette] + 1);
			assert_in_range(look.background + 1, 0, most[palette] + 1);
		}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(text_is_clipped_on_every_side),
		TEST(parts_are_clipped_by_what_they_are_parts_of),
		TEST(numbers_stand_to_the_right),
		TEST(what_is_too_long_ends_in_an_ellipsis),
		TEST(boxes),
		TEST(ascii_takes_the_place_of_what_is_not_there),
		TEST(hostile_names_stay_in_their_columns),
		TEST(inks_are_a_grid_of_letters),
		TEST(cells_tell_what_lies_under_the_mouse),
		TEST(a_terminal_that_is_too_large_loses_rows),
		TEST(every_ink_has_a_letter_of_its_own),
		TEST(palettes_stay_within_their_colours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
