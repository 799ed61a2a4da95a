#include "tui/pane.h"

#include "base/units.h"

#include <math.h>
#include <string.h>

enum { SQUARE = 0x25a0 };

const struct memory_info memory_info[MEMORY_KINDS] = {
	[MEMORY_LIVE] = {FIG_LIVE_RESIDENT_BYTES, INK_LIVE, BLOCK_FULL},
	[MEMORY_TRIMMABLE] = {FIG_TRIMMABLE_BYTES, INK_TRIMMABLE, 0x2591},
	[MEMORY_PINNED] = {FIG_PINNED_BYTES, INK_PINNED, 'x'},
	[MEMORY_RETAINED] = {FIG_RETAINED_BYTES, INK_RETAINED, 0x2592},
	[MEMORY_MMAPPED] = {FIG_MMAPPED_RESIDENT_BYTES, INK_MMAPPED, 'm'},
	[MEMORY_ALLOCATOR] = {FIG_ALLOCATOR_RESIDENT_BYTES, INK_ALLOCATOR, '+'},
	[MEMORY_OTHER] = {FIG_OTHER_RESIDENT_BYTES, INK_OTHER, 'o'},
	[MEMORY_RETURNED] = {FIG_COUNT, INK_RETURNED, 0xb7},
};

const char *memory_label(enum memory kind)
{
	return kind == MEMORY_RETURNED ? "returned"
				       : figure_label(memory_info[kind].figure);
}

/* BLOCK where colours tell the kinds apart. */
static uint32_t mark_of(const struct area *area, enum palette palette, enum memory kind,
			uint32_t block)
{
	if (area->canvas->ascii || palette == PALETTE_MONO || kind == MEMORY_RETURNED)
		return memory_info[kind].mark;
	return block;
}

void pane_swatch(const struct area *area, unsigned row, unsigned column,
		 enum palette palette, enum memory kind)
{
	area_put(area, row, column, mark_of(area, palette, kind, SQUARE),
		 memory_info[kind].ink);
}

/* The kind that has the byte at AT when they lie one behind another, or MEMORY_KINDS. */
static enum memory kind_at(const uint64_t bytes[MEMORY_KINDS], double at)
{
	unsigned kind = 0;

	while (kind < MEMORY_KINDS && at >= (double)bytes[kind])
		at -= (double)bytes[kind++];
	return kind;
}

void pane_bar(const struct area *area, const struct rect *at, enum palette palette,
	      uint32_t block, const uint64_t bytes[MEMORY_KINDS], uint64_t whole)
{
	for (unsigned i = 0; i < at->columns; i++) {
		double middle = ((double)i + 0.5) / at->columns * (double)whole;
		enum memory kind = kind_at(bytes, middle);

		if (kind < MEMORY_KINDS)
			area_put(area, at->row, at->column + i,
				 mark_of(area, palette, kind, block),
				 memory_info[kind].ink);
	}
}

/* ---- text ---- */

/* How many bytes of TEXT, a line of it at most, go into COLUMNS without breaking a word;
 * a word that is longer than a line is broken. */
static size_t line_length(const char *text, unsigned columns)
{
	size_t length = 0, word_end = 0;

	for (unsigned used = 0; text[length] && text[length] != '\n'; used++) {
		size_t bytes = text_utf8_length(text + length);

		if (text[length] == ' ')
			word_end = length;
		if (used == columns)
			return word_end ? word_end : length;
		length += bytes ? bytes : 1;
	}
	return length;
}

unsigned pane_wrap(const struct area *area, unsigned row, unsigned column,
		   const char *text, enum ink ink)
{
	unsigned columns = column < area->rect.columns ? area->rect.columns - column : 0;

	while (columns && *text) {
		size_t length = line_length(text, columns);
		struct line line;
		struct text *words = line_start(&line);

		if (length >= sizeof(line.buf))
			length = sizeof(line.buf) - 1;
		text_bytes(words, text, length);
		area_text(area, row++, column, line.buf, ink);
		text += length;
		while (*text == ' ')
			text++;
		if (*text == '\n')
			text++;
	}
	return row;
}

void pane_nothing(const struct area *area, const char *what, const char *why)
{
	unsigned columns = area->rect.columns, row = area->rect.rows / 3;
	unsigned width = canvas_width(what);
	struct rect below = {row + 2, 0, area->rect.rows, columns};

	area_cut(area, row, width < columns ? (columns - width) / 2 : 0, columns, what,
		 INK_VALUE);
	if (!why)
		return;
	width = canvas_width(why);
	if (width > columns - columns / 8)
		width = columns - columns / 8;
	below.column = (columns - width) / 2;
	below.columns = width;
	struct area text = area_part(area, &below);
	pane_wrap(&text, 0, 0, why, INK_LABEL);
}

bool pane_has_sample(const struct area *area, const struct screen *screen)
{
	if (screen->sample)
		return true;
	if (screen->ended)
		pane_nothing(area, "no sample", screen->ended);
	else if (screen->awaited)
		pane_nothing(area, "no process yet: the first one of this name is shown",
			     screen->awaited);
	else
		pane_nothing(area, "no sample yet", "the first reading is under way");
	return false;
}

void pane_change(struct text *text, double bytes)
{
	double size = fabs(bytes);

	text_char(text, bytes > 0 ? '+' : bytes < 0 ? '-' : ' ');
	units_bytes(text, size < 0x1p63 ? (uint64_t)size : UINT64_MAX);
}

unsigned pane_first(unsigned count, unsigned selected, unsigned visible)
{
	unsigned first = selected > visible / 2 ? selected - visible / 2 : 0;

	if (count <= visible)
		return 0;
	return first < count - visible ? first : count - visible;
}

/* ---- trends ---- */

struct screen_trend pane_trend(const struct screen *screen, enum figure f)
{
	if (!screen->trend)
		return (struct screen_trend){0};
	return screen->trend[f];
}

void pane_arrow(const struct area *area, unsigned row, unsigned column, enum figure f,
		const struct screen_trend *trend)
{
	int direction = trend->rising - trend->falling;
	enum figure_worse worse = figure_info[f].worse;
	int bad = worse == WORSE_DOWN ? -direction : direction;
	enum ink ink = !bad || worse == WORSE_NEITHER ? INK_LABEL
		       : bad > 0		      ? INK_WARNING
						      : INK_GOOD;

	if (!trend->known)
		return;
	area_put(area, row, column,
		 direction > 0	 ? 0x2191
		 : direction < 0 ? 0x2193
				 : 0x2192,
		 ink);
}
