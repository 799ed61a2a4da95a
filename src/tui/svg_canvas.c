/* svg_canvas.c: a canvas as a picture: text as text, and blocks, frames and dots as
 * shapes, which fonts draw with gaps. */
#include "tui/svg.h"
#include "tui/svg_parts.h"

/* All in pixels. */
enum {
	CELL_WIDTH = 9,
	CELL_HEIGHT = 18,
	BASELINE = 14,
	FONT_SIZE = 15,
	MARGIN = 8,
	DOT_ROWS = 4, /* of a braille cell */
};

enum { BRAILLE = 0x2800, BRAILLE_ALL = 0x28ff };

#define DOT_GAP	   0.6
#define GROUND	   0x15191e
#define FOREGROUND 0xd4d4d4

/* What a cell is drawn with. */
struct cell_look {
	int32_t foreground, background;
	unsigned style;
};

static struct cell_look look_of(const struct cell *cell)
{
	struct ink_look look = ink_look(cell->ink, PALETTE_TRUE);
	unsigned style = look.style | cell->style;
	struct cell_look out = {
		.foreground =
			look.foreground == COLOUR_DEFAULT ? FOREGROUND : look.foreground,
		.background =
			look.background == COLOUR_DEFAULT ? GROUND : look.background,
		.style = style & ~(unsigned)STYLE_REVERSE,
	};

	if (style & STYLE_REVERSE) {
		int32_t foreground = out.foreground;

		out.foreground = out.background;
		out.background = foreground;
	}
	return out;
}

static bool is_same_look(const struct cell_look *a, const struct cell_look *b)
{
	return a->foreground == b->foreground && a->style == b->style;
}

/* ---- shapes ---- */

static void rectangle(struct text *text, double x, double y, double width, double height)
{
	text_char(text, 'M');
	text_fixed(text, x, 1);
	text_char(text, ' ');
	text_fixed(text, y, 1);
	text_char(text, 'h');
	text_fixed(text, width, 1);
	text_char(text, 'v');
	text_fixed(text, height, 1);
	text_char(text, 'h');
	text_fixed(text, -width, 1);
	text_char(text, 'z');
}

/* One of the two columns of dots of a braille cell: dots that touch are one shape, which
 * reaches the cell's edge where they do. */
static void dots(struct text *text, double x, double y, uint32_t bits,
		 const unsigned char column[DOT_ROWS])
{
	const double each = (double)CELL_HEIGHT / DOT_ROWS;

	for (unsigned from = 0; from < DOT_ROWS;) {
		unsigned to = from;
		double top = from ? from * each + DOT_GAP : 0, bottom;

		while (to < DOT_ROWS && bits & column[to])
			to++;
		bottom = to < DOT_ROWS ? to * each - DOT_GAP : CELL_HEIGHT;
		if (to > from)
			rectangle(text, x, y + top, CELL_WIDTH / 2.0, bottom - top);
		from = to + 1;
	}
}

static void braille(struct text *text, double x, double y, uint32_t bits)
{
	static const unsigned char columns[2][DOT_ROWS] = {
		{0x01, 0x02, 0x04, 0x40},
		{0x08, 0x10, 0x20, 0x80},
	};

	dots(text, x, y, bits, columns[0]);
	dots(text, x + CELL_WIDTH / 2.0, y, bits, columns[1]);
}

/* Where the shape of one cell lies in it; shapes of equal cells that follow one another
 * are one. */
static const struct shape {
	uint32_t character;
	bool is_row; /* as wide as its cells */
	double x, y, width, height;
} shapes[] = {
	{BRAILLE_ALL, true, 0, 0, 0, CELL_HEIGHT},
	{0x2588, true, 0, 0, 0, CELL_HEIGHT},
	{0x2586, true, 0, CELL_HEIGHT / 4.0, 0, CELL_HEIGHT * 3 / 4.0},
	{0x2500, true, 0, CELL_HEIGHT / 2.0 - 0.5, 0, 1},
	{0x25a0, false, 0, 5, 8, 8},
	{0x2502, false, CELL_WIDTH / 2.0 - 0.5, 0, 1, CELL_HEIGHT},
};

static const struct shape *shape_of(uint32_t character)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].character == character)
			return &shapes[i];
	return NULL;
}

/* The corners of a frame: which way their two lines go from the middle. */
static bool corner(struct text *text, double x, double y, uint32_t character)
{
	const double middle_x = x + CELL_WIDTH / 2.0 - 0.5;
	const double middle_y = y + CELL_HEIGHT / 2.0 - 0.5;
	bool is_left = character == 0x2510 || character == 0x2518;
	bool is_up = character == 0x2514 || character == 0x2518;

	if (character != 0x250c && character != 0x2514 && !is_left)
		return false;
	rectangle(text, is_left ? x : middle_x, middle_y, CELL_WIDTH / 2.0 + 0.5, 1);
	rectangle(text, middle_x, is_up ? y : middle_y, 1, CELL_HEIGHT / 2.0 + 0.5);
	return true;
}

static bool is_shape(uint32_t c)
{
	return shape_of(c) || (c >= BRAILLE && c <= BRAILLE_ALL) ||
	       (c >= 0x250c && c <= 0x2518);
}

/* COUNT equal cells. */
static void draw_shapes(struct text *text, double x, double y, uint32_t character,
			unsigned count)
{
	const struct shape *shape = shape_of(character);

	if (shape && shape->is_row) {
		rectangle(text, x, y + shape->y, count * CELL_WIDTH, shape->height);
		return;
	}
	for (; count; count--, x += CELL_WIDTH) {
		if (shape)
			rectangle(text, x + shape->x, y + shape->y, shape->width,
				  shape->height);
		else if (!corner(text, x, y, character))
			braille(text, x, y, character - BRAILLE);
	}
}

/* ---- rows ---- */

struct svg_row {
	const struct canvas *canvas;
	unsigned row;
	double y;
};

static const struct cell *at(const struct svg_row *row, unsigned column)
{
	return canvas_at(row->canvas, row->row, column);
}

static double x_of(unsigned column)
{
	return MARGIN + (double)column * CELL_WIDTH;
}

static void grounds(struct text *text, const struct svg_row *row)
{
	for (unsigned from = 0; from < row->canvas->columns;) {
		int32_t ground = look_of(at(row, from)).background;
		unsigned to = from + 1;

		while (to < row->canvas->columns &&
		       look_of(at(row, to)).background == ground)
			to++;
		if (ground != GROUND) {
			text_string(text, "<path fill=\"");
			svg_colour(text, ground);
			text_string(text, "\" d=\"");
			rectangle(text, x_of(from), row->y, (to - from) * CELL_WIDTH,
				  CELL_HEIGHT);
			text_string(text, "\"/>\n");
		}
		from = to;
	}
}

/* The cells from FROM on that look the same and are shapes, or characters, as the first
 * is. */
static unsigned run_of(const struct svg_row *row, unsigned from)
{
	struct cell_look look = look_of(at(row, from));
	bool shapes_run = is_shape(at(row, from)->character);
	unsigned to = from + 1;

	for (; to < row->canvas->columns; to++) {
		struct cell_look other = look_of(at(row, to));

		if (!is_same_look(&look, &other) ||
		    is_shape(at(row, to)->character) != shapes_run)
			break;
	}
	return to;
}

static void shapes_in(struct text *text, const struct svg_row *row, unsigned from,
		      unsigned to, const struct cell_look *look)
{
	text_string(text, "<path fill=\"");
	svg_colour(text, look->foreground);
	text_string(text,
		    look->style & STYLE_DIM ? "\" opacity=\"0.6\" d=\"" : "\" d=\"");
	while (from < to) {
		uint32_t character = at(row, from)->character;
		unsigned end = from + 1;

		while (end < to && at(row, end)->character == character)
			end++;
		draw_shapes(text, x_of(from), row->y, character, end - from);
		from = end;
	}
	text_string(text, "\"/>\n");
}

static void characters(struct text *text, const struct svg_row *row, unsigned from,
		       unsigned to, const struct cell_look *look)
{
	text_string(text, "<text");
	svg_attribute(text, "x", x_of(from));
	svg_attribute(text, "y", row->y + BASELINE);
	svg_attribute(text, "textLength", (to - from) * CELL_WIDTH);
	text_string(text, " fill=\"");
	svg_colour(text, look->foreground);
	text_char(text, '"');
	if (look->style & STYLE_BOLD)
		text_string(text, " font-weight=\"bold\"");
	if (look->style & STYLE_DIM)
		text_string(text, " opacity=\"0.6\"");
	if (look->style & STYLE_UNDERLINE)
		text_string(text, " text-decoration=\"underline\"");
	text_char(text, '>');
	for (; from < to; from++) {
		char buf[8];
		struct text character;

		text_init(&character, buf, sizeof(buf));
		canvas_character(&character, at(row, from)->character);
		svg_escaped(text, buf);
	}
	text_string(text, "</text>\n");
}

/* Where a word, or some with one blank between them, ends: two blanks are two places. */
static unsigned words_end(const struct svg_row *row, unsigned from, unsigned to)
{
	unsigned end = from;

	while (end < to && (at(row, end)->character != ' ' ||
			    (end + 1 < to && at(row, end + 1)->character != ' ')))
		end++;
	return end;
}

static void run(struct text *text, const struct svg_row *row, unsigned from, unsigned to)
{
	struct cell_look look = look_of(at(row, from));

	if (is_shape(at(row, from)->character)) {
		shapes_in(text, row, from, to, &look);
		return;
	}
	while (from < to) {
		unsigned end;

		while (from < to && at(row, from)->character == ' ')
			from++;
		end = words_end(row, from, to);
		if (end > from)
			characters(text, row, from, end, &look);
		from = end;
	}
}

/* ---- all of it ---- */

size_t canvas_svg_bytes(const struct canvas *canvas)
{
	return 4096 + (size_t)canvas->rows * canvas->columns * 512;
}

void canvas_svg(struct text *text, const struct canvas *canvas)
{
	text_string(text, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"");
	text_u64(text, 2 * MARGIN + (uint64_t)canvas->columns * CELL_WIDTH);
	text_string(text, "\" height=\"");
	text_u64(text, 2 * MARGIN + (uint64_t)canvas->rows * CELL_HEIGHT);
	text_string(text,
		    "\" font-family=\"'DejaVu Sans Mono',Menlo,Consolas,monospace\" "
		    "font-size=\"");
	text_u64(text, FONT_SIZE);
	text_string(text, "\">\n"
			  "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"");
	svg_colour(text, GROUND);
	text_string(text, "\"/>\n");
	for (unsigned i = 0; i < canvas->rows; i++) {
		struct svg_row row = {canvas, i, MARGIN + (double)i * CELL_HEIGHT};

		grounds(text, &row);
		for (unsigned from = 0; from < canvas->columns;) {
			unsigned to = run_of(&row, from);

			run(text, &row, from, to);
			from = to;
		}
	}
	text_string(text, "</svg>\n");
}
