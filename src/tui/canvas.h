/* canvas.h: a grid of cells that panes draw on: characters with a meaning (ink), no
 * terminal. All drawing goes through areas, which clip; nothing is allocated by it. */
#ifndef FRAGSCOPE_CANVAS_H
#define FRAGSCOPE_CANVAS_H

#include "base/text.h"
#include "tui/ink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What lies under a cell, for the mouse. */
enum spot {
	SPOT_NONE,
	SPOT_TAB,     /* the index is an enum pane */
	SPOT_TARGET,  /* of screen.target */
	SPOT_KEY,     /* of screen.actions */
	SPOT_HEADING, /* a column of the pane's table */
	SPOT_ROW,     /* of the pane's list: of its order, events, picker rows */
	SPOT_CELL,    /* of the heap map */
	SPOT_INSTANT, /* of a graph: thousandths of the time that it spans, from its left
		       */
};

struct cell {
	uint32_t character; /* a code point that takes one column */
	uint32_t index;
	uint8_t ink;
	uint8_t style; /* bits that come on top of the ink's */
	uint8_t spot;
};

/* CELL holds ROWS times COLUMNS, row by row. */
struct canvas {
	unsigned rows, columns;
	bool ascii; /* characters beyond ASCII are replaced when they are drawn */
	size_t capacity;
	struct cell *cell;
};

/* Takes memory for CELLS cells. 0 or -ENOMEM. */
int canvas_new(struct canvas **canvas, size_t cells);
void canvas_free(struct canvas *canvas);

/* Makes CANVAS blank and of this size; when that has more cells than there is memory for,
 * rows at the bottom are left out. */
void canvas_resize(struct canvas *canvas, unsigned rows, unsigned columns);

/* The cell there; null outside. */
const struct cell *canvas_at(const struct canvas *canvas, unsigned row, unsigned column);

/* The code point C as UTF-8. */
void canvas_character(struct text *text, uint32_t c);

/* All rows as lines of UTF-8, without the spaces at their ends. */
void canvas_text(const struct canvas *canvas, struct text *text);

/* The same grid with the letters of the inks, a space where the cell is blank. */
void canvas_inks(const struct canvas *canvas, struct text *text);

struct rect {
	unsigned row, column, rows, columns;
};

/* A part of a canvas; rows and columns below are counted from its corner, and what lies
 * outside is not drawn. */
struct area {
	struct canvas *canvas;
	struct rect rect;
};

struct area area_of(struct canvas *canvas, const struct rect *rect);

/* The part of AREA that RECT, counted from its corner, covers. */
struct area area_part(const struct area *area, const struct rect *rect);

void area_put(const struct area *area, unsigned row, unsigned column, uint32_t character,
	      enum ink ink);

/* Adds braille dots, bits as in U+2800 to U+28FF, to those that are there; nothing for 0.
 */
void area_dots(const struct area *area, unsigned row, unsigned column, uint32_t bits,
	       enum ink ink);

/* STRING, UTF-8, from COLUMN on; what is no printable character of one column becomes
 * '?'. Returns the column behind it. */
unsigned area_text(const struct area *area, unsigned row, unsigned column,
		   const char *string, enum ink ink);

/* The same in COLUMNS at most: a longer string ends in an ellipsis, behind a whole word
 * if it has some. */
unsigned area_cut(const struct area *area, unsigned row, unsigned column,
		  unsigned columns, const char *string, enum ink ink);

/* STRING so that it ends before column END; its first characters are lost if need be. */
void area_right(const struct area *area, unsigned row, unsigned end, const char *string,
		enum ink ink);

void area_fill(const struct area *area, unsigned row, unsigned column, unsigned columns,
	       uint32_t character, enum ink ink);

/* A frame around AREA with TITLE (null: none) in its upper line; returns what is inside.
 */
struct area area_box(const struct area *area, const char *title, enum ink ink);

/* Blanks AREA. */
void area_clear(const struct area *area);

/* Gives cells that are drawn already another ink, or more style, or a meaning for the
 * mouse. */
void area_ink(const struct area *area, unsigned row, unsigned column, unsigned columns,
	      enum ink ink);
void area_style(const struct area *area, unsigned row, unsigned column, unsigned columns,
		unsigned style);
void area_spot(const struct area *area, unsigned row, unsigned column, unsigned columns,
	       enum spot spot, uint32_t index);

/* How many columns STRING takes. */
unsigned canvas_width(const char *string);

/* A line that is put together from pieces before it is drawn. */
struct line {
	struct text text;
	char buf[512];
};

struct text *line_start(struct line *line);

#endif
