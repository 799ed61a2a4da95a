/* svg.h: the graphs over time of a screen, and whole screens, as pictures for documents
 * and mails. */
#ifndef FRAGSCOPE_SVG_H
#define FRAGSCOPE_SVG_H

#include "base/text.h"
#include "tui/screen.h"

/* What holds any of them. */
enum { SVG_BYTES = 1 << 19 };

/* Appends the graphs of the overview, over the time that SCREEN shows, as one SVG
 * document. Pure, as screen_draw is. */
void screen_svg(struct text *text, const struct screen *screen);

/* Appends CANVAS as one SVG document, in colours and on a dark ground; and what holds
 * that for certain. */
void canvas_svg(struct text *text, const struct canvas *canvas);
size_t canvas_svg_bytes(const struct canvas *canvas);

#endif
