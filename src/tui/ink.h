/* ink.h: what a character on the screen means, and how each palette shows that. Panes
 * speak of meanings only; the terminal and the SVG export look colours up here. */
#ifndef FRAGSCOPE_INK_H
#define FRAGSCOPE_INK_H

#include <stdint.h>

enum ink {
	INK_TEXT,
	INK_LABEL, /* what a number is; less than the number */
	INK_VALUE, /* a number that matters */
	INK_FAINT, /* axes, rules, what is absent */
	INK_TITLE, /* of a box or a graph */
	INK_HEADER,
	INK_TAB,
	INK_TAB_CHOSEN,
	INK_HEADING, /* of a column */
	INK_HEADING_CHOSEN,
	INK_SELECTED, /* the row that keys act on */
	INK_KEY,
	INK_KEY_LABEL,
	INK_BANNER, /* what is shown is not the present */
	INK_MESSAGE,
	INK_GOOD,
	INK_WARNING,
	INK_ERROR,
	/* Kinds of memory. */
	INK_LIVE,
	INK_TRIMMABLE,
	INK_PINNED,
	INK_RETAINED,
	INK_TOP,
	INK_TCACHE,
	INK_MMAPPED,
	INK_ALLOCATOR,
	INK_OTHER,
	INK_RETURNED, /* free and not resident */
	INK_UNMAPPED,
	/* Graphs, and what happened, on their time axis. */
	INK_GRAPH,
	INK_GROWTH,
	INK_FAILURE,
	INK_KILL,
	INK_THRESHOLD,
	INK_ALERT,
	INK_CURSOR,
	INK_CHANGED,
	INK_COUNT
};

enum palette { PALETTE_MONO, PALETTE_8, PALETTE_256, PALETTE_TRUE, PALETTE_COUNT };

/* Bits. */
enum style {
	STYLE_BOLD = 1 << 0,
	STYLE_DIM = 1 << 1,
	STYLE_REVERSE = 1 << 2,
	STYLE_UNDERLINE = 1 << 3,
};

enum { COLOUR_DEFAULT = -1 }; /* the terminal's own */

/* How an ink is shown. FOREGROUND and BACKGROUND are 0xRRGGBB under PALETTE_TRUE, a
 * number of the 256 or the 8 colours under those, or COLOUR_DEFAULT. STYLE holds bits. */
struct ink_look {
	int32_t foreground, background;
	unsigned style;
};

struct ink_look ink_look(enum ink ink, enum palette palette);

/* A letter for INK, each its own: tests tell inks by it. */
char ink_letter(enum ink ink);

#endif
