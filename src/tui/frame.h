/* frame.h: draws the model of the screen: the header, the tabs, a pane or the list of
 * processes, the lines at the bottom, and what stands over all. */
#ifndef FRAGSCOPE_FRAME_H
#define FRAGSCOPE_FRAME_H

#include "tui/screen.h"

/* Draws SCREEN on all of CANVAS, whose size and charset are the terminal's. Pure: changes
 * nothing else, reads nothing else and allocates nothing. */
void screen_draw(struct canvas *canvas, const struct screen *screen);

#endif
