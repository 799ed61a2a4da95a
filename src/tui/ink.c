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
/* Seen on dark and on light grounds; of eight colours none is. */
#define SILVER	   {0xa8a8a8, 248, COLOUR_DEFAULT}
#define GREY	   {0x8a8a8a, 245, COLOUR_DEFAULT}
#define DARK	   {0x6c6c6c, 242, COLOUR_DEFAULT}
#define BLACK	   {0x101010, 16, 0}
/* Grounds that text stands on. */
#define BAR	   {0x303a46, 237, 4}
#define CHOICE	   {0x005f87, 24, 4}

static const struct {
	struct colour foreground, background;
	uint8_t style, mono; /* mono: with no colour to tell it by */
	char letter;
} looks[INK_COUNT] = {
	[INK_TEXT] = {NONE, NONE, 0, 0, 't'},
	[INK_LABEL] = {GREY, NONE, 0, 0, 'l'},
	[INK_VALUE] = {NONE, NONE, STYLE_BOLD, STYLE_BOLD, 'v'},
	[INK_FAINT] = {DARK, NONE, 0, STYLE_DIM, 'f'},
	[INK_TITLE] = {SKY, NONE, STYLE_BOLD, STYLE_BOLD, 'T'},
	[INK_HEADER] = {BRIGHT, BAR, 0, STYLE_REVERSE, 'H'},
	[INK_TAB] = {NONE, NONE, 0, 0, 'b'},
	[INK_TAB_CHOSEN] = {BRIGHT, CHOICE, STYLE_BOLD, STYLE_REVERSE | STYLE_BOLD, 'B'},
	[INK_HEADING] = {LIGHT, BAR, 0, STYLE_UNDERLINE, 'h'},
	[INK_HEADING_CHOSEN] = {BRIGHT, CHOICE, STYLE_BOLD, STYLE_UNDERLINE | STYLE_BOLD, 'c'},
	[INK_SELECTED] = {BRIGHT, CHOICE, 0, STYLE_REVERSE, 's'},
	[INK_KEY] = {NONE, NONE, STYLE_BOLD, STYLE_BOLD, 'k'},
	[INK_KEY_LABEL] = {LIGHT, BAR, 0, STYLE_REVERSE, 'K'},
	[INK_BANNER] = {BLACK, ORANGE, STYLE_BOLD, STYLE_REVERSE | STYLE_BOLD, 'n'},
	[INK_MESSAGE] = {NONE, NONE, STYLE_BOLD, STYLE_BOLD, 'm'},
	[INK_GOOD] = {GREEN, NONE, 0, 0, 'g'},
	[INK_WARNING] = {ORANGE, NONE, STYLE_BOLD, STYLE_BOLD, 'w'},
	[INK_ERROR] = {VERMILLION, NONE, STYLE_BOLD, STYLE_BOLD | STYLE_REVERSE, 'e'},
	[INK_LIVE] = {SKY, NONE, 0, 0, 'L'},
	[INK_TRIMMABLE] = {GREEN, NONE, 0, 0, 'G'},
	[INK_PINNED] = {VERMILLION, NONE, 0, STYLE_BOLD, 'P'},
	[INK_RETAINED] = {ORANGE, NONE, 0, 0, 'R'},
	[INK_TOP] = {YELLOW, NONE, 0, 0, 'O'},
	[INK_TCACHE] = {PURPLE, NONE, 0, 0, 'C'},
	[INK_MMAPPED] = {BLUE, NONE, 0, 0, 'M'},
	[INK_ALLOCATOR] = {SILVER, NONE, 0, 0, 'A'},
	[INK_OTHER] = {GREY, NONE, 0, 0, 'o'},
	[INK_RETURNED] = {DARK, NONE, 0, STYLE_DIM, 'r'},
	[INK_UNMAPPED] = {DARK, NONE, 0, STYLE_DIM, 'u'},
	[INK_GRAPH] = {SKY, NONE, 0, 0, 'a'},
	[INK_GROWTH] = {SKY, NONE, STYLE_BOLD, 0, 'W'},
	[INK_FAILURE] = {VERMILLION, NONE, STYLE_BOLD, STYLE_BOLD, 'F'},
	[INK_KILL] = {PURPLE, NONE, STYLE_BOLD, STYLE_BOLD | STYLE_REVERSE, 'X'},
	[INK_THRESHOLD] = {GREEN, NONE, STYLE_BOLD, 0, 'I'},
	[INK_ALERT] = {ORANGE, NONE, STYLE_BOLD, STYLE_BOLD, 'E'},
	[INK_CURSOR] = {BLACK, YELLOW, STYLE_BOLD, STYLE_REVERSE, 'U'},
	[INK_CHANGED] = {BLACK, BRIGHT, 0, STYLE_UNDERLINE | STYLE_BOLD, 'N'},
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
