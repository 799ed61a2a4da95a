/* svg.h: the graphs over time of a screen as a picture, for reports and mails. */
#ifndef FRAGSCOPE_SVG_H
#define FRAGSCOPE_SVG_H

#include "base/text.h"
#include "tui/screen.h"

/* What holds any of them. */
enum { SVG_BYTES = 1 << 19 };

/* Appends the graphs of the overview, over the time that SCREEN shows, as one SVG
 * document. Pure, as screen_draw is. */
void screen_svg(struct text *text, const struct screen *screen);

#endif
