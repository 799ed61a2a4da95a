#include "tui/ink.h"

/* One colour in each of the three palettes. */
struct colour {
	int32_t true_colour;
	int16_t of_256, of_8;
};

/* clang-format off */
#define NONE	   {COLOUR_DEFAULT, COLOUR_DEFAULT, COLOUR_DEFAULT}
/* Okabe and Ito's colours, which people tell apart whatever kind of sight they have; blue
 * is lighter than theirs, for dark screens. */
#define SKY	   {0x56b4e9, 74, 6}
#define GREEN	   {0x00b383, 36, 2}
#define VERMILLION {0xe8701a, 202, 1}
#define ORANGE	   {0xe69f00, 178, 3}
#define YELLOW	   {0xf0e442, 227, 3}
#define PURPLE	   {0xcc79a7, 175, 5}
#define BLUE	   {0x3c8fd0, 32, 4}
#define BRIGHT	   {0xf2f2f2, 255, 7}
#define LIGHT	   {0xc6c6c6, 251, 7}
#define GREY	   {0x8a8a8a, 245, 7}
#define DARK	   {0x626262, 241, 7}
#define BLACK	   {0x101010, 16, 0}
/* Grounds that text stands on. */
#define BAR	   {0x303a46, 237, 4}
#define CHOICE	   {0x005f87, 24, 4}

static const struct {
	char letter;
	struct colour foreground, background;
	uint8_t style, mono;
} looks[INK_COUNT] = {
	[INK_TEXT] = {'t', NONE, NONE, 0, 0},
	[INK_LABEL] = {'l', GREY, NONE, 0, 0},
	[INK_VALUE] = {'v', BRIGHT, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_FAINT] = {'f', DARK, NONE, 0, STYLE_DIM},
	[INK_TITLE] = {'T', SKY, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_HEADER] = {'H', BRIGHT, BAR, 0, STYLE_REVERSE},
	[INK_TAB] = {'b', LIGHT, NONE, 0, 0},
	[INK_TAB_CHOSEN] = {'B', BRIGHT, CHOICE, STYLE_BOLD, STYLE_REVERSE | STYLE_BOLD},
	[INK_HEADING] = {'h', LIGHT, BAR, 0, STYLE_UNDERLINE},
	[INK_HEADING_CHOSEN] = {'c', BRIGHT, CHOICE, STYLE_BOLD, STYLE_UNDERLINE | STYLE_BOLD},
	[INK_SELECTED] = {'s', BRIGHT, CHOICE, 0, STYLE_REVERSE},
	[INK_KEY] = {'k', BRIGHT, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_KEY_LABEL] = {'K', LIGHT, BAR, 0, STYLE_REVERSE},
	[INK_BANNER] = {'n', BLACK, ORANGE, STYLE_BOLD, STYLE_REVERSE | STYLE_BOLD},
	[INK_MESSAGE] = {'m', BRIGHT, NONE, 0, STYLE_BOLD},
	[INK_GOOD] = {'g', GREEN, NONE, 0, 0},
	[INK_WARNING] = {'w', ORANGE, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_ERROR] = {'e', VERMILLION, NONE, STYLE_BOLD, STYLE_BOLD | STYLE_REVERSE},
	[INK_LIVE] = {'L', SKY, NONE, 0, 0},
	[INK_TRIMMABLE] = {'G', GREEN, NONE, 0, 0},
	[INK_PINNED] = {'P', VERMILLION, NONE, 0, STYLE_BOLD},
	[INK_RETAINED] = {'R', ORANGE, NONE, 0, 0},
	[INK_TOP] = {'O', YELLOW, NONE, 0, 0},
	[INK_TCACHE] = {'C', PURPLE, NONE, 0, 0},
	[INK_MMAPPED] = {'M', BLUE, NONE, 0, 0},
	[INK_ALLOCATOR] = {'A', LIGHT, NONE, 0, 0},
	[INK_OTHER] = {'o', GREY, NONE, 0, 0},
	[INK_RETURNED] = {'r', DARK, NONE, 0, STYLE_DIM},
	[INK_UNMAPPED] = {'u', DARK, NONE, 0, STYLE_DIM},
	[INK_GRAPH] = {'a', SKY, NONE, 0, 0},
	[INK_GROWTH] = {'W', SKY, NONE, STYLE_BOLD, 0},
	[INK_FAILURE] = {'F', VERMILLION, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_KILL] = {'X', PURPLE, NONE, STYLE_BOLD, STYLE_BOLD | STYLE_REVERSE},
	[INK_TRIM] = {'I', GREEN, NONE, STYLE_BOLD, 0},
	[INK_ALERT] = {'E', ORANGE, NONE, STYLE_BOLD, STYLE_BOLD},
	[INK_CURSOR] = {'U', BLACK, YELLOW, STYLE_BOLD, STYLE_REVERSE},
	[INK_CHANGED] = {'N', BLACK, BRIGHT, 0, STYLE_UNDERLINE | STYLE_BOLD},
};
/* clang-format on */

static int32_t in_palette(const struct colour *colour, enum palette palette)
{
	switch (palette) {
	case PALETTE_TRUE:
		return colour->true_colour;
	case PALETTE_256:
		return colour->of_256;
	case PALETTE_8:
		return colour->of_8;
	default:
		return COLOUR_DEFAULT;
	}
}

struct ink_look ink_look(enum ink ink, enum palette palette)
{
	return (struct ink_look){
		.foreground = in_palette(&looks[ink].foreground, palette),
		.background = in_palette(&looks[ink].background, palette),
		.style = palette == PALETTE_MONO ? looks[ink].mono : looks[ink].style,
	};
}

char ink_letter(enum ink ink)
{
	return looks[ink].letter;
}
