#include "tui/canvas.h"

#include "base/alloc_touched.h"

#include <errno.h>
#include <stdlib.h>

enum { BRAILLE = 0x2800 };

static const struct cell blank = {.character = ' ', .ink = INK_TEXT};

int canvas_new(struct canvas **out, size_t cells)
{
	struct canvas *canvas =
		alloc_touched(sizeof(*canvas) + cells * sizeof(struct cell));

	if (!canvas)
		return -ENOMEM;
	canvas->capacity = cells;
	canvas->cell = (struct cell *)(canvas + 1);
	*out = canvas;
	return 0;
}

void canvas_free(struct canvas *canvas)
{
	free(canvas);
}

void canvas_resize(struct canvas *canvas, unsigned rows, unsigned columns)
{
	if (columns > canvas->capacity)
		columns = (unsigned)canvas->capacity;
	if (columns && rows > canvas->capacity / columns)
		rows = (unsigned)(canvas->capacity / columns);
	canvas->rows = rows;
	canvas->columns = columns;
	for (size_t i = 0; i < (size_t)rows * columns; i++)
		canvas->cell[i] = blank;
}

static struct cell *cell_at(const struct canvas *canvas, unsigned row, unsigned column)
{
	if (row >= canvas->rows || column >= canvas->columns)
		return NULL;
	return &canvas->cell[(size_t)row * canvas->columns + column];
}

const struct cell *canvas_at(const struct canvas *canvas, unsigned row, unsigned column)
{
	return cell_at(canvas, row, column);
}

/* ---- characters ---- */

/* What terminals show in one column, whatever their locale thinks of it: other scripts
 * may take two, or none. */
static bool takes_one_column(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{0x20, 0x7e},	  {0xa0, 0xac},	    {0xae, 0x2ff},    {0x370, 0x377},
		{0x37a, 0x37f},	  {0x384, 0x38a},   {0x38c, 0x38c},   {0x38e, 0x3a1},
		{0x3a3, 0x482},	  {0x48a, 0x52f},   {0x2010, 0x2027}, {0x2030, 0x203a},
		{0x2190, 0x2199}, {0x2206, 0x2206}, {0x2260, 0x2265}, {0x2500, 0x25ff},
		{0x2800, 0x28ff},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* What stands for C where there is only ASCII. */
static uint32_t in_ascii(uint32_t c)
{
	static const struct {
		uint32_t first, last;
		char character;
	} ranges[] = {
		{0x00b7, 0x00b7, '.'},	{0x00d7, 0x00d7, 'x'}, {0x2013, 0x2014, '-'},
		{0x2018, 0x2019, '\''}, {0x2022, 0x2022, '*'}, {0x2026, 0x2026, '~'},
		{0x2190, 0x2190, '<'},	{0x2191, 0x2191, '^'}, {0x2192, 0x2192, '>'},
		{0x2193, 0x2193, 'v'},	{0x2206, 0x2206, 'd'}, {0x2500, 0x2501, '-'},
		{0x2502, 0x2503, '|'},	{0x2504, 0x2505, '-'}, {0x2506, 0x2507, '|'},
		{0x2508, 0x2509, '-'},	{0x250a, 0x250b, '|'}, {0x250c, 0x254b, '+'},
		{0x256d, 0x2570, '+'},	{0x2581, 0x2583, '_'}, {0x2584, 0x2588, '#'},
		{0x2589, 0x258b, '#'},	{0x258c, 0x258f, '|'}, {0x2591, 0x2591, '-'},
		{0x2592, 0x2592, '='},	{0x2593, 0x2593, '#'}, {0x25b2, 0x25b4, '^'},
		{0x25b6, 0x25b8, '>'},	{0x25bc, 0x25be, 'v'}, {0x25c0, 0x25c2, '<'},
		{0x25cb, 0x25cb, 'o'},	{0x25cf, 0x25cf, '*'}, {0x25a0, 0x25a0, '#'},
	};

	if (c < 0x80)
		return c;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return (unsigned char)ranges[i].character;
	return '?';
}

/* The code point at *STRING, which moves on behind it; bytes that are none count as one
 * each. */
static uint32_t next_character(const char **string)
{
	size_t length = text_utf8_length(*string);
	uint32_t c;

	if (!length) {
		(*string)++;
		return '?';
	}
	c = text_code(*string, length);
	*string += length;
	return takes_one_column(c) ? c : '?';
}

unsigned canvas_width(const char *string)
{
	unsigned columns = 0;

	for (; *string; columns++)
		next_character(&string);
	return columns;
}

void canvas_character(struct text *text, uint32_t c)
{
	char bytes[4];
	size_t length = 0;

	if (c < 0x80) {
		bytes[length++] = (char)c;
	} else if (c < 0x800) {
		bytes[length++] = (char)(0xc0 | c >> 6);
		bytes[length++] = (char)(0x80 | (c & 0x3f));
	} else {
		bytes[length++] = (char)(0xe0 | c >> 12);
		bytes[length++] = (char)(0x80 | (c >> 6 & 0x3f));
		bytes[length++] = (char)(0x80 | (c & 0x3f));
	}
	text_bytes(text, bytes, length);
}

/* ---- the whole canvas as text ---- */

static bool is_blank(const struct cell *cell)
{
	return cell->character == ' ' && !cell->style && cell->ink == INK_TEXT;
}

void canvas_text(const struct canvas *canvas, struct text *text)
{
	for (unsigned row = 0; row < canvas->rows; row++) {
		unsigned end = canvas->columns;

		while (end && cell_at(canvas, row, end - 1)->character == ' ')
			end--;
		for (unsigned column = 0; column < end; column++)
			canvas_character(text, cell_at(canvas, row, column)->character);
		text_char(text, '\n');
	}
}

/* Cells with style of their own are told apart from others by nothing here: the letter
 * is the meaning. */
void canvas_inks(const struct canvas *canvas, struct text *text)
{
	for (unsigned row = 0; row < canvas->rows; row++) {
		unsigned end = canvas->columns;

		while (end && is_blank(cell_at(canvas, row, end - 1)))
			end--;
		for (unsigned column = 0; column < end; column++) {
			const struct cell *cell = cell_at(canvas, row, column);

			text_char(text, is_blank(cell) ? ' ' : ink_letter(cell->ink));
		}
		text_char(text, '\n');
	}
}

/* ---- areas ---- */

/* FROM and LENGTH, cut to what lies before END. */
static unsigned cut(unsigned from, unsigned length, unsigned end)
{
	if (from >= end)
		return 0;
	return length < end - from ? length : end - from;
}

struct area area_of(struct canvas *canvas, const struct rect *rect)
{
	struct area area = {canvas, *rect};

	area.rect.rows = cut(rect->row, rect->rows, canvas->rows);
	area.rect.columns = cut(rect->column, rect->columns, canvas->columns);
	return area;
}

struct area area_part(const struct area *area, const struct rect *rect)
{
	struct rect part = {
		.row = area->rect.row + rect->row,
		.column = area->rect.column + rect->column,
		.rows = cut(rect->row, rect->rows, area->rect.rows),
		.columns = cut(rect->column, rect->columns, area->rect.columns),
	};

	return area_of(area->canvas, &part);
}

static struct cell *area_cell(const struct area *area, unsigned row, unsigned column)
{
	if (row >= area->rect.rows || column >= area->rect.columns)
		return NULL;
	return cell_at(area->canvas, area->rect.row + row, area->rect.column + column);
}

void area_put(const struct area *area, unsigned row, unsigned column, uint32_t character,
	      enum ink ink)
{
	struct cell *cell = area_cell(area, row, column);

	if (!cell)
		return;
	cell->character = area->canvas->ascii ? in_ascii(character) : character;
	cell->ink = (uint8_t)ink;
	cell->style = 0;
}

void area_dots(const struct area *area, unsigned row, unsigned column, uint32_t bits,
	       enum ink ink)
{
	const struct cell *cell = area_cell(area, row, column);
	bool dots =
		cell && cell->character >= BRAILLE && cell->character <= BRAILLE + 0xff;

	if (bits)
		area_put(area, row, column, BRAILLE | bits | (dots ? cell->character : 0),
			 ink);
}

unsigned area_text(const struct area *area, unsigned row, unsigned column,
		   const char *string, enum ink ink)
{
	while (*string)
		area_put(area, row, column++, next_character(&string), ink);
	return column;
}

/* How many columns of STRING to show when COLUMNS are too few for it: words stay whole
 * where that costs no more than a third of the room. */
static unsigned whole_words(const char *string, unsigned columns)
{
	unsigned end = 0, at = 0;
	uint32_t before = ' ';

	while (*string && at < columns) {
		uint32_t c = next_character(&string);

		if (c == ' ' && before != ' ')
			end = at - (before == ',');
		before = c;
		at++;
	}
	return end > columns - columns / 3 - 1 ? end : columns - 1;
}

unsigned area_cut(const struct area *area, unsigned row, unsigned column,
		  unsigned columns, const char *string, enum ink ink)
{
	unsigned shown;

	if (!columns)
		return column;
	if (canvas_width(string) <= columns)
		return area_text(area, row, column, string, ink);
	shown = whole_words(string, columns);
	for (unsigned i = 0; i < shown; i++)
		area_put(area, row, column++, next_character(&string), ink);
	area_put(area, row, column++, 0x2026, ink);
	return column;
}

void area_right(const struct area *area, unsigned row, unsigned end, const char *string,
		enum ink ink)
{
	unsigned columns = canvas_width(string);

	for (; columns > end; columns--)
		next_character(&string);
	area_text(area, row, end - columns, string, ink);
}

void area_fill(const struct area *area, unsigned row, unsigned column, unsigned columns,
	       uint32_t character, enum ink ink)
{
	columns = cut(column, columns, area->rect.columns);
	for (unsigned i = 0; i < columns; i++)
		area_put(area, row, column + i, character, ink);
}

struct area area_box(const struct area *area, const char *title, enum ink ink)
{
	unsigned rows = area->rect.rows, columns = area->rect.columns;
	struct rect inside = {1, 1, 0, 0};

	if (rows < 2 || columns < 2)
		return area_part(area, &inside);
	area_fill(area, 0, 1, columns - 2, 0x2500, ink);
	area_fill(area, rows - 1, 1, columns - 2, 0x2500, ink);
	for (unsigned row = 1; row < rows - 1; row++) {
		area_put(area, row, 0, 0x2502, ink);
		area_put(area, row, columns - 1, 0x2502, ink);
	}
	area_put(area, 0, 0, 0x250c, ink);
	area_put(area, 0, columns - 1, 0x2510, ink);
	area_put(area, rows - 1, 0, 0x2514, ink);
	area_put(area, rows - 1, columns - 1, 0x2518, ink);
	if (title && columns > 6) {
		area_put(area, 0, 2, ' ', INK_TITLE);
		area_put(area, 0, area_cut(area, 0, 3, columns - 6, title, INK_TITLE),
			 ' ', INK_TITLE);
	}
	inside.rows = rows - 2;
	inside.columns = columns - 2;
	return area_part(area, &inside);
}

void area_clear(const struct area *area)
{
	for (unsigned row = 0; row < area->rect.rows; row++)
		for (unsigned column = 0; column < area->rect.columns; column++)
			*area_cell(area, row, column) = blank;
}

void area_ink(const struct area *area, unsigned row, unsigned column, unsigned columns,
	      enum ink ink)
{
	columns = cut(column, columns, area->rect.columns);
	for (unsigned i = 0; i < columns; i++) {
		struct cell *cell = area_cell(area, row, column + i);

		if (cell)
			cell->ink = (uint8_t)ink;
	}
}

void area_style(const struct area *area, unsigned row, unsigned column, unsigned columns,
		unsigned style)
{
	columns = cut(column, columns, area->rect.columns);
	for (unsigned i = 0; i < columns; i++) {
		struct cell *cell = area_cell(area, row, column + i);

		if (cell)
			cell->style |= (uint8_t)style;
	}
}

void area_spot(const struct area *area, unsigned row, unsigned column, unsigned columns,
	       enum spot spot, uint32_t index)
{
	columns = cut(column, columns, area->rect.columns);
	for (unsigned i = 0; i < columns; i++) {
		struct cell *cell = area_cell(area, row, column + i);

		if (!cell)
			continue;
		cell->spot = (uint8_t)spot;
		cell->index = index;
	}
}

struct text *line_start(struct line *line)
{
	text_init(&line->text, line->buf, sizeof(line->buf));
	return &line->text;
}
