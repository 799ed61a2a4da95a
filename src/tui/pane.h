/* pane.h: what the panes share: kinds of memory and their marks, bars, lists, wrapped
 * text. Each pane has a file of its own and draws into the rectangles of the layout. */
#ifndef FRAGSCOPE_PANE_H
#define FRAGSCOPE_PANE_H

#include "tui/screen.h"

/* What a pane is drawn from and on. */
struct drawing {
	struct canvas *canvas;
	const struct screen *screen;
	struct layout layout;
};

void overview_draw(const struct drawing *drawing);
void arenas_draw(const struct drawing *drawing);
void map_draw(const struct drawing *drawing);
void sizes_draw(const struct drawing *drawing);
void events_draw(const struct drawing *drawing);
void advice_draw(const struct drawing *drawing);
void processes_draw(const struct drawing *drawing);
void graphs_draw(const struct drawing *drawing);
void picker_draw(const struct drawing *drawing);
void help_draw(const struct drawing *drawing);
void popup_draw(const struct drawing *drawing);

/* ---- kinds of memory ---- */

/* A kind is told by its colour and by its mark, so that it is told without colours too.
 */
enum memory {
	MEMORY_LIVE,
	MEMORY_TRIMMABLE,
	MEMORY_PINNED,
	MEMORY_RETAINED,
	MEMORY_MMAPPED,
	MEMORY_ALLOCATOR,
	MEMORY_OTHER,
	MEMORY_RETURNED,
	MEMORY_KINDS
};

struct memory_info {
	enum figure figure; /* FIG_COUNT for MEMORY_RETURNED: free and not resident */
	enum ink ink;
	uint32_t mark;
};

extern const struct memory_info memory_info[MEMORY_KINDS];

const char *memory_label(enum memory kind);

/* A bar over the row AT, in which each kind takes its part of WHOLE; the rest stays
 * blank. With colours it is made of BLOCK, one of these: bars of neighbouring rows stay
 * apart when they are low. */
enum { BLOCK_FULL = 0x2588, BLOCK_LOW = 0x2586 };

void pane_bar(const struct area *area, const struct rect *at, enum palette palette,
	      uint32_t block, const uint64_t bytes[MEMORY_KINDS], uint64_t whole);

/* The mark of KIND in a legend. */
void pane_swatch(const struct area *area, unsigned row, unsigned column,
		 enum palette palette, enum memory kind);

/* ---- text and lists ---- */

/* In the middle of AREA: WHAT, and below it WHY (null: nothing). */
void pane_nothing(const struct area *area, const char *what, const char *why);

/* TEXT from COLUMN to the end of AREA, broken between words, from ROW on; a line break in
 * it is one. Returns the row behind it. */
unsigned pane_wrap(const struct area *area, unsigned row, unsigned column,
		   const char *text, enum ink ink);

/* The first of COUNT rows to show so that SELECTED is among the VISIBLE ones. */
unsigned pane_first(unsigned count, unsigned selected, unsigned visible);

/* A signed number of bytes, in six columns: "+1.21M". */
void pane_change(struct text *text, double bytes);

/* How figure F moves; nothing is KNOWN when nobody told. */
struct screen_trend pane_trend(const struct screen *screen, enum figure f);

/* Whether the overview shows F at all, so that its trend is worth the time. */
bool overview_shows(enum figure f);

/* An arrow for TREND, whose ink says whether that is bad for F; a space when it is not
 * known. */
void pane_arrow(const struct area *area, unsigned row, unsigned column, enum figure f,
		const struct screen_trend *trend);

/* What there is to say when a pane has no sample to show. */
bool pane_has_sample(const struct area *area, const struct screen *screen);

#endif
